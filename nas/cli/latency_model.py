"""What the commands of ``nas latency`` share: the model of a device, and a space by name."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import click

from nas.cli.output import say
from search_spaces.errors import NoDeviceError

if TYPE_CHECKING:
    from latency import LatencyModel

device_option = click.option("--device", default="local", show_default=True, help="The device.")


@contextmanager
def open_model(
    storage: str, device: str, cooldown_s: float = 0.0, is_needed: bool = True, brief: bool = False
) -> "Iterator[LatencyModel]":
    """The model of a device; of one that is away and not needed, what was measured of it and estimates.

    ``brief``: what searches measured is good enough.
    """
    from latency import LatencyModel
    from nas.ledger import Ledger
    from nas.ledger.latencies import SqlLatencyTable
    from nas.measuring.devices import check_device, open_absent, open_device

    check_device(storage, device)
    with Ledger.open(storage, create=True) as ledger:
        found = open_device(ledger, device, cooldown_s)
        table = SqlLatencyTable(ledger)
        try:
            try:
                table.register(found.identity, target=found.target, description=found.describe())
            except NoDeviceError as error:
                if is_needed:
                    raise
                say(f"{error}; continuing with what was measured before")
                yield LatencyModel(open_absent(ledger, device), table, measure=False)
                return
            yield LatencyModel(found, table, brief=brief)
        finally:
            found.close()


def space_called(name: str) -> Any:
    """The search space of that name; InvalidInput where there is none."""
    from search_spaces.search_space import spaces

    return spaces.get(name)
