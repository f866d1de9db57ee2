"""What a search would do: how many architectures there are, what they take, and how long it would last."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from statistics import fmean, median
from typing import TYPE_CHECKING

from nas.bars import Show
from nas.ledger.entries import Cost
from nas.ledger.records import TRAINING, SearchConfig, TrialState
from nas.ledger.store import Ledger
from nas.ledger.warm import check_sources
from nas.objectives import objective
from nas.trials.costing import costs_of
from nas.trials.setup import data_of, space_of
from search_spaces.architecture import Buildable
from search_spaces.counting import Size, counted
from search_spaces.errors import AbsentLedgerError, BitnasError, MeasurementError, NoDeviceError
from search_spaces.restricted import Restricted

if TYPE_CHECKING:
    from nas.data import DataSet
    from search_spaces.search_space import SearchSpace

ALIKE = (
    "space",
    "data",
    "image_size",
    "evaluator",
    "epochs",
    "repeats",
    "batch_size",
    "pretrained",
    "fix",
    "only",
)
"""Settings of searches whose trials take as long."""
MOST_TRIALS = 200
"""Recorded trials that an estimate of the time is made of."""


@dataclass(frozen=True)
class Plan:
    """What is known of a search before it begins.

    Attributes:
        config: its settings, with what its evaluator makes of those not given.
        size: how many architectures the space leaves.
        latencies_ms: what a sample of them takes on the device by estimate; empty where it is not profiled.
        sizes_kb: of the sample.
        share_within: the share of the sample within the limits; None where some limit cannot be told yet.
        trial_s: seconds that one trial takes; None where nothing tells.
        told_by: what tells the seconds, in words.
        pretrained_share: of an architecture's weights that it starts with, 0..1, the median of the space;
            None where trainings start anew.
    """

    config: SearchConfig
    size: Size
    latencies_ms: tuple[float, ...]
    sizes_kb: tuple[float, ...]
    share_within: float | None
    trial_s: float | None
    told_by: str
    pretrained_share: float | None = None

    def seconds(self, trials: int, workers: int) -> float | None:
        """How long so many trials last, so many at once; measuring comes on top."""
        return None if self.trial_s is None else trials * self.trial_s / min(workers, max(trials, 1))


def plan_of(
    storage: str,
    config: SearchConfig,
    first: Sequence[str] = (),
    warm_start: Sequence[str] = (),
    show: Show = lambda *_: None,
) -> Plan:
    """The plan of a search; nothing is written, but one epoch may be trained to see how long it takes.

    Args:
        storage: the ledger's database URL.
        config: what is asked for.
        first: what the search is to begin with, which is checked.
        warm_start: searches whose trials it is to begin with, likewise.
        show: is told what is being done, how much of it is done, and of how much.

    Raises:
        InvalidInput: the search could not run.
        BitnasError: the ledger does not open.
    """
    from nas.searching.checking import check_config, check_devices, with_defaults, with_whole_path
    from nas.searching.creating import first_of
    from nas.searching.pretrained import fit_of

    config = with_defaults(config)
    check_config(config)
    check_devices(storage, config)
    config = with_whole_path(config)
    data = data_of(config)
    space = space_of(config, data)
    config = replace(config, first=first_of(storage, first, config, space))
    fit = fit_of(config, space)
    try:
        with Ledger.open(storage) as ledger:
            check_sources(ledger, warm_start, config)
            return _plan(ledger, config, space, data, show, fit.share)
    except AbsentLedgerError:
        if warm_start:
            raise
        return _plan(None, config, space, data, show, fit.share)


def _plan(
    ledger: Ledger | None,
    config: SearchConfig,
    space: "SearchSpace",
    data: "DataSet | None",
    show: Show,
    pretrained_share: float | None,
) -> Plan:
    from runtime.lowering.replay import one_thread

    with one_thread():  # more only wait for each other, long on a busy machine
        sample, latencies = _sample(space, show), list[float]()
        if sample and ledger is not None and config.device:
            show("estimating latencies", 0, 1)
            latencies = _latencies(ledger, config.device, sample)
        limited = {*config.limited, *config.awaited}
        costs = [_cost(a, latencies[i] if latencies else None, limited) for i, a in enumerate(sample)]
    seconds, told_by = _recorded(ledger, config), "trials of such a search in the ledger"
    if seconds is None:
        show("training one architecture for one epoch", 0, 1)
        seconds, told_by = _tried(config, sample, data), "one epoch of one architecture, trained just now"
    return Plan(
        config,
        space.count if isinstance(space, Restricted) else _counted(space),
        tuple(sorted(latencies)),
        tuple(sorted(c.size_kb for c in costs if c.size_kb is not None)),
        _share_within(config, costs),
        seconds,
        told_by,
        pretrained_share,
    )


def _counted(space: "SearchSpace") -> Size:
    from search_spaces.search_space import SearchSpace

    if type(space).size is SearchSpace.size:  # which counts one by one
        return counted(space)
    return Size(space.size(), is_exact=True)


def _sample(space: "SearchSpace", show: Show) -> list[Buildable]:
    """Architectures of the space that lower; none where they are not of bitnas's."""
    from latency.model.profiling import sampled
    from latency.model.workloads import workloads_of

    found = list[Buildable]()
    every = sampled(space) if isinstance(space.sample(0), Buildable) else []
    for done, architecture in enumerate(every):
        show("looking at architectures", done, len(every))
        try:
            workloads_of(architecture)
        except BitnasError:  # such a one fails as a trial, too
            continue
        found.append(architecture)
    return found


def _latencies(ledger: Ledger, device: str, sample: Sequence[Buildable]) -> list[float]:
    """What each takes by what the ledger knows of the device; nothing where that is too little."""
    from latency import LatencyModel
    from latency.model.workloads import workloads_of
    from nas.ledger.latencies import SqlLatencyTable
    from nas.measuring.devices import open_remembered

    try:
        model = LatencyModel(open_remembered(ledger, device), SqlLatencyTable(ledger), measure=False)
        model.refresh()
        return model.predictor.expected([workloads_of(architecture) for architecture in sample])
    except (MeasurementError, NoDeviceError):
        return []


def _cost(architecture: Buildable, latency_ms: float | None, limited: Collection[str]) -> Cost:
    """What an architecture takes, as far as it is shown or limited."""
    from search_spaces.sizing import size

    costs = costs_of(architecture, limited) if limited else {}
    return Cost(latency_ms, size(architecture).kilobytes, costs=costs)


def _share_within(config: SearchConfig, costs: Sequence[Cost]) -> float | None:
    """Of costs, how many break no limit; None without limits, or where one cannot be told."""
    for name in config.awaited:
        values = [v.value for cost in costs if (v := objective(name).of(cost)) is not None]
        config = config.with_median(name, median(values)) if values else config
    untold = [n for n in config.limited if any(objective(n).of(cost) is None for cost in costs)]
    if not costs or not config.limited or config.awaited or untold:
        return None
    return sum(not config.broken(cost) for cost in costs) / len(costs)


def _recorded(ledger: Ledger | None, config: SearchConfig) -> float | None:
    """Seconds from start to end of a complete trial of a search like this one; None where there is none.

    One that was paused has waited, and one from outside the space may be much larger than any of it.
    """
    found: list[float] = []
    for search in ledger.searches() if ledger is not None else []:
        theirs = search.config
        if any(getattr(theirs, name) != getattr(config, name) for name in ALIKE) or pauses(theirs):
            continue
        for trial in ledger.trials(search.name) if ledger is not None else []:
            is_own = trial.same_as is None and trial.choices is not None
            begin, end = trial.started_at, trial.finished_at
            if trial.state is TrialState.COMPLETE and is_own and begin is not None and end is not None:
                found.append((end - begin).total_seconds())
        if len(found) >= MOST_TRIALS:
            break
    return fmean(found) if found else None


def pauses(config: SearchConfig) -> bool:
    """Whether its trials may be paused."""
    from nas.algorithms.pruners import pruners

    return config.pruner in pruners and pruners.get(config.pruner)(config).pauses


def _tried(config: SearchConfig, sample: Sequence[Buildable], data: "DataSet | None") -> float | None:
    """Seconds of the epochs of a trial, by training one; None where another evaluator does that."""
    from nas.training.loop import train_architecture

    if config.evaluator != TRAINING or data is None or not sample:
        return None
    data.read()  # from disk, which is not the training's
    _, (epoch,) = train_architecture(
        sample[0],
        data,
        epochs=1,
        seed=config.seed,
        batch_size=config.batch_size,
        learning_rate=config.learning_rate,
    )
    return epoch.seconds * config.epochs * config.repeats  # without what is imported the first time
