"""One trial from its claim to its end: propose, cost, train, record."""

from collections.abc import Callable
from dataclasses import dataclass

from nas import pruners, seeds
from nas.bench import Bench
from nas.data import DataSet
from nas.ledger.claims import Claim, Claims
from nas.ledger.records import Cost, EpochRecord, Proposal, SearchConfig, TrialState
from nas.ledger.store import Ledger
from nas.quiet import QuietRoom
from nas.samplers import Proposer
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
    room: QuietRoom

    def run(self, claim: Claim, check: Callable[[], None]) -> None:
        """Bring a claimed trial to a final state; ``check`` is called often and may raise to leave it.

        An architecture that was stored by an earlier claim is taken over: it may be known to others.
        """
        architecture = self._architecture(claim)
        check()
        cost = self._cost(claim, architecture)
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

    def _architecture(self, claim: Claim) -> Architecture:
        if claim.trial.architecture is not None:
            return Architecture.from_json(claim.trial.architecture)
        number = claim.trial.number
        choices, architecture = self.proposer.propose(number, self.ledger.trials(self.search))
        self.claims.propose(claim, Proposal(choices, architecture.to_json(), architecture.digest))
        return architecture

    def _cost(self, claim: Claim, architecture: Architecture) -> Cost:
        from search_spaces.sizing import size

        found = self.bench.predict(architecture)
        kilobytes = size(architecture).kilobytes
        return Cost(found.milliseconds, kilobytes, found.by_workload, list(found.estimated))

    def _train(
        self, claim: Claim, architecture: Architecture, cost: Cost, check: Callable[[], None]
    ) -> tuple[float, bytes]:
        """The validation accuracy in the end, and the trained network's tensors."""
        from nas.training import Epoch, save_weights, train_architecture

        pruner = pruners.pruners.get(self.config.pruner)

        accuracy = 0.0

        def on_epoch(epoch: Epoch) -> None:
            nonlocal accuracy
            accuracy = epoch.accuracy or 0.0
            self.claims.record_epoch(
                claim, EpochRecord(epoch.epoch, epoch.train_loss, accuracy, epoch.seconds)
            )
            last = epoch.epoch == self.config.epochs
            if not last and pruner.should_prune(accuracy, self._rivals(cost, epoch.epoch)):
                raise PrunedError(accuracy)

        def on_batch() -> None:
            check()
            give_way()

        with self.room.shared() as give_way:
            module, _ = train_architecture(
                architecture,
                self.data,
                epochs=self.config.epochs,
                seed=seeds.training_seed(self.config.seed, claim.trial.number),
                on_epoch=on_epoch,
                on_batch=on_batch,
            )
        return accuracy, save_weights(module)

    def _rivals(self, cost: Cost, epoch: int) -> list[float]:
        cheaper = pruners.rivals(cost.latency_ms, cost.size_kb, self.ledger.trials(self.search))
        accuracies = self.claims.epoch_accuracies(epoch)
        return [accuracy for number, accuracy in accuracies.items() if number in cheaper]


def over_limits(config: SearchConfig, cost: Cost) -> str | None:
    """Which limits a cost is over, in one line; None when it is within all."""
    over = []
    if config.max_latency_ms is not None and cost.latency_ms > config.max_latency_ms:
        over.append(f"latency of {cost.latency_ms:.4g} ms is over --max-latency-ms {config.max_latency_ms:g}")
    if config.max_size_kb is not None and cost.size_kb > config.max_size_kb:
        over.append(f"size of {cost.size_kb:.4g} kB is over --max-size-kb {config.max_size_kb:g}")
    return "; ".join(over) or None
