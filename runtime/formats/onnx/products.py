"""Sums of products of a layer's input and its weights: real, in QDQ form, or of whole numbers and exact.

Sums of bytes and of signs are those of ``ConvInteger`` and ``MatMulInteger``, in int32: no optimizer moves a
scale into them, so that a sum of zero stays zero for the next sign.
"""

from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from runtime.formats.onnx.codes import coded_levels, onnx_type
from runtime.formats.onnx.graph import Operand
from runtime.formats.onnx.inputs import Coded
from runtime.formats.onnx.rulebook import At
from runtime.lowering.tensors import as_it_runs, in_float32, numbers
from search_spaces.weight_codes.base import StoredWeights

MIDDLE = 128
"""The zero point of weights as unsigned bytes. onnxruntime adds products of these in 32 bits on all
processors; with signed ones it is slow, or adds two of them in 16 bits, where they may not fit."""

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


class Bytes(NamedTuple):
    """Whole numbers of -128 to 127, as bytes around ``MIDDLE``.

    Attributes:
        numbers: all of them, or the different ones.
        places: the tensor that tells which of these stands where; None where ``numbers`` are all.
        zero: the zero point, ``MIDDLE`` but for numbers that are greater by one.
    """

    numbers: NDArray[Any]
    places: str | None = None
    zero: int = MIDDLE

    def without_signs(self) -> "Bytes":
        """Their absolute values."""
        return self._replace(numbers=np.abs(self.numbers))


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
        positive, negative = weights.stored.positive, weights.stored.negative
        codes = self._bytes(weights.stored.values if self.window is not None else weights.stored.values.T)
        steps = weights.scale * np.float64(x.step)
        if weights.is_symmetric:
            found = self._scaled(self._sums(x, codes), positive * steps)
        else:  # with signs t, x . w = (p + n) / 2 x . t + (p - n) / 2 x . |t|
            first = self._scaled(self._sums(x, codes), (positive + negative) / 2 * steps)
            sizes = [code.without_signs() for code in codes]
            found = self.at.op(
                "Add", first, self._scaled(self._sums(x, sizes), (positive - negative) / 2 * steps)
            )
        offset = weights.offset.astype(np.float32)
        return self.at.op("Add", found, self._along(offset)) if offset.any() else found

    def _bytes(self, values: NDArray[Any]) -> "list[Bytes]":
        """Whole numbers as bytes; odd ones of nine bits as the sum of two that are the same bytes."""
        if np.abs(values).max() > np.iinfo(np.int8).max:  # 2 b - 255 = (b - 128) + (b - 127)
            self.at.require((values % 2).all(), "weights of nine bits are computed if all are odd")
            halves = (values + 2 * MIDDLE - 1) // 2 - MIDDLE
            return [Bytes(halves), Bytes(halves, zero=MIDDLE - 1)]
        return [Bytes(*(self.at.codes.places(values) or (values, None)))]

    def _sums(self, x: Coded, codes: "list[Bytes]") -> str:
        """The sums as int32."""
        parts = [self._multiplied(x, code) for code in codes]
        return parts[0] if len(parts) == 1 else self.at.op("Add", *parts)

    def _multiplied(self, x: Coded, code: "Bytes") -> str:
        numbers = (code.numbers.astype(np.int16) + MIDDLE).astype(np.uint8)
        weights: Operand = numbers if code.places is None else self.at.op("Gather", numbers, code.places)
        zeros = x.zero, np.uint8(code.zero)
        if self.window is None:
            return self.at.main("MatMulInteger", x.name, weights, *zeros)
        return self.at.main("ConvInteger", x.name, weights, *zeros, **self.window)

    def _scaled(self, sums: str, factors: Floats) -> str:
        real, factor = self.at.op("Cast", sums, to=onnx_type(np.float32)), factors.astype(np.float32)
        return real if (factor == 1).all() else self.at.op("Mul", real, self._along(factor))

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
    if stored.values.dtype == np.float32:
        scaled: NDArray[np.float32] = (stored.values * spread(stored.positive * weights.scale, rank)).astype(
            np.float32
        )
        return scaled
    whole = _whole_numbers(at, stored.values)
    positive, negative = (
        spread((scale * weights.scale).astype(np.float32), rank)
        for scale in (stored.positive, stored.negative)
    )
    if weights.is_symmetric:
        return whole if (positive == 1).all() else at.op("Mul", whole, positive)
    is_negative = at.op("Less", whole, np.float32(0))
    return at.op("Mul", whole, at.op("Where", is_negative, negative, positive))


def _whole_numbers(at: At, values: NDArray[Any]) -> str:
    """Whole numbers as a float32 tensor."""
    places = at.codes.places(values)
    if places is not None:
        return at.op("Gather", places[0].astype(np.float32), places[1])
    if values.dtype == np.int8:
        return at.op("Cast", values, to=onnx_type(np.float32))
    levels, codes = coded_levels(values)
    return at.op("Gather", levels.astype(np.float32), at.op("Cast", codes, to=onnx_type(np.int32)))


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
