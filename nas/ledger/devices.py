"""The devices that a ledger knows by name: how each is reached, and what was found there."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from sqlalchemy import delete, insert, select, update
from sqlalchemy.exc import IntegrityError

from nas.hints import command
from nas.ledger.away import patient
from nas.ledger.store import Ledger
from nas.ledger.tables import KnownDevice
from search_spaces.errors import InvalidInput, nearest

if TYPE_CHECKING:
    from latency import DeviceRecord

LOCAL = "local"


@dataclass(frozen=True)
class DeviceEntry:
    """A device, what the last probe found (None before one), and when that was."""

    record: "DeviceRecord"
    description: dict[str, Any] | None = None
    probed_at: datetime | None = None

    def to_dict(self) -> dict[str, Any]:
        """JSON-able."""
        probed = self.probed_at.isoformat() if self.probed_at else None
        return {**asdict(self.record), "description": self.description, "probed_at": probed}


class DeviceBook:
    """Devices by name; ``local`` is always there."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger

    @patient
    def entries(self) -> list[DeviceEntry]:
        """All devices, ``local`` first, then in the order they were added."""
        with self._ledger.reading() as session:
            known = [_entry(row) for row in session.scalars(select(KnownDevice).order_by(KnownDevice.id))]
        if all(entry.record.name != LOCAL for entry in known):
            known.insert(0, local_entry())
        return known

    @patient
    def entry(self, name: str) -> DeviceEntry:
        """The device called ``name``.

        Raises:
            InvalidInput: there is none; the message lists those there are.
        """
        with self._ledger.reading() as session:
            row = session.scalar(select(KnownDevice).where(KnownDevice.name == name))
        if row is not None:
            return _entry(row)
        if name == LOCAL:
            return local_entry()
        raise unknown_device(name, [entry.record.name for entry in self.entries()], self._ledger.url)

    def add(self, record: "DeviceRecord") -> None:
        """Note a new device.

        Raises:
            InvalidInput: the name is taken.
        """
        row = {"name": record.name, "record": asdict(record), "created_at": datetime.now(UTC)}
        remove = command("device", "remove", record.name, storage=self._ledger.url)
        fix = f"choose another name, or remove it first: {remove}"
        if record.name == LOCAL:
            raise InvalidInput("name", f"'{LOCAL}' is this machine", "choose another name")
        try:
            with self._ledger.writing() as session:
                session.execute(insert(KnownDevice).values(**row))
        except IntegrityError as error:
            raise InvalidInput("name", f"'{record.name}' is taken", fix) from error

    def note(self, name: str, description: Mapping[str, Any]) -> None:
        """Keep what a probe found, in place of what an earlier one did; ``local`` is kept nowhere."""
        found = {"description": dict(description), "probed_at": datetime.now(UTC)}
        with self._ledger.writing() as session:
            session.execute(update(KnownDevice).where(KnownDevice.name == name).values(**found))

    def remove(self, name: str) -> None:
        """Forget how a device is reached; what was measured on it stays.

        Raises:
            InvalidInput: there is none, or it is ``local``.
        """
        if name == LOCAL:
            raise InvalidInput("name", f"'{LOCAL}' is this machine", "it cannot be removed")
        self.entry(name)
        with self._ledger.writing() as session:
            session.execute(delete(KnownDevice).where(KnownDevice.name == name))


def unknown_device(name: str, known: list[str], storage: str) -> InvalidInput:
    """The error for a name that no device has in the ledger at ``storage``."""
    add = command("device", "add", name, rpc="HOST:PORT", key="KEY", storage=storage)
    fix = f"{nearest(name, known)}choose one of {', '.join(known)}, or add it: {add}"
    return InvalidInput("device", f"unknown name {name!r}", fix)


def local_entry() -> DeviceEntry:
    from latency import DeviceRecord

    return DeviceEntry(DeviceRecord(LOCAL))


def _entry(row: KnownDevice) -> DeviceEntry:
    from latency import DeviceRecord

    return DeviceEntry(DeviceRecord(**row.record), row.description, row.probed_at)
