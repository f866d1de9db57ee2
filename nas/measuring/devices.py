"""Devices by name for the service: ``local``, those that a ledger knows, and those of plug-ins."""

from contextlib import AbstractContextManager
from typing import TYPE_CHECKING

from nas.hints import command
from nas.ledger.devices import LOCAL, DeviceBook, DeviceEntry, local_entry, unknown_device
from nas.ledger.store import Ledger
from nas.measuring.machine_lock import MachineLock
from search_spaces.errors import AbsentLedgerError, NoDeviceError

if TYPE_CHECKING:
    from latency import Device


def device_entries(ledger: Ledger | None) -> list[DeviceEntry]:
    """All devices: ``local``, those of the ledger, if there is one, and those of plug-ins.

    Of two that have one name the ledger's counts: it was there before.
    """
    entries = _entries(ledger)
    names = {entry.record.name for entry in entries}
    return entries + [_plugin_entry(ledger, name) for name in _plugin_names() if name not in names]


def device_entry(ledger: Ledger, name: str) -> DeviceEntry:
    """The device called ``name``.

    Raises:
        InvalidInput: there is none; the message lists those there are.
    """
    return _entry(ledger, name, ledger.url)


def find_device(storage: str, name: str) -> DeviceEntry:
    """The device called ``name``; ``local`` and those of plug-ins need no ledger at ``storage``.

    Raises:
        InvalidInput: there is none of that name.
        BitnasError: the ledger does not open.
    """
    try:
        with Ledger.open(storage) as ledger:
            return device_entry(ledger, name)
    except AbsentLedgerError:
        return _entry(None, name, storage)


def open_device(ledger: Ledger, name: str, cooldown_s: float = 0.0) -> "Device":
    """The device called ``name``; nothing is sent to it before it is asked for something.

    Raises:
        InvalidInput: neither the ledger nor a plug-in has one of that name.
    """
    import latency

    found = latency.connect(device_entry(ledger, name).record, cooldown_s)
    share(found, MachineLock.of_this_machine(lambda: None))
    return found


def share(device: "Device", lock: MachineLock) -> None:
    """Have a device time alone on its machine, and code be compiled here while nothing is timed here."""

    def alone() -> AbstractContextManager[None]:
        return lock.elsewhere(device.machine) if device.machine else lock.exclusive()

    device.exclusive, device.compiling = alone, lock.shared


def open_absent(ledger: Ledger, name: str) -> "Device":
    """The device called ``name`` as it was when it was last asked, for what needs no answer from it.

    Raises:
        NoDeviceError: it never answered.
    """
    from latency.hardware.absent import AbsentDevice

    entry = device_entry(ledger, name)
    described = _last_description(ledger, name) or entry.description
    if described is None:
        probe = command("device", "probe", name, storage=ledger.url)
        raise NoDeviceError(f"device: '{name}' never answered; see that it is on, and probe it: {probe}")
    return AbsentDevice(entry.record, described)


def open_remembered(ledger: Ledger, name: str) -> "Device":
    """The device called ``name`` for what needs no answer: this machine, or another as it last answered.

    Raises:
        NoDeviceError: it never answered.
    """
    return open_device(ledger, name) if name == LOCAL else open_absent(ledger, name)


def check_device(storage: str, name: str) -> None:
    """Refuse a name that neither the ledger at ``storage`` nor a plug-in knows; ``local`` needs no ledger.

    Raises:
        InvalidInput: there is none of that name.
        BitnasError: the ledger does not open.
    """
    if name != LOCAL:
        find_device(storage, name)


def is_plugin_device(name: str) -> bool:
    """Whether a plug-in has a device of that name."""
    return name in _plugin_names()


def _entry(ledger: Ledger | None, name: str, storage: str) -> DeviceEntry:
    entries = {entry.record.name: entry for entry in _entries(ledger)}
    if name in entries:
        return entries[name]
    if is_plugin_device(name):
        return _plugin_entry(ledger, name)
    raise unknown_device(name, [*entries, *_plugin_names()], storage)


def _entries(ledger: Ledger | None) -> list[DeviceEntry]:
    return [local_entry()] if ledger is None else DeviceBook(ledger).entries()


def _plugin_names() -> list[str]:
    from latency import devices

    return [name for name in devices if name != LOCAL]


def _plugin_entry(ledger: Ledger | None, name: str) -> DeviceEntry:
    """What a plug-in says of its device, and what the ledger's table does."""
    import latency

    described = None if ledger is None else _last_description(ledger, name)
    return DeviceEntry(latency.device(name).record, described)


def _last_description(ledger: Ledger, name: str) -> "dict[str, object] | None":
    from nas.ledger.latencies import SqlLatencyTable

    return SqlLatencyTable(ledger).last_description(name)
