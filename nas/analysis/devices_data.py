"""The devices of a ledger: what was measured there and when, how well, and how far predictions were off."""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from statistics import median
from typing import TYPE_CHECKING, Any, NamedTuple

from latency.model.evaluation import ComparedNetwork, Evaluation
from latency.model.table import CALIBRATION
from latency.timing.drift import MAX_DRIFT, RECENT_BATCHES
from nas.figures.devices import FamilyErrors, KernelRow, family_of
from nas.hints import command, without_password
from nas.ledger import Ledger
from nas.ledger.devices import DeviceBook
from nas.ledger.measured import (
    Costed,
    Kernel,
    Place,
    Whole,
    WholeNetwork,
    costed,
    kernels_of,
    measured_whole,
    networks_of,
    places,
    times_of,
)
from search_spaces.errors import InvalidInput, nearest

if TYPE_CHECKING:
    from latency import DeviceRecord, Measurement
    from nas.ledger import SearchRecord

MOST_KERNELS = 2_000
"""The newest times of kernels that a page shows; a download has them all."""
MOST_NETWORKS = 2_000
MOST_TRIALS = 1_000
"""The newest trials whose kernels are looked at: each holds dozens."""
STEADY_WITHIN = MAX_DRIFT
"""The share by which the reference may take longer, or less, and the device is as fast as usual."""
STEADY, SLOWER, FASTER, UNKNOWN = "steady", "slower", "faster", "not known"


class Drift(NamedTuple):
    """How a device's speed compares with that which its times are given for.

    Attributes:
        word: for people.
        share: by which the reference took longer of late than at that speed; None where it is not known.
    """

    word: str
    share: float | None

    def __str__(self) -> str:
        return self.word if self.share is None else f"{self.word} ({self.share:+.1%})"


class Accuracy(NamedTuple):
    """How far predictions of whole networks were off; networks on a disturbed machine do not count.

    Attributes:
        error: the mean absolute relative error; None where nothing counts.
        counted: how many networks count.
        disturbed: how many do not.
    """

    error: float | None
    counted: int
    disturbed: int


@dataclass(frozen=True)
class DeviceSummary:
    """A device at a glance.

    Attributes:
        name: what users call it.
        record: how it is reached; None where the ledger does not know it by name.
        places: what was measured on it, by compiler and way of measuring, oldest first.
        described: its cpu, cores and versions, as last told.
        searches: the names of the searches that are about it.
        accuracy: of predictions.
        drift: of its reference.
    """

    name: str
    record: "DeviceRecord | None"
    places: tuple[Place, ...]
    described: dict[str, Any]
    searches: tuple[str, ...]
    accuracy: Accuracy
    drift: Drift

    @property
    def kernels(self) -> int:
        """How many kernels were measured."""
        return sum(place.kernels for place in self.places)

    @property
    def networks(self) -> int:
        """How many whole networks were measured: those of trials, and those that predictions learn from."""
        of_trials = self.accuracy.counted + self.accuracy.disturbed
        return of_trials + sum(place.learned for place in self.places)

    @property
    def oldest(self) -> str | None:
        """When something was measured first, ISO 8601."""
        return min((place.oldest for place in self.places if place.oldest), default=None)

    @property
    def newest(self) -> str | None:
        """When something was measured last, ISO 8601."""
        return max((place.newest for place in self.places if place.newest), default=None)

    @property
    def targets(self) -> tuple[str, ...]:
        """What was compiled for, else what would be."""
        measured = dict.fromkeys(place.target for place in self.places if place.target)
        return tuple(measured) or ((self.record.target,) if self.record else ())


class Coverage(NamedTuple):
    """How much of what a search's trials are made of was measured.

    Attributes:
        kernels: different ones in its trials.
        measured: of these, so many were measured by now.
        time: the share of the predicted milliseconds that measured kernels make.
        command: measures more kernels of the search's space.
    """

    search: str
    space: str
    trials: int
    kernels: int
    measured: int
    time: float
    command: str


@dataclass(frozen=True)
class DeviceDetails:
    """All that the page of a device shows, newest first; ``shortened`` tells what was left out."""

    summary: DeviceSummary
    rows: list[KernelRow]
    whole: list[Whole]
    summed: list[tuple[str, ComparedNetwork]]
    families: list[FamilyErrors]
    coverage: list[Coverage]
    shortened: tuple[str, ...]

    @property
    def compared(self) -> list[tuple[str, ComparedNetwork]]:
        """Predicted against measured, of trials whose network was measured whole, by name."""
        return [(f"trial {trial.number} of {trial.search}", compared(trial)) for trial in self.whole]

    @property
    def newest_rows(self) -> list[KernelRow]:
        """Of each kernel the time that counts."""
        newest: dict[tuple[int, str], KernelRow] = {}
        for row in self.rows:
            newest.setdefault((row.place, row.workload), row)
        return list(newest.values())


def device_summaries(ledger: Ledger) -> list[DeviceSummary]:
    """The devices that a ledger knows: by name, by measurements, and as what its searches are about."""
    entries = {entry.record.name: entry for entry in DeviceBook(ledger).entries()}
    measured: dict[str, list[Place]] = defaultdict(list)
    for place in places(ledger):
        measured[place.device].append(place)
    searches = _searches_by_device(ledger)
    found = []
    for name in dict.fromkeys([*entries, *measured, *searches]):
        entry, here = entries.get(name), measured.get(name, [])
        told = [place.description for place in here if place.description]
        described = told[-1] if told else (entry.description if entry else None) or {}
        names = [search.name for search in searches.get(name, ())]
        recent = (
            [row_of(k) for k in kernels_of(ledger, [p.key for p in here], RECENT_BATCHES)] if here else []
        )
        accuracy = accuracy_of(measured_whole(ledger, names) if names else [])
        record = entry.record if entry else None
        found.append(
            DeviceSummary(name, record, tuple(here), described, tuple(names), accuracy, drift_of(recent))
        )
    return found


def device_details(ledger: Ledger, name: str) -> DeviceDetails:
    """One device in all that the ledger holds of it.

    Raises:
        InvalidInput: the ledger knows none of that name.
    """
    known = {summary.name: summary for summary in device_summaries(ledger)}
    if name not in known:
        raise InvalidInput(
            "device",
            f"there is no device '{name}'",
            f"{nearest(name, known)}the ledger knows: {', '.join(known)}",
        )
    summary = known[name]
    keys = [place.key for place in summary.places]
    rows = [row_of(kernel) for kernel in kernels_of(ledger, keys, MOST_KERNELS)]
    networks = networks_of(ledger, keys, MOST_NETWORKS)
    trials = costed(ledger, summary.searches, MOST_TRIALS)
    times = times_of(ledger, keys)
    bad = worthless(rows)
    good = {key: ms for key, ms in times.items() if key not in bad}
    searches = [s for s in ledger.searches() if s.name in summary.searches]
    storage = without_password(ledger.url)
    return DeviceDetails(
        summary,
        rows,
        measured_whole(ledger, summary.searches),
        list(summed(networks, times)),
        family_errors(trials, good),
        [coverage_of(s, trials, times, storage) for s in reversed(searches) if not s.origin.steps],
        tuple(_shortened(summary, rows, networks, trials)),
    )


def every_kernel(ledger: Ledger, name: str) -> list[KernelRow]:
    """Every time of every kernel of a device, newest first, for a download.

    Raises:
        InvalidInput: nothing was measured on a device of that name.
    """
    here = [place for place in places(ledger) if place.device == name]
    if not here:
        raise InvalidInput("device", f"nothing was measured on '{name}'", "choose another one")
    return [row_of(kernel) for kernel in kernels_of(ledger, [place.key for place in here])]


def row_of(kernel: Kernel) -> KernelRow:
    """A time as it is shown."""
    found = kernel.measurement
    return KernelRow(
        kernel.place,
        kernel.workload,
        found.milliseconds,
        spread_of(found),
        found.samples,
        found.date,
        found.tvm_version,
        found.schedule,
        found.conditions.rounds,
        found.conditions.brief,
        found.disturbed,
        found.conditions.reference_ms,
        found.conditions.usual_ms,
    )


def worthless(newest: Sequence[KernelRow]) -> set[str]:
    """The kernels whose time that counts was taken on a disturbed machine."""
    latest: dict[str, KernelRow] = {}
    for row in newest:
        latest.setdefault(row.workload, row)
    return {key for key, row in latest.items() if row.disturbed}


def spread_of(measured: "Measurement") -> float:
    """The interquartile range of the samples as a share of their median."""
    return measured.iqr_ms / (measured.conditions.median_ms or measured.milliseconds)


def drift_of(newest: Sequence[KernelRow]) -> Drift:
    """How fast the device was of late; ``newest`` is the newest first."""
    ratios = [
        row.reference_ms / row.usual_ms
        for row in newest[:RECENT_BATCHES]
        if row.reference_ms is not None and row.usual_ms is not None
    ]
    if not ratios:
        return Drift(UNKNOWN, None)
    share = median(ratios) - 1
    if abs(share) <= STEADY_WITHIN:
        return Drift(STEADY, share)
    return Drift(SLOWER if share > 0 else FASTER, share)


def compared(trial: Whole) -> ComparedNetwork:
    """A trial's network as evaluations have it."""
    predicted = trial.predicted_ms, trial.low_ms, trial.high_ms
    return ComparedNetwork(trial.digest, *predicted, trial.measured_ms, trial.disturbed)


def accuracy_of(whole: Sequence[Whole]) -> Accuracy:
    """How far the predictions of networks that were measured whole were off."""
    good = [compared(trial) for trial in whole if not trial.disturbed]
    error = Evaluation(tuple(good)).mape if good else None
    return Accuracy(error, len(good), len(whole) - len(good))


def summed(
    networks: Sequence[WholeNetwork], times: dict[str, float]
) -> Iterator[tuple[str, ComparedNetwork]]:
    """Networks that were learned from beside the sum of their kernels, where all of these were measured."""
    for network in networks:
        if network.purpose == CALIBRATION and all(key in times for key in network.workloads):
            found = network.measurement
            total = sum(times[key] for key in network.workloads)
            name = f"{len(network.workloads)} kernels of {found.conditions.space or 'a space'}"
            yield name, ComparedNetwork("", total, None, None, found.milliseconds, found.disturbed)


def family_errors(trials: Sequence[Costed], times: dict[str, float]) -> list[FamilyErrors]:
    """By family, how far the newest estimate of each kernel was off that was measured afterwards.

    ``trials`` come newest first. A kernel that some trial knew measured is judged by the trials before it.
    """
    estimates: dict[str, float] = {}
    for trial in trials:
        for key, ms in trial.by_workload:
            if key in trial.estimated and key in times:
                estimates.setdefault(key, ms)
    errors: dict[str, list[tuple[str, float]]] = defaultdict(list)
    for key, ms in estimates.items():
        errors[family_of(key)].append((key, ms / times[key] - 1))
    found = [FamilyErrors(family, tuple(each)) for family, each in errors.items()]
    return sorted(found, key=lambda of: -of.mean)


def coverage_of(
    search: "SearchRecord", trials: Sequence[Costed], times: dict[str, float], storage: str | None
) -> Coverage:
    """How much of a search's trials is made of measured kernels."""
    mine = [trial for trial in trials if trial.search == search.name]
    pairs = [pair for trial in mine for pair in trial.by_workload]
    kernels = {key for key, _ in pairs}
    total = sum(ms for _, ms in pairs)
    space, device = search.config.space, search.config.device
    more = command("latency", "measure", space=space, device=device, storage=storage)
    known = sum(ms for key, ms in pairs if key in times)
    return Coverage(
        search.name, space, len(mine), len(kernels), len(kernels & times.keys()), known / (total or 1.0), more
    )


def _searches_by_device(ledger: Ledger) -> "dict[str, list[SearchRecord]]":
    found: dict[str, list[SearchRecord]] = defaultdict(list)
    for search in ledger.searches():
        if search.config.device:
            found[search.config.device].append(search)
    return found


def _shortened(
    summary: DeviceSummary,
    rows: Sequence[KernelRow],
    networks: Sequence[WholeNetwork],
    trials: Sequence[Costed],
) -> Iterator[str]:
    """What is not shown, in words."""
    times = sum(place.measurements for place in summary.places)
    if len(rows) < times:
        yield f"the newest {len(rows):,} of {times:,} times of kernels"
    if len(networks) == MOST_NETWORKS:
        yield f"the newest {MOST_NETWORKS:,} times of whole networks"
    if len(trials) == MOST_TRIALS:
        yield f"the kernels of the newest {MOST_TRIALS:,} trials"
