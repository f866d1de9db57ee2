"""``--config FILE``: options from a file, unless the command line says the same or another spelling of it."""

import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import click
from click.core import ParameterSource

from nas.cli.naming import CONFIG_FILE, typed
from nas.cli.options import Decorator
from nas.cli.search_goals import OPTIONS_OF_REWARD, limited_by
from nas.objectives import DEFAULT
from search_spaces.errors import BitnasError, InvalidInput, Parameter, nearest

NOT_IN_FILES = ("help", "config", "dry_run", "resume", "more")
"""Options that are about one call."""

LIMIT, CHOICE, TRADED_OFF = "limit", "choice", "traded off"
Said = tuple[str, str]
"""What a setting is about, and of what: settings about the same are two spellings, or clash."""
PAIRS = {"limits": LIMIT, "fix": CHOICE, "only": CHOICE}
"""Options that hold names and values, and what each of these is about."""
UNSAID = {"objectives": DEFAULT, "reward": None}
"""Options that tell what is traded off, as they are where nothing was said."""


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
    known = {key_of(option): option for option in context.command.params if option.name not in NOT_IN_FILES}
    values: dict[str, Any] = {}
    said: dict[Said, str] = {}
    for key, value in found.items():
        option = _option_of(known, key)
        name = str(option.name)
        values[name] = _value(option, key, value)
        for about in [(name, ""), *_said(name, _read(context, option, path, key, values[name]))]:
            is_clash = about[0] != CHOICE  # both may leave options of one
            if is_clash and (other := said.setdefault(about, key)) != key:
                problem = f"'{path}' has '{other}' and '{key}', which are about the same"
                raise InvalidInput("config", problem, "leave one of the two out")
    context.meta[CONFIG_FILE] = path
    context.default_map = {**(context.default_map or {}), **values}


def _option_of(known: Mapping[str, click.Parameter], key: str) -> click.Parameter:
    """The option that a key of a file stands for."""
    if (name := key.replace("_", "-")) in known:
        return known[name]
    fix = f"{nearest(name, known)}give the names of options, without --"
    raise InvalidInput("config", f"no setting is called '{key}'", fix)


def _value(option: click.Parameter, key: str, value: Any) -> Any:
    """A value of a file as if it had been typed."""
    if isinstance(value, dict):
        value = [f"{part}={_typed(of_part)}" for part, of_part in value.items()]
    if getattr(option, "multiple", False):
        return [_typed(each) for each in (value if isinstance(value, list) else [value])]
    if isinstance(value, list):
        raise InvalidInput("config", f"'{key}' is a list", "give one value")
    is_flag = getattr(option, "is_flag", False)
    return value if is_flag and isinstance(value, bool) else _typed(value)


def _typed(value: Any) -> str:
    return ",".join(map(str, value)) if isinstance(value, list) else str(value)


def _read(context: click.Context, option: click.Parameter, path: Path, key: str, value: Any) -> Any:
    """The value of an option that its text in a file stands for."""
    try:
        return option.type_cast_value(context, value)
    except click.BadParameter as error:
        told = error.message.rstrip(".")
        raise InvalidInput("config", f"'{key}' in '{path}': {told}", "correct it") from error


def _said(name: str, value: Any) -> Iterator[Said]:
    """What a setting of that name, with that value, is about, if others may be about that, too."""
    if name in PAIRS:
        yield from ((PAIRS[name], part) for part, _ in value)
    elif objective := limited_by().get(name):
        yield LIMIT, objective
    elif name in UNSAID:
        yield TRADED_OFF, ""


def typed_wins(context: click.Context, options: dict[str, Any]) -> dict[str, Any]:
    """The options without what a file says that others, which were typed, say in another spelling."""
    sources = {name: context.get_parameter_source(name) for name in options}
    typed = (name for name, source in sources.items() if source is ParameterSource.COMMANDLINE)
    said = {about for name in typed for about in _said(name, options[name])}
    in_file = [name for name, source in sources.items() if source is ParameterSource.DEFAULT_MAP]
    kept = {**options, **{name: _left(name, options[name], said) for name in in_file}}
    if kept["reward"] is None:
        kept |= {name: None for name in OPTIONS_OF_REWARD if name in in_file and options["reward"]}
    for name in in_file:
        if kept[name] != options[name] and not (name in PAIRS and kept[name]):
            context.set_parameter_source(name, ParameterSource.DEFAULT)
    return kept


def _left(name: str, value: Any, said: set[Said]) -> Any:
    """What is left of a file's value: of several each that nobody says, else all or nothing."""
    if name in PAIRS:
        return tuple(pair for pair in value if (PAIRS[name], pair[0]) not in said)
    return UNSAID.get(name) if said.intersection(_said(name, value)) else value


def key_of(option: click.Parameter) -> str:
    """What a file calls an option."""
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
