"""``nas device``: the devices that latency is measured on, and the server that runs on them."""

from typing import TYPE_CHECKING, Any

import click

from latency.record import SERVER_KEY
from nas.cli.groups import Group
from nas.cli.options import json_option, storage_option
from nas.cli.output import Column, print_json, print_pairs, print_table, say
from nas.hints import command
from search_spaces.errors import AbsentLedgerError, BitnasError, InvalidInput, Parameter

if TYPE_CHECKING:
    from nas.ledger.devices import DeviceEntry

WARNING = """\
Whoever reaches {address} can run any code as {user}: TVM's RPC has no password."""
TUNNEL = """\
Keep it on loopback, and reach it through SSH from the machine that searches:
  ssh -N -L {port}:127.0.0.1:{port} {user}@THIS-DEVICE
  nas device add NAME --rpc 127.0.0.1:{port} --key {key}"""
DASH = "-"
REACHED = {"local": "here", "plugin": "plug-in"}


@click.group(cls=Group)
def device() -> None:
    """Manage the devices that latency is measured on."""


@device.command()
@click.argument("name")
@click.option("--rpc", metavar="HOST:PORT", help="Where `nas device serve` or TVM's RPC server listens.")
@click.option(
    "--tracker", metavar="HOST:PORT", help="Instead of --rpc: where a tracker of TVM's RPC listens."
)
@click.option("--key", help=f"The key that the server was started with.  [default: {SERVER_KEY}]")
@click.option(
    "--target", default="native", show_default=True, help="What to compile for, such as aarch64+neon."
)
@click.option(
    "--threads", type=int, default=1, show_default=True, help="The number of threads that run a network."
)
@storage_option
def add(
    name: str,
    rpc: str | None,
    tracker: str | None,
    key: str | None,
    target: str,
    threads: int,
    storage: str,
) -> None:
    """Add a device called NAME to the ledger, which is created if needed.

    Without --rpc or --tracker the device is this machine with other settings, such as --threads 2 or
    --target x86-64-v3. Nothing is sent to the device yet.
    """
    from latency import DeviceRecord
    from nas.ledger import Ledger
    from nas.ledger.devices import DeviceBook
    from nas.measuring.devices import is_plugin_device
    from runtime.target import resolve_target

    if rpc is not None and tracker is not None:
        raise InvalidInput("tracker", "a device is reached in one way", "leave out --rpc or --tracker")
    if rpc is not None:
        record = DeviceRecord(name, "rpc", rpc, SERVER_KEY if key is None else key, target, threads)
    elif tracker is not None:
        record = DeviceRecord(name, "tracker", tracker, SERVER_KEY if key is None else key, target, threads)
    elif key is not None:
        raise InvalidInput("key", "this machine has none", "give --rpc or --tracker, too, or leave it out")
    else:
        record = DeviceRecord(name, target=target, threads=threads)
    resolve_target(target)
    if is_plugin_device(name):
        raise InvalidInput("name", f"'{name}' is the device of a plug-in", "choose another name")
    with Ledger.open(storage, create=True) as ledger:
        DeviceBook(ledger).add(record)
    say(f"Added {name}. Next: {command('device', 'probe', name, storage=storage)}")


@device.command("list")
@storage_option
@json_option
def list_(storage: str, as_json: bool) -> None:
    """List the devices, those of plug-ins, too: how each is reached and what the last probe found."""
    entries = _entries(storage)
    if as_json:
        print_json([entry.to_dict() for entry in entries])
        return
    titles = ("name", "reached", "target", "threads", "cpu", "cores", "probed (UTC)")
    print_table([Column(title, right=title in ("threads", "cores")) for title in titles], _rows(entries))
    say(f"Next: {command('device', 'probe', entries[-1].record.name, storage=storage)}")


@device.command()
@click.argument("name")
@storage_option
@json_option
def show(name: str, storage: str, as_json: bool) -> None:
    """Show what is known about the device NAME, without connecting to it."""
    from nas.measuring.devices import find_device

    entry = find_device(storage, name)
    _print_entry(entry, as_json)
    if entry.description is None:
        say(f"Next: {command('device', 'probe', name, storage=storage)}")


@device.command()
@click.argument("name")
@storage_option
@json_option
def probe(name: str, storage: str, as_json: bool) -> None:
    """Connect to the device NAME, ask what it is, and keep the answer."""
    from contextlib import closing
    from dataclasses import replace

    import latency
    from nas.ledger import Ledger
    from nas.ledger.devices import LOCAL, DeviceBook
    from nas.measuring.devices import find_device, is_plugin_device, open_device

    if name == LOCAL or is_plugin_device(name):
        entry = find_device(storage, name)
        if entry.record.reach == "plugin" or name == LOCAL:  # kept nowhere, so that it needs no ledger
            with closing(latency.connect(entry.record)) as found:
                _print_entry(replace(entry, description=found.describe()), as_json)
            return
    with Ledger.open(storage) as ledger:
        with closing(open_device(ledger, name)) as found:
            description = found.describe()
        book = DeviceBook(ledger)
        book.note(name, description)
        _print_entry(book.entry(name), as_json)


@device.command()
@click.argument("name")
@storage_option
def remove(name: str, storage: str) -> None:
    """Forget how the device NAME is reached; what was measured on it stays in the ledger."""
    from nas.ledger import Ledger
    from nas.ledger.devices import DeviceBook
    from nas.measuring.devices import device_entry

    with Ledger.open(storage) as ledger:
        if device_entry(ledger, name).record.reach == "plugin":
            raise InvalidInput("name", f"'{name}' is the device of a plug-in", "it goes with the plug-in")
        DeviceBook(ledger).remove(name)
    say(f"Removed {name}.")


@device.command()
@click.option("--host", default="127.0.0.1", show_default=True, help="The address to listen on.")
@click.option(
    "--port",
    type=click.IntRange(0, 65535),
    default=9090,
    show_default=True,
    help="The port; 0: any that is free.",
)
@click.option(
    "--key", default=SERVER_KEY, show_default=True, help="The key that a client must send; not a password."
)
@click.option("--tracker", metavar="HOST:PORT", help="Also offer sessions through this tracker.")
@click.option(
    "--public-host", default="", help="The host that the tracker gives to clients; if empty, the one it sees."
)
@click.option(
    "--idle-s",
    type=float,
    default=60.0,
    show_default=True,
    help="End a session that does nothing for this many seconds.",
)
def serve(host: str, port: int, key: str, tracker: str | None, public_host: str, idle_s: float) -> None:
    """Run a measuring server on this machine until Ctrl-C; searches elsewhere time their kernels here.

    It speaks TVM's RPC: whoever reaches it can run any code here. By default it listens on loopback only.
    """
    import getpass
    import logging
    import math
    import signal
    import socket

    from latency.hardware.server import Server, ServerOptions
    from latency.record import KEY, split_address

    if not KEY.fullmatch(key):
        raise InvalidInput("key", f"{key!r} is not a key", "1 to 64 letters, digits, '.', '-' or '_'")
    if not host:  # the system would take it for all addresses
        raise InvalidInput("host", "it is empty", "give an address; 127.0.0.1 is this machine only")
    if tracker is not None:
        split_address("tracker", tracker)
    if not 0 < idle_s < math.inf:
        raise InvalidInput("idle_s", f"{idle_s:g} is not a time", "give seconds above 0")
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    options = ServerOptions(host, port, key, tracker or "", public_host, idle_s)
    try:
        server = Server(options)
    except (OSError, OverflowError) as error:
        at = Parameter("host" if isinstance(error, socket.gaierror) else "port")
        problem = f": cannot listen on {host}:{port} ({error}); choose another --port or --host"
        raise BitnasError(at, problem) from error
    user, address = getpass.getuser(), f"{host}:{server.port}"
    say(f"Serving on {address}, key {key}. Ctrl-C ends it.")
    say(WARNING.format(address=address, user=user))
    say(TUNNEL.format(port=server.port, user=user, key=key))
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # a service's stop ends sessions as Ctrl-C does
    try:
        server.run()
    except KeyboardInterrupt:
        say("Stopped.")


def _entries(storage: str) -> "list[DeviceEntry]":
    from nas.ledger import Ledger
    from nas.measuring.devices import device_entries

    try:
        with Ledger.open(storage) as ledger:
            return device_entries(ledger)
    except AbsentLedgerError:
        return device_entries(None)


def _rows(entries: "list[DeviceEntry]") -> list[list[str]]:
    rows = []
    for entry in entries:
        record, found = entry.record, entry.description or {}
        reached = REACHED.get(record.reach, f"{record.reach} {record.address}")
        probed = entry.probed_at.strftime("%Y-%m-%d %H:%M") if entry.probed_at else DASH
        known = [str(found.get("cpu", DASH)), str(found.get("cores", DASH)), probed]
        rows.append([record.name, reached, record.target, str(record.threads), *known])
    return rows


def _print_entry(entry: "DeviceEntry", as_json: bool) -> None:
    if as_json:
        print_json(entry.to_dict())
        return
    pairs: list[tuple[str, Any]] = list(entry.to_dict().items())
    description = dict(pairs).pop("description") or {}
    pairs = [(name, value) for name, value in pairs if name != "description"] + list(description.items())
    print_pairs([(name.replace("_", " "), _text(value)) for name, value in dict(pairs).items()])


def _text(value: Any) -> str:
    if isinstance(value, list):
        return " ".join(map(str, value))
    return DASH if value in (None, "") else str(value)
