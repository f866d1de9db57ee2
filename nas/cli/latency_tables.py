"""``nas latency export`` and ``import``: a device's table moves between ledgers."""

from pathlib import Path

import click

from nas.cli.latency_model import device_option
from nas.cli.options import storage_option
from nas.cli.output import say
from nas.cli.writing import write_text
from nas.formatting import counted
from nas.hints import command
from search_spaces.errors import BitnasError


@click.command("export")
@device_option
@click.option("-o", "--output", type=click.Path(path_type=Path), required=True, help="The file to write.")
@storage_option
def export_(device: str, output: Path, storage: str) -> None:
    """Write a device's table: a line of JSON for each kernel and each network that was learned from."""
    from latency.model.table_file import write_lines
    from nas.ledger import Ledger
    from nas.ledger.latencies import SqlLatencyTable
    from nas.measuring.devices import check_device, open_remembered

    check_device(storage, device)
    with Ledger.open(storage, create=True) as ledger:
        lines = write_lines(SqlLatencyTable(ledger), open_remembered(ledger, device).identity)
    if not lines:
        again = command("latency", "measure", "--device", device, storage=storage)
        raise BitnasError(f"device: nothing was measured on '{device}'; measure first: {again}")
    write_text("output", output, "".join(line + "\n" for line in lines))
    following = command("latency", "import", output)
    say(f"Wrote {counted(len(lines), 'measurement')} to {output}. Next: {following}")


@click.command("import")
@click.argument("file", type=click.Path(path_type=Path))
@storage_option
def import_(file: Path, storage: str) -> None:
    """Add the measurements of FILE, which `nas latency export` wrote: all of them or none.

    Measurements that are there already stay, unless they are older.
    """
    from latency.model.table_file import newer, read_lines
    from nas.ledger import Ledger
    from nas.ledger.latencies import SqlLatencyTable

    found = read_lines(file)
    with Ledger.open(storage, create=True) as ledger:
        table = SqlLatencyTable(ledger)
        lines = list(newer(table, found))
        table.put_lines(lines)
    say(f"Added {len(lines)} of {len(found)} measurements; the others were there already.")
