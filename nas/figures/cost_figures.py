"""The figures of what a network costs layer by layer: time by kernel, bytes by layer, memory over the run."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from nas.figures.inert import inert
from nas.figures.network_costs import ESTIMATED, MEASURED, Held, KernelTime, LayerBytes, WholeTime
from nas.figures.style import ACCENT, LIMIT, MUTED_COLOUR, blank_figure
from nas.formatting import MISSING, interval, kilobytes, milliseconds

if TYPE_CHECKING:
    import plotly.graph_objects as go

ROW = 26  # pixels of a bar and the gap to the next
BAR = 0.7  # of a row
TOP, BETWEEN, BOTTOM = 50, 90, 60  # pixels above the bars, between two sets of them, and below
GAP = 6  # pixels between a name and its bar
HATCHED = {"shape": "/", "solidity": 0.35, "size": 6}
LOOKS: dict[str, dict[str, Any]] = {
    MEASURED: {"color": ACCENT},
    ESTIMATED: {"color": MUTED_COLOUR, "pattern": HATCHED},
}
"""Bars of kernels by how their times are known; hatches tell them apart without colour."""


class TimeUnit(NamedTuple):
    """What times are drawn in: axes of small fractions cannot be read."""

    name: str
    in_ms: float  # how many make a millisecond

    @staticmethod
    def of(times_ms: Sequence[float]) -> "TimeUnit":
        """Microseconds where all of them are short, else milliseconds."""
        return MICROSECONDS if max(times_ms, default=0.0) < SHORT_MS else MILLISECONDS

    def of_ms(self, time_ms: float) -> float:
        """A time in this unit."""
        return self.in_ms * time_ms

    def told(self, time_ms: float | None) -> str:
        """A time with the unit."""
        return MISSING if time_ms is None else f"{milliseconds(self.of_ms(time_ms))} {self.name}"

    def told_interval(self, low_ms: float | None, high_ms: float | None) -> str:
        """Such as ``147 to 152 µs``; nothing where there is none."""
        if low_ms is None or high_ms is None:
            return ""
        return f"{interval(self.of_ms(low_ms), self.of_ms(high_ms))} {self.name}"


MILLISECONDS, MICROSECONDS = TimeUnit("ms", 1.0), TimeUnit("µs", 1000.0)
SHORT_MS = 0.01


def time_figure(kernels: Sequence[KernelTime], whole: Sequence[WholeTime]) -> "go.Figure":
    """Above, the times of the whole network; below, on an axis of its own, each kernel's, in order."""
    figure = blank_figure()
    height = TOP + ROW * (len(whole) + len(kernels)) + BETWEEN + BOTTOM
    inner = height - TOP - BOTTOM
    rows, names = list(range(len(kernels))), [kernel_name(at, each) for at, each in enumerate(kernels)]
    axis = {"rangemode": "tozero", "exponentformat": "none", "automargin": True}
    rows_look = {"showgrid": False, "ticks": "", "automargin": True, "ticklabelstandoff": GAP}
    whole_unit = TimeUnit.of([each.milliseconds for each in whole])
    unit = TimeUnit.of([each.milliseconds for each in kernels])
    totals = [f"{each.name}, {whole_unit.told(each.milliseconds)}" for each in whole]
    whole_rows = list(range(len(whole)))
    figure.update_layout(
        height=height,
        margin={"t": TOP, "b": BOTTOM, "r": 90},
        barmode="overlay",
        legend={"y": 1, "yanchor": "bottom"},
        xaxis={**axis, "title": f"The whole network ({whole_unit.name})", "anchor": "y"},
        yaxis={**rows_look, "domain": [1 - ROW * len(whole) / inner, 1], "tickvals": whole_rows},
        xaxis2={**axis, "title": f"Each kernel, alone ({unit.name})", "anchor": "y2"},
        yaxis2={**rows_look, "domain": [0, ROW * len(kernels) / inner], "tickvals": rows},
    )
    figure.add_trace(_whole_bars(whole, whole_unit))
    for how in (MEASURED, ESTIMATED):
        figure.add_trace(_kernel_bars(kernels, how, unit))
    figure.update_layout(
        yaxis={"ticktext": totals, "range": [len(whole) - 0.5, -0.5]},
        yaxis2={"ticktext": [inert(name) for name in names], "range": [len(kernels) - 0.5, -0.5]},
    )
    return figure


def kernel_name(at: int, kernel: KernelTime) -> str:
    """Such as ``3. block 1 squeeze, conv2d``: its number, its layer where that is known, its family."""
    family = kernel.workload.partition("(")[0].replace("_", " ")
    return f"{at + 1}. " + (f"{kernel.layer}, {family}" if kernel.layer else kernel.kernel)


def size_figure(layers: Sequence[LayerBytes]) -> "go.Figure":
    """The bytes of each layer, from the image to the classes: its weights, and all else beside them."""
    import plotly.graph_objects as go

    figure = blank_figure()
    rows = list(range(len(layers)))
    told = [inert(f"{' and '.join(each.codes)} ") if each.codes else "" for each in layers]
    totals = [kilobytes((each.weights + each.others) / 1000) for each in layers]
    for name, values, look in (
        ("weights", [each.weights for each in layers], LOOKS[MEASURED]),
        ("scales, biases, batch norms", [each.others for each in layers], LOOKS[ESTIMATED]),
    ):
        is_last = name != "weights"
        figure.add_trace(
            go.Bar(
                name=name,
                orientation="h",
                x=[value / 1000 for value in values],
                y=rows,
                marker=look,
                text=[f"{code}{total} kB" for code, total in zip(told, totals, strict=True)]
                if is_last
                else None,
                textposition="outside" if is_last else "none",
                cliponaxis=False,
                hovertext=[inert(each.layer) for each in layers],
                hovertemplate=f"%{{hovertext}}<br>{name} %{{x:.3f}} kB<extra></extra>",
            )
        )
    figure.update_xaxes(title="kB, as packed", rangemode="tozero", exponentformat="none")
    names = [inert(each.layer) for each in layers]
    figure.update_yaxes(
        range=[len(layers) - 0.5, -0.5],
        showgrid=False,
        ticks="",
        ticklabelstandoff=GAP,
        automargin=True,
        tickvals=rows,
        ticktext=names,
    )
    height = TOP + ROW * len(layers) + BOTTOM
    figure.update_layout(barmode="stack", bargap=0.3, height=height, margin={"r": 110, "t": TOP, "b": BOTTOM})
    figure.update_layout(legend={"y": 1, "yanchor": "bottom", "traceorder": "normal"})
    return figure


def memory_figure(held: Sequence[Held], workspace: int) -> "go.Figure":
    """The workspace over the run: a box is a buffer, from who writes it to the last that reads it."""
    figure = blank_figure()
    for name, is_scratch, look in (
        ("activations", False, LOOKS[MEASURED]),
        ("scratch of one kernel", True, LOOKS[ESTIMATED]),
    ):
        figure.add_trace(_boxes(name, [each for each in held if each.is_scratch == is_scratch], look))
    figure.add_hline(
        y=workspace / 1000,
        line={"color": LIMIT, "dash": "dash"},
        annotation={"text": f"{kilobytes(workspace / 1000)} kB in all", "font": {"color": LIMIT}},
        annotation_position="top right",
    )
    last = max((each.last for each in held), default=0)
    step = max(1, round(last / 20))
    figure.update_xaxes(title="Kernel, in the order in which they run", dtick=step, range=[0.4, last + 1.6])
    figure.update_yaxes(
        title="Place in the workspace (kB)", range=[0, 1.12 * workspace / 1000], exponentformat="none"
    )
    figure.update_layout(barmode="overlay", height=420, margin={"t": TOP, "b": BOTTOM})
    figure.update_layout(legend={"y": 1, "yanchor": "bottom"})
    return figure


def _whole_bars(whole: Sequence[WholeTime], unit: TimeUnit) -> "go.Bar":
    import plotly.graph_objects as go

    above = [None if e.high is None else unit.of_ms(e.high - e.milliseconds) for e in whole]
    below = [None if e.low is None else unit.of_ms(e.milliseconds - e.low) for e in whole]
    about = [", ".join(filter(None, [unit.told_interval(e.low, e.high), e.about])) for e in whole]
    return go.Bar(
        orientation="h",
        width=BAR,
        x=[unit.of_ms(each.milliseconds) for each in whole],
        y=list(range(len(whole))),
        marker={"color": ACCENT, "opacity": 0.55},
        error_x={"array": above, "arrayminus": below, "color": MUTED_COLOUR, "thickness": 2, "width": 5},
        hovertext=[inert(f"{each.name}: {text}") for each, text in zip(whole, about, strict=True)],
        hovertemplate="%{hovertext}<extra></extra>",
        showlegend=False,
    )


def _kernel_bars(kernels: Sequence[KernelTime], how: str, unit: TimeUnit) -> "go.Bar":
    import plotly.graph_objects as go

    chosen = [(at, each) for at, each in enumerate(kernels) if each.how == how]
    return go.Bar(
        name=f"{how}, each alone",
        orientation="h",
        width=BAR,
        x=[unit.of_ms(each.milliseconds) for _, each in chosen],
        y=[at for at, _ in chosen],
        xaxis="x2",
        yaxis="y2",
        marker=LOOKS[how],
        text=[unit.told(each.milliseconds) for _, each in chosen],
        textposition="outside",
        cliponaxis=False,
        hovertext=[inert(f"{each.layer or 'layer not known'}: {each.kernel}") for _, each in chosen],
        hovertemplate=f"%{{hovertext}}<br>%{{text}}, {how}<extra></extra>",
    )


def _boxes(name: str, held: Sequence[Held], look: dict[str, Any]) -> "go.Bar":
    import plotly.graph_objects as go

    return go.Bar(
        name=name,
        x=[(each.first + each.last) / 2 + 1 for each in held],
        width=[each.last - each.first + 1 for each in held],
        base=[each.offset / 1000 for each in held],
        y=[each.nbytes / 1000 for each in held],
        marker={**look, "opacity": 0.75, "line": {"width": 1.5, "color": "white"}},
        hovertext=[
            inert(f"{each.layer}: {each.buffer}, {each.nbytes:,} bytes, {_steps(each)}") for each in held
        ],
        hovertemplate="%{hovertext}<extra></extra>",
    )


def _steps(held: Held) -> str:
    """Kernels are counted from one, as in the figure of their times."""
    first, last = held.first + 1, held.last + 1
    return f"kernel {first}" if first == last else f"kernels {first} to {last}"
