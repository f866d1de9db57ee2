"""Checks the front of a search against its device: every member compiled whole and timed again."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from latency.timing.measurement import Measurement
from nas.hints import command
from search_spaces.architecture import read_architecture
from search_spaces.errors import BitnasError, MeasurementError, NoDeviceError

if TYPE_CHECKING:
    from nas.ledger import Ledger, SearchConfig, TrialRecord
    from nas.measuring.bench import BenchFactory


@dataclass(frozen=True)
class Checked:
    """A member of a front: predicted and measured milliseconds, or the problem with measuring it.

    ``low_ms`` and ``high_ms`` are the interval of the time by the device's own repeats, ``disturbed`` is what
    made it worthless; None where nothing did.
    """

    number: int
    accuracy: float | None
    predicted_ms: float
    measured_ms: float | None
    is_over: bool
    problem: str | None = None
    low_ms: float | None = None
    high_ms: float | None = None
    disturbed: str | None = None

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

    A time that the machine's noise made worthless is kept only where there is no better one.

    Raises:
        InvalidInput: there is no such search.
        BitnasError: the front is empty.
        NoDeviceError: the device does not answer.
    """
    from nas.measuring.elsewhere import bench_of
    from nas.measuring.machine_lock import MachineLock

    config, front = ledger.search(search).config, ledger.front(search)
    if not front:
        where = command("trials", search, storage=ledger.url)
        raise BitnasError(f"search '{search}': no trial is complete; see: {where}")
    timer = bench_of(bench, ledger, search, config, MachineLock.of_this_machine(lambda: None))
    ordered = sorted(front, key=lambda t: (t.latency_ms or 0.0, t.number))
    for done, trial in enumerate(ordered):
        progress(done, len(ordered))
        measured, problem = None, None
        try:
            measured = timer.measure(read_architecture(str(trial.architecture)))
        except NoDeviceError:
            raise
        except MeasurementError as error:
            problem = str(error)
        else:
            ledger.record_verified(search, trial.number, measured)
        yield _checked(config, trial, measured, problem)
    progress(len(ordered), len(ordered))


def _checked(
    config: "SearchConfig", trial: "TrialRecord", measured: Measurement | None, problem: str | None
) -> Checked:
    predicted = float(trial.latency_ms or 0.0)
    if measured is None:
        return Checked(trial.number, trial.accuracy, predicted, None, False, problem)
    is_over = config.is_over(measured.milliseconds)
    found = measured.milliseconds, is_over, None, *measured.interval, measured.disturbed
    return Checked(trial.number, trial.accuracy, predicted, *found)
