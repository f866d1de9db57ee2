"""The public suite of benches, for that of searches and for the one that tests use."""

from collections.abc import Iterator

import pytest
from benches import ArithmeticBench

from nas.ledger import Ledger, SearchConfig
from nas.measuring.bench import Bench, DeviceBench
from nas.measuring.machine_lock import MachineLock
from nas.testing.benches import BenchConformance
from tests.latency.board import Board, plugged_in


class TestDeviceBench(BenchConformance):
    """On the device of a plug-in, which compiles no kernels."""

    device = "board"

    @pytest.fixture(scope="class", autouse=True)
    @classmethod
    def _board(cls) -> Iterator[None]:
        with plugged_in(Board):
            yield

    @classmethod
    def make_bench(cls, config: SearchConfig, ledger: Ledger, lock: MachineLock) -> Bench:
        return DeviceBench(config, ledger, lock)


class TestArithmeticBench(BenchConformance):
    @classmethod
    def make_bench(cls, config: SearchConfig, ledger: Ledger, lock: MachineLock) -> Bench:
        return ArithmeticBench(config, ledger, lock)
