"""Compiles one kernel and runs it on named arrays."""

import json
import platform

import torch

from runtime import testing
from runtime.formats.artifact import own_digest
from runtime.kernels import packing
from runtime.target import host_flags, required_flags

FAMILY = ["x86-64-v2", "x86-64-v3", "alderlake", "x86-64-v4"] if platform.machine() == "x86_64" else []
TARGETS = ["native", *(name for name in FAMILY if set(required_flags(name)) <= host_flags())]
"""What code can be made for and run here: the newest instructions, SSE, AVX2, AVX-VNNI, AVX-512."""

DISTINCT = (
    *("float", "int8", "ternary", "ternary-int8", "twn-int8", "twn-binary"),
    *("binary", "bwn", "dithered", "dithered-3d", "dorefa2", "dorefa4-8", "dorefa8"),
    *("lq1", "lq2-3", "lq3-float", "float-lq2"),
)
"""Those whose kernels differ from one another in more than the numbers in them."""


def run_kernel(workload, target="native", threads=1, **arrays):
    """The kernel's output for its inputs and constants, given by name in any shape of the right size.

    A kernel of two outputs gives both.
    """
    outputs = testing.run_kernel(workload, arrays, target, threads)
    return outputs[0] if len(outputs) == 1 else outputs


def trained(module, shape):
    """The module in evaluation mode, after its batch norms and int8 ranges have seen some images."""
    torch.manual_seed(0)
    module.train()
    with torch.no_grad():
        for _ in range(3):
            module(torch.randn(8, *shape[1:]))
    return module.eval()


def edit_manifest(folder, *, signed=True, **changes):
    """Change fields of an artifact's manifest, and its digest, as a forger would."""
    path = folder / "manifest.json"
    fields = {**json.loads(path.read_text()), **changes}
    path.write_text(json.dumps(fields | {"digest": own_digest(fields)} if signed else fields))


def pack_images(signs, groups=1):
    """-1 and +1 (N, H, W, C) -> words (N, H, W, G, words)."""
    n, height, width, channels = signs.shape
    return packing.pack_signs(signs.reshape(n, height, width, groups, channels // groups))


def lane_constants(vectors, **constants):
    """Numbers of each channel (O,) as a kernel's vectors take them: (vectors, lanes)."""
    return {name: values[vectors.order()].reshape(vectors.shape) for name, values in constants.items()}
