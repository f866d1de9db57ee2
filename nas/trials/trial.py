"""One trial from its claim to its end: propose, cost, train, record."""

import time
from collections.abc import Callable
from dataclasses import dataclass, field

from latency.timing.measurement import NoDeviceError
from nas import seeds
from nas.algorithms import pruners
from nas.algorithms.samplers import Proposer
from nas.data import DataSet
from nas.ledger.claims import Claim, Claims
from nas.ledger.records import ALL, Cost, EpochRecord, Proposal, SearchConfig, TrialState
from nas.ledger.store import Ledger
from nas.measuring.bench import Bench, Predicted
from nas.measuring.machine_lock import MachineLock
from nas.trials.pace import Pace
from search_spaces.architecture import Architecture


class PrunedError(Exception):
    """The pruner has ended the training."""

    def __init__(self, accuracy: float) -> None:
        super().__init__(f"pruned at {accuracy}")
        self.accuracy = accuracy


@dataclass
class TrialRunner:
    """Runs the trials of one search, one at a time. Whatever it raises leaves the trial running."""

    ledger: Ledger
    claims: Claims
    search: str
    config: SearchConfig
    data: DataSet
    proposer: Proposer
    bench: Bench
    lock: MachineLock
    pace: Pace = field(default_factory=Pace)

    def run(self, claim: Claim, check: Callable[[], None]) -> None:
        """Bring a claimed trial to a final state; ``check`` is called often and may raise to leave it.

        An architecture that was stored by an earlier claim is taken over: it may be known to others.
        """
        architecture = self._architecture(claim)
        check()
        cost = self._cost(architecture)
        self.claims.record_cost(claim, cost)
        check()
        if over := over_limits(self.config, cost):
            self.claims.finish(claim, TrialState.INFEASIBLE, error=over)
            return
        try:
            accuracy, weights = self._train(claim, architecture, cost, check)
        except PrunedError as pruned:
            self.claims.finish(claim, TrialState.PRUNED, accuracy=pruned.accuracy)
        else:
            self.claims.finish(claim, TrialState.COMPLETE, accuracy=accuracy, weights=weights)

    def settle(self, claim: Claim) -> None:
        """Measure the kernels of a trained trial that were estimated, and record what it then costs."""
        started = time.monotonic()
        found = self.bench.predict(Architecture.from_json(str(claim.trial.architecture)))
        seconds = time.monotonic() - started
        if found.estimated:
            raise NoDeviceError(f"device: '{self.config.device}' does not answer")
        self.claims.record_cost(claim, _cost_of(found, float(claim.trial.size_kb or 0.0), seconds))
        self.claims.release(claim)

    def _architecture(self, claim: Claim) -> Architecture:
        if claim.trial.architecture is not None:
            return Architecture.from_json(claim.trial.architecture)
        number = claim.trial.number
        choices, architecture = self.proposer.propose(number, self.ledger.trials(self.search))
        self.claims.propose(claim, Proposal(choices, architecture.to_json(), architecture.digest))
        return architecture

    def measure(self, claim: Claim) -> None:
        """Time the whole network of a trial, and record it."""
        started = time.monotonic()
        measured = self.bench.measure(Architecture.from_json(str(claim.trial.architecture)))
        self.claims.record_measured(claim, measured=measured, seconds=time.monotonic() - started)

    def _cost(self, architecture: Architecture) -> Cost:
        from search_spaces.sizing import size

        found = self._predicted(architecture)
        return _cost_of(found, size(architecture).kilobytes, self.pace.since_last())

    def _predicted(self, architecture: Architecture) -> Predicted:
        """An estimate, or a sum of measured kernels where it decides whether the limit is kept, if
        affordable."""
        if self.config.measure == ALL:
            return self._measured(architecture, kernels=0)
        found = self.bench.estimate(architecture)
        if found.estimated and self._is_at_the_limit(found) and self.pace.affords(len(found.estimated)):
            return self._measured(architecture, len(found.estimated))
        return found

    def _is_at_the_limit(self, found: Predicted) -> bool:
        limit = self.config.max_latency_ms
        if limit is None or found.low is None or found.high is None:
            return False
        return found.low <= limit < found.high

    def _measured(self, architecture: Architecture, kernels: int) -> Predicted:
        started = time.monotonic()
        found = self.bench.predict(architecture)
        self.pace.add_measuring(kernels, time.monotonic() - started)
        return found

    def _train(
        self, claim: Claim, architecture: Architecture, cost: Cost, check: Callable[[], None]
    ) -> tuple[float, bytes]:
        """The validation accuracy in the end, and the trained network's tensors."""
        from nas.training.loop import Epoch, save_weights, train_architecture

        pruner = pruners.pruners.get(self.config.pruner)

        accuracy = 0.0

        def on_epoch(epoch: Epoch) -> None:
            nonlocal accuracy
            accuracy = epoch.accuracy or 0.0
            self.claims.record_epoch(
                claim, EpochRecord(epoch.epoch, epoch.train_loss, accuracy, epoch.seconds)
            )
            self.pace.trained_s += epoch.seconds
            last = epoch.epoch == self.config.epochs
            if not last and pruner.should_prune(accuracy, self._rivals(cost, epoch.epoch)):
                raise PrunedError(accuracy)

        def on_batch() -> None:
            check()
            give_way()

        with self.lock.shared() as give_way:
            module, _ = train_architecture(
                architecture,
                self.data,
                epochs=self.config.epochs,
                seed=seeds.training_seed(self.config.seed, claim.trial.number),
                batch_size=self.config.batch_size,
                learning_rate=self.config.learning_rate,
                on_epoch=on_epoch,
                on_batch=on_batch,
            )
        return accuracy, save_weights(module)

    def _rivals(self, cost: Cost, epoch: int) -> list[float]:
        cheaper = pruners.rivals(cost.latency_ms, cost.size_kb, self.ledger.trials(self.search))
        accuracies = self.claims.epoch_accuracies(epoch)
        return [accuracy for number, accuracy in accuracies.items() if number in cheaper]


def _cost_of(found: Predicted, size_kb: float, measuring_s: float) -> Cost:
    return Cost(
        latency_ms=found.milliseconds,
        size_kb=size_kb,
        latency_by_workload=found.by_workload,
        estimated=list(found.estimated),
        latency_low_ms=found.low,
        latency_high_ms=found.high,
        measuring_s=measuring_s,
    )


def over_limits(config: SearchConfig, cost: Cost) -> str | None:
    """Which limits a cost is over, in one line; None when it is within all."""
    over = []
    if config.max_latency_ms is not None and cost.latency_ms > config.max_latency_ms:
        over.append(f"{_latency(cost)} is over the limit of {_limit(config)}")
    if config.max_size_kb is not None and cost.size_kb > config.max_size_kb:
        over.append(f"size of {cost.size_kb:.4g} kB is over --max-size-kb {config.max_size_kb:g}")
    return "; ".join(over) or None


def _latency(cost: Cost) -> str:
    """In words; an estimate with its interval, by which others may see how sure it was."""
    if not cost.estimated:
        return f"predicted latency of {cost.latency_ms:.4g} ms"
    low, high = cost.latency_low_ms, cost.latency_high_ms
    interval = f" ({low:.4g} to {high:.4g})" if low is not None and high is not None else ""
    return f"estimated latency of {cost.latency_ms:.4g} ms{interval}"


def _limit(config: SearchConfig) -> str:
    limit = f"{config.max_latency_ms:.4g} ms"
    if config.max_latency_share is None:
        return limit
    return f"{limit}, {config.max_latency_share:g}x the space's median"
