"""Devices by name, and by record: this machine, plug-ins, and those behind RPC."""

from dataclasses import replace

from latency.hardware.device import Device
from latency.hardware.local import LocalDevice
from latency.hardware.rpc import RpcDevice
from latency.record import DeviceRecord, Reach
from search_spaces.registry import Registry

LOCAL = "local"

devices: Registry[Device | type[Device]] = Registry("device", "devices")
"""``local`` and what plug-ins add: a device, or a class of it that is made without arguments."""
devices.add(LOCAL, LocalDevice())


def device(name: str) -> Device:
    """The device called ``name``, of those that need no record: of a class a new one each time.

    Raises:
        InvalidInput: there is none; the message lists those there are.
    """
    known = devices.get(name)
    found = known() if isinstance(known, type) else known
    reach: Reach = "local" if name == LOCAL else "plugin"
    if (found.record.name, found.record.reach) != (name, reach):  # so that a card's record leads here again
        found.record = replace(found.record, name=name, reach=reach)
    return found


def connect(record: DeviceRecord, cooldown_s: float = 0.0) -> Device:
    """The device of a record; nothing is sent before it is asked for something.

    ``cooldown_s`` is how long to wait before each batch of measurements; a plug-in's device decides itself.

    Raises:
        InvalidInput: it is a plug-in's, and that is not installed.
    """
    if record.reach == "local":
        return LocalDevice(record.name, record.threads, record.target, cooldown_s)
    if record.reach == "plugin":
        return device(record.name)
    return RpcDevice(record, cooldown_s)
