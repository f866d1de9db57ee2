"""``nas search``: start a search or go on with one, show how it goes, and say what to type next."""

from dataclasses import fields
from typing import Any

import click
from click.core import ParameterSource

from nas.cli.search_goals import goals_of
from nas.cli.search_options import goals, how_to_run, what_to_try, which_search
from nas.hints import command
from nas.ledger.records import SearchConfig
from search_spaces.errors import InvalidInput

# What may be said again when a search goes on; the rest was fixed when it was made.
_WITH_RESUME = {"resume", "storage", "workers", "executor", "as_json", "verbose"}


@click.command()
@which_search
@what_to_try
@goals
@how_to_run
@click.pass_context
def search(context: click.Context, /, **options: Any) -> None:
    """Search a space for the best trade-offs of accuracy, latency and size.

    Every trial is written to the database as it runs. A search that was stopped or killed keeps what was
    finished; continue it with --resume.
    """
    from nas.bars import decoding
    from nas.cli.search_report import report
    from nas.searching import search as service

    storage = options["storage"]
    service.check_run(options["workers"], options["executor"])
    if options["resume"] is not None:
        _refuse_settings(context)
        record = service.resume(storage, options["resume"])
    else:
        name, config = _name(options), _config(context, options)
        with decoding() as progress:
            begin = options["first"], options["warm_start"]
            record = service.create(storage, name, config, progress, *begin)
    _run(record.name, options)
    report(storage, record.name, options["as_json"])


def _name(options: dict[str, Any]) -> str:
    name = options["name"]
    if name is None:
        raise InvalidInput("name", "a new search needs a name", "give one, or --resume an old search")
    return str(name)


def _config(context: click.Context, options: dict[str, Any]) -> SearchConfig:
    options = {**options, **goals_of(context, options)}
    named = {f.name for f in fields(SearchConfig)} - {"first"}  # which is checked once the space is known
    return SearchConfig(**{name: options[name] for name in named if name in options})


def _refuse_settings(context: click.Context) -> None:
    for name in context.params:
        given = context.get_parameter_source(name) is ParameterSource.COMMANDLINE
        if given and name not in _WITH_RESUME:
            raise InvalidInput(name, "a search goes on with the settings it was made with", "leave it out")


def _run(name: str, options: dict[str, Any]) -> None:
    from nas.searching.shown import run_shown

    settings = {setting: options[setting] for setting in ("storage", "workers", "executor", "verbose")}
    try:
        spent = run_shown(name=name, progress=True, **settings)
    except KeyboardInterrupt:
        resume = command("search", resume=name, storage=options["storage"])
        click.echo(f"\nFinished trials are kept; continue with: {resume}", err=True)
        raise click.Abort from None
    for sentence in spent.sentences("--verbose"):
        click.echo(sentence, err=True)
