"""The limit: xor, popcount and add on vectors that never leave the registers."""

import numpy as np
import tvm
from tvm.script import tirx as T

from benchmarks.ours import timed
from benchmarks.race import Run
from runtime.codegen.linking import build

VECTORS, LANES, STEPS = 24, 16, 20_000
PRODUCTS = VECTORS * LANES * 32 * STEPS  # of one bit by one bit, in one run


@T.prim_func
def loop(weight: T.Buffer((2, 16), "uint32"), result: T.Buffer((24, 16), "uint32")) -> None:
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
            result[a, i] = total[a, i]


def registers() -> Run:
    """The loop as a contender; one run makes ``PRODUCTS`` products."""
    module = build({"loop": loop.with_attr("global_symbol", "loop")}, "native").mod
    weight = np.random.default_rng(0).integers(0, 1 << 32, (2, 16), np.uint32)
    return timed(
        module, "loop", [tvm.runtime.tensor(a, tvm.cpu()) for a in (weight, np.zeros((24, 16), np.uint32))]
    )
