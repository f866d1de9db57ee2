"""The audit of a search: how well short trainings rank networks, by some trained to the end twice."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean, stdev

from nas.formatting import counted
from nas.ledger.records import SearchConfig, TrialRecord, TrialState
from nas.ledger.store import Ledger
from nas.rungs import rungs

LEAST = 4
"""Networks that a rank correlation makes any sense of."""
NOISY = 0.4
"""Below this tau between two trainings of the same networks, one training says little."""
ENOUGH = 0.8
"""A rung ranks well that reaches this share of the tau between two trainings."""

Curve = Mapping[int, float]
"""Accuracies by epoch, of a network's first training."""


@dataclass(frozen=True)
class Audit:
    """What networks that were trained to the end say of shorter trainings.

    Attributes:
        networks: how many there were.
        epochs: of a whole training.
        early: Kendall's tau between the accuracies after some epochs and the mean of the whole trainings, by
            the number of epochs.
        seeds: the same between two whole trainings of each network: no short training can rank better.
        between_seeds: the deviation of a network's accuracy from training to training, as a share.
        between_networks: the deviation of accuracies from network to network.
    """

    networks: int
    epochs: int
    early: Mapping[int, float]
    seeds: float
    between_seeds: float
    between_networks: float

    @property
    def error(self) -> float:
        """The standard error of a tau of networks that are not related (Kendall 1938)."""
        n = self.networks
        return math.sqrt(2 * (2 * n + 5) / (9 * n * (n - 1)))

    def sentences(self) -> list[str]:
        """What was found, and what to do about it."""
        early = ", ".join(f"{tau:.2f} after {counted(epoch, 'epoch')}" for epoch, tau in self.early.items())
        trained = f"trained {counted(self.epochs, 'epoch')} twice"
        error = f"each give or take {self.error:.2f}"
        return [
            f"Audit of {self.networks} networks, {trained}: Kendall's tau with the mean of both is "
            f"{early or 'not known of fewer epochs'}; between the two it is {self.seeds:.2f} ({error}).",
            f"Accuracies differ by {self.between_seeds:.1%} from seed to seed, and by "
            f"{self.between_networks:.1%} from network to network.",
            self.advice(),
        ]

    def advice(self) -> str:
        """In a sentence, what to do."""
        if self.seeds < NOISY:
            return "Two trainings of a network hardly agree: train for more epochs, or repeat each training."
        good = [epoch for epoch, tau in self.early.items() if tau >= ENOUGH * self.seeds]
        if not good:
            return "Short trainings rank little here: train all to the end (pruner none)."
        ranked = f"Accuracy after {counted(good[0], 'epoch')} ranks nearly as well as in the end"
        if good[0] == min(self.early) or good[0] <= self.epochs / 9:
            return f"{ranked}: the pruner halving saves most."
        return f"{ranked}, earlier it does not: use the pruner hyperband."


def is_audited(config: SearchConfig, trials: Sequence[TrialRecord], number: int) -> bool:
    """Whether a trial is one of those that are trained to the end twice: the first that were not copied."""
    copied = sum(trial.same_as is not None for trial in trials)
    return 0 <= number - copied < config.audit


def audit_of(ledger: Ledger, search: str) -> Audit | None:
    """The audit of a search; None where it has none, or not all of its networks have ended."""
    record, trials = ledger.search(search), ledger.trials(search)
    audited = [trial for trial in trials if is_audited(record.config, trials, trial.number)]
    if not audited or not all(trial.state.finished for trial in audited):
        return None
    twice = [t for t in audited if t.state is TrialState.COMPLETE and len(t.accuracies) > 1]
    curves = {t.number: _curve(ledger, t) for t in twice}
    return audited_from([(t.accuracies, curves[t.number]) for t in twice], record.config.epochs)


def audited_from(found: Sequence[tuple[Sequence[float], Curve]], epochs: int) -> Audit | None:
    """From the accuracies of whole trainings and a curve of each network; None of fewer than ``LEAST``."""
    if len(found) < LEAST:
        return None
    means = [fmean(accuracies) for accuracies, _ in found]
    early = [epoch for epoch in rungs(epochs)[:-1] if all(epoch in curve for _, curve in found)]
    return Audit(
        networks=len(found),
        epochs=epochs,
        early={epoch: tau([curve[epoch] for _, curve in found], means) for epoch in early},
        seeds=tau([accuracies[0] for accuracies, _ in found], [accuracies[1] for accuracies, _ in found]),
        between_seeds=math.sqrt(fmean(stdev(accuracies) ** 2 for accuracies, _ in found)),
        between_networks=stdev(means),
    )


def tau(one: Sequence[float], other: Sequence[float]) -> float:
    """Kendall's tau-b of two lists: 1 where they rank alike, 0 where one says nothing of the other."""
    signs = [(_sign(one[i] - one[j]), _sign(other[i] - other[j])) for i in range(len(one)) for j in range(i)]
    apart = math.sqrt(sum(a != 0 for a, _ in signs) * sum(b != 0 for _, b in signs))
    return sum(a * b for a, b in signs) / apart if apart else 0.0


def _sign(value: float) -> int:
    return (value > 0) - (value < 0)


def _curve(ledger: Ledger, trial: TrialRecord) -> Curve:
    epochs = ledger.epochs(trial.search, trial.number)
    return {epoch.epoch: epoch.accuracy for epoch in epochs if epoch.accuracy is not None}
