"""Sums of products of a layer's input and its weights: real, in QDQ form, or of whole numbers and exact.

Sums of bytes and of signs are those of ``ConvInteger`` and ``MatMulInteger``, in int32: no optimizer moves a
scale into them, so that a sum of zero stays zero for the next sign.
"""

from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from runtime.formats.onnx.codes import MIDDLE, Bytes, onnx_type
from runtime.formats.onnx.inputs import Coded
from runtime.formats.onnx.rulebook import At
from runtime.lowering.tensors import as_it_runs, in_float32, numbers
from search_spaces.weight_codes.base import StoredWeights

Floats = NDArray[np.float64]


class Weights(NamedTuple):
    """What a layer computes with.

    Attributes:
        stored: codes (O, ...) and their scales.
        scale: of the batch norm that follows, (O,); ones where none does.
        offset: what is added to the scaled sums, (O,).
    """

    stored: StoredWeights
    scale: Floats
    offset: Floats

    @property
    def is_symmetric(self) -> bool:
        """Whether negative codes have the scale of positive ones."""
        return bool(np.array_equal(self.stored.positive, self.stored.negative))


@dataclass(frozen=True)
class Products:
    """How a layer multiplies.

    Attributes:
        at: where.
        window: attributes of a convolution; None of a dense layer.
    """

    at: At
    window: dict[str, Any] | None = None

    def of(self, x: Coded) -> str:
        """The layer's output, with the batch norm that follows."""
        weights = read(self.at)
        layer = self.at.layer
        if x.kind == "real":
            return self._real(x, weights)
        fits = np.abs(weights.stored.values).max() <= np.iinfo(np.int8).max
        if layer.weight_code.bits == 8 and fits and not layer.activation.is_fixed and x.kind == "bytes":
            return self._dequantized(x, weights)
        return self._whole(x, weights)

    def _real(self, x: Coded, weights: Weights) -> str:
        offset = weights.offset.astype(np.float32)
        bias = [offset] if offset.any() else []
        own = _real_weights(self.at, weights)
        if self.window is None:
            return self.at.main("Gemm", x.name, own, *bias, transB=1)
        return self.at.main("Conv", x.name, own, *bias, **self.window)

    def _dequantized(self, x: Coded, weights: Weights) -> str:
        """Bytes times bytes, both behind a DequantizeLinear.

        A bias would be rounded to a multiple of both steps by onnxruntime, so it is added, and for rows
        subtracted, which onnxruntime does not join either.
        """
        values, steps = _positive_steps(weights)
        real = self.at.op("DequantizeLinear", x.name, x.step, x.zero)
        offset = weights.offset.astype(np.float32)
        if self.window is not None:
            own = self.at.op("DequantizeLinear", values, steps, np.zeros(len(steps), np.int8), axis=0)
            sums = self.at.main("Conv", real, own, **self.window)
            return self.at.op("Add", sums, self._along(offset)) if offset.any() else sums
        unsigned = (values.T.astype(np.int16) + MIDDLE).astype(np.uint8)
        zeros = np.full(len(steps), MIDDLE, np.uint8)
        own = self.at.op("DequantizeLinear", unsigned, steps, zeros, axis=1)
        sums = self.at.main("MatMul", real, own)
        return self.at.op("Sub", sums, -offset) if offset.any() else sums

    def _whole(self, x: Coded, weights: Weights) -> str:
        """Bytes or signs times whole numbers, then the scales."""
        values = weights.stored.values if self.window is not None else weights.stored.values.T
        positive, negative = weights.stored.positive, weights.stored.negative
        offset, steps = weights.offset.astype(np.float32), weights.scale * np.float64(x.step)
        if weights.is_symmetric:
            found = self._scaled(self._sums(x, values), positive * steps)
        else:
            found = self._of_two_scales(x, self.at.codes.bytes(values), positive, negative)
            scale = weights.scale.astype(np.float32)
            found = found if (scale == 1).all() else self.at.op("Mul", found, self._along(scale))
        return self.at.op("Add", found, self._along(offset)) if offset.any() else found

    def _of_two_scales(
        self, x: Coded, signs: Bytes, positive: NDArray[np.float32], negative: NDArray[np.float32]
    ) -> str:
        """With signs t, x . w = (p + n) / 2 x . t + (p - n) / 2 x . |t|, as torch computes it.

        The last bit of a byte tells whether it stands for a zero: less an odd zero point it is -|t|.
        """
        first = self._scaled(self._multiplied(x, signs), (positive + negative) / 2)
        last_bits = signs._replace(name=self.at.op("BitwiseAnd", signs.name, np.uint8(1)))
        sign = np.float32(-1 if signs.zero % 2 else 1)
        second = self._scaled(self._multiplied(x, last_bits), sign * (positive - negative) / 2)
        return self.at.op("Add", first, second)

    def _sums(self, x: Coded, values: NDArray[Any]) -> str:
        """The sums as int32; odd numbers of nine bits are sums of two that are the same bytes."""
        if np.abs(values).max() <= np.iinfo(np.int8).max:
            return self._multiplied(x, self.at.codes.bytes(values))
        self.at.require((values % 2).all(), "weights of nine bits are computed if all are odd")
        halves = self.at.graph.constant(((values + 2 * MIDDLE - 1) // 2).astype(np.uint8))
        parts = [Bytes(halves, MIDDLE), Bytes(halves, MIDDLE - 1)]  # 2 b - 255 = (b - 128) + (b - 127)
        return self.at.op("Add", *(self._multiplied(x, part) for part in parts))

    def _multiplied(self, x: Coded, weights: Bytes) -> str:
        """Sums of products of unsigned bytes.

        Of signed weights onnxruntime adds two products in 16 bits on some processors, where they may not fit,
        and is slow on others.
        """
        zeros = x.zero, np.uint8(weights.zero)
        if self.window is None:
            return self.at.main("MatMulInteger", x.name, weights.name, *zeros)
        return self.at.main("ConvInteger", x.name, weights.name, *zeros, **self.window)

    def _scaled(self, sums: str, factors: NDArray[Any]) -> str:
        """Integer sums as real numbers, times a factor for each output."""
        factor = spread(factors.astype(np.float32), 1)
        if (factor == 1).all():
            return self.at.op("Cast", sums, to=onnx_type(np.float32))
        return self.at.op("DequantizeLinear", sums, factor)

    def _along(self, numbers: NDArray[np.float32]) -> NDArray[np.float32]:
        """Numbers (O,) as they go with the output."""
        return spread(numbers, 1 if self.window is None else 3)


def read(at: At) -> Weights:
    """The weights of a quantized layer, with the batch norm that follows."""
    with as_it_runs(at.layer) as own:
        stored = in_float32(own).stored_weights()
        bias = np.zeros(len(stored.values)) if own.bias is None else numbers(own, own.bias, np.float64)
    if at.norm is None:
        return Weights(stored, np.ones(len(stored.values)), bias)
    return Weights(stored, at.norm.scale, at.norm.scale * bias + at.norm.bias)


def _real_weights(at: At, weights: Weights) -> str | NDArray[np.float32]:
    """Weights (O, ...) that are real numbers in the graph."""
    stored, rank = weights.stored, weights.stored.values.ndim
    positive, negative = stored.positive, stored.negative
    if stored.basis is not None:
        return at.codes.sums(stored.values, (stored.basis * weights.scale[:, None]).astype(np.float32))
    if stored.values.dtype in (np.float32, np.int32):  # the latter are more numbers than bytes tell apart
        scaled: NDArray[np.float32] = (stored.values * spread(positive * weights.scale, rank)).astype(
            np.float32
        )
        return scaled
    if weights.is_symmetric:
        return _times(at, at.codes.reals(stored.values), positive * weights.scale, rank)
    if (positive == positive[0]).all() and (negative == negative[0]).all():
        found = at.codes.scaled(stored.values, positive[0], negative[0])
    else:
        found = at.codes.reals(stored.values)
        is_negative = at.op("Less", found, np.float32(0))
        own = at.op("Where", is_negative, spread(negative, rank), spread(positive, rank))
        found = at.op("Mul", found, own)
    return _times(at, found, weights.scale, rank)


def _times(at: At, weights: str, scale: NDArray[Any], rank: int) -> str:
    """Weights (O, ...) times a scale (O,)."""
    factor = scale.astype(np.float32)
    return weights if (factor == 1).all() else at.op("Mul", weights, spread(factor, rank))


def spread(numbers: NDArray[Any], rank: int) -> NDArray[Any]:
    """Numbers (O,) along the first of so many axes; one number where all are the same."""
    shape = () if (numbers == numbers[0]).all() else (-1, *[1] * (rank - 1))
    found: NDArray[Any] = (numbers[0] if shape == () else numbers).reshape(shape)
    return found


def _positive_steps(weights: Weights) -> tuple[NDArray[np.int8], NDArray[np.float32]]:
    """Codes and steps above 0: the sign of a batch norm's scale is put into the codes."""
    stored = weights.stored
    steps = stored.positive * weights.scale
    signs = np.sign(steps).astype(np.int8)  # 0 where all of a channel is 0
    values = stored.values.astype(np.int8) * signs.reshape(-1, *[1] * (stored.values.ndim - 1))
    return values, np.where(signs == 0, stored.positive, np.abs(steps)).astype(np.float32)
