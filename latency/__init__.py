"""The latency room: devices, how code is timed on them, the latency table, and predictions from it."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from search_spaces.errors import MeasurementError, NoDeviceError

if TYPE_CHECKING:
    from latency.hardware.device import Device
    from latency.hardware.local import LocalDevice
    from latency.hardware.names import connect, device, devices
    from latency.hardware.rpc import RpcDevice
    from latency.model.model import LatencyModel
    from latency.model.prediction import Prediction
    from latency.model.table import LatencyTable, MemoryTable, NetworkMeasurement
    from latency.record import DeviceRecord
    from latency.timing.conditions import Conditions
    from latency.timing.measurement import Measurement

__all__ = [
    "Conditions",
    "Device",
    "DeviceRecord",
    "LatencyModel",
    "LatencyTable",
    "LocalDevice",
    "Measurement",
    "MeasurementError",
    "MemoryTable",
    "NetworkMeasurement",
    "NoDeviceError",
    "Prediction",
    "RpcDevice",
    "connect",
    "device",
    "devices",
]

_HOMES = {
    "Conditions": "timing.conditions",
    "Device": "hardware.device",
    "DeviceRecord": "record",
    "LatencyModel": "model.model",
    "LatencyTable": "model.table",
    "LocalDevice": "hardware.local",
    "Measurement": "timing.measurement",
    "MemoryTable": "model.table",
    "NetworkMeasurement": "model.table",
    "Prediction": "model.prediction",
    "RpcDevice": "hardware.rpc",
    "connect": "hardware.names",
    "device": "hardware.names",
    "devices": "hardware.names",
}


def __getattr__(name: str) -> Any:
    """Import what is asked for when it is asked for: TVM is heavy."""
    if name not in _HOMES:
        raise AttributeError(f"module 'latency' has no attribute '{name}'")
    return getattr(import_module(f"latency.{_HOMES[name]}"), name)
