"""A search's settings: from options to what is stored, from a file to options, and back to a file."""

import json
import re
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import fields
from pathlib import Path
from typing import Any

import click
from click.core import ParameterSource

from nas.cli.naming import typed
from nas.cli.options import Decorator
from nas.cli.search_goals import goals_of
from nas.ledger.records import SearchConfig, SearchRecord
from search_spaces.errors import BitnasError, InvalidInput, Parameter, nearest

GIVEN = (ParameterSource.COMMANDLINE, ParameterSource.DEFAULT_MAP)
"""What the user has said, on the command line or in a file."""

NOT_IN_FILES = ("help", "config", "dry_run", "resume", "more")
"""Options that are about one call."""


def config_of(context: click.Context, options: dict[str, Any]) -> SearchConfig:
    """What is stored with a new search, but for what it begins with, which is checked once more is known."""
    options = {**options, **goals_of(context, options)}
    for name in ("fix", "only"):
        options[name] = _by_name(name, options[name])
    named = {f.name for f in fields(SearchConfig)} - {"first"}
    return SearchConfig(**{name: options[name] for name in named if name in options})


def given_settings(context: click.Context) -> set[str]:
    """The options that were given, by the names of their parameters."""
    return {name for name in context.params if context.get_parameter_source(name) in GIVEN}


def _by_name(parameter: str, pairs: Iterable[tuple[str, Any]]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, value in pairs:
        if name in found:
            raise InvalidInput(parameter, f"'{name}' is given twice", "give it once")
        found[name] = value
    return found


def _use_file(context: click.Context, _option: click.Parameter, path: Path | None) -> None:
    """Have the settings of a file where the command line says nothing."""
    if path is None:
        return
    try:
        found = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise BitnasError(Parameter("config"), f": cannot read '{path}' ({error.strerror})") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise InvalidInput("config", f"'{path}' is not TOML: {error}", "correct it") from error
    known = {_key(option): option for option in context.command.params if option.name not in NOT_IN_FILES}
    values = dict(_value(known, name, value) for name, value in found.items())
    context.default_map = {**(context.default_map or {}), **values}


def _value(known: Mapping[str, click.Parameter], name: str, value: Any) -> tuple[str, Any]:
    """The parameter of a setting, and its value as if it had been typed."""
    key = name.replace("_", "-")
    if key not in known:
        fix = f"{nearest(key, known)}give the names of options, without --"
        raise InvalidInput("config", f"no setting is called '{name}'", fix)
    option = known[key]
    if isinstance(value, dict):
        value = [f"{part}={_typed(of_part)}" for part, of_part in value.items()]
    if getattr(option, "multiple", False):
        return str(option.name), [_typed(each) for each in (value if isinstance(value, list) else [value])]
    if isinstance(value, list):
        raise InvalidInput("config", f"'{name}' is a list", "give one value")
    is_flag = getattr(option, "is_flag", False)
    return str(option.name), value if is_flag and isinstance(value, bool) else _typed(value)


def _typed(value: Any) -> str:
    return ",".join(map(str, value)) if isinstance(value, list) else str(value)


def _key(option: click.Parameter) -> str:
    return typed(option).lstrip("-")


config_option: Decorator = click.option(
    "--config",
    type=click.Path(path_type=Path, dir_okay=False),
    metavar="FILE.toml",
    is_eager=True,
    expose_value=False,
    callback=_use_file,
    help="A file with settings by the names of options; those given here as well win.",
)


def settings_of(record: SearchRecord, options: Iterable[click.Parameter]) -> dict[str, Any]:
    """What a search was made with, by the names of options; what was left out, and is, is left out.

    Searches that it was started from are not among them: their trials are its own now.
    """
    from nas.searching.differences import LIMITS

    config = record.config
    plain = {name: value for name, value in config.to_dict().items() if name not in LIMITS}
    values: dict[str, Any] = {"name": record.name, **plain, **_limits(config)}
    found = ((_key(option), values.get(str(option.name))) for option in options)
    return {key: value for key, value in found if value not in (None, "", [], {}, ())}


def _limits(config: SearchConfig) -> dict[str, Any]:
    """The limits that were asked for, by the parameters of options."""
    from nas.objectives import is_known, objective
    from nas.searching.differences import limits_asked

    found: dict[str, Any] = {}
    for name, limit in limits_asked(config).items():
        setting = objective(name).limit if is_known(name) else ""
        if name == "latency" and isinstance(limit, str):
            setting = "max_latency"
        if setting:
            found[setting] = limit
        else:
            found.setdefault("limits", {})[name] = limit
    return found


def to_toml(settings: Mapping[str, Any]) -> str:
    """Settings as a file that ``--config`` takes; tables come last, as TOML has it."""
    plain = [f"{key} = {_toml(value)}\n" for key, value in settings.items() if not isinstance(value, dict)]
    tables = [
        f"\n[{key}]\n" + "".join(f"{_toml_key(name)} = {_toml(option)}\n" for name, option in value.items())
        for key, value in settings.items()
        if isinstance(value, dict)
    ]
    return "".join([*plain, *tables])


def _toml_key(name: str) -> str:
    return name if re.fullmatch("[A-Za-z0-9_-]+", name) else _toml(name)


def _toml(value: Any) -> str:
    """A value; TOML's strings are JSON's, but for the one control character that JSON lets stand."""
    if isinstance(value, list | tuple):
        return f"[{', '.join(map(_toml, value))}]"
    if isinstance(value, str):
        return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
    return json.dumps(value)
