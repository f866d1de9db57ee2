"""How much of a search's time goes into measuring: at most half of it, and at most a second a trial on the
way."""

from dataclasses import dataclass

MEASURING_PER_TRAINING = 0.25
"""Seconds of measuring for each second of training, before the front is known: its kernels take the rest."""
MEASURING_PER_TRIAL_S = 1.0
"""Seconds of measuring for each trial, likewise."""
KERNEL_S = 0.2
"""What a kernel is taken to cost, in seconds, before one was measured."""


@dataclass
class Pace:
    """What one worker has spent on measuring and training so far, in seconds."""

    measured_s: float = 0.0
    trained_s: float = 0.0
    trials: int = 0
    kernels: int = 0
    told_s: float = 0.0
    other_s: float = 0.0

    @property
    def all_measuring_s(self) -> float:
        """All measuring: on the way, before the first trial, and of the front."""
        return self.measured_s + self.other_s

    def affords(self, kernels: int) -> bool:
        """Whether so many kernels can be measured now, though nobody knows whether the front will need
        them."""
        each = self.measured_s / self.kernels if self.kernels else KERNEL_S
        allowance = min(MEASURING_PER_TRAINING * self.trained_s, MEASURING_PER_TRIAL_S * self.trials)
        return self.measured_s + kernels * each <= allowance

    def add_measuring(self, kernels: int, seconds: float) -> None:
        """So many kernels were measured, in so many seconds."""
        self.kernels += kernels
        self.measured_s += seconds

    def add_first(self, seconds: float) -> None:
        """So long it took to profile the device, which counts with the first trial."""
        self.told_s -= seconds
        self.other_s += seconds

    def add_front(self, seconds: float) -> None:
        """So long the front was measured."""
        self.other_s += seconds

    def since_last(self) -> float:
        """Seconds of measuring since this was asked last."""
        found = self.measured_s - self.told_s
        self.told_s = self.measured_s
        self.trials += 1
        return found
