"""The limit: the best instructions to count bits that a CPU has, on vectors that hardly leave the registers.

With AVX-512 VPOPCNTDQ, xor, popcount and add. On other x86 CPUs a look-up (vpshufb) and an addition of bytes:
four bits of a pixel chose a table, four bits of each weight index it. The bytes are widened to 16 bits every
62 steps, before four bits a step can exceed them. Elsewhere what LLVM makes of xor, popcount and add.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import tvm
from tvm.script import tirx as T

from benchmarks.ours import timed
from benchmarks.race import Run
from runtime.codegen.linking import load
from runtime.codegen.sharing import THREADS
from runtime.cpu import BitCount, Cpu
from runtime.kernels.lookups import NIBBLE, VPSHUFB
from runtime.target import cpu_of

VECTORS, LANES, STEPS = 24, 16, 20_000
WORD = 32
NIBBLE_BITS = 4
BYTE_VECTORS, BYTE_STEPS, BLOCKS = 10, 62, 320
"""Of look-ups: vectors of counts, steps until they are widened, and how often that is."""


@dataclass(frozen=True)
class Limit:
    """A loop as a contender.

    Attributes:
        run: the contender.
        products: of one bit by one bit, in one run, on all threads.
    """

    run: Run
    products: int


def words(threads: int = 1) -> Any:
    """The loop of xor, popcount and add, on each of so many threads."""

    @T.prim_func
    def loop(weight: T.Buffer((2, 16), "uint32"), results: T.handle) -> None:
        result = T.match_buffer(results, (threads, 24, 16), "uint32")
        for thread in T.parallel(threads):
            total = T.alloc_buffer((24, 16), "uint32", scope="local")
            for a in T.unroll(24):
                for i in T.vectorized(16):
                    total[a, i] = T.Cast("uint32", a * 16 + i)
            for _ in T.serial(20_000):
                for a in T.unroll(24):
                    for i in T.vectorized(16):
                        total[a, i] = total[a, i] + T.popcount(total[a, i] ^ weight[a % 2, i])
            for a in T.unroll(24):
                for i in T.vectorized(16):
                    result[thread, a, i] = total[a, i]

    return loop


def look_ups(lanes: int, threads: int = 1) -> Any:
    """The loop of look-ups; each reads the count that it adds to, so that none can be left out."""
    kind, lookup = f"uint8x{lanes}", VPSHUFB[lanes]

    @T.prim_func
    def loop(tables: T.handle, results: T.handle) -> None:
        table = T.match_buffer(tables, (2 * lanes,), "uint8")
        result = T.match_buffer(results, (threads, BYTE_VECTORS * lanes), "uint16")
        for thread in T.parallel(threads):
            count = T.alloc_buffer((BYTE_VECTORS * lanes,), "uint8", scope="local")
            for _ in T.serial(BLOCKS):
                for a in T.unroll(BYTE_VECTORS):
                    count[T.Ramp(a * lanes, 1, lanes)] = T.Broadcast(T.uint8(0), lanes)
                for _step in T.serial(BYTE_STEPS):
                    for a in T.unroll(BYTE_VECTORS):
                        count[T.Ramp(a * lanes, 1, lanes)] = count[
                            T.Ramp(a * lanes, 1, lanes)
                        ] + T.call_llvm_pure_intrin(
                            kind,
                            lookup,
                            table[T.Ramp(a % 2 * lanes, 1, lanes)],
                            count[T.Ramp(a * lanes, 1, lanes)],
                        )
                for a in T.unroll(BYTE_VECTORS):
                    result[thread, T.Ramp(a * lanes, 1, lanes)] = result[
                        thread, T.Ramp(a * lanes, 1, lanes)
                    ] + T.Cast(f"uint16x{lanes}", count[T.Ramp(a * lanes, 1, lanes)])

    return loop


def byte_lanes(cpu: Cpu) -> int:
    """How many bytes a look-up of a CPU has."""
    return 64 if "avx512bw" in cpu.flags else 32 if "avx2" in cpu.flags else NIBBLE


def limit(target: str, threads: int = 1) -> Limit:
    """The loop for a target, on each of so many threads."""
    cpu = cpu_of(target)
    values = np.random.default_rng(0)
    if cpu.bit_count is not BitCount.LOOKUPS:
        weight = values.integers(0, 1 << 32, (2, LANES), np.uint32)
        run = _loop(words(threads), target, threads, weight, np.zeros((threads, VECTORS, LANES), np.uint32))
        return Limit(run, threads * VECTORS * LANES * WORD * STEPS)
    lanes = byte_lanes(cpu)
    table = values.integers(0, NIBBLE_BITS + 1, 2 * lanes, np.uint8)
    counts = np.zeros((threads, BYTE_VECTORS * lanes), np.uint16)
    run = _loop(look_ups(lanes, threads), target, threads, table, counts)
    return Limit(run, threads * BYTE_VECTORS * lanes * NIBBLE_BITS * BYTE_STEPS * BLOCKS)


def _loop(function: Any, target: str, threads: int, *arrays: np.ndarray) -> Run:
    named = function.with_attr({"global_symbol": "loop", THREADS: threads})
    module = load({"loop": named}, target, threads)
    return timed(module, "loop", [tvm.runtime.tensor(array, tvm.cpu()) for array in arrays])
