"""``nas db``: brings the database of a ledger up to date, checks it, and copies it."""

from pathlib import Path

import click

from nas.cli.groups import Group
from nas.cli.options import json_option, storage_option
from nas.cli.output import print_json, say
from nas.formatting import counted
from nas.hints import command


@click.group(cls=Group)
def db() -> None:
    """Upgrade, check or back up the database of a ledger."""


@db.command()
@storage_option
@json_option
def upgrade(storage: str, as_json: bool) -> None:
    """Bring the schema up to date; a SQLite file is copied beside itself before.

    Every command but 'nas dashboard' does that to an older ledger, without a copy. Here you see what is done.
    """
    from nas.ledger.upkeep import upgrade as act

    done = act(storage)
    if as_json:
        print_json(done.to_dict())
        return
    if done.backup is not None:
        say(f"Copied the file as it was to {done.backup}")
    for step in done.steps:
        click.echo(step)
    told = f"from {done.before} to {done.after}" if done.steps else f"{done.after} already, this version's"
    say(f"The schema went {told}." if done.steps else f"The schema is {told}.")


@db.command()
@storage_option
@json_option
@click.pass_context
def check(context: click.Context, storage: str, as_json: bool) -> None:
    """Look for damage, rows that belong to nothing, and trials that cannot be; a line for each.

    Nothing is changed. The exit code is 1 where something was found.
    """
    from nas.ledger.inspecting import check as act

    found = act(storage)
    if as_json:
        print_json([finding.to_dict() for finding in found])
    else:
        for finding in found:
            click.echo(str(finding))
        say(f"Found {counted(len(found), 'problem')}." if found else "All is well.")
    context.exit(1 if found else 0)


@db.command()
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--overwrite", is_flag=True, help="Write over a file that is there already.")
@storage_option
@json_option
def backup(file: Path, overwrite: bool, storage: str, as_json: bool) -> None:
    """Write the whole ledger, as it is now, to FILE, a SQLite database; searches may go on meanwhile."""
    from nas.ledger.upkeep import backup as act

    act(storage, file, overwrite=overwrite)
    written = f"sqlite:///{file}"
    if as_json:
        print_json({"file": str(file), "bytes": file.stat().st_size, "storage": written})
    else:
        say(f"Wrote {file}. Next: {command('searches', storage=written)}")
