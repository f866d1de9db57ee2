"""``nas latency``: fill a device's table, calibrate, judge and explain predictions."""

import math
from pathlib import Path
from typing import TYPE_CHECKING

import click

from nas.bars import show_progress
from nas.cli.groups import Group
from nas.cli.latency_explain import explain
from nas.cli.latency_model import device_option, open_model, space_called
from nas.cli.latency_tables import export_, import_
from nas.cli.options import json_option, storage_option
from nas.cli.output import Column, print_json, print_pairs, print_table, say
from nas.cli.writing import check_target, write_figure
from nas.formatting import MISSING, counted, interval, milliseconds, numbered, percent
from nas.hints import command

if TYPE_CHECKING:
    from latency import LatencyModel
    from latency.model.evaluation import Evaluation, RegressorErrors
    from nas.measuring.front_check import Checked
    from search_spaces.search_space import SearchSpace

space_option = click.option("--space", default="tiny", show_default=True, help="The space of the networks.")
MAX_COOLDOWN_S = 30.0
"""A server ends a session that does nothing for twice as long."""


def finite(context: click.Context, option: click.Parameter, value: float) -> float:
    """Refuse what click's ranges let through: no number is above or below ``nan``."""
    if not math.isfinite(value):
        raise click.BadParameter(f"{value:g} is no number of its range; give a finite one")
    return value


cooldown_option = click.option(
    "--cooldown-s",
    type=click.FloatRange(0, MAX_COOLDOWN_S),
    callback=finite,
    default=0.0,
    show_default=True,
    help="Seconds to wait before each batch of measurements.",
)


@click.group(cls=Group)
def latency() -> None:
    """Measure, predict and explain what networks cost on a device."""


@latency.command()
@space_option
@device_option
@click.option(
    "--networks",
    type=click.IntRange(1),
    default=100,
    show_default=True,
    help="How many networks to take kernels from.",
)
@cooldown_option
@storage_option
def measure(space: str, device: str, networks: int, cooldown_s: float, storage: str) -> None:
    """Measure the kernels of many networks ahead of a search; those already measured are not repeated."""
    from latency.model.calibration import measure_space

    chosen = space_called(space)
    with open_model(storage, device, cooldown_s) as model, show_progress() as progress:
        count = measure_space(model, chosen, networks, progress)
    say(f"Measured {counted(count, 'kernel')} of {counted(networks, 'network')} on {device}.")
    following = command("latency", "calibrate", "--space", space, "--device", device, storage=storage)
    say(f"Next: {following}")


@latency.command()
@space_option
@device_option
@click.option(
    "--minutes",
    type=click.FloatRange(0, min_open=True),
    callback=finite,
    default=30.0,
    show_default=True,
    help="The time limit.",
)
@click.option(
    "--networks",
    type=click.IntRange(10, 150),
    default=100,
    show_default=True,
    help="How many networks to learn from at most.",
)
@cooldown_option
@storage_option
@json_option
def calibrate(
    space: str, device: str, minutes: float, networks: int, cooldown_s: float, storage: str, as_json: bool
) -> None:
    """Measure whole networks, correct predictions by them, and report the error on other networks."""
    from latency.model.calibration import calibrate as run

    chosen = space_called(space)
    with open_model(storage, device, cooldown_s) as model, show_progress() as progress:
        found = run(model, chosen, minutes, networks, progress)
    _report(found, as_json)
    following = command("search", "--name", "NAME", "--space", space, "--device", device, storage=storage)
    say(f"Next: {following}")


@latency.command()
@space_option
@device_option
@click.option(
    "--networks",
    type=click.IntRange(2),
    default=100,
    show_default=True,
    help="How many networks to judge by.",
)
@click.option(
    "--seed",
    type=click.IntRange(0),
    default=2_000_000,
    show_default=True,
    help="The seed that draws the networks.",
)
@click.option(
    "--plot", type=click.Path(path_type=Path), metavar="FILE", help="Draw predicted against measured."
)
@cooldown_option
@storage_option
@json_option
def evaluate(
    space: str,
    device: str,
    networks: int,
    seed: int,
    plot: Path | None,
    cooldown_s: float,
    storage: str,
    as_json: bool,
) -> None:
    """Predict and measure networks drawn by a seed, and print how far apart the two are.

    This also judges the regressor that estimates kernels, on kernels of a family and size it has not seen.
    """
    from latency.model.calibration import evaluate as run

    chosen = space_called(space)
    if plot is not None:
        check_target("plot", plot)
    with open_model(storage, device, cooldown_s) as model, show_progress() as progress:
        found = run(model, chosen, networks, seed, progress)
        unseen = _unseen(model, chosen, networks, seed)
    _report(found, as_json, unseen)
    if plot is not None:
        from nas.figures.latency import scatter

        title = f"{counted(networks, 'network')} of {space} on {device}"
        write_figure("plot", plot, scatter(found, title), title)
        say(f"Wrote {plot}")


@latency.command()
@click.argument("search")
@storage_option
@json_option
@click.pass_context
def verify(context: click.Context, search: str, storage: str, as_json: bool) -> None:
    """Compile and time each network of SEARCH's front on its device, and compare with the prediction.

    The new times replace older ones. A network that breaks the search's limit is marked and never exported.
    """
    from nas.ledger import Ledger
    from nas.measuring.bench import DeviceBench
    from nas.measuring.front_check import check_front

    with Ledger.open(storage) as ledger, show_progress() as show:
        found = list(check_front(ledger, search, DeviceBench, lambda *at: show("networks", *at)))
    if as_json:
        print_json([member.to_dict() for member in found])
    else:
        titles = ("trial", "accuracy", "predicted ms", "measured ms", "by repeats", "error")
        print_table([*(Column(t, right=True) for t in titles), Column("note")], [_member(m) for m in found])
    if unmeasured := [member.number for member in found if member.problem]:
        say(f"Error: {numbered('trial', unmeasured)}: not measured; the notes say why")
        context.exit(1)
    if disturbed := [member.number for member in found if member.disturbed]:
        again = command("latency", "verify", search, storage=storage)
        told = "not judged, because the machine is disturbed; good times measured before are kept"
        say(f"{numbered('Trial', disturbed)}: {told}; when it is quiet: {again}")
    if all(member.is_over for member in found):
        say(
            f"No network of the front is within the limit. Next: {command('trials', search, storage=storage)}"
        )
    else:
        say(f"Next: {command('export', search, '-o', 'winner/', storage=storage)}")


def _report(found: "Evaluation", as_json: bool, unseen: "RegressorErrors | None" = None) -> None:
    if as_json:
        alone = {"kernels": unseen.kernels, "networks": unseen.networks} if unseen else None
        print_json({**found.to_dict(), "regressor_mape_unseen": alone})
        return
    coverage = found.coverage
    pairs = [
        ("networks", str(len(found.networks))),
        ("mean absolute error", percent(found.mape)),
        ("within 5 %", percent(found.within(0.05))),
        ("within 10 %", percent(found.within(0.1))),
        ("Kendall's tau", f"{found.tau:.3f}"),
        *([("on a disturbed machine", str(found.disturbed))] if found.disturbed else []),
        (
            "in their interval",
            "-, not calibrated" if coverage is None else f"{percent(coverage)} (promised 90%)",
        ),
    ]
    if unseen is not None:
        pairs.append(("regressor alone, unseen kernels", percent(unseen.kernels)))
        pairs.append(("regressor alone, their networks", percent(unseen.networks)))
    print_pairs(pairs)


def _unseen(model: "LatencyModel", space: "SearchSpace", count: int, seed: int) -> "RegressorErrors | None":
    """The regressor's error on kernels of unseen families and sizes; None where too few were measured."""
    from itertools import islice

    from latency.model.calibration import architectures
    from latency.model.evaluation import judge_regressor
    from latency.model.regressor import MIN_KERNELS
    from latency.model.workloads import workloads_of
    from runtime import Workload
    from runtime.target import cpu_of
    from runtime.workload.base import is_known

    rows = model.table.rows(model.device.identity)
    if len(rows) < 3 * MIN_KERNELS:
        return None
    times = {Workload.from_key(key): row.milliseconds for key, row in rows.items() if is_known(key)}
    cpu = cpu_of(model.device.target)
    return judge_regressor(times, cpu, map(workloads_of, islice(architectures(space, seed), count)))


def _member(member: "Checked") -> list[str]:
    error = MISSING if member.error is None else f"{member.error:+.1%}"
    figures = [percent(member.accuracy), milliseconds(member.predicted_ms), milliseconds(member.measured_ms)]
    repeats = interval(member.low_ms, member.high_ms) or MISSING
    limit = ["over the limit"] if member.is_over else []
    noise = [f"machine disturbed: {member.disturbed}"] if member.disturbed else []
    return [str(member.number), *figures, repeats, error, member.problem or ", ".join([*limit, *noise])]


latency.add_command(explain)
latency.add_command(export_)
latency.add_command(import_)
