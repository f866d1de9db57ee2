"""Searches beside one another: their fronts in two objectives, what they found in the same box, and when."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from nas.algorithms.hypervolume import hypervolume_history, non_dominated
from nas.analysis.kept_search import Best, Ended, KeptSearch
from nas.analysis.pareto import Floats, beyond
from nas.analysis.settings import TITLES, told_settings
from nas.figures.data import axes_of
from nas.ledger import SearchRecord
from nas.ledger.needs import check_objectives
from nas.objectives import LATENCY_AT, Objective, objective
from search_spaces.errors import InvalidInput

FEWEST, MOST = 2, 8
"""Searches that may be compared; of more nobody tells the lines apart."""


class Member(NamedTuple):
    """A trial of a front in two objectives."""

    number: int
    x: float
    y: float
    is_joint: bool
    """Whether no trial of any of the searches beats it."""


class Known(NamedTuple):
    """A trial that counts, and its values."""

    trial: Ended
    x: float
    y: float


class Growth(NamedTuple):
    """A trial by which a search's front came to dominate more.

    Attributes:
        trained: how many trials had been trained to their end by then.
        epochs: that all its trials had been trained, those that were stopped included.
        seconds: since its first trial began.
        number: the trial's.
        share: of the common box that the front dominated then.
    """

    trained: int
    epochs: int
    seconds: float
    number: int
    share: float


@dataclass(frozen=True)
class ComparedSearch:
    """One of the searches.

    Attributes:
        record: its settings and counts.
        workers: how many workers have run its trials.
        front: its trials that none of its others beats in the two objectives, from left to right.
        growth: how its hypervolume grew; the last one is its last trial.
        best: its best trial within the limits, by objective.
        joint: how many points of the joint front it has found.
    """

    record: SearchRecord
    workers: int
    front: Sequence[Member]
    growth: Sequence[Growth]
    best: Sequence[Best]
    joint: int

    @property
    def hypervolume(self) -> float | None:
        """The share of the common box that its front dominates; None before a trial counts."""
        return self.growth[-1].share if self.growth else None


@dataclass(frozen=True)
class Comparison:
    """Searches in two objectives.

    Attributes:
        x: of the two objectives that along x.
        y: that along y.
        shared: the names of the objectives of which every search has values.
        searches: in the order in which they were asked for.
        reference: the worst corner of the common box, by objective: a tenth of the range beyond the worst
            trial of all.
        ideal: the best corner: the best value of any trial, by objective.
        joint: how many points the front of all searches together has.
        settings: those that differ: what it is called, and each search's.
        warnings: what to know before comparing them.
    """

    x: Objective
    y: Objective
    shared: Sequence[str]
    searches: Sequence[ComparedSearch]
    reference: dict[str, float]
    ideal: dict[str, float]
    joint: int
    settings: Sequence[tuple[str, Sequence[str]]]
    warnings: Sequence[str]


def check_count(names: Sequence[str]) -> list[str]:
    """The names, each once.

    Raises:
        InvalidInput: there are too few or too many to compare.
    """
    found = list(dict.fromkeys(names))
    if len(found) < FEWEST:
        told = f"'{found[0]}' alone cannot be compared" if found else "none is given"
        raise InvalidInput("search", told, f"select {FEWEST} to {MOST} in the list of searches")
    if len(found) > MOST:
        raise InvalidInput("search", f"{len(found)} are too many to tell apart", f"select {MOST} at most")
    return found


def compared(searches: Sequence[KeptSearch], x: str = "", y: str = "") -> Comparison:
    """The searches in two of the objectives that they share; the usual ones where none are given.

    Raises:
        InvalidInput: they share fewer than two, or one that is given is not among these.
    """
    for search in searches:
        check_objectives(search.record.name, search.record.config)
    shared = _shared(searches)
    along_x, along_y = (objective(name) for name in _chosen(searches[0], shared, x, y))
    chosen = along_x, along_y
    trials = [_known(search, along_x.name, along_y.name) for search in searches]
    losses = [_losses(known, chosen) for known in trials]
    together = np.concatenate(losses)
    worst, lowest = beyond(together), together.min(axis=0)
    joint = {tuple(point) for point in together[non_dominated(together)].tolist()}
    found = [
        _compared(search, known, points, (lowest, worst), joint, shared)
        for search, known, points in zip(searches, trials, losses, strict=True)
    ]
    return Comparison(
        along_x,
        along_y,
        shared,
        found,
        {o.name: o.loss(float(loss)) for o, loss in zip(chosen, worst, strict=True)},
        {o.name: o.loss(float(loss)) for o, loss in zip(chosen, lowest, strict=True)},
        len(joint),
        list(_settings_that_differ(found)),
        list(_warnings(searches, shared)),
    )


def _shared(searches: Sequence[KeptSearch]) -> list[str]:
    """The names of the objectives of which each search has a trial with a value."""
    shared = [n for n in searches[0].names if all(search.best(n) is not None for search in searches)]
    if len(shared) < 2:
        empty = [s.record.name for s in searches if not any(t.values for t in s.ended.values())]
        if empty:
            fix = "wait until one is, or leave it out"
            raise InvalidInput("search", f"no trial of '{empty[0]}' is complete within its limits", fix)
        told = f"they share {'the objective ' + shared[0] + ' alone' if shared else 'no objective'}"
        raise InvalidInput("search", told, "compare searches that have two in common")
    return shared


def _chosen(first: KeptSearch, shared: Sequence[str], x: str, y: str) -> tuple[str, str]:
    """The objectives along x and y, which differ."""
    for name, given in (("x", x), ("y", y)):
        if given and given not in shared:
            raise InvalidInput(
                name, f"'{given}' is no objective that they share", f"give {', '.join(shared)}"
            )
    usual_x, usual_y, _ = axes_of(first.record.config)
    along_y = next(name for name in (y, usual_y.name, *shared) if name in shared and name != x)
    along_x = next(name for name in (x, usual_x.name, *shared) if name in shared and name != along_y)
    return along_x, along_y


def _known(search: KeptSearch, x: str, y: str) -> list[Known]:
    """The complete trials within the limits that have both values, in the order in which they ended."""
    at_x, at_y = search.names.index(x), search.names.index(y)
    rows = [(t, t.values[at_x], t.values[at_y]) for t in search.in_order() if t.values]
    return [Known(t, a, b) for t, a, b in rows if a is not None and b is not None]


def _losses(known: Sequence[Known], chosen: Sequence[Objective]) -> Floats:
    signs = np.array([o.loss(1.0) for o in chosen])
    return signs * np.array([(each.x, each.y) for each in known], dtype=np.float64).reshape(-1, len(chosen))


def _compared(
    search: KeptSearch,
    known: Sequence[Known],
    losses: Floats,
    box: tuple[Floats, Floats],
    joint: set[tuple[float, ...]],
    shared: Sequence[str],
) -> ComparedSearch:
    places = np.flatnonzero(non_dominated(losses))
    points = [tuple(point) for point in losses[places].tolist()]
    front = [
        Member(known[place].trial.number, known[place].x, known[place].y, point in joint)
        for place, point in zip(places.tolist(), points, strict=True)
    ]
    best = [found for name in shared if (found := search.best(name)) is not None]
    return ComparedSearch(
        search.record,
        len(search.workers),
        sorted(front, key=lambda member: (member.x, member.number)),
        list(_growth(search, known, losses, *box)),
        best,
        len(joint & set(points)),
    )


def _growth(
    search: KeptSearch,
    known: Sequence[Known],
    losses: Floats,
    lowest: Floats,
    worst: Floats,
) -> Iterator[Growth]:
    """The trials by which the share of the box grew, and the last one."""
    shares = (hypervolume_history(losses, worst) / float(np.prod(worst - lowest))).tolist()
    epochs = _epochs_by(search)
    before = 0.0
    for place, ((trial, _, _), share) in enumerate(zip(known, shares, strict=True)):
        if share > before or place == len(known) - 1:
            taken = (trial.at - search.begun).total_seconds() if search.begun is not None else 0.0
            yield Growth(place + 1, epochs[trial.number], max(0.0, taken), trial.number, share)
        before = share


def _epochs_by(search: KeptSearch) -> dict[int, int]:
    """How many epochs the search had trained when each trial ended; what was taken over costs none."""
    found, total = {}, 0
    for trial in search.in_order():
        total += trial.epochs if trial.is_own else 0
        found[trial.number] = total
    return found


def _settings_that_differ(searches: Sequence[ComparedSearch]) -> Iterator[tuple[str, Sequence[str]]]:
    told = [
        {**told_settings(s.record.config), **_drawn(s.record), "workers": str(s.workers)} for s in searches
    ]
    for name in told[0]:
        values = [each[name] for each in told]
        if len(set(values)) > 1:
            yield name, values


def _drawn(record: SearchRecord) -> dict[str, str]:
    """Where its trials come from, as settings."""
    return {"space": record.drawn_from, TITLES["sampler"]: record.drawn_by or "none"}


def _warnings(searches: Sequence[KeptSearch], shared: Sequence[str]) -> Iterator[str]:
    """What makes values that are of the same name something else."""
    configs = [search.record.config for search in searches]
    devices = {config.device for config in configs}
    if len(devices) > 1 and "latency" in shared:
        names = " and ".join(sorted(devices))
        yield f"Their latencies are of different devices, {names}: they do not compare."
    for device in [d for d in devices if len(devices) == 1] + [
        name.removeprefix(LATENCY_AT) for name in shared if name.startswith(LATENCY_AT)
    ]:
        keys = {key for s in searches if (key := s.record.origin.devices.get(device)) is not None}
        if len(keys) > 1:
            yield f"'{device}' was not the same machine in all of them: its latencies do not compare."
    if len({(config.data, config.image_size, config.validation) for config in configs}) > 1:
        yield "They were trained on different data: accuracies do not compare."
    if len({(config.evaluator, config.epochs) for config in configs}) > 1:
        yield "They were not trained for equally long, or not in the same way: accuracies tell of both."
