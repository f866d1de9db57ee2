"""Constants as a file holds them: each output channel's own units once, with what lays them out for a kernel.

``predict.laid_out`` is the way back; it is in ``predict.py``, as that runs without bitnas.
"""

import math
from collections.abc import Sequence
from typing import Annotated, Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, model_validator

from runtime.formats.predict import laid_out
from runtime.kernels.channel_units import ChannelUnits, by_lane

MAX_UNITS = 1 << 31
MOST_AXES, MOST_RUNS = 10, 1 << 16
MOST_LEVELS = 128
LEVEL_BYTES = 24
"""What a level takes in a manifest, at most: fewer bits a weight must save more."""

Dtype = Literal["float32", "float16", "int64", "int32", "uint32", "int16", "int8", "uint8"]
Count = Annotated[int, Field(ge=0, le=MAX_UNITS)]
Extent = Annotated[int, Field(ge=1, le=MAX_UNITS)]
Finite = Annotated[int, Field(ge=-(1 << 31), lt=1 << 31)] | Annotated[float, Field(allow_inf_nan=False)]

_NARROWER = {
    np.dtype(np.int64): (np.int8, np.int16, np.int32),
    np.dtype(np.int32): (np.int8, np.int16),
    np.dtype(np.int16): (np.int8,),
    np.dtype(np.float32): (np.float16,),
}


class Packed(BaseModel):
    """How what a file holds of a constant becomes what kernels take.

    Attributes:
        dtype: of the elements that kernels take.
        axes: extents in the order of memory, of units.
        channels: the axes that count lanes.
        bits: whether units are bits, the lowest of each byte first, or elements.
        rows: output channels in the file; one that all lanes share stands there once.
        order: the channels of the lanes as runs of (first, how many); empty: in their order.
        used: runs of a channel's units that the file holds and that are zero, in turns, repeated until the
            channel ends; empty: it holds all of them.
        levels: the few numbers that units are: then the file holds which, in the fewest bits; empty where
            it holds the units themselves.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")
    dtype: Dtype
    axes: tuple[Extent, ...] = Field(min_length=1, max_length=MOST_AXES)
    channels: tuple[Count, ...] = Field(max_length=MOST_AXES)
    bits: bool
    rows: Extent
    order: tuple[tuple[Count, Extent], ...] = Field(max_length=MOST_RUNS)
    used: tuple[Count, ...] = Field(max_length=MOST_RUNS)
    levels: tuple[Finite, ...] = Field(max_length=MOST_LEVELS)

    @model_validator(mode="after")
    def _fits_together(self) -> "Packed":
        lanes = math.prod(self.axes[axis] for axis in self.channels if axis < len(self.axes))
        inner = math.prod(self.axes) // lanes
        taken = sum(count for _, count in self.order) if self.order else self.rows
        rules = {
            "it is too large": math.prod(self.axes) <= MAX_UNITS,
            "its channels are no axes": {*self.channels} <= {*range(len(self.axes))}
            and len({*self.channels}) == len(self.channels),
            "it has more rows than lanes": self.rows <= lanes,
            "its order is not of its lanes": taken == lanes if self.rows > 1 else not self.order,
            "its order names other channels": all(a + n <= self.rows for a, n in self.order),
            "what it uses does not fit": not self.used
            or (sum(self.used) > 0 and inner % sum(self.used) == 0),
            "its bits have levels": not (self.bits and self.levels),
            "its bits are no whole elements": not self.bits
            or math.prod(self.axes) % (8 * np.dtype(self.dtype).itemsize) == 0,
        }
        for problem, holds in rules.items():
            if not holds:
                raise ValueError(problem)
        return self

    @property
    def nbytes(self) -> int:
        """Bytes of what kernels take."""
        units = math.prod(self.axes)
        return units // 8 if self.bits else units * np.dtype(self.dtype).itemsize

    def fits(self, stored: NDArray[Any]) -> bool:
        """Whether what a file holds is as much as this says, of a type that it can be."""
        inner = math.prod(self.axes) // math.prod(self.axes[axis] for axis in self.channels)
        held = inner if not self.used else inner // sum(self.used) * sum(self.used[::2])
        if self.bits or self.levels:
            each = 1 if self.bits else level_bits(len(self.levels))
            return stored.dtype == np.uint8 and stored.size == -(-self.rows * held * each // 8)
        return stored.size == self.rows * held and np.can_cast(stored.dtype, self.dtype)


def pack(constant: NDArray[Any], units: ChannelUnits | None) -> tuple[NDArray[Any], Packed | None]:
    """What a file holds of a constant, and how it becomes that again; itself where nothing does."""
    if units is None:
        return constant, None
    lanes = by_lane(constant, units.places)
    rows = lanes[np.unique(units.order, return_index=True)[1]]
    if (rows == rows[:1]).all():
        rows = rows[:1]
    held = rows if units.used is None else rows[:, units.used]
    levels = None if units.places.of_bits else _levels_of(held)
    if levels is not None:
        which = np.searchsorted(_bits_of(levels), _bits_of(held).reshape(-1)).astype(np.uint8)
        stored = np.packbits(
            np.unpackbits(which[:, None], axis=1, count=level_bits(len(levels)), bitorder="little"),
            bitorder="little",
        )
    else:
        stored = np.packbits(held, bitorder="little") if units.places.of_bits else narrowed(held)
    packed = Packed(
        dtype=constant.dtype.name,  # type: ignore[arg-type]  # pydantic checks it
        axes=units.places.axes,
        channels=units.places.channels,
        bits=units.places.of_bits,
        rows=len(rows),
        order=() if len(rows) == 1 else _runs_of(units.order),
        used=() if units.used is None else _turns(units.used),
        levels=() if levels is None else tuple(levels.tolist()),
    )
    again = laid_out(stored, packed.model_dump())
    is_same = again.tobytes() == np.ascontiguousarray(constant).tobytes()
    return (stored, packed) if is_same else (constant, None)


def narrowed(values: NDArray[Any]) -> NDArray[Any]:
    """The same numbers in the fewest bits that hold every one of them exactly."""
    for dtype in _NARROWER.get(values.dtype, ()):
        with np.errstate(over="ignore", invalid="ignore"):
            fewer = values.astype(dtype)
        if np.array_equal(fewer.astype(values.dtype), values):
            return fewer
    return np.ascontiguousarray(values)


def level_bits(count: int) -> int:
    """That say which of so many levels a unit is."""
    return max(1, (count - 1).bit_length())


def _levels_of(values: NDArray[Any]) -> NDArray[Any] | None:
    """The numbers that occur, in the order of their bits, where telling which takes less; None elsewhere."""
    if len(np.unique(_bits_of(values.reshape(-1)[: 1 << 12]))) > MOST_LEVELS:  # seen without sorting all
        return None
    found = np.unique(_bits_of(values)).view(values.dtype)
    saved = 8 * narrowed(found).itemsize - level_bits(len(found))
    pays = len(found) <= MOST_LEVELS and values.size * saved > 8 * LEVEL_BYTES * len(found)
    return found if pays and values.dtype.itemsize <= 4 and np.isfinite(found).all() else None


def _bits_of(values: NDArray[Any]) -> NDArray[Any]:
    """Numbers as unsigned ones of the same bits, so that a zero and a negative zero are two."""
    return np.ascontiguousarray(values).view(f"u{values.dtype.itemsize}")


def _runs_of(order: NDArray[np.int64]) -> tuple[tuple[int, int], ...]:
    """Channels as runs of neighbours, (first, how many); nothing where they are in their order."""
    starts = np.flatnonzero(np.diff(order, prepend=order[0] - 2) != 1)
    if len(starts) == 1:
        return ()
    counts = np.diff(starts, append=len(order))
    return tuple((int(order[start]), int(count)) for start, count in zip(starts, counts, strict=True))


def _turns(used: NDArray[np.bool_]) -> tuple[int, ...]:
    """Lengths of the runs of used and of unused units, in turns, of the shortest period."""
    length = next(n for n in _divisors(len(used)) if (used.reshape(-1, n) == used[:n]).all())
    period = used[:length]
    ends = [*(np.flatnonzero(period[1:] != period[:-1]) + 1).tolist(), length]
    runs = [end - start for start, end in zip([0, *ends], ends, strict=False)]
    return tuple(runs if period[0] else [0, *runs])


def _divisors(number: int) -> Sequence[int]:
    return [n for n in range(1, number + 1) if number % n == 0]
