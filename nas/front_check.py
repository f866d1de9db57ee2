"""Checks the front of a search against its device: every member compiled whole and timed anew."""

from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from latency.measurement import MeasurementError, NoDeviceError
from search_spaces.architecture import Architecture
from search_spaces.errors import BitnasError

if TYPE_CHECKING:
    from nas.bench import BenchFactory
    from nas.ledger import Ledger


@dataclass(frozen=True)
class Checked:
    """A member of a front: predicted and measured milliseconds, or the problem with measuring it."""

    number: int
    accuracy: float | None
    predicted_ms: float
    measured_ms: float | None
    is_over: bool
    problem: str | None = None

    @property
    def error(self) -> float | None:
        """The prediction's relative error."""
        return None if self.measured_ms is None else self.predicted_ms / self.measured_ms - 1

    def to_dict(self) -> dict[str, Any]:
        """JSON-able."""
        return {**vars(self), "error": self.error}


def check_front(
    ledger: "Ledger",
    search: str,
    bench: "BenchFactory",
    progress: Callable[[int, int], None] = lambda done, count: None,
) -> Iterator[Checked]:
    """Time each member of a front and keep the time; the fastest by prediction comes first.

    Raises:
        InvalidInput: there is no such search.
        BitnasError: the front is empty.
        NoDeviceError: the device does not answer.
    """
    from nas.quiet import QuietRoom

    config, front = ledger.search(search).config, ledger.front(search)
    if not front:
        raise BitnasError(f"search '{search}': no trial is complete; see: nas trials {search}")
    with closing(QuietRoom.of_this_machine(lambda: None)) as room:
        timer = bench(config, ledger, room)
        ordered = sorted(front, key=lambda t: (t.latency_ms or 0.0, t.number))
        for done, trial in enumerate(ordered):
            progress(done, len(ordered))
            predicted, measured, problem = float(trial.latency_ms or 0.0), None, None
            try:
                measured = timer.measure(Architecture.from_json(str(trial.architecture)))
            except NoDeviceError:
                raise
            except MeasurementError as error:
                problem = str(error)
            else:
                ledger.record_verified(search, trial.number, measured)
            is_over = config.is_over(measured)
            yield Checked(trial.number, trial.accuracy, predicted, measured, is_over, problem)
        progress(len(ordered), len(ordered))
