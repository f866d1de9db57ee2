"""``nas search --dry-run``: tells what would be searched, and writes nothing."""

from statistics import quantiles
from typing import TYPE_CHECKING, Any

from nas.cli.output import Column, print_json, print_pairs, print_table, say
from nas.formatting import counted, kilobytes, lasting, milliseconds

if TYPE_CHECKING:
    from nas.ledger.records import SearchConfig
    from nas.searching.plan import Plan

SHARES = (0.1, 0.25, 0.5, 0.75, 0.9)
"""Of the architectures that take no more than is shown."""


def show_plan(options: dict[str, Any], config: "SearchConfig", trials: int) -> None:
    """Print the plan of a search of so many trials."""
    from nas.bars import show_on_terminal
    from nas.searching.plan import plan_of

    with show_on_terminal() as show:
        plan = plan_of(options["storage"], config, options["first"], options["warm_start"], show)
    trained = min(trials, plan.size.number) if plan.size.is_exact else trials  # then the space is exhausted
    seconds = plan.seconds(trained, options["workers"])
    if options["as_json"]:
        print_json(_plain(plan, trials, seconds))
        return
    print_pairs(_facts(plan, trials, options["workers"], seconds))
    if plan.sizes_kb:
        _print_costs(plan)
    say("Nothing was written; without --dry-run it begins.")


def _facts(plan: "Plan", trials: int, workers: int, seconds: float | None) -> list[tuple[str, str]]:
    config = plan.config
    each = f"{counted(config.epochs, 'epoch')} each" + (f", {config.repeats} times" * (config.repeats > 1))
    facts = [
        ("space", f"{config.space}: {counted_architectures(plan)}"),
        ("data", config.data or "none"),
        ("device", _device(plan)),
        ("objectives", ", ".join(config.objectives)),
        ("within limits", _within(plan)),
        ("trials", f"{trials}, {each}, {counted(workers, 'worker')}{_exhausted(plan, trials)}"),
        ("sampler", f"{config.sampler}, seed {config.seed}"),
        ("pruner", config.pruner),
    ]
    if plan.pretrained_share is not None:
        told = f"{plan.pretrained_share:.0%} of the weights of an architecture (median)"
        facts.append(("pretrained", f"{config.pretrained}: {told}"))
    return [*facts, ("time", _time(plan, seconds))]


def _time(plan: "Plan", seconds: float | None) -> str:
    from nas.searching.plan import pauses

    if seconds is None:
        return "not known: no such trial is in the ledger"
    about = "at most" if pauses(plan.config) else "about"
    measuring = ", measuring apart" if plan.config.device else ""
    return f"{about} {lasting(seconds)}{measuring}, by {plan.told_by}"


def _exhausted(plan: "Plan", trials: int) -> str:
    is_short = plan.size.is_exact and plan.size.number < trials
    return f"; the space has {plan.size.number}, so the search ends after these" if is_short else ""


def counted_architectures(plan: "Plan") -> str:
    """How many there are, in words."""
    return f"{plan.size} architectures" if plan.size.number != 1 else "1 architecture"


def _device(plan: "Plan") -> str:
    if not plan.config.device:
        return "none"
    is_known = bool(plan.latencies_ms) or not plan.sizes_kb
    return plan.config.device + (
        "" if is_known else ", not profiled yet; the search does that when it begins"
    )


def _within(plan: "Plan") -> str:
    if plan.share_within is not None:
        return f"{plan.share_within:.0%} of the architectures"
    is_limited = plan.config.limited or plan.config.shares
    return "cannot be told yet" if is_limited else "all, there are none"


def _print_costs(plan: "Plan") -> None:
    latencies = _at(plan.latencies_ms) if plan.latencies_ms else [None] * len(SHARES)
    columns = [Column("architectures"), Column("latency ms", right=True), Column("size kB", right=True)]
    rows = [
        (f"{share:.0%} take at most", milliseconds(ms), kilobytes(kb))
        for share, ms, kb in zip(SHARES, latencies, _at(plan.sizes_kb), strict=True)
    ]
    print_table(columns, rows, title=f"Estimated for {counted(len(plan.sizes_kb), 'architecture')}")


def _at(values: tuple[float, ...]) -> list[float]:
    """The quantiles of ``SHARES``."""
    found = quantiles(values, n=100, method="inclusive") if len(values) > 1 else list(values) * 99
    return [found[round(100 * share) - 1] for share in SHARES]


def _plain(plan: "Plan", trials: int, seconds: float | None) -> dict[str, Any]:
    def by_share(values: tuple[float, ...]) -> dict[str, float]:
        return dict(zip(map(str, SHARES), _at(values), strict=True)) if values else {}

    return {
        "config": plan.config.to_dict(),
        "architectures": plan.size.number,
        "architectures_exact": plan.size.is_exact,
        "latency_ms": by_share(plan.latencies_ms),
        "size_kb": by_share(plan.sizes_kb),
        "share_within": plan.share_within,
        "pretrained_share": plan.pretrained_share,
        "trials": trials,
        "seconds": seconds,
        "seconds_by": plan.told_by if seconds is not None else None,
    }
