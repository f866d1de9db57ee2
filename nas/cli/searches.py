"""``nas searches``: list the searches of a ledger; rename, delete, copy, write and read one."""

from pathlib import Path

import click

from nas.cli.groups import Group, refuse_before
from nas.cli.naming import called
from nas.cli.options import json_option, storage_option
from nas.cli.output import Column, print_json, print_table, say
from nas.cli.reading import STATES, opened, search_row
from nas.formatting import counted
from nas.hints import command
from search_spaces.errors import BitnasError, InvalidInput, Parameter


@click.group(cls=Group, invoke_without_command=True)
@storage_option
@json_option
@click.pass_context
def searches(context: click.Context, storage: str, as_json: bool) -> None:
    """List the searches in a ledger, the oldest first; or rename, delete, copy, export or import one."""
    if context.invoked_subcommand is not None:
        refuse_before(context)
        return
    from nas.analysis.searches_data import SearchesData

    with opened(storage) as ledger:
        found = SearchesData().rows(ledger)[::-1]
    for damaged in (search.unread for search in found if search.unread is not None):
        raise damaged
    if as_json:
        print_json([search.to_dict() for search in found])
    elif not found:
        say(f"No searches in {storage} yet; 'nas search --help' says how to start one.")
    else:
        titles = ("name", "space", "data", "device", "sampler", "state", "time left")
        counts = [Column(title, right=True) for title in ("best", "trials", *STATES)]
        columns = [*map(Column, titles), *counts, Column("started (UTC)")]
        print_table(columns, [search_row(search) for search in found])
        say(f"Next: {command('trials', found[-1].record.name, storage=storage)}")


@searches.command()
@click.argument("search")
@click.argument("new")
@storage_option
def rename(search: str, new: str, storage: str) -> None:
    """Call SEARCH by the name NEW."""
    from nas.ledger.changing import rename as act

    with opened(storage) as ledger:
        act(ledger, search, new)
    say(f"'{search}' is called '{new}' now.")


@searches.command()
@click.argument("search")
@click.option("--yes", is_flag=True, help="Do not ask.")
@storage_option
@click.pass_context
def delete(context: click.Context, search: str, yes: bool, storage: str) -> None:
    """Delete SEARCH with its trials and weights; what was measured of devices stays."""
    from nas.ledger.changing import remove

    with opened(storage) as ledger:
        trials = ledger.search(search).trials
        if not yes and not _confirmed(f"Delete '{search}' with its {counted(trials, 'trial')}?"):
            say("Nothing was deleted.")
            context.exit(1)
        remove(ledger, search)
    say(f"Deleted '{search}'.")


def _confirmed(question: str) -> bool:
    """The answer of whoever is there; Ctrl-C is left to the caller.

    Raises:
        InvalidInput: nobody is there.
    """
    try:
        return click.confirm(question, err=True)
    except click.Abort as abort:
        if not isinstance(abort.__context__, EOFError):
            raise
        say("")  # the question has left its line open
        told = "it is missing where nobody can be asked"
        raise InvalidInput("yes", told, "give it, and nothing is asked") from None


@searches.command()
@click.argument("search")
@click.argument("new", required=False)
@click.option("--to", metavar="URL", help="The database to copy to; it is made if it is not there.")
@storage_option
def copy(search: str, new: str | None, to: str | None, storage: str) -> None:
    """Copy SEARCH, weights included, as NEW, or to another database.

    A trial that runs is queued in the copy. What was measured of devices is not copied.
    """
    from nas.ledger import Ledger
    from nas.ledger.moving import search_line, trial_lines, write

    name = new or search
    if to is None and name == search:
        raise InvalidInput("new", f"a copy beside '{search}' needs another name", "give one, or --to URL")
    with opened(storage) as source:
        line = search_line(source, search)
        there = {} if to is None else {"storage": "to"}
        with called(name="new", **there), Ledger.open(to or storage, create=to is not None) as target:
            write(target, line, trial_lines(source, search, weights=True), name)
    say(f"Next: {command('trials', name, storage=to or storage)}")


@searches.command("export")
@click.argument("search")
@click.option(
    "--output",
    "-o",
    type=click.Path(path_type=Path),
    metavar="FILE.jsonl",
    help="Write to a file, not stdout.",
)
@click.option("--overwrite", is_flag=True, help="Write over a file that is there already.")
@click.option("--weights", is_flag=True, help="With the trained weights, which make it large.")
@storage_option
def export_lines(search: str, output: Path | None, overwrite: bool, weights: bool, storage: str) -> None:
    """Write SEARCH as JSON lines, one for itself and one a trial, with curves and results.

    A trial that runs is written as queued.
    """
    from nas.cli.writing import check_target, write_text
    from nas.ledger.moving import search_line, trial_lines

    if output is not None:
        check_target("output", output)
        if output.exists() and not overwrite:
            fix = "name another file, or give ", Parameter("overwrite")
            raise InvalidInput("output", f"'{output}' is there already", fix)
    with opened(storage) as ledger:
        lines = [search_line(ledger, search), *trial_lines(ledger, search, weights)]
        text = "".join(f"{line.to_text()}\n" for line in lines)
    if output is None:
        click.echo(text, nl=False)
    else:
        write_text("output", output, text)
        say(f"Wrote {output}: {len(lines) - 1} trials")


@searches.command("import")
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--name", metavar="NAME", help="What to call it, if not as it was called.")
@storage_option
def import_lines(file: Path, name: str | None, storage: str) -> None:
    """Put the search in FILE, which 'nas searches export' wrote, into the database: all of it or nothing."""
    from nas.ledger import Ledger
    from nas.ledger.moving import read_file, write

    try:
        with file.open("rb") as lines:
            search, trials = read_file(lines, _say_unchecked)
            with Ledger.open(storage, create=True) as ledger:
                write(ledger, search, trials, name or search.name)
    except OSError as error:
        raise BitnasError(Parameter("file"), f": cannot read '{file}' ({error.strerror})") from error
    say(f"Next: {command('trials', name or search.name, storage=storage)}")


def _say_unchecked(count: int, space: str) -> None:
    """Of architectures that only a space of one's own could check."""
    told = f"Not checked: {counted(count, 'architecture')}, as space '{space}' is not loaded"
    say(f"{told}; 'nas --plugin FILE searches import' checks what a plug-in's space offers")
