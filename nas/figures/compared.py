"""Trials side by side, as plain data: what differs between them, and how many rows are equal."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, NamedTuple

from nas.figures.data import notes, shown_objectives, told_costs
from nas.figures.layers import layer_rows
from nas.figures.network_costs import KernelTime
from nas.formatting import MISSING, kilobytes, milliseconds, percent
from nas.objectives import DEFAULT, is_known, objective
from search_spaces.errors import BitnasError

if TYPE_CHECKING:
    from nas.ledger import SearchConfig, TrialRecord

FEWEST, MOST = 2, 8
"""How many trials may be compared: with more, nobody tells their marks apart."""

Told = dict[str, str]
"""What is told of one trial, by the names of the rows."""


class Differing(NamedTuple):
    """One row of the comparison."""

    group: str  # "Figures", "Choices", "Layers", "Record"
    name: str
    values: tuple[str, ...]  # one a trial


class Compared(NamedTuple):
    """What differs between trials, and how many rows do not."""

    rows: tuple[Differing, ...]
    equal: int


def compare(config: "SearchConfig", trials: Sequence["TrialRecord"]) -> Compared:
    """The rows of all groups in which the trials are not all the same."""
    rows = [row for group, tell in GROUPS.items() for row in _rows(group, [tell(config, t) for t in trials])]
    differing = tuple(row for row in rows if len(set(row.values)) > 1)
    return Compared(differing, len(rows) - len(differing))


def time_by_part(kernels: Sequence[KernelTime]) -> Mapping[str, float]:
    """The milliseconds of each part of a network, its kernels' added up; nothing where no part is known."""
    found: dict[str, float] = {}
    for kernel in kernels:
        if kernel.part:
            found[kernel.part] = found.get(kernel.part, 0.0) + kernel.milliseconds
    return found


def merged(orders: Sequence[Iterable[str]]) -> list[str]:
    """Every name once: each stands behind the one that it follows where it is met first."""
    found: list[str] = []
    for order in orders:
        at = 0
        for name in order:
            if name not in found:
                found.insert(at, name)
            at = found.index(name) + 1
    return found


def _rows(group: str, told: Sequence[Told]) -> Iterator[Differing]:
    for name in merged(told):
        yield Differing(group, name, tuple(each.get(name, MISSING) for each in told))


def _figures(config: "SearchConfig", trial: "TrialRecord") -> Told:
    told = {
        "State": str(trial.state),
        "Accuracy": percent(trial.accuracy),
        "Latency, predicted (ms)": milliseconds(trial.latency_ms),
        "Latency, measured (ms)": milliseconds(trial.measured_latency_ms),
        "Size (kB)": kilobytes(trial.size_kb),
        "Kernels estimated": str(len(trial.estimated)),
    }
    told |= {_capital(title): value for title, value, _ in told_costs(trial)}
    for name in shown_objectives(config):
        if name in DEFAULT or name in trial.costs or not is_known(name):
            continue
        if (value := objective(name).of(trial)) is not None:
            told[_capital(objective(name).title)] = objective(name).told(value.value)
    return told


def _choices(_config: "SearchConfig", trial: "TrialRecord") -> Told:
    return {name: str(option) for name, option in (trial.choices or {}).items()}


def _layers(_config: "SearchConfig", trial: "TrialRecord") -> Told:
    """Each part's shape, and each of its layers' precision."""
    told: Told = {}
    if not trial.architecture:
        return told
    try:
        rows = layer_rows(trial.architecture)
    except BitnasError:
        return {"architecture": "cannot be read here"}
    for row in rows:
        shape = {
            "kind": row.kind,
            "width": row.width,
            "kernel": row.kernel,
            "stride": row.stride,
            "groups": row.groups,
        }
        told |= {f"{row.part}: {name}": str(value) for name, value in shape.items() if value is not None}
        told |= {f"{row.part}: {layer}": precision for layer, precision in row.precisions}
    return told


def _record(config: "SearchConfig", trial: "TrialRecord") -> Told:
    unknown = [name for name in config.watched if not is_known(name)]  # their limits cannot be checked
    return {
        "Epochs done": MISSING if trial.epochs_done is None else str(trial.epochs_done),
        "Budget (epochs)": str(trial.budget or config.epochs),
        "Trainings": str(len(trial.accuracies)),
        "Result taken from": trial.same_as or MISSING,
        "Passed over before it": str(trial.passed_over),
        "Worker": trial.worker or MISSING,
        "Error": trial.error or MISSING,
        "Note": ("" if unknown else notes(config, trial)) or MISSING,
    }


def _capital(text: str) -> str:
    return text[0].upper() + text[1:]


GROUPS: dict[str, Callable[["SearchConfig", "TrialRecord"], Told]] = {
    "Figures": _figures,
    "Choices": _choices,
    "Layers": _layers,
    "Record": _record,
}
"""What is told of a trial, in the order of the table."""
