"""What every bench of a search keeps; see ``nas.measuring.bench.Bench`` for the contract."""

import math
from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from nas.ledger import Ledger, SearchConfig
    from nas.measuring.bench import Bench, Predicted
    from nas.measuring.machine_lock import MachineLock
    from search_spaces import Buildable


class BenchConformance(ABC):
    """A suite for one bench::

        from nas.testing.benches import BenchConformance

        class TestMyBench(BenchConformance):
            @classmethod
            def make_bench(cls, config, ledger, lock):
                return MyBench(config, ledger, lock)

    One bench, of a new ledger, serves all tests of the class.

    Attributes:
        space: the space whose architectures it puts times to.
        device: the name of the device.
    """

    space = "tiny"
    device = "local"

    @classmethod
    @abstractmethod
    def make_bench(cls, config: "SearchConfig", ledger: "Ledger", lock: "MachineLock") -> "Bench":
        """The bench of a search."""

    @pytest.fixture(scope="class")
    @classmethod
    def timed(cls) -> list[str]:
        """A word for each time that the lock was taken exclusively."""
        return []

    @pytest.fixture(scope="class")
    @classmethod
    def bench(cls, tmp_path_factory: pytest.TempPathFactory, timed: list[str]) -> "Iterator[Bench]":
        """The bench, which has profiled its device."""
        from search_spaces.search_space import space

        told: list[tuple[int, int]] = []
        folder = tmp_path_factory.mktemp("bench")
        with _lent(folder, timed) as (ledger, lock):
            found = cls.make_bench(_config(cls.space, cls.device), ledger, lock)
            found.profile(space(cls.space), lambda done, of: told.append((done, of)))
            yield found
        assert all(0 <= done <= of for done, of in told)

    def test_the_identity_is_a_key(self, bench: "Bench") -> None:
        """Of a latency table, the same each time; None where nothing is timed for real."""
        identity = bench.identity()
        assert identity is None or (isinstance(identity, str) and identity), identity
        assert bench.identity() == identity

    def test_an_estimate_is_a_sum_with_an_interval(self, bench: "Bench") -> None:
        """Of what is known, without measuring."""
        _check(bench.estimate(_architecture(self.space)))

    def test_a_prediction_estimates_nothing(self, bench: "Bench") -> None:
        """The device answers, so that everything is measured; asked again, it is the same."""
        found = bench.predict(_architecture(self.space))
        _check(found)
        assert found.estimated == ()
        assert bench.predict(_architecture(self.space)).milliseconds == pytest.approx(found.milliseconds)
        assert bench.estimate(_architecture(self.space)).estimated == (), "it is known from now on"

    def test_the_median_is_a_time(self, bench: "Bench") -> None:
        """Of the space's architectures, in milliseconds."""
        from search_spaces.search_space import space

        assert 0 < bench.median(space(self.space)) < math.inf

    def test_a_whole_network_is_timed_while_nothing_else_runs(self, bench: "Bench", timed: list[str]) -> None:
        """In the machine's lock."""
        timed.clear()
        found = bench.measure(_architecture(self.space))
        assert 0 < found.milliseconds < math.inf
        low, high = found.interval
        assert low <= found.milliseconds <= high
        assert timed, "the lock was not taken"

    def test_drifts_are_shares(self, bench: "Bench") -> None:
        """None is negative, however fast the device was."""
        assert all(drift >= 0 for drift in bench.drifts())


def _config(space: str, device: str) -> "SearchConfig":
    from nas.ledger import SearchConfig

    return SearchConfig(space, "digits", device, trials=1, epochs=1)


def _architecture(space: str) -> "Buildable":
    from search_spaces.search_space import buildable
    from search_spaces.search_space import space as called

    return buildable(called(space).sample(0))


@contextmanager
def _lent(folder: Path, timed: list[str]) -> "Iterator[tuple[Ledger, MachineLock]]":
    """A ledger, and a lock that tells when it is taken exclusively."""
    from nas.ledger import Ledger
    from nas.measuring.machine_lock import MachineLock

    class ToldLock(MachineLock):
        @contextmanager
        def exclusive(self) -> Iterator[None]:
            with super().exclusive():
                timed.append("timed")
                yield

    with Ledger.open(f"sqlite:///{folder}/nas.db", create=True) as ledger:
        yield ledger, ToldLock(folder / "lock", lambda: None)


def _check(found: "Predicted") -> None:
    assert 0 < found.milliseconds < math.inf
    assert found.by_workload
    assert all(0 < ms < math.inf for _, ms in found.by_workload)
    assert set(found.estimated) <= {key for key, _ in found.by_workload}
    if found.low is not None and found.high is not None:
        assert found.low <= found.milliseconds <= found.high
