"""The commands that end a search: export writes the winner, verify checks what was written."""

from dataclasses import asdict
from pathlib import Path

import click

from nas.cli.options import json_option, storage_option
from nas.cli.output import Column, print_json, print_table, say


@click.command()
@click.argument("search")
@click.option("-o", "--output", type=click.Path(path_type=Path), required=True, help="The folder to write.")
@click.option("--max-latency-ms", type=float, help="Export a trial that is at most this slow, measured.")
@click.option("--max-size-kb", type=float, help="Export a trial that is at most this large.")
@click.option("--trial", "number", type=click.IntRange(min=0), help="Export this trial and no other.")
@click.option(
    "--epochs", type=click.IntRange(min=0), default=0, show_default=True, help="Train on for so many epochs."
)
@click.option("--c-source", type=click.Path(path_type=Path), help="Write the network as C here, too.")
@storage_option
@json_option
def export(
    search: str,
    output: Path,
    max_latency_ms: float | None,
    max_size_kb: float | None,
    number: int | None,
    epochs: int,
    c_source: Path | None,
    storage: str,
    as_json: bool,
) -> None:
    """Write the most accurate trial of SEARCH within the limits as a compiled, tested network.

    Without limits the search's own count. The folder holds machine code, packed weights, a card with the
    figures, and predict.py, which needs nothing but numpy and apache-tvm-ffi.
    """
    from nas.export import Limits
    from nas.export import export as run
    from nas.ledger import Ledger

    with Ledger.open(storage) as ledger:
        config = ledger.search(search).config
        limits = Limits(
            max_latency_ms if max_latency_ms is not None else config.max_latency_ms,
            max_size_kb if max_size_kb is not None else config.max_size_kb,
        )
        card = run(
            ledger, search, output, limits=limits, number=number, epochs=epochs, c_source=c_source, say=say
        )
    if as_json:
        print_json(card.model_dump())
    else:
        print_table([Column("figure"), Column("value", right=True), Column("how")], card.rows())
    say(f"Wrote trial {card.trial} to {output}")
    if c_source is not None:
        say(f"Wrote it as C to {c_source}; build it with: cc -std=c99 -O3 -c {c_source / 'network.c'}")
    say(f"Next: nas verify {output}")


@click.command()
@click.argument("folder", type=click.Path(path_type=Path))
@click.option(
    "--latency-tolerance",
    type=float,
    default=0.5,
    show_default=True,
    help="By what share the latency may be above the card's.",
)
@json_option
@click.pass_context
def verify(context: click.Context, folder: Path, latency_tolerance: float, as_json: bool) -> None:
    """Check an exported network in FOLDER: checksums, target, classes, accuracy, size and latency."""
    from nas.verify import verify as run

    checks = run(folder, latency_tolerance)
    failed = [check for check in checks if not check.holds]
    if as_json:
        print_json([asdict(check) for check in checks])
    else:
        columns = [Column(title) for title in ("check", "stated", "found", "holds")]
        rows = [(c.name, c.stated, c.found, "yes" if c.holds else "NO") for c in checks]
        print_table(columns, rows)
    if failed:
        say(f"Error: {folder}: {', '.join(c.name for c in failed)} differ from the card; export it anew")
        context.exit(1)
    say(f"Verified. Next: python {folder / 'predict.py'}")
