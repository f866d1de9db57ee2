"""One trial from its claim to its end: propose, cost, train, record."""

import time
from collections.abc import Callable
from dataclasses import dataclass

from nas import seeds
from nas.algorithms import pruners
from nas.algorithms.base import Algorithm
from nas.algorithms.choosing import algorithm
from nas.data import DataSet
from nas.ledger.claims import Claim, Claims
from nas.ledger.entries import Cost, EpochRecord
from nas.ledger.records import SearchConfig, TrialState
from nas.ledger.store import Ledger
from nas.measuring.machine_lock import MachineLock
from nas.trials.costing import Costing, over_limits
from search_spaces.architecture import Architecture
from search_spaces.search_space import SearchSpace


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
    space: SearchSpace
    algorithm: Algorithm
    costing: Costing
    lock: MachineLock

    def use(self, config: SearchConfig) -> None:
        """Go on with the search's settings as they are now: a relative limit is known."""
        self.config = self.costing.config = config
        self.algorithm = algorithm(self.space, config)

    def run(self, claim: Claim, check: Callable[[], None]) -> None:
        """Bring a claimed trial to a final state; ``check`` is called often and may raise to leave it.

        An architecture that was stored by an earlier claim is taken over: it may be known to others.
        """
        architecture, epochs = self._proposed(claim)
        check()
        cost = self.costing.before_training(architecture)
        self.claims.record_cost(claim, cost)
        check()
        if over := over_limits(self.config, cost):
            self.claims.finish(claim, TrialState.INFEASIBLE, error=over)
        else:
            self._finish(claim, architecture, cost, epochs, check)
        self.algorithm.tell(self.ledger.trial(self.search, claim.trial.number))

    def settle(self, claim: Claim) -> None:
        """Measure the kernels of a trained trial that were estimated, and record what it then costs."""
        cost = self.costing.settled(Architecture.from_json(str(claim.trial.architecture)))
        self.claims.record_cost(claim, cost)
        self.claims.release(claim)

    def measure(self, claim: Claim) -> None:
        """Time the whole network of a trial, and record it."""
        started = time.monotonic()
        measured = self.costing.bench.measure(Architecture.from_json(str(claim.trial.architecture)))
        seconds = time.monotonic() - started
        self.costing.pace.add_front(seconds)
        self.claims.record_measured(claim, measured=measured, seconds=seconds)

    def _proposed(self, claim: Claim) -> tuple[Architecture, int]:
        """What the trial is to try, and how many epochs to train it."""
        trial = claim.trial
        if trial.architecture is not None:
            return Architecture.from_json(trial.architecture), trial.budget or self.config.epochs
        proposal = self.algorithm.ask(trial.number, self.ledger.trials(self.search))
        architecture = self.space.propose(lambda name, _: proposal.choices[name])
        self.claims.propose(
            claim,
            choices=proposal.choices,
            architecture=architecture.to_json(),
            digest=architecture.digest,
            budget=proposal.budget,
        )
        return architecture, proposal.budget or self.config.epochs

    def _finish(
        self,
        claim: Claim,
        architecture: Architecture,
        cost: Cost,
        epochs: int,
        check: Callable[[], None],
    ) -> None:
        """Train, and end the trial."""
        try:
            accuracy, weights = self._train(claim, architecture, cost, epochs, check)
        except PrunedError as pruned:
            self.claims.finish(claim, TrialState.PRUNED, accuracy=pruned.accuracy)
        else:
            self.claims.finish(claim, TrialState.COMPLETE, accuracy=accuracy, weights=weights)

    def _train(
        self,
        claim: Claim,
        architecture: Architecture,
        cost: Cost,
        epochs: int,
        check: Callable[[], None],
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
            self.costing.pace.trained_s += epoch.seconds
            last = epoch.epoch == epochs
            if not last and pruner.should_prune(accuracy, self._rivals(cost, epoch.epoch)):
                raise PrunedError(accuracy)

        def on_batch() -> None:
            check()
            give_way()

        with self.lock.shared() as give_way:
            module, _ = train_architecture(
                architecture,
                self.data,
                epochs=epochs,
                seed=seeds.training_seed(self.config.seed, claim.trial.number),
                batch_size=self.config.batch_size,
                learning_rate=self.config.learning_rate,
                on_epoch=on_epoch,
                on_batch=on_batch,
            )
        return accuracy, save_weights(module)

    def _rivals(self, cost: Cost, epoch: int) -> list[float]:
        cheaper = pruners.rivals(cost, self.config, self.ledger.trials(self.search))
        accuracies = self.claims.epoch_accuracies(epoch)
        return [accuracy for number, accuracy in accuracies.items() if number in cheaper]
