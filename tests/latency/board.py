"""A device of a plug-in: a simulated board, whose times are computed from what a kernel does."""

from contextlib import contextmanager
from dataclasses import replace
from unittest.mock import patch

from latency import Conditions, Device, DeviceRecord, Measurement, devices
from latency.model.effort import amounts_of
from runtime.kernels import kernel_for
from runtime.kernels.convolution import image_shapes
from runtime.kernels.covering import Cover, vectors_of
from runtime.target import cpu_of
from runtime.workload import HIGHEST_BYTE, SpatialWorkload


def milliseconds(workload):
    """So much for each operation, each byte and each call."""
    amounts = amounts_of(workload)
    moved = amounts["input"] + amounts["constant"] + amounts["output"]
    return 1e-5 + amounts["macs"] / 5e7 + moved / 2e7


def milliseconds_of_vectors(workload):
    """So much for each step of whole vectors and tiles, though less is written, each byte and each call."""
    amounts = amounts_of(workload)
    moved = amounts["input"] + amounts["constant"] + amounts["output"]
    return 1e-5 + _lane_steps(workload, amounts["macs"]) / 2e7 + moved / 2e7


def _lane_steps(workload, macs):
    """Products in words, by what tiles and vectors are larger than the output."""
    if not macs:
        return 0
    vectors, kernel = vectors_of(workload), kernel_for(workload)
    columns = image_shapes(workload)[1][1] if isinstance(workload, SpatialWorkload) else workload.batch
    tile = min(kernel.tiles(workload, cpu_of("native"))[0].x, columns)
    is_bytewise = getattr(workload, "input", "") in HIGHEST_BYTE and workload.family != "depthwise_conv2d"
    in_a_word = 32 if workload.family.startswith("bitserial") else 4 if is_bytewise else 1
    outside = Cover(columns, tile).padded / columns * vectors.count * vectors.width / vectors.channels
    return macs * outside / in_a_word


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
