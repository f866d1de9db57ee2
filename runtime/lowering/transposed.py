"""Transposed convolutions as convolutions: an output pixel belongs to a phase, by its place in a stride.

Input row i adds to output row ``s i + d k - p`` for each tap k. So row t of the output, counted from the
first that anything adds to, with t = s q + r, sums taps k with ``d k = s e + r`` over input rows q - e: all
pixels of a phase r are a convolution of stride 1 with its own taps. One convolution computes all phases as
channels, over windows of one size with zeros where a phase has no tap, and its results are interleaved.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from runtime.graph import Value
from runtime.kernels.weight_layouts import LayerWeights, weight_layouts
from runtime.lowering.layers import Outline, convolve
from runtime.lowering.rulebook import At
from runtime.lowering.tensors import as_it_runs, numbers
from runtime.lowering.weights import require_weight
from runtime.lowering.windows import two_numbers
from runtime.workload import Interleave, Window
from search_spaces.weight_codes import CodeSet


@dataclass(frozen=True)
class Axis:
    """A transposed convolution along one side of an image of ``size`` pixels, named as in torch."""

    size: int
    kernel: int
    stride: int
    padding: int
    output_padding: int
    dilation: int

    @property
    def outputs(self) -> int:
        """Rows of the output."""
        span = (self.size - 1) * self.stride + self.dilation * (self.kernel - 1) + 1
        return span - 2 * self.padding + self.output_padding

    @property
    def gap(self) -> int:
        """The dilation of the phases' windows."""
        return self.dilation if self.stride == 1 else 1

    @property
    def taps(self) -> int:
        """The taps of the phases' windows."""
        return (self.kernel - 1) * self.dilation // (self.stride * self.gap) + 1

    def tap(self, phase: int, place: int) -> int | None:
        """Which tap lies at a place of a phase's window; None for none."""
        tap, rest = divmod(
            self.stride * self.gap * (self.taps - 1 - place) + phase, self.dilation
        )  # input rows run against the taps
        return tap if rest == 0 and tap < self.kernel else None

    @property
    def first(self) -> int:
        """The first q that is computed: that of the first output row, or of the image's first row."""
        return min(self.padding // self.stride, (self.taps - 1) * self.gap)

    @property
    def border(self) -> tuple[int, int]:
        """Pixels of padding before and behind the image, for all q of the output."""
        last = max((self.padding + self.outputs - 1) // self.stride, self.size - 1)
        return (self.taps - 1) * self.gap - self.first, last - (self.size - 1)

    @property
    def start(self) -> int:
        """Which row of the interleaved phases is the first one of the output."""
        return self.padding - self.first * self.stride


def transposed(
    at: At, image: Value, stride: Any, padding: Any, output_padding: Any, groups: Any, dilation: Any
) -> Value:
    """Emit the convolution of all phases of a layer that holds ``weight`` and ``bias``, and interleave them.

    Raises:
        UnsupportedLayerError: options or weights do not fit.
    """
    inputs, depth, *kernel = require_weight(at, 4, is_transposed=True)
    _, height, width, channels = image.shape
    at.require(channels == inputs, f"it takes {inputs} channels, but gets {channels}")
    steps, gaps = two_numbers(at, "stride", stride, 1), two_numbers(at, "dilation", dilation, 1)
    sides = two_numbers(at, "padding", padding, 0)
    added = two_numbers(at, "output_padding", output_padding, 0)
    both = (height, width), kernel, steps, sides, added, gaps
    rows, columns = (Axis(*(each[i] for each in both)) for i in (0, 1))
    at.require(min(rows.outputs, columns.outputs) > 0, "its padding leaves nothing of the image")
    window = Window.of(
        (rows.taps, columns.taps),
        1,
        (rows.border[0], columns.border[0], rows.border[1], columns.border[1]),
        (rows.gap, columns.gap),
    )
    phases, outputs = steps[0] * steps[1], depth * groups

    def read(layer: Any) -> LayerWeights:
        with as_it_runs(layer) as own:
            values = of_phases(numbers(own, own.weight), rows, columns, groups)
            bias = np.zeros(outputs, np.float32) if own.bias is None else numbers(own, own.bias)
        ones = np.ones(len(values), np.float32)
        repeated = np.repeat(bias.reshape(groups, 1, depth), phases, axis=1).reshape(-1)
        return LayerWeights(values, ones, ones, np.ascontiguousarray(repeated))

    layout = weight_layouts.get("float")
    shape = (outputs * phases, inputs // groups, *window.taps)
    outline = Outline(at.layer, CodeSet(None), "float", layout, shape, read)
    computed = convolve(at, image, None, outline, window, groups)
    return _interleaved(at, computed, rows, columns, groups)


def of_phases(weight: NDArray[Any], rows: Axis, columns: Axis, groups: int) -> NDArray[Any]:
    """A transposed convolution's weight (C, O / G, K, K) as its phases': (G * phases * O / G, C / G, ...)."""
    depth, inputs = weight.shape[1], len(weight) // groups
    by_group = weight.reshape(groups, inputs, depth, *weight.shape[2:])
    steps, taps = (rows.stride, columns.stride), (rows.taps, columns.taps)
    found = np.zeros((groups, *steps, depth, inputs, *taps), weight.dtype)
    for r, s in np.ndindex(steps):
        for y, x in np.ndindex(taps):
            row, column = rows.tap(r, y), columns.tap(s, x)
            if row is not None and column is not None:
                found[:, r, s, :, :, y, x] = by_group[..., row, column].swapaxes(1, 2)
    return found.reshape(-1, inputs, *taps)


def _interleaved(at: At, phases: Value, rows: Axis, columns: Axis, groups: int) -> Value:
    """The phases as one image."""
    n, height, width, channels = phases.shape
    stride, start = (rows.stride, columns.stride), (rows.start, columns.start)
    size = (rows.outputs, columns.outputs)
    if stride == (1, 1) and start == (0, 0) and size == (height, width):
        return phases
    outputs = channels // (stride[0] * stride[1])
    work = Interleave(n, height, width, outputs, groups, stride, start, size)
    return at.emit(work, [phases], (n, *size, outputs), part="interleave")
