"""``python -m benchmarks.search``: every algorithm on tables of trained networks, beside Optuna's."""

import json
from collections.abc import Iterable, Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

import click

from benchmarks.blocks import write_block
from benchmarks.command import NewFile
from benchmarks.search import page
from benchmarks.search.contenders import Contender, contenders
from benchmarks.search.runs import Run, grouped, keep, kept, run
from benchmarks.search.summary import markdown, mean_curve, summaries
from benchmarks.search.targets import Target, tables, targets
from benchmarks.search.train_digits import machine

KEPT_EVERY = 10
"""Trials between two points of a curve in the JSON."""


@click.command()
@click.option("--table", "names", multiple=True, type=click.Choice(list(tables)), help="All if not given.")
@click.option("--only", multiple=True, metavar="NAME", help="One of the contenders; may be given again.")
@click.option("--seeds", default=10, help="Searches a contender.")
@click.option("--trials", default=200, help="Networks a search.")
@click.option("--workers", default=1, help="That search at once; Optuna's has one always.")
@click.option("--again", is_flag=True, help="Also what is in --runs already.")
@click.option("--runs", type=click.Path(dir_okay=False, path_type=Path), default="search-runs.jsonl")
@click.option("--json", "output", type=NewFile(), help="Where results go.")
@click.option(
    "--docs", type=click.Path(exists=True, dir_okay=False, path_type=Path), help="The page to mend."
)
@click.option("--picture", type=click.Path(dir_okay=False, path_type=Path), help="Curves of the first table.")
def main(
    names: tuple[str, ...],
    only: tuple[str, ...],
    seeds: int,
    trials: int,
    workers: int,
    again: bool,
    runs: Path,
    output: Path | None,
    docs: Path | None,
    picture: Path | None,
) -> None:
    """Search what RUNS does not have yet, then print the tables of all that it has."""
    chosen = {name: each for name, each in contenders().items() if not only or name in only}
    searched = [target for name in names or tables for target in targets(name)]
    if again:
        forget(runs, set(chosen), {target.name for target in searched})
    for each in missing(searched, chosen, seeds, trials, workers, {each.key for each in kept(runs)}):
        keep(runs, each)
        click.echo(f"{each.table} {'+'.join(each.objectives)} {each.contender} {each.seed}", err=True)
    found = [each for each in kept(runs) if (each.trials, each.workers) == (trials, workers)]
    order = [(target.name, target.objectives) for target in searched]
    places = [(order.index((e.table, e.objectives)), e) for e in found if (e.table, e.objectives) in order]
    shown = [each for _, each in sorted(places, key=lambda place: place[0])]
    told = report(shown)
    click.echo(told)
    if output is not None:
        output.write_text(json.dumps(results(shown), indent=1) + "\n", encoding="utf-8")
    if docs is not None:
        write_block(docs, "search", f"{page.told_by('python -m benchmarks.search')}\n\n{told}")
    if picture is not None:
        (table, objectives), first = next(iter(grouped(shown).items()))
        page.draw(first, f"{table}: {', '.join(objectives)}; mean of {seeds} seeds", picture)


def missing(
    searched: Iterable[Target],
    chosen: dict[str, Contender],
    seeds: int,
    trials: int,
    workers: int,
    known: set[tuple[object, ...]],
) -> Iterator[Run]:
    """Run what is not known."""
    for target in searched:
        for name, contender in chosen.items():
            for seed in range(seeds):
                if (target.name, target.objectives, name, seed, trials, workers) not in known:
                    yield run(target, name, contender, seed=seed, trials=trials, workers=workers)


def forget(runs: Path, names: set[str], tables: set[str]) -> None:
    """Take the runs of contenders on tables out of the file."""
    left = [each for each in kept(runs) if each.contender not in names or each.table not in tables]
    runs.unlink(missing_ok=True)
    for each in left:
        keep(runs, each)


def report(runs: Iterable[Run]) -> str:
    """A table for each target."""
    return "\n\n".join(
        f"**{table}**, {', '.join(objectives)}:\n\n{markdown(summaries(found))}"
        for (table, objectives), found in grouped(runs).items()
    )


def results(runs: Iterable[Run]) -> dict[str, Any]:
    """The summaries, and the mean curves after every tenth trial."""
    return {
        "machine": machine(),
        "targets": [
            {
                "table": table,
                "objectives": list(objectives),
                "contenders": [
                    {**asdict(summary), "curve": _thinned(found[summary.contender])}
                    for summary in summaries(found)
                ],
            }
            for (table, objectives), found in grouped(runs).items()
        ],
    }


def _thinned(runs: list[Run]) -> list[float]:
    return [round(float(share), 4) for share in mean_curve(runs)[KEPT_EVERY - 1 :: KEPT_EVERY]]


if __name__ == "__main__":
    main()
