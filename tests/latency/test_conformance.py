"""The public suites, for each device and latency table that is built in, and one of each of a plug-in."""

import json
import math
from dataclasses import replace

import pytest
from sqlalchemy import update

from latency import (
    Conditions,
    DeviceRecord,
    LatencyTable,
    LocalDevice,
    Measurement,
    MemoryTable,
    NetworkMeasurement,
    RpcDevice,
)
from latency.testing import DeviceConformance, LatencyTableConformance
from nas.ledger import Ledger
from nas.ledger.latencies import SqlLatencyTable
from nas.ledger.tables import MeasurementRow
from tests.latency.board import Board
from tests.latency.serving import KEY, Serving
from tests.measured import timed


class TestLocalDevice(DeviceConformance):
    @classmethod
    def make_device(cls):
        return LocalDevice()


class TestRpcDevice(DeviceConformance):
    @pytest.fixture(scope="class", autouse=True)
    @classmethod
    def _serving(cls):
        serving = Serving()
        cls.port = serving.port
        yield
        serving.end()

    @classmethod
    def make_device(cls):
        return RpcDevice(DeviceRecord("pi", "rpc", f"127.0.0.1:{cls.port}", KEY))


class TestBoard(DeviceConformance):
    @classmethod
    def make_device(cls):
        return Board()


class TestMemoryTable(LatencyTableConformance):
    def make_table(self):
        return MemoryTable()


class TestSqlLatencyTable(LatencyTableConformance):
    @pytest.fixture(autouse=True)
    def _ledger(self, tmp_path):
        with Ledger.open(f"sqlite:///{tmp_path}/nas.db", create=True) as self.ledger:
            yield

    def make_table(self):
        return SqlLatencyTable(self.ledger)

    def test_a_row_of_an_older_version_is_read(self):
        table = self.make_table()
        table.put("board", "a", timed(1.0))
        older = {"visits": 2, "briefly": True, "governor": None, "of a later version": 1}
        with self.ledger.writing() as session:
            session.execute(update(MeasurementRow).values(conditions=older))
        assert table.get("board", "a").conditions == Conditions(rounds=2, brief=True)


class FileTable(LatencyTable):
    """A table of one's own: lines of JSON in a file, read again each time."""

    def __init__(self, path):
        self.path = path
        path.touch()

    def get(self, device, workload_key):
        return self.rows(device).get(workload_key)

    def put(self, device, workload_key, measurement):
        self._write({"device": device, "workload": workload_key, **measurement.to_dict()})

    def rows(self, device):
        return {line["workload"]: Measurement.from_dict(line) for line in self._lines(device, "workload")}

    def networks(self, device, purpose="calibration"):
        lines = [line for line in self._lines(device, "network") if line["purpose"] == purpose]
        return [NetworkMeasurement(tuple(line["network"]), Measurement.from_dict(line)) for line in lines]

    def put_network(self, device, network, purpose="calibration"):
        line = {"device": device, "network": network.workloads, "purpose": purpose}
        self._write({**line, **network.measurement.to_dict()})

    def _lines(self, device, kind):
        lines = map(json.loads, self.path.read_text().splitlines())
        return [line for line in lines if line["device"] == device and kind in line]

    def _write(self, line):
        if not math.isfinite(line["milliseconds"]):
            raise ValueError(f"milliseconds are {line['milliseconds']}")
        with self.path.open("a") as file:
            file.write(json.dumps(line) + "\n")


class TestFileTable(LatencyTableConformance):
    @pytest.fixture(autouse=True)
    def _path(self, tmp_path):
        self.path = tmp_path / "table.jsonl"

    def make_table(self):
        return FileTable(self.path)


class Forgetful(TestFileTable):
    __test__ = False  # it is told below that it fails

    def make_table(self):
        class Table(FileTable):
            def rows(self, device):
                return {key: replace(m, conditions=Conditions()) for key, m in super().rows(device).items()}

        return Table(self.path)


def test_a_table_that_forgets_fails(tmp_path):
    suite = Forgetful()
    suite.path = tmp_path / "table.jsonl"
    suite.test_an_empty_table_has_nothing()
    with pytest.raises(AssertionError):
        suite.test_a_measurement_comes_back_as_it_was()
