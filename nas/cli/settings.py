"""A search's settings: from options to what is stored, and from there to a file."""

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import fields
from typing import Any

import click
from click.core import ParameterSource

from nas.cli.config_file import key_of
from nas.cli.search_goals import goals_of
from nas.ledger.records import SearchConfig, SearchRecord
from search_spaces.errors import InvalidInput

GIVEN = (ParameterSource.COMMANDLINE, ParameterSource.DEFAULT_MAP)
"""What the user has said, on the command line or in a file."""


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


def settings_of(record: SearchRecord, options: Iterable[click.Parameter]) -> dict[str, Any]:
    """What a search was made with, by the names of options; what was left out, and is, is left out.

    Searches that it was started from are not among them: their trials are its own now.
    """
    from nas.analysis.settings import LIMITS

    config = record.config
    plain = {name: value for name, value in config.to_dict().items() if name not in LIMITS}
    values: dict[str, Any] = {"name": record.name, **plain, **_limits(config)}
    found = ((key_of(option), values.get(str(option.name))) for option in options)
    return {key: value for key, value in found if value not in (None, "", [], {}, ())}


def command_settings(record: SearchRecord) -> dict[str, Any]:
    """What a command that made a search's trials was given, by the names of its options."""
    hidden = ("command", "of", "run", "network_digest")
    steps = {name: value for name, value in record.origin.steps.items() if name not in hidden}
    found = {"name": record.name, "made by": record.origin.made_by, "data": record.config.data, **steps}
    return {
        name.replace("_", "-"): value for name, value in found.items() if value not in (None, "", [], {}, ())
    }


def _limits(config: SearchConfig) -> dict[str, Any]:
    """The limits that were asked for, by the parameters of options."""
    from nas.analysis.settings import limits_asked
    from nas.objectives import is_known, objective

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
