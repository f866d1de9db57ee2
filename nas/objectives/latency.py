"""Latency on the search's device, and on further ones."""

from nas.formatting import milliseconds
from nas.objectives.base import Figures, Objective, ObjectiveValue
from search_spaces.errors import InvalidInput

LATENCY_AT = "latency@"  # begins the name of a further device's


class Latency(Objective):
    """Milliseconds for one image on the search's device: the sum over the kernels, as predicted."""

    name, title, unit, limit = "latency", "latency", "ms", "max_latency_ms"
    is_predicted = True

    def of(self, trial: Figures) -> ObjectiveValue | None:
        """The prediction, and the interval that holds nine in ten measurements."""
        middle = trial.latency_ms
        if middle is None:
            return None
        low, high = trial.latency_low_ms, trial.latency_high_ms
        return ObjectiveValue(
            middle, middle if low is None else low, middle if high is None else high, len(trial.estimated)
        )

    def show(self, value: float | None) -> str:
        """Three digits that count."""
        return milliseconds(value)


class LatencyOn(Objective):
    """Milliseconds for one image on a further device, by prediction; its kernels are timed there, too."""

    unit, is_predicted = "ms", True

    def __init__(self, device: str) -> None:
        self.device = device
        self.name = LATENCY_AT + device
        self.title = f"latency on {device}"

    @classmethod
    def named(cls, name: str) -> "LatencyOn":
        """The one of a name, such as ``latency@pi``.

        Raises:
            InvalidInput: it names no device.
        """
        if not (device := name.removeprefix(LATENCY_AT)):
            raise InvalidInput("objectives", f"'{name}' names no device", f"give {LATENCY_AT}DEVICE")
        return cls(device)

    def of(self, trial: Figures) -> ObjectiveValue | None:
        """As of the search's own device."""
        return trial.costs.get(self.name)

    def show(self, value: float | None) -> str:
        """Three digits that count."""
        return milliseconds(value)
