"""Which machine a device of a search is: that of the first worker that has found it."""

from dataclasses import replace

from sqlalchemy import select

from nas.ledger.away import patient
from nas.ledger.origin import Origin
from nas.ledger.store import Ledger
from nas.ledger.tables import Search


@patient
def settle_device(ledger: Ledger, search: str, device: str, identity: str) -> str:
    """The key of a search's device: ``identity``, unless another machine was there first.

    The same machine with other code, as of a newer version, takes the place of the older one.
    """
    from latency.hardware.device import same_hardware

    with ledger.reading() as session:
        stored = session.scalar(select(Search.origin).where(Search.name == search))
    if Origin.from_dict(stored).devices.get(device) == identity:
        return identity
    with ledger.writing() as session:
        row = session.scalars(select(Search).where(Search.name == search).with_for_update()).one()
        origin = Origin.from_dict(row.origin)
        kept = origin.devices.get(device, identity)
        if not same_hardware(kept, identity):
            return kept
        row.origin = replace(origin, devices={**origin.devices, device: identity}).to_dict()
        return identity
