"""What is shown of a search and of a trial, as plain data: the step before a figure or a table is drawn."""

import re
from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

from search_spaces.errors import BitnasError

if TYPE_CHECKING:
    from nas.ledger import EpochRecord, SearchConfig, SearchRecord, TrialRecord

TIMES = "\N{MULTIPLICATION SIGN}"
MISSING = "—"  # a figure that is not there; the trial's state says why
SHORT_DIGEST = 12  # characters; git shows as many for a large repository


class Point(NamedTuple):
    """One trial in the plane of latency and accuracy."""

    number: int
    state: str
    accuracy: float | None  # of the validation split, 0 to 1
    latency_ms: float  # predicted
    measured_latency_ms: float | None
    size_kb: float | None
    digest: str
    precisions: str
    notes: str
    is_disturbed: bool = False  # the measured latency is worthless, the machine was disturbed


class ParetoData(NamedTuple):
    """All that the Pareto figure shows.

    ``front`` holds the trials that no other beats in accuracy, latency and size together; ``best`` is
    the part of it that is a staircase in this plane: the most accurate trial up to each latency.
    ``without_accuracy`` are the trials with a latency alone: infeasible, pruned, failed, running.
    """

    search: str
    front: tuple[Point, ...]
    dominated: tuple[Point, ...]
    best: tuple[Point, ...]
    without_accuracy: tuple[Point, ...]
    max_latency_ms: float | None


class LayerRow(NamedTuple):
    """One part of an architecture, as a person reads it."""

    part: str  # "stem", "block 1", "head"
    kind: str
    width: int | None  # output channels
    kernel: int | None
    stride: int | None
    groups: int | None
    precisions: tuple[tuple[str, str], ...]  # (layer, precision)


class Bar(NamedTuple):
    """The time of one workload within a network."""

    workload: str  # its key
    label: str  # its key in short
    uses: int  # how often the network runs it
    milliseconds: float  # all uses together


class Curve(NamedTuple):
    """A training, epoch by epoch."""

    epochs: tuple[int, ...]
    accuracy: tuple[float, ...]  # of the validation split, 0 to 1
    train_loss: tuple[float, ...]


def pareto_data(
    search: "SearchRecord", trials: Sequence["TrialRecord"], front: Sequence["TrialRecord"]
) -> ParetoData:
    """Sort the trials of a search into what the Pareto figure draws."""
    points = sorted(
        (_point(search.config, t) for t in trials if t.latency_ms is not None), key=lambda p: p.latency_ms
    )
    chosen = {trial.number for trial in front}
    complete = [p for p in points if p.state == "complete" and p.accuracy is not None]
    return ParetoData(
        search=search.name,
        front=tuple(p for p in complete if p.number in chosen),
        dominated=tuple(p for p in complete if p.number not in chosen),
        best=_staircase(complete),
        without_accuracy=tuple(p for p in points if p not in complete),
        max_latency_ms=search.config.max_latency_ms,
    )


def why_no_pareto(search: "SearchRecord", data: ParetoData) -> str | None:
    """Why the Pareto figure cannot be drawn yet; None when it can."""
    if data.front or data.dominated or data.without_accuracy:
        return None
    return f"No trial of '{search.name}' has a latency yet ({describe_counts(search)})"


def describe_counts(search: "SearchRecord") -> str:
    """Such as ``3 queued, 1 running``; states that no trial is in are left out."""
    told = [f"{count} {state}" for state, count in search.counts.items() if count]
    return ", ".join(told) or "no trials"


def layer_rows(architecture_json: str) -> list[LayerRow]:
    """The stem, blocks and head of an architecture; BitnasError when the text is none."""
    from search_spaces.architecture import Architecture

    network = Architecture.from_json(architecture_json)
    stem, head = network.stem, network.head
    rows = [
        LayerRow("stem", "conv", stem.width, stem.kernel, stem.stride, 1, (("conv", stem.precision),)),
    ]
    for index, block in enumerate(network.blocks, start=1):
        layers = tuple(dict(block.precisions).items())
        shape = (block.width, block.kernel, block.stride, block.groups)
        rows.append(LayerRow(f"block {index}", block.kind, *shape, layers))
    classifier = (("classifier", head.precision),)
    return [*rows, LayerRow("head", "pool, linear", network.classes, None, None, None, classifier)]


def count_precisions(architecture_json: str) -> str:
    """Such as ``binary x4, int8 x2``: how many layers have each precision, the most frequent first."""
    layers = [precision for row in layer_rows(architecture_json) for _, precision in row.precisions]
    return ", ".join(f"{name} {TIMES}{count}" for name, count in Counter(layers).most_common())


def workload_bars(latency_by_workload: Sequence[Sequence[str | float]]) -> list[Bar]:
    """(workload key, ms) pairs of a trial, equal workloads added up, the slowest first."""
    uses: Counter[str] = Counter()
    totals: dict[str, float] = {}
    for key, milliseconds in latency_by_workload:
        uses[str(key)] += 1
        totals[str(key)] = totals.get(str(key), 0.0) + float(milliseconds)
    bars = [Bar(key, workload_label(key), uses[key], total) for key, total in totals.items()]
    return sorted(bars, key=lambda bar: bar.milliseconds, reverse=True)


def workload_label(key: str) -> str:
    """A workload's key in short, such as ``conv2d 3x3 /2 16→32 @8x8 float/float``; else the key itself."""
    family, _, rest = key.partition("(")
    fields = dict(field.partition("=")[::2] for field in _FIELD.findall(rest))
    if not fields:
        return key
    return " ".join([family.replace("_", " "), *filter(None, (render(fields) for render in _LABEL_PARTS))])


def training_curve(epochs: Sequence["EpochRecord"]) -> Curve:
    """The epochs of a trial, in order."""
    ordered = sorted(epochs, key=lambda record: record.epoch)
    return Curve(
        epochs=tuple(record.epoch for record in ordered),
        accuracy=tuple(record.accuracy for record in ordered),
        train_loss=tuple(record.train_loss for record in ordered),
    )


def notes(config: "SearchConfig", trial: "TrialRecord") -> str:
    """What to know of a trial: a limit broken when measured, a disturbed machine, estimated kernels."""
    told = ["over the limit"] if config.breaks_limit(trial) else []
    if trial.measured_disturbed:
        told.append("measured on a disturbed machine")
    if trial.estimated:
        told.append(f"{len(trial.estimated)} kernels estimated")
    return ", ".join(told)


def percent(accuracy: float | None) -> str:
    """Such as ``97.2%``."""
    return MISSING if accuracy is None else f"{accuracy:.1%}"


def milliseconds(value: float | None) -> str:
    """Three digits that count, and never a power of ten: 0.00412, 0.110, 12.3, 153, 1530."""
    if value is None:
        return MISSING
    if value >= 100:
        return f"{value:.0f}"
    return f"{value:#.3g}" if value >= 1e-4 else f"{value:.6f}"


def interval(low: float | None, high: float | None) -> str:
    """Such as ``0.147 to 0.152``; nothing where there is none."""
    return "" if low is None or high is None else f"{milliseconds(low)} to {milliseconds(high)}"


def kilobytes(value: float | None) -> str:
    """Such as ``12.35``: two decimals."""
    return MISSING if value is None else f"{value:.2f}"


def _point(config: "SearchConfig", trial: "TrialRecord") -> Point:
    assert trial.latency_ms is not None  # noqa: S101
    return Point(
        trial.number,
        str(trial.state),
        trial.accuracy,
        trial.latency_ms,
        trial.measured_latency_ms,
        trial.size_kb,
        (trial.digest or MISSING)[:SHORT_DIGEST],
        _precisions(trial),
        notes(config, trial),
        trial.measured_disturbed is not None,
    )


def _precisions(trial: "TrialRecord") -> str:
    """One architecture that cannot be read must not take the whole figure with it."""
    try:
        return count_precisions(trial.architecture) if trial.architecture else MISSING
    except BitnasError:
        return "unreadable architecture"


def _staircase(complete: Sequence[Point]) -> tuple[Point, ...]:
    """The points that are more accurate than every faster one, by latency."""
    steps: list[Point] = []
    for point in sorted(complete, key=lambda p: (p.latency_ms, -(p.accuracy or 0.0))):
        if not steps or (point.accuracy or 0.0) > (steps[-1].accuracy or 0.0):
            steps.append(point)
    return tuple(steps)


# name=value, where a value may be a tuple: channels=(16, 32)
_FIELD = re.compile(r"\w+=(?:\([^)]*\)|[^,()]+)")

Fields = dict[str, str]


def _window(fields: Fields) -> str:
    if "kernel" not in fields:
        return ""
    stride = fields.get("stride", "1")
    return f"{fields['kernel']}{TIMES}{fields['kernel']}" + (f" /{stride}" if stride != "1" else "")


def _channels(fields: Fields) -> str:
    for kind in ("channels", "features"):
        if f"in_{kind}" in fields:
            return f"{fields[f'in_{kind}']}→{fields[f'out_{kind}']}"
    return fields.get("channels", "").strip("()").replace(", ", "+") or fields.get("size", "")


def _image(fields: Fields) -> str:
    if "height" in fields and "width" in fields:
        return f"@{fields['height']}{TIMES}{fields['width']}"
    return f"@{fields['pixels']}" if "pixels" in fields else ""


def _groups(fields: Fields) -> str:
    return f"g{fields['groups']}" if fields.get("groups", "1") != "1" else ""


def _codes(fields: Fields) -> str:
    return "/".join(fields[name] for name in ("weight", "input", "code", "threshold") if name in fields)


_LABEL_PARTS = (_window, _channels, _groups, _image, _codes)
