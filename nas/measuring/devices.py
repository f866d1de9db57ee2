"""Devices by name for the service: ``local``, or one that the ledger knows how to reach."""

from typing import TYPE_CHECKING

from nas.hints import command
from nas.ledger.devices import LOCAL, DeviceBook, unknown_device
from nas.ledger.store import Ledger
from search_spaces.errors import AbsentLedgerError, NoDeviceError

if TYPE_CHECKING:
    from latency import Device


def open_device(ledger: Ledger, name: str, cooldown_s: float = 0.0) -> "Device":
    """The device called ``name``; nothing is sent to it before it is asked for something.

    Raises:
        InvalidInput: the ledger knows none of that name.
    """
    import latency

    if name == LOCAL:
        return latency.connect(latency.DeviceRecord(name), cooldown_s)
    return latency.connect(DeviceBook(ledger).entry(name).record, cooldown_s)


def open_absent(ledger: Ledger, name: str) -> "Device":
    """The device called ``name`` as it was when it was last asked, for what needs no answer from it.

    Raises:
        NoDeviceError: it never answered.
    """
    from latency.hardware.device import AbsentDevice
    from nas.ledger.latencies import SqlLatencyTable

    book = DeviceBook(ledger).entry(name)
    table = SqlLatencyTable(ledger)
    described = table.last_description(name) or book.description
    if described is None:
        probe = command("device", "probe", name, storage=ledger.url)
        raise NoDeviceError(f"device: '{name}' never answered; see that it is on, and probe it: {probe}")
    return AbsentDevice(book.record, described)


def open_remembered(ledger: Ledger, name: str) -> "Device":
    """The device called ``name`` for what needs no answer: this machine, or another as it last answered.

    Raises:
        NoDeviceError: it never answered.
    """
    return open_device(ledger, name) if name == LOCAL else open_absent(ledger, name)


def check_device(storage: str, name: str) -> None:
    """Refuse a name that the ledger at ``storage`` does not know; ``local`` needs no ledger.

    Raises:
        InvalidInput: it knows none of that name.
        BitnasError: the ledger does not open.
    """
    if name == LOCAL:
        return
    try:
        with Ledger.open(storage) as ledger:
            DeviceBook(ledger).entry(name)
    except AbsentLedgerError as error:
        raise unknown_device(name, [LOCAL], storage) from error
