"""The commands that end a search: export writes the winner, verify checks what was written."""

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import click
from click.core import ParameterSource

from nas.cli.options import Kilobytes, LimitType, Milliseconds, NamesType, json_option, storage_option
from nas.cli.output import Column, print_json, print_table, quoted, say
from nas.hints import command
from search_spaces.errors import AbsentLedgerError, BitnasError, InvalidInput

if TYPE_CHECKING:
    from nas.export.card import Card
    from nas.export.inspection import Inspected
    from nas.export.verify import Check

_OF_TRIALS = {
    "limits",
    "max_latency_ms",
    "max_size_kb",
    "max_memory_kb",
    "max_macs",
    "number",
    "epochs",
    "storage",
}


@click.command()
@click.argument("search")
@click.option("-o", "--output", type=click.Path(path_type=Path), required=True, help="The folder to write.")
@click.option(
    "--max-latency-ms", type=Milliseconds, help="The largest latency of the whole network, measured."
)
@click.option("--max-size-kb", type=Kilobytes, help="The largest size of the network.")
@click.option("--max-memory-kb", type=Kilobytes, help="The largest peak of its activation memory.")
@click.option("--max-macs", type=float, help="The most multiply-accumulates for one image.")
@click.option(
    "--limit",
    "limits",
    type=LimitType(),
    multiple=True,
    help="The same for any other objective, such as accuracy=0.9 or latency@pi=3.",
)
@click.option("--trial", "number", type=click.IntRange(min=0), help="Export this trial and no other.")
@click.option(
    "--epochs",
    type=click.IntRange(min=0),
    default=0,
    show_default=True,
    help="Train for this many more epochs first.",
)
@click.option(
    "--c-source", type=click.Path(path_type=Path), help="Also write the network as C into this folder."
)
@click.option(
    "--format",
    "formats",
    type=NamesType(),
    default="tvm",
    show_default=True,
    help="The forms to write into the folder: tvm, onnx, c, safetensors, or several, such as tvm,onnx.",
)
@storage_option
@json_option
@click.pass_context
def export(
    context: click.Context,
    /,
    search: str,
    output: Path,
    limits: tuple[tuple[str, float], ...],
    number: int | None,
    epochs: int,
    c_source: Path | None,
    formats: tuple[str, ...],
    storage: str,
    as_json: bool,
    **named_limits: float | None,
) -> None:
    """Write the most accurate trial of SEARCH within the limits as a compiled, tested network.

    SEARCH may also be the folder of a finished training, or of `nas compress`; then its network is written. A
    limit that you do not give is the search's own. The folder holds machine code, packed weights, a card with
    the figures, and predict.py, which needs only numpy and apache-tvm-ffi.
    """
    from nas.export.card_rows import card_rows
    from nas.export.compressed import export_compressed, file_of
    from nas.export.trainings import export_trained, is_training

    compressed = file_of(search)
    if compressed is not None:
        _refuse_options_of_trials(context, search)
        card = export_compressed(compressed, output, c_source=c_source, forms=formats, say=say)
    elif is_training(search):
        _refuse_options_of_trials(context, search)
        card = export_trained(Path(search), output, c_source=c_source, forms=formats, say=say)
    else:
        given = {**named_limits, **dict(limits)}
        card = _export_trial(storage, search, output, given, number, epochs, c_source, formats)
    if as_json:
        print_json(card.model_dump())
    else:
        print_table([Column("figure"), Column("value", right=True), Column("how")], card_rows(card))
    say(f"{card.title} is in {output}")
    if card.disturbed:
        say(f"Do not rely on its latency: the machine was disturbed ({card.disturbed})")
    if c_source is not None:
        has_program = (c_source / "Makefile").exists()
        build = f"make -C {quoted(c_source)}" if has_program else f"cc -c {quoted(c_source / 'network.c')}"
        say(f"Wrote it as C to {c_source}; build it with: {build}")
    say(f"Next: {command('verify', output, storage=None if compressed or is_training(search) else storage)}")


def _export_trial(
    storage: str,
    search: str,
    output: Path,
    limits: dict[str, float | None],
    number: int | None,
    epochs: int,
    c_source: Path | None,
    forms: tuple[str, ...],
) -> "Card":
    """Export from a search; a limit that is not given is the search's own."""
    from nas.export.trials import export as run
    from nas.export.trials import limits_of
    from nas.ledger import Ledger

    with Ledger.open(storage) as ledger:
        config = ledger.search(search).config
        wanted = limits_of(config, limits)
        return run(
            ledger,
            search,
            output,
            limits=wanted,
            number=number,
            epochs=epochs,
            c_source=c_source,
            forms=forms,
            say=say,
        )


def _refuse_options_of_trials(context: click.Context, folder: str) -> None:
    for parameter in context.command.params:
        name = str(parameter.name)
        if name in _OF_TRIALS and context.get_parameter_source(name) is ParameterSource.COMMANDLINE:
            problem = f"it is about the trials of a search, and '{folder}' is none"
            raise InvalidInput(name, problem, "leave it out")


@click.command()
@click.argument("folder", type=click.Path(path_type=Path))
@click.option(
    "--latency-tolerance",
    type=float,
    help="The share by which the latency may exceed the card's, instead of the card's interval.",
)
@click.option("--files-only", is_flag=True, help="Check the files alone, and run nothing of them.")
@storage_option
@json_option
@click.pass_context
def verify(
    context: click.Context,
    folder: Path,
    latency_tolerance: float | None,
    files_only: bool,
    storage: str,
    as_json: bool,
) -> None:
    """Check an exported network in FOLDER: its files, then classes, accuracy, size and latency.

    The files are checked before anything in them runs. Compiled code then runs as you: have it run only if
    you trust who made it. A folder of the forms onnx and safetensors alone holds no code.

    A latency above the card's fails only if nothing disturbs the machine; otherwise it is not judged. When
    all of it holds, the ledger that it was exported from keeps the date.
    """
    from nas.export.inspection import inspect
    from nas.export.verify import verify as run

    if files_only:
        if latency_tolerance is not None:
            problem = "nothing is timed where files alone are checked"
            raise InvalidInput("latency_tolerance", problem, "leave out one of the two options")
        _tell_files(inspect(folder), as_json)
        return
    checks = run(folder, latency_tolerance, _tell_code)
    if as_json:
        print_json([asdict(check) for check in checks])
    else:
        columns = [Column(title) for title in ("check", "stated", "found", "holds")]
        print_table(columns, [(c.name, c.stated, c.found, _holds(c)) for c in checks])
    if failed := [check for check in checks if check.holds is False]:
        say(f"Error: {folder}: {_wrong(failed)}")
        context.exit(1)
    if unjudged := [check for check in checks if check.holds is None]:
        told, again = (
            ", ".join(f"{check.name} ({check.note})" for check in unjudged),
            command("verify", folder, storage=storage),
        )
        say(f"Verified, except what could not be judged now: {told}; again: {again}")
    else:
        say("Verified.")
        _note(storage, folder)
    say(f"Next: {command('predict', folder, 'photo.png')}")


def _tell_files(found: "Inspected", as_json: bool) -> None:
    """What a folder holds, of which nothing was run."""
    rows = [(name, "code" if name in found.code else "data") for name in sorted(found.manifest.files)]
    if as_json:
        forms = [form.name for form in found.forms]
        print_json({"forms": forms, "files": dict(rows), "code": [*found.code]})
    else:
        print_table([Column("file"), Column("holds")], rows)
    say("The files are those of the manifest, and nothing of them was run.")
    _tell_code(found)


def _tell_code(found: "Inspected") -> None:
    """Whether a folder holds code, before it runs."""
    if found.code:
        say(
            f"It holds code ({', '.join(found.code)}), which can do all that you can: run it only if you "
            "trust who made it. A folder exported with --format onnx,safetensors holds none."
        )
    else:
        say("It holds no code.")


def _note(storage: str, folder: Path) -> None:
    """Keep in the ledger that a folder holds, where it is from there; a ledger that is not there is none."""
    from nas.export.verify import note
    from nas.ledger import Ledger

    try:
        with Ledger.open(storage) as ledger:
            for record in note(ledger, folder):
                say(f"Noted for trial {record.number} of search {record.search}.")
    except AbsentLedgerError:
        return
    except BitnasError as error:
        say(f"The date is not kept: {error}")


def _holds(check: "Check") -> str:
    if check.holds is None:
        return "not judged"
    answer = "yes" if check.holds else "NO"
    return f"{answer}, {check.note}" if check.note else answer


def _wrong(failed: "list[Check]") -> str:
    """What does not hold, and what to do about it."""
    if [check.name for check in failed] == ["latency"]:
        return (
            "the latency is above what the card states, though nothing disturbs the machine; its clock, "
            "memory or cores may be limited now; where that is to stay, export it again"
        )
    return f"{', '.join(check.name for check in failed)} differ from the card; export it again"
