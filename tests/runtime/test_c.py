"""The C form: gcc compiles it without a warning, and it computes what the compiled network computes."""

import ctypes
import shutil
import subprocess
from functools import cache

import numpy as np
import pytest
import torch
from torch import nn

import runtime
import search_spaces
from search_spaces import InvalidInput, precisions
from search_spaces.layers import QuantConv2d, QuantLinear
from tests.runtime.harness import DISTINCT, trained

STRICT = ["-std=c99", "-Wall", "-Wextra", "-Werror", "-O2", "-ffp-contract=off"]

if shutil.which("gcc") is None:
    pytest.skip("gcc is not installed: nothing compiles the C form here", allow_module_level=True)


def run_c(module, images, output_shape, folder, *options):
    """The output (N, *output_shape) of the C form, compiled into a library of its own."""
    runtime.write_c(module, (1, *images.shape[1:]), folder)
    return run_written(folder, images, output_shape, *options)


def run_written(folder, images, output_shape, *options):
    """The output (N, *output_shape) of C that is written, compiled into a library for these options."""
    library = folder / f"network{len(options)}.so"  # one that is loaded already is not loaded again
    source = folder / "network.c"
    subprocess.run(["gcc", *STRICT, *options, "-shared", "-fPIC", source, "-o", library, "-lm"], check=True)
    entry = ctypes.CDLL(str(library)).bitnas_network
    pointer = np.ctypeslib.ndpointer(np.float32, flags="C_CONTIGUOUS")
    entry.argtypes, entry.restype = [pointer, pointer], None
    outputs = []
    for image in images:
        output = np.full(output_shape, np.nan, np.float32)
        entry(np.ascontiguousarray(image), output)
        outputs.append(output)
    return np.stack(outputs)


def numbers(shape):
    return np.random.default_rng(3).standard_normal(shape).astype(np.float32)


GENERIC = ("float", "int8", "ternary-int8", "binary", "dithered-3d", "lq2-3")
"""Of each kind of kernel one: without FMA the same C is compiled, and rounds floats otherwise."""


@pytest.mark.parametrize("precision", DISTINCT)
def test_every_precision_in_c(precision, tmp_path):
    p = precisions.get(precision)
    module = nn.Sequential(
        nn.Conv2d(3, 32, 3, stride=2, padding=1),
        nn.BatchNorm2d(32),
        QuantConv2d(32, 32, 3, p),
        nn.BatchNorm2d(32),
        QuantConv2d(32, 32, (3, 1), p, padding=(2, 0), dilation=(2, 1), groups=32),
        nn.BatchNorm2d(32),
        QuantConv2d(32, 20, 1, p, groups=4),
        nn.BatchNorm2d(20),
        QuantConv2d(20, 32, 1, p),
        nn.MaxPool2d((3, 2), 2, 1, (1, 2), ceil_mode=True),
        nn.BatchNorm2d(32),
        QuantConv2d(32, 20, 1, p),
        nn.Flatten(),
        QuantLinear(20 * 16, 7, p),
    )
    images = numbers((3, 3, 12, 12))
    trained(module, images.shape)
    expected = runtime.compile(module, (1, *images.shape[1:])).run(images)
    found = [run_c(module, images, expected.shape[1:], tmp_path / "c", "-march=native")]
    if has_fma():
        np.testing.assert_array_equal(found.pop(), expected)
    if precision in GENERIC:
        found.append(run_written(tmp_path / "c", images, expected.shape[1:]))
    for each in found:
        close = np.isclose(each, expected, rtol=1e-4, atol=1e-4).all(axis=1)
        # other roundings: a value within a rounding error of a threshold may fall on its other side
        assert close.all() if p.activation == "float" else close.sum() >= 2


@pytest.mark.parametrize("seed", range(6))
def test_samples_of_a_space_in_c(seed, tmp_path):
    architecture = search_spaces.space("tiny").sample(seed)
    images = numbers((4, *architecture.input_shape))
    module = trained(search_spaces.build(architecture), images.shape)
    expected = runtime.compile(module, (1, *architecture.input_shape)).run(images)
    found = run_c(module, images, expected.shape[1:], tmp_path / "c", "-march=native")
    if has_fma():
        np.testing.assert_array_equal(found, expected)
    else:
        assert (found.argmax(1) == expected.argmax(1)).all()


def test_an_integer_layer_is_the_same_to_the_bit_anywhere(tmp_path):
    layer = QuantConv2d(40, 24, 3, precisions.get("binary"))
    nn.init.ones_(layer.scale)
    images = numbers((2, 40, 6, 5))
    expected = runtime.compile(layer.eval(), (1, 40, 6, 5)).run(images)
    np.testing.assert_array_equal(
        run_c(layer, images, expected.shape[1:], tmp_path / "c", "-mno-popcnt"), expected
    )


class Gate(nn.Module):
    """Channels times a sigmoid of their means over many pixels; a NaN goes through."""

    def __init__(self):
        super().__init__()
        self.pool, self.relu = nn.AdaptiveAvgPool2d(1), nn.ReLU6()

    def forward(self, x):
        return self.relu(x) * torch.sigmoid(self.pool(x))


def test_means_in_blocks_sigmoids_and_a_nan_in_c(tmp_path):
    images = numbers((2, 5, 20, 27))
    images[1, 3, 4, 5] = np.nan
    expected = runtime.compile(Gate(), (1, *images.shape[1:])).run(images)
    found = run_c(Gate(), images, expected.shape[1:], tmp_path / "c", "-march=native")
    np.testing.assert_allclose(found, expected, rtol=1e-6)
    assert np.isnan(found[1, 3]).all() and np.isnan(found).sum() == 20 * 27


def test_sums_lie_where_every_move_reaches_them(tmp_path):
    """GCC 12 clears 48 bytes on the stack by moves for aligned memory, wherever they lie, unless told."""
    layer, shape = nn.Sequential(nn.Flatten(), QuantLinear(29, 12, precisions.get("int8"))), (3, 29, 1, 1)
    runtime.write_c(trained(layer, shape), shape, tmp_path / "c")
    main = tmp_path / "main.c"
    main.write_text(
        '#include "c/network.h"\nfloat in[87], out[36];\n'
        "int main(void) { bitnas_network(in, out); return 0; }\n"
    )
    program = tmp_path / "main"
    source = tmp_path / "c" / "network.c"
    subprocess.run(["gcc", *STRICT, "-march=native", main, source, "-o", program, "-lm"], check=True)
    subprocess.run([program], check=True)


def test_a_folder_that_holds_something_is_left_alone(tmp_path):
    (tmp_path / "mine").touch()
    with pytest.raises(InvalidInput, match="is there already"):
        runtime.write_c(nn.Conv2d(3, 4, 1), (1, 3, 4, 4), tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["mine"]


@cache
def has_fma():
    """Whether gcc, told to compile for this machine, rounds a product and a sum once."""
    told = subprocess.run(
        ["gcc", "-march=native", "-dM", "-E", "-x", "c", "/dev/null"], check=True, capture_output=True
    )
    return b"__FMA__" in told.stdout or b"__ARM_FEATURE_FMA" in told.stdout
