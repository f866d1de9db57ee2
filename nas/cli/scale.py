"""``nas scale``: larger versions of a trial's network, within a latency, and their training on request."""

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import click
from click.core import ParameterSource

from nas.cli.options import Milliseconds, json_option, storage_option
from nas.cli.output import Column, print_json, print_table, say
from nas.formatting import counted, interval, kilobytes, milliseconds
from nas.hints import command
from search_spaces.errors import InvalidInput, Parameter

if TYPE_CHECKING:
    from latency import LatencyModel
    from nas.ledger import Ledger, SearchConfig, TrialRecord
    from nas.searching.scaling import Proposal
    from search_spaces import Architecture
    from search_spaces.scaling import Scale

    _Range = click.ParamType[tuple[int, ...]]
else:
    _Range = click.ParamType

OF_TRAINING = ("epochs", "name", "workers", "executor")
"""Options of ``--train``."""
MOST_STEPS = 8
"""As many as EfficientNet's largest has, beyond its first."""


class StepsType(_Range):
    """Reads ``1..4`` and ``2``."""

    name = "steps"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[int, ...]:
        """The numbers of steps; a click error where the text is none."""
        if isinstance(value, tuple):
            return value
        found = re.fullmatch(r"([1-9]\d*)(?:\.\.([1-9]\d*))?", str(value).strip(), re.ASCII)
        low, high = (int(found[1]), int(found[2] or found[1])) if found else (1, 0)
        if not low <= high <= MOST_STEPS:
            self.fail(f"'{value}' is no range of 1..{MOST_STEPS}; give one such as 1..4, or 2", param, ctx)
        return tuple(range(low, high + 1))


@click.command()
@click.argument("search")
@click.argument("number", type=click.IntRange(min=0))
@click.option(
    "--compound",
    type=StepsType(),
    default="1..4",
    show_default=True,
    help="How many steps to scale by; each about doubles the latency.",
)
@click.option("--max-latency-ms", type=Milliseconds, help="Propose nothing that is slower.")
@click.option(
    "--each",
    type=click.IntRange(min=1),
    default=1,
    show_default=True,
    help="How many architectures to propose for each number of steps, the most even first.",
)
@click.option(
    "--measure", is_flag=True, help="Time the kernels of what is proposed, instead of estimating them."
)
@click.option("--train", is_flag=True, help="Train what is proposed, as the trials of a search.")
@click.option("--epochs", type=int, help="How many epochs; as the search's if not given.")
@click.option(
    "--name", metavar="NAME", help="The name of the search that trains; SEARCH-scaled if not given."
)
@click.option("--workers", type=int, default=1, show_default=True, help="How many are trained at once.")
@click.option(
    "--executor", default="local", show_default=True, metavar="NAME", help="Where they are trained: local."
)
@storage_option
@json_option
@click.pass_context
def scale(context: click.Context, /, search: str, number: int, **options: Any) -> None:
    """Propose larger versions of trial NUMBER of SEARCH.

    As EfficientNet's compound scaling: stages of more blocks, wider ones, and larger images where the search
    scales its images, in steps that each about double the latency on the search's device.
    """
    from nas.ledger import Ledger
    from nas.ledger.records import check_limits
    from nas.searching.scaling import scalable

    check_limits({"max_latency_ms": options["max_latency_ms"]})
    for name in OF_TRAINING:
        is_given = context.get_parameter_source(name) is ParameterSource.COMMANDLINE
        if is_given and not options["train"]:
            raise InvalidInput(name, "it is about the training", ("give ", Parameter("train"), ", too"))
    with Ledger.open(options["storage"]) as ledger:
        config, trial = ledger.search(search).config, ledger.trial(search, number)
        architecture = scalable(config, trial)
        if options["train"]:
            _check_training(ledger, search, options)
    steps, found = _proposed(config, architecture, options)
    if not options["as_json"]:
        _print(steps, found, options["compound"])
    names = _train(config, search, found, options) if options["train"] else []
    if options["as_json"]:
        print_json(_as_json(trial, steps, found, names))
    elif not names:
        again = {k.replace("_", "-"): options[k] for k in ("max_latency_ms",) if options[k] is not None}
        words = ("scale", search, number, "--compound", found[-1].phi, "--train")
        say(f"Next: {command(*words, storage=options['storage'], **again)}")


def _check_training(ledger: "Ledger", search: str, options: dict[str, Any]) -> None:
    """Refuse what could not be trained so, before anything is estimated or timed.

    The names of searches for larger images are known, and checked, once these are.
    """
    from dataclasses import replace

    from nas.ledger.records import check_search_name
    from nas.searching.checking import check_run
    from nas.searching.needs import check_plugins

    record = ledger.search(search)
    check_plugins(record)
    check_run(options["workers"], options["executor"])
    if options["epochs"] is not None:
        replace(record.config, epochs=options["epochs"])  # which checks it
    ledger.check_new([check_search_name(_name(search, options))])


def _name(search: str, options: dict[str, Any]) -> str:
    """Of the search that trains what is proposed."""
    return options["name"] or f"{search}-scaled"


def _proposed(
    config: "SearchConfig", architecture: "Architecture", options: dict[str, Any]
) -> "tuple[list[Scale], list[Proposal]]":
    from nas.cli.latency_model import open_model
    from nas.searching.scaling import first_steps, is_resizable, proposals

    with open_model(options["storage"], config.device, is_needed=options["measure"], brief=True) as model:
        _get_known(model, config, architecture)
        steps = first_steps(architecture, model.estimate, is_resizable(config, architecture))
        latency_of = model.predict if options["measure"] else model.estimate
        limit, each = options["max_latency_ms"], options["each"]
        return steps, proposals(architecture, steps, options["compound"], latency_of, limit, each)


def _get_known(model: "LatencyModel", config: "SearchConfig", architecture: "Architecture") -> None:
    """Profile the device, unless enough is known of it to estimate from, or it is away."""
    from latency.model.profiling import profile
    from nas.bars import show_progress
    from nas.trials.setup import data_of, space_of
    from search_spaces.errors import MeasurementError

    try:
        model.estimate(architecture)
    except MeasurementError:
        if not model.kernels.measures:
            raise
        space = space_of(config, data_of(config))
        with show_progress() as progress:
            profile(model, space, lambda done, of: progress("profiling the device", done, of))


def _print(steps: "Sequence[Scale]", found: "Sequence[Proposal]", phis: Sequence[int]) -> None:
    best = steps[0]
    factors = f"depth x {best.depth:g}, width x {best.width:g}, images x {best.resolution:g}"
    say(f"The most even of {counted(len(steps), 'step')} that about double the latency: {factors}")
    print_table(COLUMNS, [_row(proposal) for proposal in found])
    within = {proposal.phi for proposal in found}
    if over := [str(phi) for phi in phis if phi not in within]:
        say(f"Over the limit: {'step' if len(over) == 1 else 'steps'} {', '.join(over)}")


COLUMNS = (
    Column("steps", right=True),
    Column("depth", right=True),
    Column("width", right=True),
    Column("image", right=True),
    Column("latency ms", right=True),
    Column("90 %"),
    Column("how"),
    Column("size kB", right=True),
    Column("MACs", right=True),
    Column("digest"),
)


def _row(found: "Proposal") -> list[str]:
    latency, scale = found.latency, found.scale
    missing = len(latency.estimated)
    return [
        str(found.phi),
        f"x{scale.depth:.2f}",
        f"x{scale.width:.2f}",
        str(found.architecture.input_shape[1]),
        milliseconds(latency.milliseconds),
        interval(latency.low, latency.high),
        f"{counted(missing, 'kernel')} estimated" if missing else "measured",
        kilobytes(found.kilobytes),
        f"{found.macs:,.0f}",
        found.architecture.digest[:12],
    ]


def _train(
    config: "SearchConfig", search: str, found: "Sequence[Proposal]", options: dict[str, Any]
) -> list[str]:
    """Train what is proposed; the names of the searches."""
    from nas.bars import decoding
    from nas.cli.search_report import report
    from nas.ledger import Ledger
    from nas.searching.creating import create
    from nas.searching.scaling import searches_of
    from nas.searching.shown import run_shown

    limit = options["max_latency_ms"]
    wanted = searches_of(config, _name(search, options), found, options["epochs"], limit)
    storage = options["storage"]
    with Ledger.open(storage) as ledger:
        ledger.check_new(wanted)
    for name, settings in wanted.items():
        with decoding() as progress:
            create(storage, name, settings, progress)
    for name in wanted:
        run_shown(storage, name, options["workers"], options["executor"], progress=True)
        if not options["as_json"]:
            report(storage, name, as_json=False)
    return list(wanted)


def _as_json(
    trial: "TrialRecord", steps: "Sequence[Scale]", found: "Sequence[Proposal]", names: Sequence[str]
) -> dict[str, Any]:
    from dataclasses import asdict

    return {
        "search": trial.search,
        "number": trial.number,
        "steps": [asdict(step) for step in steps],
        "proposals": [proposal.to_dict() for proposal in found],
        "searches": list(names),
    }
