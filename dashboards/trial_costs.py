"""What the network of a trial costs: time kernel by kernel, bytes layer by layer, memory over the run."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import dash_mantine_components as dmc

from dashboards.parts import Cell, chart
from dashboards.views import View
from nas.analysis.network_costs import is_loaded, network_costs
from nas.figures.cost_figures import memory_figure, size_figure, time_figure
from nas.figures.network_costs import (
    KernelTime,
    LayerBytes,
    NetworkCosts,
    WholeTime,
    kernel_times,
    whole_times,
)
from nas.formatting import kilobytes
from nas.ledger import TrialRecord
from search_spaces.errors import BitnasError

TIME_NOTE = (
    "One bar a kernel, in the order in which they run. Each was measured alone on the device, or, where "
    "hatched, is estimated from others; no kernel is timed within the network. As it runs, only the whole "
    "network is measured: above, on an axis of its own. The thin lines are intervals."
)
SIZE_NOTE = (
    "What each layer stores, from the image to the classes: its weights as packed, and, hatched, its scales, "
    "biases and batch norms."
)
MEMORY_NOTE = (
    "The workspace of the compiled network for one image, planned from the architecture. A box is a buffer: "
    "as wide as the kernels that need it, numbered as above, as tall as its bytes. The image, the classes "
    "and the parameters come on top."
)
OTHERS = "The kernels of this network are others here than those that were timed."
LOADING = "What tells the layers of a network is being loaded: a few seconds, once."
NONE = NetworkCosts((), (), (), 0)


class Times(NamedTuple):
    """The times of one trial's network."""

    kernels: list[KernelTime]
    whole: list[WholeTime]
    why_unnamed: str  # why no layer is named; empty where they are


def time_by_layer(trial: TrialRecord) -> View[Times]:
    """The predicted time, kernel by kernel, and the whole network's."""
    return View(
        "Where the time goes",
        lambda: times_of(trial),
        lambda times: None if times.kernels else f"Nothing has been timed yet (the trial is {trial.state}).",
        _drawn_times,
        note=TIME_NOTE,
    )


def size_by_layer(trial: TrialRecord) -> View[NetworkCosts]:
    """The bytes that each layer stores."""
    return View(
        "Where the size goes",
        lambda: costs_of(trial),
        _why_none,
        lambda costs: _drawn_sizes(costs.layers),
        note=SIZE_NOTE,
    )


def memory_over_run(trial: TrialRecord) -> View[NetworkCosts]:
    """What the workspace holds at each kernel."""
    return View(
        "Memory over the run",
        lambda: costs_of(trial),
        _why_none,
        _drawn_memory,
        note=MEMORY_NOTE,
    )


def costs_of(trial: TrialRecord) -> NetworkCosts:
    """What the network of a trial costs; nothing where that is not known yet.

    Raises:
        BitnasError: its architecture cannot be read or built here.
    """
    text = trial.architecture
    return network_costs(text) if text and is_loaded(text) else NONE


def is_loading(trial: TrialRecord) -> bool:
    """Whether a later look will tell more."""
    return trial.architecture is not None and not is_loaded(trial.architecture)


def times_of(trial: TrialRecord) -> Times:
    """The kernels with their layers, where these can be told."""
    if not trial.latency_by_workload:
        return Times([], [], "")
    why = LOADING if is_loading(trial) else OTHERS
    try:
        kernels = kernel_times(trial, costs_of(trial).steps)
    except BitnasError as error:
        kernels, why = kernel_times(trial, ()), str(error)
    is_named = any(kernel.layer for kernel in kernels)
    return Times(kernels, whole_times(trial), "" if is_named else why)


def _why_none(costs: NetworkCosts) -> str | None:
    return None if costs.layers else LOADING


def _drawn_times(times: Times) -> Any:
    told = [f"No layer is named. {times.why_unnamed}"] if times.why_unnamed else []
    rows: list[list[Cell]] = [
        [at, each.layer, each.kernel, each.milliseconds, each.how]
        for at, each in enumerate(times.kernels, start=1)
    ]
    table = ("", "Layer", "Kernel", "ms", "How"), rows
    return dmc.Stack(
        [
            *(dmc.Text(line, size="sm") for line in told),
            chart("workloads", time_figure(times.kernels, times.whole), table=table),
        ]
    )


def _drawn_sizes(layers: Sequence[LayerBytes]) -> Any:
    rows: list[list[Cell]] = [
        [each.layer, ", ".join(each.codes), each.weights, each.others] for each in layers
    ]
    table = ("Layer", "Weights", "Bytes of weights", "Bytes of all else"), rows
    total = sum(each.weights + each.others for each in layers) / 1000
    return dmc.Stack(
        [
            dmc.Text(f"Together {kilobytes(total)} kB.", size="sm"),
            chart("sizes", size_figure(layers), table=table),
        ]
    )


def _drawn_memory(costs: NetworkCosts) -> Any:
    rows: list[list[Cell]] = [
        [held.layer, held.buffer, held.nbytes, held.offset, held.first + 1, held.last + 1]
        for held in costs.held
    ]
    table = ("Layer", "Buffer", "Bytes", "Place", "First kernel", "Last kernel"), rows
    return chart("memory", memory_figure(costs.held, costs.workspace), table=table)
