"""The latency room: devices, how code is timed on them, the latency table, and predictions from it."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from latency.hardware import Device, connect, device, devices
    from latency.measurement import Measurement, MeasurementError, NoDeviceError
    from latency.model import LatencyModel, Prediction
    from latency.record import DeviceRecord
    from latency.table import LatencyTable, MemoryTable

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
    "Device": "hardware",
    "DeviceRecord": "record",
    "LatencyModel": "model",
    "LatencyTable": "table",
    "Measurement": "measurement",
    "MeasurementError": "measurement",
    "MemoryTable": "table",
    "NoDeviceError": "measurement",
    "Prediction": "model",
    "connect": "hardware",
    "device": "hardware",
    "devices": "hardware",
}


def __getattr__(name: str) -> Any:
    """Import what is asked for when it is asked for: TVM is heavy."""
    if name not in _HOMES:
        raise AttributeError(f"module 'latency' has no attribute '{name}'")
    return getattr(import_module(f"latency.{_HOMES[name]}"), name)
