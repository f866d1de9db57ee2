"""``nas report``: a search as one HTML file, to send to somebody or to keep."""

from datetime import UTC, datetime
from pathlib import Path

import click

from nas.cli.options import storage_option
from nas.cli.output import say
from nas.cli.reading import opened
from nas.cli.writing import check_target, write_text


@click.command()
@click.argument("search")
@click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path, dir_okay=False),
    required=True,
    help="The file to write.",
)
@storage_option
def report(search: str, output: Path, storage: str) -> None:
    """Write the views of SEARCH into one HTML file, which opens without a network.

    It holds the front, limits with the best network within them, all choices, progress, importance, learning
    curves, the workers and the trials, linked as in 'nas dashboard'.
    """
    from nas.analysis.search_data import SearchData
    from nas.figures.data import describe_counts
    from nas.figures.frame import NUMBER
    from nas.figures.report import report_html
    from nas.hints import command
    from nas.ledger.needs import check_objectives

    check_target("output", output)
    with opened(storage) as ledger:
        record = ledger.search(search)
        check_objectives(search, record.config)
        data = SearchData(ledger, search)
        kinds = {
            # whoever gets the file has the ledger elsewhere, if at all
            "frame": {**data.frame(), "export": command("export", search, trial=NUMBER, output="winner/")},
            "history": data.history(),
            "curves": data.curves(),
            "drawings": data.drawings(),
        }
    config = record.config
    settings = [record.drawn_from, config.data, config.device, record.drawn_by, f"seed {config.seed}"]
    about = f"{', '.join(filter(None, settings))}: {describe_counts(record)}."
    about += f" Written {datetime.now(UTC):%Y-%m-%d %H:%M} UTC."
    write_text("output", output, report_html(search, about, kinds))
    say(f"Wrote {output} ({output.stat().st_size / 1e6:.1f} MB). Next: open it in a browser")
