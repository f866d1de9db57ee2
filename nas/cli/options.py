"""Options that several commands share, so that they are called the same and mean the same."""

import math
import re
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

import click

from nas.hints import DEFAULT_STORAGE, STORAGE_VARIABLE
from search_spaces.errors import InvalidInput

if TYPE_CHECKING:
    _Base = click.ParamType[float]
    _Limit = click.ParamType["Limit"]
    _Named = click.ParamType[tuple[str, float]]
    _NamedLimit = click.ParamType[tuple[str, "Limit"]]
    _Names = click.ParamType[tuple[str, ...]]
    _Choice = click.ParamType[tuple[str, str]]
    _Choices = click.ParamType[tuple[str, tuple[str, ...]]]
else:  # which older versions do not subscript
    _Base = _Limit = _Named = _NamedLimit = _Names = _Choice = _Choices = click.ParamType

Decorator = Callable[[Callable[..., Any]], Callable[..., Any]]


def all_of(*options: Decorator) -> Decorator:
    """Several options as one decorator, in this order in the help."""

    def decorate(command: Callable[..., Any]) -> Callable[..., Any]:
        for option in reversed(options):
            command = option(command)
        return command

    return decorate


storage_option: Decorator = click.option(
    "--storage",
    default=DEFAULT_STORAGE,
    envvar=STORAGE_VARIABLE,
    show_default=True,
    show_envvar=True,
    metavar="URL",
    help="The database that holds the searches.",
)

json_option: Decorator = click.option(
    "--json", "as_json", is_flag=True, help="Write JSON instead of a table."
)


class Quantity(_Base):
    """A number with a unit that may be left out; an error names the unit and gives an example.

    What range it must lie in is not known here.
    """

    def __init__(self, unit: str, factors: Mapping[str, float], example: str) -> None:
        """``factors`` turn each unit that is taken into ``unit``."""
        self.name = unit
        self._factors = factors
        self._fix = f"give {unit}, such as {example}"

    def get_metavar(self, param: click.Parameter, ctx: click.Context) -> str:
        """Shown in the help."""
        return self.name.upper()

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """The number in ``unit``; NaN and infinity pass, as ``float`` lets them."""
        text = str(value).strip()
        try:
            return float(text)
        except ValueError:
            found = _QUANTITY.fullmatch(text)
        if found is None or found["unit"] not in self._factors:
            self.fail(f"'{value}' is no number of {self.name}; {self._fix}.", param, ctx)
        return float(found["number"]) * self._factors[found["unit"]]


_QUANTITY = re.compile(r"(?P<number>[-+]?(\d+\.?\d*|\.\d+)([eE][-+]?\d+)?)\s*(?P<unit>[a-zA-Zµμ]+)", re.ASCII)

Milliseconds = Quantity(
    "ms", {"ms": 1.0, "us": 1e-3, "µs": 1e-3, "μs": 1e-3, "ns": 1e-6, "s": 1e3}, "0.4, 0.4ms or 400us"
)
Kilobytes = Quantity("kB", {"kB": 1.0, "KB": 1.0, "kb": 1.0, "B": 1e-3, "MB": 1e3}, "32, 32kB or 0.5MB")


class Limit(NamedTuple):
    """A limit in an objective's unit, or as a share of the median of a space; the other is None."""

    value: float | None
    share: float | None


class ShareableLimit(_Limit):
    """Reads what a type of numbers reads, and ``0.5x``."""

    name = "limit"

    def __init__(self, amount: "click.ParamType[float]", examples: str) -> None:
        """``examples`` are of amounts, in words."""
        self._amount = amount
        self._fix = f"give {examples}, or a share of the space's median, such as 0.5x"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Limit:
        """What the text says; a click error where it says no finite number of some size."""
        if isinstance(value, Limit):
            return value
        text = str(value).strip()
        is_share = text.lower().endswith("x")
        try:
            found = float(text[:-1]) if is_share else float(self._amount.convert(text, param, ctx))
        except (ValueError, click.BadParameter):
            found = math.nan
        if not (math.isfinite(found) and found >= MIN_LIMIT):
            self.fail(f"'{value}' is no limit; {self._fix}", param, ctx)
        return Limit(None, found) if is_share else Limit(found, None)


LatencyLimit = ShareableLimit(Milliseconds, "a time, such as 0.4ms or 400us")
KilobyteLimit = ShareableLimit(Kilobytes, "kB, such as 32, 32kB or 0.5MB")
CountLimit = ShareableLimit(click.FLOAT, "a number, such as 1e6")
AnyLimit = ShareableLimit(click.FLOAT, "a number, such as 0.9")


class LimitType(_Named):
    """Reads ``NAME=VALUE``: an objective, and a limit in its unit or with one."""

    name = "name=value"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[str, float]:
        """The objective's name and the limit; a click error where the text is none."""
        if isinstance(value, tuple):
            return value[0], float(value[1])
        name, unit, text = _named_limit(self, value, param, ctx)
        kind: click.ParamType[float] = _UNITS.get(unit, click.FLOAT)
        return name, float(kind(text, param, ctx))


class NamedLimitType(_NamedLimit):
    """Reads ``NAME=VALUE`` and ``NAME=0.5x``: an objective, and a limit."""

    name = "name=value"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[str, Limit]:
        """The objective's name and the limit; a click error where the text is none."""
        if isinstance(value, tuple):
            return value[0], value[1]
        name, unit, text = _named_limit(self, value, param, ctx)
        kinds = {"ms": LatencyLimit, "kB": KilobyteLimit}
        return name, kinds.get(unit, AnyLimit).convert(text, param, ctx)


_UNITS = {"ms": Milliseconds, "kB": Kilobytes}


def _named_limit(
    kind: "click.ParamType[Any]", value: Any, param: click.Parameter | None, ctx: click.Context | None
) -> tuple[str, str, str]:
    """Name, unit and text of a limit; a click error where it has no name."""
    from nas.objectives import objective

    name, equals, text = str(value).partition("=")
    if not equals:
        kind.fail(f"'{value}' is no limit; give NAME=VALUE, such as latency@pi=3", param, ctx)
    try:
        found = objective(name.strip())
    except InvalidInput as error:
        raise error.of("limits") from error
    return found.name, found.unit, text.strip()


class NamesType(_Names):
    """Reads ``NAME,NAME``: names, of which what they are of tells whether there are such."""

    name = "name,name"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[str, ...]:
        """The names in their order."""
        names = value if isinstance(value, tuple) else str(value).split(",")
        return tuple(stripped for name in names if (stripped := str(name).strip()))


class ChoiceType(_Choice):
    """Reads ``CHOICE=OPTION``: a choice of a space, and what it is to be."""

    name = "choice=option"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[str, str]:
        """The choice's name and the option."""
        if isinstance(value, tuple):
            return str(value[0]), str(value[1])
        name, option = (part.strip() for part in str(value).partition("=")[::2])
        if not (name and option):
            self.fail(f"'{value}' fixes nothing; give CHOICE=OPTION, such as stage1.width=32", param, ctx)
        return name, option


class ChoicesType(_Choices):
    """Reads ``CHOICE=OPTION,OPTION``: a choice of a space, and what it may be."""

    name = "choice=options"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[str, tuple[str, ...]]:
        """The choice's name and the options."""
        if isinstance(value, tuple):
            return str(value[0]), tuple(map(str, value[1]))
        name, text = (part.strip() for part in str(value).partition("=")[::2])
        options = tuple(option.strip() for option in text.split(","))
        if not (name and all(options)):
            example = "precision=int8,binary"
            self.fail(f"'{value}' names no options; give CHOICE=OPTION,OPTION, such as {example}", param, ctx)
        return name, options


MIN_LIMIT = 1e-9
"""Less, in any unit or as a share, is no limit that anything keeps."""
