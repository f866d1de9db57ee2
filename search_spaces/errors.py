"""Every error that a user can meet, in one tree; and how their messages name parameters.

BitnasError                  the machine, a file or the storage is not as it should be: exit code 1
├── InvalidInput             a parameter breaks its rule (also a ValueError): exit code 2
│   └── UnknownFamilyError   no kernels that are loaded have the family of a workload: a plug-in's, perhaps
├── UnsupportedLayerError    no kernel computes a layer, or an option of it
├── MeasurementError         a device gave no usable time
│   ├── NoDeviceError        a device does not answer; it may be back later
│   └── LostTurnError        others measured meanwhile, as this process was stopped: measure again
├── TrainingError            a network cannot be trained: its loss became infinite or NaN
├── StorageError             the database of a ledger cannot be used: it is full, damaged, or refuses
│   └── DatabaseAwayError    it does not answer; it may be back later
├── AbsentLedgerError        there is no database where one was looked for, or an empty one
├── StaleClaimError          another worker has claimed a trial since
├── ExhaustedError           a space has no architecture left that a search could try
├── NothingFitsError         no trial of a search is within the limits
├── InfeasibleStepError      one way to go on leads nowhere; its trial is infeasible, and others may be tried
├── CodingError              bytes are no codes: a compressed file is damaged
└── DisagreementError        compiled code and torch put images into different classes

In Python a message names parameters (``max_latency_ms: ...``). The command line gives them the names that the
running command has for them (``--max-latency-ms: ...``); that happens in ``nas.cli.naming`` and nowhere else.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass


@dataclass(frozen=True)
class Parameter:
    """A parameter that a message names: a word of it, in whose place the command line puts an option.

    Attributes:
        name: as in Python, ``max_latency_ms``.
        value: what to give for it, ``FILE``, where that helps; the command line says it after the option.
        python: what Python says instead of the name, where a function does what an option does.
    """

    name: str
    value: str = ""
    python: str = ""

    def __str__(self) -> str:
        return self.python or self.name

    def __format__(self, spec: str) -> str:
        """Refused: in the middle of a text nothing could find it again."""
        raise TypeError(f"pass Parameter({self.name!r}) as a word of its own, not within a text")


Words = str | Parameter | tuple[str | Parameter, ...]
"""A text, or its parts in order, some of them parameters: ``("give ", Parameter("data"), " as well")``."""

PLUGINS = Parameter("plugins", "FILE", python="search_spaces.add_plugin_file(FILE)")
"""How a plug-in comes in."""


class BitnasError(Exception):
    """Something outside the code is wrong; the message is one line with the cause and the fix.

    Args:
        words: the message in parts, which are put together as they are.
    """

    def __init__(self, *words: str | Parameter) -> None:
        super().__init__(*words)
        self.name_of: Callable[[Parameter], str] | None = None
        """How the message names its parameters; as Python does where it is None."""

    def __str__(self) -> str:
        return self._said(*self.args)

    def _said(self, *words: str | Parameter) -> str:
        name_of = self.name_of or str
        return "".join(word if isinstance(word, str) else name_of(word) for word in words)


class InvalidInput(BitnasError, ValueError):  # noqa: N818 - it names the input, not the failure
    """A parameter breaks its rule; the message names the parameter, the rule and the fix."""

    def __init__(self, parameter: str, problem: Words, fix: Words) -> None:
        super().__init__(Parameter(parameter), ": ", *_parts(problem), "; ", *_parts(fix))
        self.parameter = parameter
        self._problem, self._fix = _parts(problem), _parts(fix)

    def __reduce__(self) -> tuple[type["InvalidInput"], tuple[str, Words, Words]]:
        return type(self), (self.parameter, self._problem, self._fix)

    @property
    def problem(self) -> str:
        """The rule that is broken, and by what."""
        return self._said(*self._problem)

    @property
    def fix(self) -> str:
        """What to do about it."""
        return self._said(*self._fix)

    def of(self, parameter: str) -> "InvalidInput":
        """The same about a parameter that holds this one, or that this one stands for."""
        return InvalidInput(parameter, self._problem, self._fix)


class UnknownFamilyError(InvalidInput):
    """No kernels that are loaded have the family of a workload; those of a plug-in may."""


class UnsupportedLayerError(BitnasError):
    """A layer, or an option of it, that no kernel computes; the message names it."""


class MeasurementError(BitnasError):
    """A device gave no usable time."""


class NoDeviceError(MeasurementError):
    """A device does not answer; it may be back later."""


class LostTurnError(MeasurementError):
    """Others measured on the machine meanwhile, as this process was stopped; what it measured is void."""


class TrainingError(BitnasError):
    """A network cannot be trained: its loss became infinite or NaN."""


class StorageError(BitnasError):
    """The database does not answer: absent, refused, full, damaged, or not one."""


class DatabaseAwayError(StorageError):
    """The database does not answer now: stopped, out of reach, busy; the message ends with the fix.

    Args:
        parameter: that gives the database.
        shown: its URL.
        cause: what it, or the network, said.
        fix: what to do about it.
    """

    def __init__(self, parameter: Parameter, shown: str, cause: str, fix: str) -> None:
        super().__init__(parameter, f": {shown}", f" does not answer ({cause})", f"; {fix}")
        self._parts = parameter, shown, cause, fix

    def __reduce__(self) -> tuple[type["DatabaseAwayError"], tuple[Parameter, str, str, str]]:
        return type(self), self._parts

    @property
    def storage(self) -> str:
        """The database, by its parameter and its URL."""
        return self._said(*self.args[:2])

    @property
    def problem(self) -> str:
        """The message without the fix."""
        return self._said(*self.args[:3])


class AbsentLedgerError(BitnasError):
    """There is no database where one was looked for, or it is empty."""


class StaleClaimError(BitnasError):
    """Another worker has claimed the trial since; this one must drop it."""


class NothingFitsError(BitnasError):
    """No trial of the search is within the limits."""


class InfeasibleStepError(BitnasError):
    """One of several ways to go on leads nowhere: its trial is infeasible, and others may be tried."""


class ExhaustedError(BitnasError):
    """Every architecture of the space was proposed; the search ends."""


class CodingError(BitnasError):
    """Bytes hold no codes that were written, or others than they should."""


class DisagreementError(BitnasError):
    """The compiled network and torch put images into different classes."""


def nearest(name: str, known: Iterable[str]) -> str:
    """A question after the known name that is most like a mistyped one, and a space; or nothing."""
    from difflib import get_close_matches

    found = get_close_matches(name, known, 1)
    return f"did you mean '{found[0]}'? " if found else ""


def _parts(words: Words) -> tuple[str | Parameter, ...]:
    return words if isinstance(words, tuple) else (words,)
