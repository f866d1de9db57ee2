"""What is told of runs: shares of the hypervolume, trials needed, how often the best was found."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean

import numpy as np
from numpy.typing import NDArray

from benchmarks.search.runs import Run

MARKS = (25, 50, 100, 200)
"""After how many trials the hypervolume is told."""
YARDSTICK, REACHED = "random", 0.99
"""Whose final hypervolume the others are to reach, and which share of it."""
TOP_BY = (50, 200)


@dataclass(frozen=True)
class Summary:
    """One contender's runs.

    Attributes:
        contender: whose.
        seeds: how many runs there are.
        mean: the mean share of the hypervolume, by the number of trials (of ``MARKS``).
        worst: the least of all seeds, likewise.
        needed: trials until the mean is at 99 % of random search's last; None where it never is.
        ratio: of these to the trials that random search needs.
        top: how many seeds had one of the most accurate networks, by the number of trials (of ``TOP_BY``).
        behind: the most by which the mean is behind the best other's, after 25 trials and later.
        seconds: of the processor, a run.
    """

    contender: str
    seeds: int
    mean: dict[int, float]
    worst: dict[int, float]
    needed: int | None
    ratio: float | None
    top: dict[int, int]
    behind: float
    seconds: float


def mean_curve(runs: Sequence[Run]) -> NDArray[np.float64]:
    """The mean share after each trial."""
    return np.mean([run.shares for run in runs], axis=0)


def summaries(runs: Mapping[str, Sequence[Run]]) -> list[Summary]:
    """The contenders of one target, the best in the end first."""
    curves = {name: mean_curve(found) for name, found in runs.items()}
    goal = REACHED * curves[YARDSTICK][-1] if YARDSTICK in curves else None
    found = [_summary(name, runs[name], curves, goal) for name in runs]
    return sorted(found, key=lambda summary: -curves[summary.contender][-1])


def _summary(
    name: str, runs: Sequence[Run], curves: Mapping[str, NDArray[np.float64]], goal: float | None
) -> Summary:
    shares = np.array([run.shares for run in runs])
    marks = [mark for mark in MARKS if mark <= shares.shape[1]]
    needed = None if goal is None else _reached(curves[name], goal)
    usual = None if goal is None else _reached(curves[YARDSTICK], goal)
    return Summary(
        contender=name,
        seeds=len(runs),
        mean={mark: float(shares[:, mark - 1].mean()) for mark in marks},
        worst={mark: float(shares[:, mark - 1].min()) for mark in marks},
        needed=needed,
        ratio=needed / usual if needed is not None and usual is not None else None,
        top={by: sum(run.top is not None and run.top <= by for run in runs) for by in TOP_BY},
        behind=_behind(name, curves),
        seconds=fmean(run.seconds for run in runs),
    )


def _reached(curve: NDArray[np.float64], goal: float) -> int | None:
    """The first number of trials at which a curve is at the goal."""
    places = np.flatnonzero(curve >= goal)
    return int(places[0]) + 1 if len(places) else None


def _behind(name: str, curves: Mapping[str, NDArray[np.float64]]) -> float:
    mine = curves[name]
    gaps = [
        (other[MARKS[0] - 1 : length] - mine[MARKS[0] - 1 : length]).max(initial=0.0)
        for rival, other in curves.items()
        if rival != name
        for length in [min(len(other), len(mine))]
    ]
    return float(max(gaps, default=0.0))


def markdown(summaries: Sequence[Summary]) -> str:
    """A table: the mean and, in brackets, the worst seed."""
    marks = sorted({mark for summary in summaries for mark in summary.mean})
    heads = [
        "algorithm",
        *(f"{mark} trials" for mark in marks),
        "99 % of random's",
        "of random's trials",
        *(f"best by {by}" for by in TOP_BY),
        "behind",
        "CPU s",
    ]
    lines = [_line(heads), _line(["---", *["---:"] * (len(heads) - 1)])]
    return "\n".join([*lines, *(_line(_cells(summary, marks)) for summary in summaries)])


def _cells(summary: Summary, marks: Sequence[int]) -> list[str]:
    shares = [
        f"{summary.mean[mark]:.3f} ({summary.worst[mark]:.3f})" if mark in summary.mean else ""
        for mark in marks
    ]
    return [
        f"`{summary.contender}`",
        *shares,
        "never" if summary.needed is None else str(summary.needed),
        "" if summary.ratio is None else f"{summary.ratio:.2f}",
        *(f"{summary.top[by]}/{summary.seeds}" for by in TOP_BY),
        f"{summary.behind:.3f}",
        f"{summary.seconds:.1f}",
    ]


def _line(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"
