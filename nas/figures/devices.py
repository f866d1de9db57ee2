"""The figures of a device: its kernels over time, estimates by family, the drift of its reference."""

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import TYPE_CHECKING, Any, NamedTuple

from nas.figures.inert import inert
from nas.figures.labels import workload_label
from nas.figures.style import ACCENT, LIMIT, MUTED_COLOUR, blank_figure
from nas.formatting import milliseconds

if TYPE_CHECKING:
    import plotly.graph_objects as go

MOST_POINTS = 2_000
"""With more estimates than these, only boxes and outliers are drawn."""


@dataclass(frozen=True)
class KernelRow:
    """One time of one kernel, as tables and figures show it.

    Attributes:
        spread: the interquartile range of the samples as a share of their median.
        disturbed: what made the time worthless; None where nothing did.
        reference_ms: what the reference took beside it; None where it is not known.
        usual_ms: what that takes at the speed that the time is given for.
    """

    place: int
    workload: str
    milliseconds: float
    spread: float
    samples: int
    date: str
    tvm_version: str
    schedule: str
    rounds: int
    brief: bool
    disturbed: str | None
    reference_ms: float | None
    usual_ms: float | None

    @property
    def family(self) -> str:
        """Which kind of kernel."""
        return family_of(self.workload)


class FamilyErrors(NamedTuple):
    """Kernels of one family that were estimated before they were measured: the relative error of each."""

    family: str
    errors: tuple[tuple[str, float], ...]

    @property
    def mean(self) -> float:
        """The mean absolute relative error."""
        return fmean(abs(error) for _, error in self.errors)


def family_of(workload: str) -> str:
    """The family of a workload's key: what stands before its fields."""
    return workload.partition("(")[0]


def kernels_figure(rows: Sequence[KernelRow]) -> "go.Figure":
    """Each time of a kernel: when it was taken, and how far its samples spread."""
    figure = blank_figure()
    dot = {"color": ACCENT, "symbol": "circle", "size": 7}
    cross = {"color": LIMIT, "symbol": "x-thin", "size": 9, "line": {"width": 2, "color": LIMIT}}
    good = [row for row in rows if not row.disturbed]
    bad = [row for row in rows if row.disturbed]
    for name, some, marker in (("usable", good, dot), ("disturbed", bad, cross)):
        if some:
            spreads = [row.spread for row in some]
            figure.add_trace(_points(f"{name} ({len(some):,})", some, spreads, marker))
    figure.update_xaxes(title="Measured at (UTC)")
    figure.update_yaxes(title="Spread of the samples", tickformat=".1%", rangemode="tozero")
    figure.update_layout(height=380, showlegend=True)
    return figure


def drift_figure(rows: Sequence[KernelRow], allowed: float) -> "go.Figure":
    """What the reference took beside each kernel, as a share of what it usually takes."""
    figure = blank_figure()
    known = [(row, row.reference_ms / row.usual_ms - 1) for row in rows if row.reference_ms and row.usual_ms]
    marker = {"color": ACCENT, "symbol": "circle", "size": 6}
    shares = [share for _, share in known]
    figure.add_trace(_points("reference", [row for row, _ in known], shares, marker))
    for edge in (-allowed, allowed):
        figure.add_hline(y=edge, line={"color": LIMIT, "dash": "dash", "width": 1})
    figure.add_hline(y=0.0, line={"color": MUTED_COLOUR, "width": 1})
    ends = [1.3 * min([-allowed, *shares]), 1.3 * max([allowed, *shares])]
    figure.update_xaxes(title="Measured at (UTC)")
    figure.update_yaxes(title="Slower than usual by", tickformat="+.0%", range=ends)
    figure.update_layout(height=320, showlegend=False, margin={"t": 20})
    return figure


def families_figure(families: Sequence[FamilyErrors]) -> "go.Figure":
    """By family, how far each estimate was off the time that was measured afterwards."""
    import plotly.graph_objects as go

    figure = blank_figure()
    points = "all" if sum(len(errors) for _, errors in families) <= MOST_POINTS else "outliers"
    for family, errors in reversed(families):
        figure.add_trace(
            go.Box(
                name=f"{inert(family.replace('_', ' '))} ({len(errors)})",
                x=[error for _, error in errors],
                text=[inert(workload_label(key)) for key, _ in errors],
                orientation="h",
                boxpoints=points,
                pointpos=0,
                jitter=0.4,
                marker={"color": ACCENT, "size": 5},
                line={"color": MUTED_COLOUR},
                hovertemplate="%{text}<br>estimated %{x:+.1%} off<extra></extra>",
                hoveron="points",
            )
        )
    figure.add_vline(x=0.0, line={"color": MUTED_COLOUR, "dash": "dot", "width": 1})
    figure.update_xaxes(title="Estimated, against measured afterwards", tickformat="+.0%")
    figure.update_yaxes(automargin=True, ticks="", showgrid=False)
    figure.update_layout(height=110 + 46 * len(families), showlegend=False, margin={"t": 20})
    return figure


def _points(name: str, rows: Sequence[KernelRow], y: Sequence[float], marker: dict[str, Any]) -> Any:
    """Points over time."""
    import plotly.graph_objects as go

    told = [
        f"{inert(workload_label(row.workload))}<br>{milliseconds(row.milliseconds)} ms, "
        f"{row.samples} samples{f', {inert(row.disturbed)}' if row.disturbed else ''}"
        for row in rows
    ]
    return go.Scatter(
        name=name, x=[row.date for row in rows], y=list(y), mode="markers", marker=marker, text=told,
        hovertemplate="%{text}<br>%{y:.1%}, %{x}<extra></extra>",
    )  # fmt: skip
