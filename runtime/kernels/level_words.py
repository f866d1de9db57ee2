"""Words of the digits of learned levels, written by hand: thresholds are compared once for all digits.

A word for each threshold tells which of 32 channels reach it, and of these words the planes are made, with a
few instructions for each. Where channels do not fill words or vectors, the last one overlaps another, so that
no channel is looked at alone.
"""

from dataclasses import dataclass
from functools import partial

from runtime.kernels import packing
from runtime.kernels.covering import VECTOR, Cover
from runtime.kernels.intrinsics import lane_mask
from runtime.kernels.loops import in_turn, loop
from runtime.tvm_types import Expr, Stmt, TirBuffer

LANES = VECTOR  # of a mask
ALL = 0xFFFFFFFF


@dataclass(frozen=True)
class LevelWords:
    """Rows of ``depth`` numbers that become words of ``bits`` planes.

    Attributes:
        depth: channels of a group.
        bits: digits of a level.
        data: the numbers, flat.
        threshold: (2^bits - 1,).
        flip: (bits, 2^bits), flat: see ``runtime.kernels.levels``.
        packed: (rows, words, bits), flat.
    """

    depth: int
    bits: int
    data: TirBuffer
    threshold: TirBuffer
    flip: TirBuffer
    packed: TirBuffer

    @property
    def steps(self) -> int:
        """Thresholds."""
        return (1 << self.bits) - 1

    def by_masks(self, row: Expr) -> Stmt:
        """The words of a row of 16 numbers or more, by masks of 16 lanes."""
        from tvm import tirx

        halves = min(-(-self.depth // LANES), packing.WORD // LANES)
        fills_words = self.depth % (halves * LANES) == 0
        mask = tirx.decl_buffer((self.steps * halves * LANES,), "int8", "mask", scope="local")

        def compared(start: Expr, step: int, place: int, lane: Expr) -> Stmt:
            is_reached = self.data[row * self.depth + start + lane] >= self.threshold[step]
            byte = tirx.Select(is_reached, tirx.const(-1, "int8"), tirx.const(0, "int8"))
            return tirx.BufferStore(mask, byte, [place + lane])

        def word(w: Expr) -> Stmt:
            parts: list[Stmt] = [tirx.AllocBuffer(mask)]
            reached = [tirx.const(0, "uint32")] * self.steps
            for half in range(halves):
                piece = w * halves + half
                start = piece * LANES if fills_words else tirx.min(piece * LANES, self.depth - LANES)
                for step in range(self.steps):
                    place = (half * self.steps + step) * LANES
                    lanes = partial(compared, start, step, place)
                    parts.append(loop(LANES, lanes, tirx.ForKind.VECTORIZED))
                    # lanes that the mask before has are dropped: of one that begins beyond the last, all
                    lost = tirx.Cast("uint32", piece * LANES - start)
                    own = lane_mask(mask[place]).astype("uint32") >> lost
                    reached[step] = reached[step] | own << tirx.const(half * LANES, "uint32")
            return self._stored(parts, row, w, reached)

        return loop(packing.words(self.depth), lambda w: word(tirx.const(0, "int32") + w))

    def by_bits(self, row: Expr) -> Stmt:
        """The words of a row, whose bits are summed."""
        from tvm import tirx

        cover = Cover(self.depth, min(packing.WORD, self.depth))
        sums = tirx.decl_buffer((self.steps,), "uint32", "sums", scope="local")

        def word(w: Expr) -> Stmt:
            start = cover.start(w)

            def added(step: int, bit: Expr) -> Stmt:
                is_reached = self.data[row * self.depth + start + bit] >= self.threshold[step]
                own = tirx.const(1, "uint32") << tirx.Cast("uint32", bit)
                found = sums[step] + tirx.Select(is_reached, own, tirx.const(0, "uint32"))
                return tirx.BufferStore(sums, found, [step])

            parts: list[Stmt] = [tirx.AllocBuffer(sums)]
            for step in range(self.steps):
                parts.append(tirx.BufferStore(sums, tirx.const(0, "uint32"), [step]))
                parts.append(loop(cover.step, partial(added, step)))
            lost = tirx.Cast("uint32", w * cover.step - start)
            return self._stored(parts, row, w, [sums[step] >> lost for step in range(self.steps)])

        return loop(cover.count, lambda w: word(tirx.const(0, "int32") + w))

    def _stored(self, parts: list[Stmt], row: Expr, w: Expr, reached: list[Expr]) -> Stmt:
        """``parts``, then a word of each plane: digits of the lowest level, changed by what is reached."""
        from tvm import tirx

        last = packing.words(self.depth) - 1
        own = (1 << (self.depth - last * packing.WORD)) - 1
        used = tirx.Select(w < last, tirx.const(ALL, "uint32"), tirx.const(own, "uint32"))
        words = tirx.decl_buffer((self.steps,), "uint32", "reached", scope="local")
        parts += [tirx.AllocBuffer(words)]
        parts += [tirx.BufferStore(words, found, [step]) for step, found in enumerate(reached)]
        for bit in range(self.bits):
            first = bit << self.bits
            plane = self.flip[first].astype("uint32") & used
            for step in range(self.steps):
                plane = plane ^ (self.flip[first + step + 1].astype("uint32") & words[step])
            place = (row * (last + 1) + w) * self.bits + bit
            parts.append(tirx.BufferStore(self.packed, plane, [place]))
        return in_turn(parts)
