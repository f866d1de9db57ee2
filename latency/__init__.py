"""The latency room: devices, how code is timed on them, the latency table, and predictions from it."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from search_spaces.errors import MeasurementError, NoDeviceError

if TYPE_CHECKING:
    from latency.hardware.device import Device, connect, device, devices
    from latency.model.model import LatencyModel, Prediction
    from latency.model.table import LatencyTable, MemoryTable
    from latency.record import DeviceRecord
    from latency.timing.measurement import Measurement

__all__ = [
    "Device",
    "DeviceRecord",
    "LatencyModel",
    "LatencyTable",
    "Measurement",
    "MeasurementError",
    "MemoryTable",
    "NoDeviceError",
    "Prediction",
    "connect",
    "device",
    "devices",
]

_HOMES = {
    "Device": "hardware.device",
    "DeviceRecord": "record",
    "LatencyModel": "model.model",
    "LatencyTable": "model.table",
    "Measurement": "timing.measurement",
    "MemoryTable": "model.table",
    "Prediction": "model.model",
    "connect": "hardware.device",
    "device": "hardware.device",
    "devices": "hardware.device",
}


def __getattr__(name: str) -> Any:
    """Import what is asked for when it is asked for: TVM is heavy."""
    if name not in _HOMES:
        raise AttributeError(f"module 'latency' has no attribute '{name}'")
    return getattr(import_module(f"latency.{_HOMES[name]}"), name)
