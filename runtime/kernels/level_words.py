"""Words of the digits of learned levels, written by hand: thresholds are compared once for all digits.

Where channels do not fill words or vectors, the last one overlaps another, so that no channel is looked at
alone. What both have is taken from the first.
"""

from dataclasses import dataclass
from functools import partial

from runtime.kernels import packing
from runtime.kernels.convolution import affine_output
from runtime.kernels.covering import VECTOR, Cover
from runtime.kernels.intrinsics import lane_mask
from runtime.kernels.lookups import looked_up
from runtime.kernels.loops import in_turn, loop
from runtime.tvm_types import Expr, Stmt, TirBuffer

LANES = VECTOR  # of a mask
ALL = (1 << packing.WORD) - 1
TABLE = 16  # numbers that a look-up chooses among


@dataclass(frozen=True)
class LevelWords:
    """Rows of ``depth`` numbers that become words of ``bits`` planes.

    Attributes:
        depth: channels of a group.
        groups: rows after which the channels begin again.
        bits: digits of a level.
        data: the numbers, flat.
        threshold: (2^bits - 1,).
        digit: (bits, 16), flat: see ``runtime.kernels.levels``.
        packed: (rows, words, bits), flat.
        affine: scale and bias of each channel, flat, where numbers are scaled and shifted first.
    """

    depth: int
    groups: int
    bits: int
    data: TirBuffer
    threshold: TirBuffer
    digit: TirBuffer
    packed: TirBuffer
    affine: tuple[TirBuffer, ...] = ()

    @property
    def steps(self) -> int:
        """Thresholds."""
        return (1 << self.bits) - 1

    def by_lookups(self, row: Expr) -> Stmt:
        """The words of a row of 16 numbers or more: of 16 lanes each level's digits are looked up."""
        from tvm import tirx

        halves = min(-(-self.depth // LANES), packing.WORD // LANES)
        fills_words = self.depth % (halves * LANES) == 0
        level = tirx.decl_buffer((LANES,), "uint8", "level", scope="local")
        mask = tirx.decl_buffer((self.bits * halves * LANES,), "int8", "mask", scope="local")

        def leveled(start: Expr, lane: Expr) -> Stmt:
            number, found = self._number(row, start + lane), tirx.const(0, "int32")
            for step in range(self.steps):
                is_reached = number >= self.threshold[step]
                found = found + tirx.Select(is_reached, tirx.const(1, "int32"), tirx.const(0, "int32"))
            return tirx.BufferStore(level, found.astype("uint8"), [lane])

        def digit(place: int, bit: int, lane: Expr) -> Stmt:
            found = looked_up(self.digit[bit * TABLE], level[lane])
            return tirx.BufferStore(mask, found.astype("int8"), [place + lane])

        def word(w: Expr) -> Stmt:
            parts: list[Stmt] = [tirx.AllocBuffer(level), tirx.AllocBuffer(mask)]
            planes = [tirx.const(0, "uint32")] * self.bits
            for half in range(halves):
                piece = w * halves + half
                start = piece * LANES if fills_words else tirx.min(piece * LANES, self.depth - LANES)
                parts.append(loop(LANES, partial(leveled, start), tirx.ForKind.VECTORIZED))
                for bit in range(self.bits):
                    place = (half * self.bits + bit) * LANES
                    parts.append(loop(LANES, partial(digit, place, bit), tirx.ForKind.VECTORIZED))
                    # lanes that the mask before has are dropped: of one that begins beyond the last, all
                    lost = tirx.Cast("uint32", piece * LANES - start)
                    own = lane_mask(mask[place]).astype("uint32") >> lost
                    planes[bit] = planes[bit] | own << tirx.const(half * LANES, "uint32")
            return in_turn(parts + self._stores(row, w, planes))

        return loop(packing.words(self.depth), lambda w: word(tirx.const(0, "int32") + w))

    def by_bits(self, row: Expr) -> Stmt:
        """The words of a row: bits are summed that tell which numbers reach a threshold."""
        from tvm import tirx

        cover = Cover(self.depth, min(packing.WORD, self.depth))
        sums = tirx.decl_buffer((self.steps,), "uint32", "sums", scope="local")
        numbers = tirx.decl_buffer((cover.step,), "float32", "numbers", scope="local")
        every = tirx.const((1 << cover.step) - 1, "uint32")

        def word(w: Expr) -> Stmt:
            start = cover.start(w)

            def added(step: int, bit: Expr) -> Stmt:
                own = tirx.const(1, "uint32") << tirx.Cast("uint32", bit)
                found = tirx.Select(numbers[bit] >= self.threshold[step], own, tirx.const(0, "uint32"))
                return tirx.BufferStore(sums, sums[step] + found, [step])

            def held(bit: Expr) -> Stmt:
                return tirx.BufferStore(numbers, self._number(row, start + bit), [bit])

            parts: list[Stmt] = [tirx.AllocBuffer(sums), tirx.AllocBuffer(numbers), loop(cover.step, held)]
            for step in range(self.steps):
                parts.append(tirx.BufferStore(sums, tirx.const(0, "uint32"), [step]))
                parts.append(loop(cover.step, partial(added, step)))
            lost = tirx.Cast("uint32", w * cover.step - start)
            planes = []
            for bit in range(self.bits):
                levels = [self._every_bit(bit, each) for each in range(self.steps + 1)]
                plane = levels[0] & every
                for step in range(self.steps):
                    plane = plane ^ ((levels[step] ^ levels[step + 1]) & sums[step])
                planes.append(plane >> lost)
            return in_turn(parts + self._stores(row, w, planes))

        return loop(cover.count, lambda w: word(tirx.const(0, "int32") + w))

    def _every_bit(self, bit: int, level: int) -> Expr:
        """A digit of a level as each bit of a word."""
        from tvm import tirx

        digit = self.digit[bit * TABLE + level]
        every, none = tirx.const(ALL, "uint32"), tirx.const(0, "uint32")
        return tirx.Select(digit != tirx.const(0, "uint8"), every, none)

    def _number(self, row: Expr, c: Expr) -> Expr:
        """Channel ``c`` of a row, as thresholds take it."""
        number = self.data[row * self.depth + c]
        if not self.affine:
            return number
        channel = row % self.groups * self.depth + c if self.groups > 1 else c
        scale, bias = self.affine
        return affine_output(number, scale[channel], bias[channel])

    def _stores(self, row: Expr, w: Expr, planes: list[Expr]) -> list[Stmt]:
        from tvm import tirx

        first = (row * packing.words(self.depth) + w) * self.bits
        return [tirx.BufferStore(self.packed, plane, [first + bit]) for bit, plane in enumerate(planes)]
