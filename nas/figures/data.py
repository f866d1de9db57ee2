"""What is shown of a search and of a trial, as plain data: the step before a figure or a table is drawn."""

from collections import Counter
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, NamedTuple

from nas.figures.labels import workload_label
from nas.figures.layers import count_precisions, published_name
from nas.formatting import MISSING, counted, milliseconds, spread
from nas.objectives import DEFAULT, Objective, ObjectiveValue, is_known, objective
from search_spaces.errors import BitnasError

if TYPE_CHECKING:
    from nas.ledger import EpochRecord, SearchConfig, SearchRecord, TrialRecord

SHORT_DIGEST = 12  # characters; git shows as many for a large repository


class Axis(NamedTuple):
    """An objective along an axis or a colour scale."""

    name: str
    title: str  # with its unit
    is_maximized: bool
    limit: float | None


class Point(NamedTuple):
    """One trial in the plane of two objectives."""

    number: int
    state: str
    x: float
    y: float | None  # such as an accuracy, of a trial that was trained
    colour: float | None
    measured_x: float | None  # of the whole network, where x is the latency
    digest: str
    precisions: str
    notes: str
    figures: tuple[tuple[str, str], ...]  # each objective's title, and the trial's value with its unit
    is_disturbed: bool = False  # the measured latency is worthless, the machine was disturbed


class ParetoData(NamedTuple):
    """All that the Pareto figure shows.

    ``y`` is the first of the search's objectives that takes training, mostly accuracy, ``x`` the next one
    that is known before, and ``colour`` the one after that. ``front`` holds the trials that no other beats in
    all objectives; ``best`` is the part of it that is a staircase in this plane: the best trial up to each x.
    ``without_y`` are the trials with an x alone: infeasible, pruned, failed, running.
    """

    search: str
    x: Axis
    y: Axis
    colour: Axis | None
    front: tuple[Point, ...]
    dominated: tuple[Point, ...]
    best: tuple[Point, ...]
    without_y: tuple[Point, ...]


class Bar(NamedTuple):
    """The time of one workload within a network."""

    workload: str  # its key
    label: str  # its key in short
    uses: int  # how often the network runs it
    milliseconds: float  # all uses together


class Curve(NamedTuple):
    """A training, epoch by epoch."""

    epochs: tuple[int, ...]
    accuracy: tuple[float | None, ...]  # of the validation split, 0 to 1
    train_loss: tuple[float | None, ...]


def pareto_data(
    search: "SearchRecord", trials: Sequence["TrialRecord"], front: Sequence["TrialRecord"]
) -> ParetoData:
    """Sort the trials of a search into what the Pareto figure draws."""
    axes = axes_of(search.config)
    found = (_point(search.config, axes, trial) for trial in trials)
    points = sorted((p for p in found if p is not None), key=lambda p: p.x)
    chosen = {trial.number for trial in front}
    complete = [p for p in points if p.state == "complete" and p.y is not None]
    x, y, colour = axes
    return ParetoData(
        search.name,
        x,
        y,
        colour,
        front=tuple(p for p in complete if p.number in chosen),
        dominated=tuple(p for p in complete if p.number not in chosen),
        best=_staircase(complete, x, y),
        without_y=tuple(p for p in points if p not in complete),
    )


def axes_of(config: "SearchConfig") -> tuple[Axis, Axis, Axis | None]:
    """What to draw along x, along y, and as colour; a search with a device gets latency and size, too.

    Along y is the first objective that takes training, if any; along x the next that is known before.
    """
    own = sorted(config.objectives, key=_takes_no_training)
    y, *others = own if _takes_no_training(config.objectives[0]) else config.objectives
    usual = ("latency", "size") if config.device else ()
    more = [n for n in dict.fromkeys((*others, *config.limited, *usual)) if n != y] or [y]
    known = [*filter(_takes_no_training, others), *others, *filter(_takes_no_training, more)]
    x, *rest = dict.fromkeys(known or more)
    return _axis(config, x), _axis(config, y), _axis(config, rest[0]) if rest else None


def _takes_no_training(name: str) -> bool:
    return objective(name).is_known_before_training


def _axis(config: "SearchConfig", name: str) -> Axis:
    found = objective(name)
    title = {"latency": "latency on the device (ms, predicted)", "accuracy": "validation accuracy"}
    told = title.get(name, found.heading)
    return Axis(name, told[0].upper() + told[1:], found.is_maximized, config.limited.get(name))


def why_no_pareto(search: "SearchRecord", data: ParetoData) -> str | None:
    """Why the Pareto figure cannot be drawn yet; None when it can."""
    if data.front or data.dominated or data.without_y:
        return None
    return f"No trial of '{search.name}' has a {objective(data.x.name).title} yet ({describe_counts(search)})"


def describe_counts(search: "SearchRecord") -> str:
    """Such as ``3 queued, 1 running``; states that no trial is in are left out."""
    told = [f"{count} {state}" for state, count in search.counts.items() if count]
    return ", ".join(told) or "no trials"


def workload_bars(latency_by_workload: Sequence[Sequence[str | float]]) -> list[Bar]:
    """(workload key, ms) pairs of a trial, equal workloads added up, the slowest first."""
    uses: Counter[str] = Counter()
    totals: dict[str, float] = {}
    for key, taken in latency_by_workload:
        uses[str(key)] += 1
        totals[str(key)] = totals.get(str(key), 0.0) + float(taken)
    bars = [Bar(key, workload_label(key), uses[key], total) for key, total in totals.items()]
    return sorted(bars, key=lambda bar: bar.milliseconds, reverse=True)


def training_curve(epochs: Sequence["EpochRecord"]) -> Curve:
    """The epochs of a trial, in order."""
    ordered = sorted(epochs, key=lambda record: record.epoch)
    return Curve(
        epochs=tuple(record.epoch for record in ordered),
        accuracy=tuple(record.accuracy for record in ordered),
        train_loss=tuple(record.train_loss for record in ordered),
    )


def notes(config: "SearchConfig", trial: "TrialRecord") -> str:
    """What to know of a trial: a published network's name, a limit broken when measured, a disturbed machine,
    estimated kernels.
    """
    told = [name] if (name := published_name(trial)) else []
    told += ["over the limit"] if config.breaks_limit(trial) else []
    if trial.same_as:
        told.append(f"of {trial.same_as}")
    if len(trial.accuracies) > 1:
        told.append(spread(trial.accuracies))
    if trial.measured_disturbed:
        told.append("measured on a disturbed machine")
    missing = len(trial.estimated) + sum(cost.estimated for cost in trial.costs.values())
    if missing:
        told.append(f"{counted(missing, 'kernel')} estimated")
    return ", ".join(told)


def _point(
    config: "SearchConfig", axes: tuple[Axis, Axis, Axis | None], trial: "TrialRecord"
) -> Point | None:
    """A trial as a point; None where it has no x."""
    x, y, colour = (None if axis is None else _value(axis.name, trial) for axis in axes)
    if x is None:
        return None
    is_latency = axes[0].name == "latency"
    return Point(
        trial.number,
        str(trial.state),
        x,
        y,
        colour,
        trial.measured_latency_ms if is_latency else None,
        (trial.digest or MISSING)[:SHORT_DIGEST],
        precisions_of(trial),
        notes(config, trial),
        tuple(_told(config, trial)),
        trial.measured_disturbed is not None,
    )


def _value(name: str, trial: "TrialRecord") -> float | None:
    found = objective(name).of(trial)
    return None if found is None else found.value


def _told(config: "SearchConfig", trial: "TrialRecord") -> Iterator[tuple[str, str]]:
    """The title and the value of every objective, and of latency and size."""
    for name in shown_objectives(config):
        found = objective(name)
        value = found.told(_value(name, trial))
        if name == "latency":
            value += " predicted"
            if trial.measured_latency_ms is not None:
                value += f", {milliseconds(trial.measured_latency_ms)} ms measured"
        yield found.title[0].upper() + found.title[1:], value


def further_objectives(config: "SearchConfig") -> list[Objective]:
    """What is shown of each trial beside the three usual objectives."""
    return [objective(name) for name in shown_objectives(config) if name not in DEFAULT]


def shown_objectives(config: "SearchConfig") -> tuple[str, ...]:
    """The names of what is shown of each trial: the three usual ones, and what the search watches."""
    return tuple(dict.fromkeys((*DEFAULT, *config.watched)))


def told_costs(trial: "TrialRecord") -> list[tuple[str, str, str]]:
    """Each further cost of a trial: its title, its value with the unit, and what to know of the value.

    That is the interval, where it has a width, and how many kernels were estimated. A cost whose objective
    is not known here has its name for a title, and no unit.
    """
    return [_told_cost(name, cost) for name, cost in trial.costs.items()]


def told_results(config: "SearchConfig", trial: "TrialRecord") -> list[tuple[str, str, str]]:
    """The objectives of a search that take training, beside accuracy, as ``told_costs`` tells the others."""
    names = [name for name in config.watched if is_known(name) and not _takes_no_training(name)]
    values = [(name, objective(name).of(trial)) for name in names if name not in DEFAULT]
    return [_told_cost(name, value) for name, value in values if value is not None]


def _told_cost(name: str, cost: ObjectiveValue) -> tuple[str, str, str]:
    if not is_known(name):
        return name, f"{cost.value:.4g}", ""
    found = objective(name)
    about = [f"{found.show(cost.low)} to {found.show(cost.high)}"] if cost.low < cost.high else []
    about += [f"{counted(cost.estimated, 'kernel')} estimated"] if cost.estimated else []
    return found.title, found.told(cost.value), ", ".join(about)


def precisions_of(trial: "TrialRecord") -> str:
    """How many layers have each precision; an architecture that cannot be read does not stop others."""
    try:
        return count_precisions(trial.architecture) if trial.architecture else MISSING
    except BitnasError:
        return "unreadable architecture"


def _staircase(complete: Sequence[Point], x: Axis, y: Axis) -> tuple[Point, ...]:
    """The points that are better in y than every one that is better in x, the best in x first."""
    sign, side = 1.0 if y.is_maximized else -1.0, -1.0 if x.is_maximized else 1.0
    steps: list[Point] = []
    for point in sorted(complete, key=lambda p: (side * p.x, -sign * (p.y or 0.0))):
        if not steps or sign * (point.y or 0.0) > sign * (steps[-1].y or 0.0):
            steps.append(point)
    return tuple(steps)
