"""Objectives: what a search makes better, and what it keeps within limits; the one place that knows them."""

import math
from collections.abc import Callable, Iterable, Mapping

from nas.objectives.accuracy import Accuracy
from nas.objectives.base import ArchitectureCost, Figures, Objective, ObjectiveValue
from nas.objectives.latency import LATENCY_AT, Latency, LatencyOn
from nas.objectives.macs import Macs
from nas.objectives.memory import Memory
from nas.objectives.reward import REWARDS, Reward
from nas.objectives.size import Size
from nas.objectives.size_on_disk import SizeOnDisk
from search_spaces.errors import InvalidInput
from search_spaces.registry import Registry

DEFAULT = ("accuracy", "latency", "size")
"""What a search trades off unless told."""

objectives: Registry[Objective] = Registry("objective", "objectives")
_BUILT_IN = {own.name: own for own in (Accuracy(), Latency(), Size(), SizeOnDisk(), Memory(), Macs())}
for _name, _own in _BUILT_IN.items():
    objectives.add(_name, _own)

_OF_PARAMETERS: dict[str, Callable[[str], Objective]] = {
    LATENCY_AT: LatencyOn.named,
    **{f"{kind}@": Reward.named for kind in REWARDS},
}
"""Objectives whose names hold their parameters, by how such a name begins."""

_WITH_UNIT = {
    "latency_ms": "latency",
    "size_kb": "size",
    "size_on_disk_kb": "size_on_disk",
    "memory_kb": "memory",
}


def objective(name: str) -> Objective:
    """The objective called ``name``; ``latency@DEVICE`` is a further device's, ``mnasnet@3ms`` a reward.

    Raises:
        InvalidInput: there is none; the message lists those there are.
    """
    name = _WITH_UNIT.get(name, name)
    begin, at, _ = name.partition("@")
    named = _OF_PARAMETERS.get(begin + at)
    return objectives.get(name) if named is None else named(name)


def is_known(name: str) -> bool:
    """Whether there is an objective of that name here; one of a plug-in may be missing."""
    name = _WITH_UNIT.get(name, name)
    return name in objectives or any(name.startswith(begin) and name != begin for begin in _OF_PARAMETERS)


def is_built_in(name: str) -> bool:
    """Whether an objective is one of bitnas's own, none of which has values below 0."""
    begin, at, _ = name.partition("@")
    return name in _BUILT_IN or (bool(at) and begin + at in _OF_PARAMETERS)


def canonical(names: Iterable[str]) -> tuple[str, ...]:
    """The names of objectives as they are kept.

    Raises:
        InvalidInput: one is not known or is there twice, or there is none at all.
    """
    found = tuple(_named("objectives", name) for name in names)
    for place, name in enumerate(found):
        if name in found[:place]:
            raise InvalidInput("objectives", f"'{name}' is given twice", "give it once")
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


def shares_by_name(shares: Mapping[str, float]) -> dict[str, float]:
    """Relative limits by the names of objectives as they are kept.

    Raises:
        InvalidInput: one is not known, or its share is no finite number above 0.
    """
    found = {_named("limit_shares", name): share for name, share in shares.items()}
    for name, share in found.items():
        if not (math.isfinite(share) and share > 0):
            problem = f"{share} is no share of the median of {name}"
            raise InvalidInput("limit_shares", problem, "give a finite number above 0, or omit it")
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
    "Reward",
    "canonical",
    "devices_of",
    "is_built_in",
    "is_known",
    "limits_by_name",
    "objective",
    "objectives",
    "shares_by_name",
]
