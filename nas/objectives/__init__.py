"""Objectives: what a search makes better, and what it keeps within limits; the one place that knows them."""

from collections.abc import Iterable, Mapping

from nas.objectives.accuracy import Accuracy
from nas.objectives.base import ArchitectureCost, Figures, Objective, ObjectiveValue
from nas.objectives.latency import LATENCY_AT, Latency, LatencyOn
from nas.objectives.macs import Macs
from nas.objectives.memory import Memory
from nas.objectives.size import Size
from search_spaces.errors import InvalidInput
from search_spaces.registry import Registry

DEFAULT = ("accuracy", "latency", "size")
"""What a search trades off unless told."""

objectives: Registry[Objective] = Registry("objective", "objectives")
for _built_in in (Accuracy(), Latency(), Size(), Memory(), Macs()):
    objectives.add(_built_in.name, _built_in)

_WITH_UNIT = {"latency_ms": "latency", "size_kb": "size", "memory_kb": "memory"}


def objective(name: str) -> Objective:
    """The objective called ``name``; ``latency@DEVICE`` is that of a further device.

    Raises:
        InvalidInput: there is none; the message lists those there are.
    """
    name = _WITH_UNIT.get(name, name)
    if not name.startswith(LATENCY_AT):
        return objectives.get(name)
    if not (device := name.removeprefix(LATENCY_AT)):
        raise InvalidInput("objectives", f"'{name}' names no device", f"give {LATENCY_AT}DEVICE")
    return LatencyOn(device)


def is_known(name: str) -> bool:
    """Whether there is an objective of that name here; one of a plug-in may be missing."""
    name = _WITH_UNIT.get(name, name)
    return name in objectives or (name.startswith(LATENCY_AT) and name != LATENCY_AT)


def canonical(names: Iterable[str]) -> tuple[str, ...]:
    """The names of objectives as they are kept, each once.

    Raises:
        InvalidInput: one is not known, or there is none at all.
    """
    found = tuple(dict.fromkeys(_named("objectives", name) for name in names))
    if not found:
        raise InvalidInput("objectives", "there is none", f"give one or more of {', '.join(objectives)}")
    return found


def limits_by_name(limits: Mapping[str, float]) -> dict[str, float]:
    """Limits by the names of objectives as they are kept.

    Raises:
        InvalidInput: one is not known, or its limit makes no sense.
    """
    found = {_named("limits", name): limit for name, limit in limits.items()}
    for name, limit in found.items():
        if fix := objective(name).check_limit(limit):
            raise InvalidInput("limits", f"{limit} is not a limit of {name}", fix)
    return found


def _named(parameter: str, name: str) -> str:
    """The name of an objective as it is kept; a wrong one is a fault of the parameter that gave it."""
    try:
        return objective(name).name
    except InvalidInput as error:
        raise error.of(parameter) from error


def devices_of(names: Iterable[str]) -> tuple[str, ...]:
    """The further devices that objectives are about, each once."""
    return tuple(
        dict.fromkeys(name.removeprefix(LATENCY_AT) for name in names if name.startswith(LATENCY_AT))
    )


__all__ = [
    "DEFAULT",
    "LATENCY_AT",
    "ArchitectureCost",
    "Figures",
    "Latency",
    "LatencyOn",
    "Objective",
    "ObjectiveValue",
    "canonical",
    "devices_of",
    "is_known",
    "limits_by_name",
    "objective",
    "objectives",
]
