"""``nas search``: start a search or go on with one, show how it goes, and say what to type next."""

from typing import Any

import click

from nas.cli.config_file import typed_wins
from nas.cli.groups import Group, refuse_before
from nas.cli.naming import called
from nas.cli.options import json_option, storage_option
from nas.cli.output import print_json, print_pairs, say
from nas.cli.search_options import goals, how_to_run, what_to_try, which_search
from nas.cli.settings import command_settings, config_of, given_settings, settings_of, to_toml
from nas.hints import command
from nas.ledger.records import SearchRecord
from search_spaces.errors import InvalidInput, Parameter

EACH_TIME = {
    *("resume", "more", "minutes", "storage", "workers", "executor", "as_json", "verbose", "dry_run"),
    *("ray_address", "cpus_per_trial", "gpus_per_trial"),
}
"""What may be said again when a search goes on; the rest was fixed when it was made."""

OF_REWARD = {"reward", "target_latency_ms", "w"}


@click.group(cls=Group, invoke_without_command=True)
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
    if context.invoked_subcommand is not None:
        refuse_before(context)
        return
    from nas.cli.search_report import report
    from nas.executors.base import settings_among
    from nas.searching.checking import check_run

    options = typed_wins(context, options)
    given, is_planned = settings_among(options), options["dry_run"]
    asked = options["workers"], options["executor"], options["minutes"]
    check_run(*asked, least=int(is_planned), settings=given, begins=not is_planned)
    if is_planned:
        _plan(context, options)
        return
    record = _created(context, options) if options["resume"] is None else _resumed(context, options)
    if not options["workers"]:
        _leave_to_others(record, options)
        return
    _run(record.name, options)
    report(options["storage"], record.name, options["as_json"])


def _leave_to_others(record: SearchRecord, options: dict[str, Any]) -> None:
    """Nobody works on the search from here: say what to type where somebody does."""
    storage = options["storage"]
    if options["as_json"]:
        print_json(record.to_dict())
    say(f"'{record.name}' waits for workers, on any machine that reaches its database")
    say(f"Next, there: {command('worker', record.name, storage=storage)}")


@search.command()
@click.argument("name")
@click.option("--toml", "as_toml", is_flag=True, help="Write a file that --config takes.")
@storage_option
@json_option
@click.pass_context
def show(context: click.Context, name: str, as_toml: bool, storage: str, as_json: bool) -> None:
    """Show the settings that the search NAME was made with."""
    from nas.ledger import Ledger

    if as_toml and as_json:
        raise InvalidInput(
            "as_toml", ("it and ", Parameter("as_json"), " are two forms"), "give one of the two"
        )
    with Ledger.open(storage) as ledger:
        record = ledger.search(name)
    made_by = record.origin.made_by
    if made_by and as_toml:
        problem = f"'{name}' was made by a command ({made_by}), whose settings no file holds"
        raise InvalidInput("as_toml", problem, "leave it out to see them")
    settings = command_settings(record) if made_by else settings_of(record, search.params)
    if as_json:
        print_json(settings)
    elif as_toml:
        click.echo(to_toml(settings), nl=False)
    else:
        print_pairs([(key, _shown(value)) for key, value in settings.items()])


def _shown(value: Any) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{name}={_shown(part)}" for name, part in value.items())
    return ", ".join(map(str, value)) if isinstance(value, list | tuple) else str(value)


def _created(context: click.Context, options: dict[str, Any]) -> SearchRecord:
    from nas.bars import decoding
    from nas.searching.creating import create

    if options["more"] is not None:
        raise InvalidInput("more", "it is for a search that is there", "give --resume, too, or --trials")
    name, config = options["name"], config_of(context, options)
    if name is None:
        raise InvalidInput("name", "a new search needs a name", "give one, or --resume an old search")
    begin = options["first"], options["warm_start"]
    with decoding() as progress:
        return create(options["storage"], str(name), config, progress, *begin)


def _resumed(context: click.Context, options: dict[str, Any]) -> SearchRecord:
    from nas.searching.creating import resume

    if options["more"] == 0:
        raise InvalidInput("more", "0 is out of range", "give a whole number above 0")
    record = _stored(context, options)
    with called(search="resume"):
        return resume(options["storage"], record.name, options["more"] or 0)


def _stored(context: click.Context, options: dict[str, Any]) -> SearchRecord:
    """The search that is to go on; InvalidInput where settings are given that are not its own."""
    from nas.ledger import Ledger
    from nas.searching.checking import with_whole_path
    from nas.searching.differences import refuse_changes
    from nas.searching.needs import check_plugins

    with called(search="resume"), Ledger.open(options["storage"]) as ledger:
        record = ledger.search(options["resume"])
    check_plugins(record, "resume")
    if names := given_settings(context) - EACH_TIME:
        _refuse_beginning(options, names)
        if OF_REWARD & names:
            names |= {"objectives"}
        refuse_changes(record, with_whole_path(config_of(context, options)), names)
    return record


def _refuse_beginning(options: dict[str, Any], names: set[str]) -> None:
    for name in ("first", "warm_start"):
        if name in names:
            raise InvalidInput(name, f"'{options['resume']}' has begun", "leave it out, or make a new search")
    if "name" in names and options["name"] != options["resume"]:
        rename = command("searches", "rename", options["resume"], options["name"], storage=options["storage"])
        raise InvalidInput("name", f"'{options['resume']}' goes on", f"leave it out, or rename it: {rename}")


def _plan(context: click.Context, options: dict[str, Any]) -> None:
    from nas.cli.search_plan import show_plan
    from nas.searching.checking import check_pruner

    if options["resume"] is None:
        config = config_of(context, options)
        check_pruner(config)
        show_plan(options, config, options["trials"])
        return
    record = _stored(context, options)
    left = sum(count for state, count in record.counts.items() if not state.finished)
    show_plan(options, record.config, left + (options["more"] or 0))


def _as_run(options: dict[str, Any]) -> dict[str, Any]:
    """The options that say where trials run, as far as they are not the usual ones."""
    from nas.executors.base import LOCAL, settings_among

    executor = {} if options["executor"] == LOCAL else {"executor": options["executor"]}
    workers = {} if options["workers"] == 1 else {"workers": options["workers"]}
    return {**executor, **settings_among(options), **workers}


def _run(name: str, options: dict[str, Any]) -> None:
    from nas.executors.base import settings_among
    from nas.searching.shown import run_shown

    shared = ("storage", "workers", "executor", "verbose", "minutes")
    try:
        given = {setting: options[setting] for setting in shared}
        spent = run_shown(name=name, progress=True, settings=settings_among(options), **given)
    except KeyboardInterrupt:
        resume = command("search", resume=name, **_as_run(options), storage=options["storage"])
        click.echo(f"\nFinished trials are kept; continue with: {resume}", err=True)
        raise click.Abort from None
    for sentence in spent.sentences("--verbose"):
        click.echo(sentence, err=True)
