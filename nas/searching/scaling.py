"""Scales a winner up: steps that double the latency of a device, and what a search of them is made with."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol

from nas.ledger.records import SearchConfig, TrialRecord, check_search_name
from nas.objectives import objective
from search_spaces.architecture import Architecture, read_architecture
from search_spaces.errors import InvalidInput, NothingFitsError, Parameter
from search_spaces.scaling import Scale, grid, scaled
from search_spaces.sizing import size

GROWTH = 2.0
"""Of the latency by a step."""
TOLERANCE = 0.2
"""How far a step's growth may be from that, as a difference of logarithms to base 2: 1.74 to 2.30 times."""
MOST_STEPS = 8
NEAREST = 3
"""So many first steps are taken where none is within the tolerance: of coarse architectures."""


class Predicted(Protocol):
    """A latency, its interval, and which kernels were never measured."""

    @property
    def milliseconds(self) -> float: ...
    @property
    def low(self) -> float | None: ...
    @property
    def high(self) -> float | None: ...
    @property
    def estimated(self) -> Any: ...


LatencyOf = Callable[[Architecture], Predicted]


@dataclass(frozen=True)
class Proposal:
    """A scaled architecture.

    Attributes:
        phi: how many steps it is from the architecture that was scaled.
        scale: by what factors it grew, all steps together.
        kilobytes: of its parameters.
    """

    phi: int
    scale: Scale
    architecture: Architecture
    latency: Predicted
    kilobytes: float
    macs: float

    def to_dict(self) -> dict[str, Any]:
        """As JSON-able values; ``estimated`` counts kernels that were never measured."""
        found = self.latency
        return {
            "phi": self.phi,
            "depth": self.scale.depth,
            "width": self.scale.width,
            "resolution": self.scale.resolution,
            "latency_ms": found.milliseconds,
            "latency_low_ms": found.low,
            "latency_high_ms": found.high,
            "estimated": len(found.estimated),
            "size_kb": self.kilobytes,
            "macs": self.macs,
            "digest": self.architecture.digest,
            "architecture": self.architecture.model_dump(mode="json"),
        }


def scalable(config: SearchConfig, trial: TrialRecord) -> Architecture:
    """The architecture of a trial that can be scaled.

    Raises:
        InvalidInput: the trial has none yet, or none of bitnas's, or its search has no device or no data.
    """
    for name in ("device", "data"):
        if not getattr(config, name):
            problem = f"'{trial.search}' has no {name}, by which its trials could be scaled"
            raise InvalidInput("search", problem, "name a search that trains on data and times a device")
    if trial.architecture is None:
        problem = f"trial {trial.number} is {trial.state} and has no architecture yet"
        raise InvalidInput("number", problem, "choose another")
    try:
        found = read_architecture(trial.architecture)
    except InvalidInput as error:
        problem = f"the architecture of trial {trial.number} is none of bitnas's"
        raise InvalidInput("number", problem, "scale a trial of a space of bitnas's") from error
    if found.is_changed:
        problem = f"trial {trial.number} was pruned or recoded layer by layer, and cannot be scaled evenly"
        raise InvalidInput("number", problem, "scale the trial that it was made of")
    if isinstance(found, Architecture):
        return found
    problem = f"trial {trial.number} is the published network '{found.network}', which has no blocks"
    raise InvalidInput("number", problem, "scale a trial whose architecture comes from the space")


def is_resizable(config: SearchConfig, architecture: Architecture) -> bool:
    """Whether larger images are to be had: where the search brings its images to a square."""
    _, height, width = architecture.input_shape
    return config.image_size is not None and height == width


def first_steps(architecture: Architecture, latency_of: LatencyOf, resizable: bool) -> list[Scale]:
    """Scales by which the latency about doubles, the most even first; each leads to another architecture.

    Args:
        architecture: what is scaled.
        latency_of: what an architecture takes.
        resizable: whether images may grow, too.
    """
    before = latency_of(architecture).milliseconds
    found, seen = list[tuple[float, Scale]](), {architecture.digest}
    for scale in grid(resizable):
        larger = _scaled(architecture, scale)
        if larger is None or larger.digest in seen:
            continue
        seen.add(larger.digest)
        growth = latency_of(larger).milliseconds / before
        found.append((abs(math.log2(growth / GROWTH)), scale))
    near = [scale for distance, scale in found if distance <= TOLERANCE]
    return near or [scale for _, scale in sorted(found, key=lambda pair: pair[0])[:NEAREST]]


def proposals(
    architecture: Architecture,
    steps: Sequence[Scale],
    phis: Sequence[int],
    latency_of: LatencyOf,
    max_latency_ms: float | None = None,
    each: int = 1,
) -> list[Proposal]:
    """Scaled architectures within the limit, those of each number of steps together.

    Those whose latency grows as it should come first, the most even of them before the others: by rounding to
    whole blocks and channels some steps take more than others.

    Args:
        architecture: what is scaled.
        steps: by what factors a step may scale, the best first.
        phis: how many steps to take, the fewest first.
        latency_of: what an architecture takes.
        max_latency_ms: what it may take; None is no limit.
        each: how many to propose for each number of steps.

    Raises:
        NothingFitsError: none is within the limit.
    """
    before, found, fastest = latency_of(architecture).milliseconds, list[Proposal](), math.inf
    for phi in phis:
        every = _larger(architecture, [step.power(phi) for step in steps], latency_of)
        fastest = min([fastest, *(latency.milliseconds for _, _, latency in every)])
        within = [
            larger for larger in every if max_latency_ms is None or larger[2].milliseconds <= max_latency_ms
        ]
        if not within:
            break  # more steps take longer
        within.sort(key=lambda larger: _is_off(larger[2].milliseconds / before, phi))  # else the most even
        found += [_proposal(phi, *larger) for larger in within[:each]]
    if not found:
        raise _nothing(fastest, max_latency_ms)
    return found


def _larger(
    architecture: Architecture, scales: Sequence[Scale], latency_of: LatencyOf
) -> list[tuple[Scale, Architecture, Predicted]]:
    """What scales lead to, each architecture once, with its latency."""
    found: dict[Architecture, Scale] = {}
    for scale in scales:
        if (larger := _scaled(architecture, scale)) is not None:
            found.setdefault(larger, scale)
    return [(scale, larger, latency_of(larger)) for larger, scale in found.items()]


def _is_off(growth: float, phi: int) -> bool:
    """Whether a latency has not grown as so many steps should, within the tolerance of each."""
    return abs(math.log2(growth / GROWTH**phi)) > TOLERANCE * phi


def _scaled(architecture: Architecture, scale: Scale) -> Architecture | None:
    """None where it would be larger than architectures may be."""
    try:
        return scaled(architecture, scale)
    except InvalidInput:
        return None


def _proposal(phi: int, scale: Scale, architecture: Architecture, latency: Predicted) -> Proposal:
    macs = objective("macs").cost(architecture)
    assert macs is not None  # noqa: S101 - every architecture has some
    return Proposal(phi, scale, architecture, latency, size(architecture).kilobytes, macs)


def _nothing(fastest: float, limit: float | None) -> NothingFitsError:
    if not math.isfinite(fastest) or limit is None:
        problem = ": every scaled architecture is larger than architectures may be; take fewer steps"
        return NothingFitsError(Parameter("compound"), problem)
    told = objective("latency").told
    problem = f": the fastest scaled architecture takes {told(fastest)}, over the limit of {told(limit)}"
    return NothingFitsError(Parameter("max_latency_ms"), problem, "; give a higher one or fewer steps")


def searches_of(
    config: SearchConfig,
    name: str,
    found: Sequence[Proposal],
    epochs: int | None = None,
    max_latency_ms: float | None = None,
) -> dict[str, SearchConfig]:
    """The settings of the searches that train proposals, by name: one for each size of images.

    Args:
        config: of the search whose trial was scaled; the new ones have its data, device and objectives, and
            none of its limits.
        name: what to call the one whose images are as before; the size follows for others.
        found: what to train.
        epochs: for how long; None is as before.
        max_latency_ms: the limit.

    Raises:
        InvalidInput: the name is malformed or too long, or ``epochs`` is out of range.
    """
    by_size: dict[int, list[str]] = {}
    for proposal in found:
        texts = by_size.setdefault(proposal.architecture.input_shape[1], [])
        texts.append(proposal.architecture.to_json())
    no_limits: dict[str, Any] = {o.limit: None for o in map(objective, config.limited) if o.limit}
    base = replace(
        config.without_medians(),
        **no_limits,
        limits={},
        limit_shares={},
        max_latency_share=None,
        fix={},
        only={},
        epochs=config.epochs if epochs is None else epochs,
        pruner="none",
        audit=0,
    )
    base = replace(base, max_latency_ms=max_latency_ms)
    return {
        check_search_name(_name(name, config, side)): replace(
            base,
            first=tuple(texts),
            trials=len(texts),
            image_size=None if config.image_size is None else side,
        )
        for side, texts in by_size.items()
    }


def _name(name: str, config: SearchConfig, side: int) -> str:
    return name if config.image_size in (None, side) else f"{name}-{side}"
