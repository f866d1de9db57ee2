"""One trial from its claim to its end: propose, cost, train, record."""

import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from nas import seeds
from nas.algorithms.base import Algorithm
from nas.algorithms.choosing import algorithm
from nas.data import DataSet
from nas.ledger.checkpoints import tensors_of
from nas.ledger.claims import Claim, Claims
from nas.ledger.entries import Cost, EpochRecord
from nas.ledger.records import SearchConfig, TrialState
from nas.ledger.store import Ledger
from nas.measuring.machine_lock import MachineLock
from nas.trials.costing import Costing, over_limits
from nas.trials.stopping import Decision, Stopping
from search_spaces.architecture import Architecture
from search_spaces.search_space import SearchSpace

if TYPE_CHECKING:
    from nas.training.recipe import Recipe


class StoppedEarlyError(Exception):
    """The pruner has ended the training, for now or for good."""

    def __init__(self, decision: Decision, epoch: int, accuracy: float, checkpoint: bytes) -> None:
        super().__init__(f"{decision.value} after epoch {epoch}")
        self.decision, self.epoch, self.accuracy, self.checkpoint = decision, epoch, accuracy, checkpoint


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
    stopping: Stopping

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
        except StoppedEarlyError as early:
            if early.decision is Decision.STOP:
                self.claims.finish(claim, TrialState.PRUNED, accuracy=early.accuracy)
            else:
                kept = early.checkpoint
                self.claims.pause(claim, epoch=early.epoch, accuracy=early.accuracy, checkpoint=kept)
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
        from nas.training import checkpoint
        from nas.training.loop import save_weights, training_of

        def on_batch() -> None:
            check()
            give_way()

        number = claim.trial.number
        seed = seeds.training_seed(self.config.seed, number)
        training = training_of(architecture, self.data, epochs=epochs, seed=seed, recipe=self._recipe())
        if (kept := tensors_of(self.ledger, self.search, number)) is not None:
            checkpoint.resume(training, checkpoint.from_bytes(kept))
        accuracy = 0.0
        with self.lock.shared() as give_way:
            for epoch in training.run(on_batch):
                accuracy = epoch.accuracy or 0.0
                told = EpochRecord(epoch.epoch, epoch.train_loss, accuracy, epoch.seconds)
                self.claims.record_epoch(claim, told)
                self.costing.pace.trained_s += epoch.seconds
                decision = self._decided(claim, epoch.epoch, epochs)
                if decision is not Decision.GO:
                    now = checkpoint.to_bytes(training, {})
                    raise StoppedEarlyError(decision, epoch.epoch, accuracy, now)
        return accuracy, save_weights(training.module)

    def _decided(self, claim: Claim, epoch: int, epochs: int) -> Decision:
        if epoch == epochs:
            return Decision.GO
        before = claim.trial.epochs_done or 0
        return self.stopping.decide(claim.trial.number, epoch, gone_on_from=before)

    def _recipe(self) -> "Recipe":
        from nas.training.presets import recipe_for

        config = self.config
        recipe = recipe_for(self.data, batch_size=config.batch_size, learning_rate=config.learning_rate)
        return replace(recipe, schedule="rungs") if self.stopping.pauses else recipe
