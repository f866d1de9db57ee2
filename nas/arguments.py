"""What Python code passes in: its types, checked before anything else, and how errors name it."""

import operator
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from numbers import Real
from typing import Any, NamedTuple

from search_spaces.errors import BitnasError, InvalidInput, Parameter


class Kind(NamedTuple):
    """A type of argument.

    Attributes:
        wanted: it in words.
        example: what to give, in words.
        read: the argument as the type that the rest of the code expects; TypeError where it is of another.
    """

    wanted: str
    example: str
    read: Callable[[Any], Any]


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError
    return str(value)


def _path(value: Any) -> str:
    path = os.fspath(value)
    if not isinstance(path, str) or "\0" in path:
        raise TypeError
    return path


def _whole(value: Any) -> int:
    if isinstance(value, bool):
        raise TypeError
    return operator.index(value)  # NumPy's become Python's, which the ledger can keep


def _number(value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, Real):
        raise TypeError
    try:
        return float(value)
    except OverflowError:
        return float("inf")


def _flag(value: Any) -> bool:
    if not isinstance(value, bool):
        raise TypeError
    return value


def _all(read: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """For a list of arguments; one alone stands for a list of it."""

    def read_all(value: Any) -> tuple[Any, ...]:
        if isinstance(value, str | os.PathLike):
            return (read(value),)
        if not isinstance(value, Sequence):
            raise TypeError
        return tuple(read(item) for item in value)

    return read_all


def _numbers(value: Any) -> dict[str, float]:
    if not isinstance(value, Mapping):
        raise TypeError
    return {_text(name): _number(number) for name, number in value.items()}


def _option(value: Any) -> str:
    """What a choice of a space is to be: a word or a whole number."""
    return value if isinstance(value, str) else str(_whole(value))


def _options(value: Any) -> dict[str, str]:
    if not isinstance(value, Mapping):
        raise TypeError
    return {_text(name): _option(option) for name, option in value.items()}


def _option_lists(value: Any) -> dict[str, tuple[str, ...]]:
    """One option alone stands for a list of it."""
    if not isinstance(value, Mapping):
        raise TypeError
    lists = {name: (found,) if isinstance(found, str | int) else found for name, found in value.items()}
    return {_text(name): _all(_option)(options) for name, options in lists.items()}


TEXT = Kind("a string", "give a string", _text)
PATH = Kind("a path", "give a string or a pathlib.Path", _path)
WHOLE = Kind("a whole number", "give one such as 3", _whole)
NUMBER = Kind("a number", "give one such as 0.5", _number)
FLAG = Kind("True or False", "give one of them", _flag)
NAMES = Kind("a list of names", "give one such as ['accuracy', 'size']", _all(_text))
PATHS = Kind("a list of paths", "give one such as ['mine.py']", _all(_path))
OPTIONS = Kind("a dict of choices and options", "give one such as {'stage1.block': 'separable'}", _options)
OPTION_LISTS = Kind(
    "a dict of choices and lists of options",
    "give one such as {'precision': ['int8', 'binary']}",
    _option_lists,
)
NUMBERS = Kind("a dict of names and numbers", "give one such as {'latency@pi': 3.0}", _numbers)

KINDS = {
    name: kind
    for kind, names in (
        (
            TEXT,
            "space evaluator device sampler pruner when_away measure name storage executor state ray_address",
        ),
        (TEXT, "of by"),
        (PATH, "data folder c_source pretrained"),
        (WHOLE, "trials epochs repeats audit seed image_size batch_size workers more trial number"),
        (NUMBER, "max_latency_ms max_latency_share max_size_kb max_memory_kb max_macs learning_rate minutes"),
        (NUMBER, "cpus_per_trial gpus_per_trial"),
        (FLAG, "progress verbose"),
        (NAMES, "objectives warm_start formats"),
        (PATHS, "plugins first"),
        (OPTIONS, "fix"),
        (OPTION_LISTS, "only"),
        (NUMBERS, "limits limit_shares reference"),
    )
    for name in names.split()
}
"""The kind of every parameter of the Python interface."""
MAY_BE_NONE = {
    *(
        "name",
        "storage",
        "image_size",
        "batch_size",
        "learning_rate",
        "minutes",
        "progress",
        "trial",
        "c_source",
        "state",
    ),
    *("of", "by", "ray_address", "cpus_per_trial", "gpus_per_trial"),
    *("max_latency_ms", "max_latency_share", "max_size_kb", "max_memory_kb", "max_macs"),
}


def checked(arguments: Mapping[str, Any], required: Sequence[str] = ()) -> dict[str, Any]:
    """Arguments by the names of their parameters, each of the type that the code expects.

    Args:
        arguments: as they were given.
        required: those among them that may not be None here, though elsewhere they may.

    Raises:
        InvalidInput: one is of another type; the message names the parameter, what was given and what is
            wanted.
    """
    may_be_none = MAY_BE_NONE - set(required)
    return {name: _checked(name, value, name in may_be_none) for name, value in arguments.items()}


def _checked(name: str, value: Any, may_be_none: bool) -> Any:
    if value is None and may_be_none:
        return None
    kind = KINDS[name]
    try:
        return kind.read(value)
    except TypeError:
        problem = f"{_shown(value)} is not {kind.wanted}"
        raise InvalidInput(name, problem, kind.example + (", or None" if may_be_none else "")) from None


def _shown(value: Any) -> str:
    """A value in one short line, with its type."""
    text = " ".join(repr(value).split())
    return f"{text if len(text) <= 60 else text[:57] + '...'} ({type(value).__name__})"


@contextmanager
def naming(**names: str) -> Iterator[None]:
    """Have errors name parameters as the caller does: ``naming(output="folder")`` where it has a folder.

    The innermost decides, as on the command line.
    """

    def name_of(parameter: Parameter) -> str:
        return names.get(parameter.name) or str(parameter)

    try:
        yield
    except BitnasError as error:
        if error.name_of is None:
            error.name_of = name_of
            if isinstance(error, InvalidInput):
                error.parameter = names.get(error.parameter, error.parameter)
        raise
