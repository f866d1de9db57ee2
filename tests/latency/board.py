"""A device of a plug-in: a simulated board, whose times are computed from what a kernel does."""

from contextlib import contextmanager
from dataclasses import replace
from unittest.mock import patch

from latency import Conditions, Device, DeviceRecord, Measurement, devices
from latency.model.features import amounts_of, effort_of


def milliseconds(workload):
    """So much for each operation, each byte and each call."""
    amounts = amounts_of(workload)
    moved = amounts["input"] + amounts["constant"] + amounts["output"]
    return 1e-5 + amounts["macs"] / 5e7 + moved / 2e7


def milliseconds_of_lanes(workload):
    """So much for each step of each lane, those that no channel fills too, each byte and each call."""
    amounts, effort = amounts_of(workload), effort_of(workload)
    steps = effort.lanes * effort.vectors * effort.steps if amounts["macs"] else 0
    moved = amounts["input"] + amounts["constant"] + amounts["output"]
    return 1e-5 + steps / 2e7 + moved / 2e7


def measurement(ms, **conditions):
    """A time, with samples that are close to it."""
    date = "2026-01-01T00:00:00+00:00"
    return Measurement(ms, ms / 100, 7, date, "0", "", 1.5 * ms, conditions=Conditions(**conditions))


class Board(Device):
    """Times kernels without compiling them; a network takes a little more than its kernels."""

    def __init__(self, cost=milliseconds):
        self.cost = cost
        self.record = DeviceRecord("board", "plugin")
        self.asked = []
        self.speeds = []

    def look(self):
        return {"cpu": "simulated", "cores": 1, "features": []}

    def measure_kernels(self, workloads, schedules=None, brief=False, usual_ms=None):
        with self.exclusive():
            self.asked += workloads
            self.speeds.append(usual_ms)
            ways = [(schedules or {}).get(workload.key, "") for workload in workloads]
            return [
                replace(measurement(self.cost(workload), brief=brief), schedule=way)
                for workload, way in zip(workloads, ways, strict=True)
            ]

    def measure_networks(self, networks, usual_ms=None):
        with self.exclusive():
            self.speeds.append(usual_ms)
            alone = [[self.cost(w) for w in network.info.workloads] for network in networks]
            return [measurement(1.04 * sum(each) + 3e-6 * len(each)) for each in alone]


@contextmanager
def plugged_in(board):
    """Has ``board`` be the device of that name, as a plug-in would."""
    assert "local" in devices, "plug-ins are read"
    with patch.dict(devices._things, board=board):
        yield
