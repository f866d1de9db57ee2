"""Networks for ARM boards: they link, they are refused here, and under an emulator they compute the same."""

import shutil
import subprocess
from dataclasses import replace

import numpy as np
import pytest
import torch

import runtime
import search_spaces
from benchmarks.proof.emulated import EMULATORS, emulated
from runtime.cpu import ByteDot, Cpu
from runtime.kernels import kernel_for
from runtime.kernels.byte_products import byte_dot_for
from runtime.kernels.half_sums import MOST_WORDS
from runtime.target import BOARDS, board_of, cpu_of
from runtime.workload import Conv2d
from search_spaces import BitnasError, InvalidInput, precisions
from search_spaces.layers import QuantConv2d
from tests.runtime.harness import trained


def needs(name, *programs):
    """Skip where a cross compiler or an emulator is missing."""
    if board_of(name) is None:
        pytest.skip(f"this machine is {name} itself")
    missing = [p for p in (BOARDS[name].linker, *programs) if shutil.which(p) is None]
    if missing:
        pytest.skip(f"not installed: {', '.join(missing)}")


@pytest.mark.parametrize("board", BOARDS)
@pytest.mark.parametrize(
    ("precision", "threads"),
    [("float", 1), ("int8", 1), ("ternary", 1), ("binary", 1), ("dithered", 1), ("lq2-3", 1), ("binary", 2)],
)
def test_boards_compute_what_this_machine_computes(board, precision, threads, tmp_path):
    needs(board, EMULATORS[board][0])
    p = precisions.get(precision)
    module = torch.nn.Sequential(
        QuantConv2d(3, 32, 3, precisions.get("float"), stride=2),
        torch.nn.BatchNorm2d(32),
        QuantConv2d(32, 32, (3, 2), p, stride=(1, 2), padding=(2, 1), dilation=(2, 1)),
        torch.nn.BatchNorm2d(32),
        QuantConv2d(32, 32, 3, p, groups=32),
        torch.nn.BatchNorm2d(32),
        QuantConv2d(32, 20, 1, p),
    )
    shape = (1, 3, 9, 7)
    trained(module, shape)
    image = np.random.default_rng(0).standard_normal(shape).astype(np.float32)
    network = runtime.compile(module, shape, target=board, threads=threads)
    expected = runtime.compile(module, shape).run(image)
    found = emulated(network, image, board, tmp_path)
    if board == "armv7" and p.activation in ("float", "lq3"):  # it rounds a product before it adds
        np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-4)
    else:
        np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize(
    ("target", "way", "instruction"),
    [
        ("aarch64/cortex-a53", ByteDot.SMULL, "smull"),
        ("aarch64/cortex-a76", ByteDot.SDOT, "sdot"),
        ("aarch64/cortex-a510", ByteDot.SDOT, "usmmla"),
        ("armv7", ByteDot.VMULL, "vmull.s8"),
    ],
)
@pytest.mark.parametrize("precision", ["int8", "dorefa8", "ternary-int8"])
def test_dot_products_of_bytes(target, way, instruction, precision, tmp_path):
    board, p = target.partition("/")[0], precisions.get(precision)
    needs(board, EMULATORS[board][0])
    assert cpu_of(target).byte_dot == way
    shape = (1, 5, 9, 7)
    layers = [QuantConv2d(5, 16, 3, p, relu=True), QuantConv2d(16, 40, 3, p, stride=2, groups=2)]
    module = trained(torch.nn.Sequential(*layers, QuantConv2d(40, 20, 1, p, relu=True)), shape)
    with torch.no_grad():  # the greatest weights, which meet inputs of zero: products of bytes at their ends
        module[1].weight.copy_(module[1].weight.sign())
    image = np.random.default_rng(0).standard_normal(shape).astype(np.float32)
    expected = runtime.compile(module, shape).run(image)
    network = runtime.compile(module, shape, target=target)
    np.testing.assert_array_equal(emulated(network, image, board, tmp_path), expected)
    objdump = BOARDS[board].linker.removesuffix("gcc") + "objdump"
    code = subprocess.run([objdump, "-d", network.library], check=True, capture_output=True, text=True).stdout
    assert f"\t{instruction}" in code


@pytest.mark.parametrize(
    ("changed", "schedules"),
    [
        ({}, ["i8mm4x1", "i8mm2x1", "i8mm6x1"]),
        ({"width": 3}, ["i8mm2x1"]),
        ({"width": 1}, None),  # there is no pair of pixels
        ({"width": 1, "kernel": 1, "padding": 0}, ["i8mm4x1", "i8mm2x1", "i8mm6x1"]),  # rows are one
        ({"in_channels": 20}, None),
        ({"groups": 2}, None),  # of 8 output channels
        ({"weight": "ternary"}, ["i8mm4x1", "i8mm2x1", "i8mm6x1"]),
    ],
)
def test_pairs_are_multiplied_where_they_fit(changed, schedules):
    work = replace(Conv2d(1, 8, 8, 3, 1, 1, 16, 16, 1, "int8", "uint8"), **changed)
    cpu, plain = (Cpu("aarch64", frozenset({"asimd", "asimddp", *more})) for more in (["i8mm"], []))
    found, otherwise = ([str(t) for t in kernel_for(work).tiles(work, of)] for of in (cpu, plain))
    assert found == (otherwise if schedules is None else schedules)
    assert byte_dot_for(work, cpu) is (ByteDot.SDOT if schedules is None else ByteDot.USMMLA)


@pytest.mark.parametrize("board", BOARDS)
def test_a_library_names_the_mathematics_that_it_needs(board, tmp_path):
    """Not every program on a board has loaded the logarithm."""
    needs(board, EMULATORS[board][0])
    shape, module = (1, 5, 3, 3), torch.nn.LogSoftmax(1).eval()
    image = np.random.default_rng(0).standard_normal(shape).astype(np.float32)
    found = emulated(runtime.compile(module, shape, target=board), image, board, tmp_path)
    np.testing.assert_allclose(found, module(torch.from_numpy(image)).numpy(), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("board", BOARDS)
@pytest.mark.parametrize("size", [(15, 15), (15, 17)])
def test_outputs_of_odd_sizes(board, size, tmp_path):
    """LLVM's load and store optimization for 32-bit ARM writes addresses instead of values here."""
    needs(board, EMULATORS[board][0])
    shape = (1, 8, *size)
    module = torch.nn.Conv2d(8, 8, 1, bias=False).eval()
    image = np.random.default_rng(0).standard_normal(shape).astype(np.float32)
    expected = runtime.compile(module, shape).run(image)
    found = emulated(runtime.compile(module, shape, target=board), image, board, tmp_path)
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("board", BOARDS)
def test_bits_are_counted_by_neon(board):
    needs(board)
    module = trained(torch.nn.Sequential(QuantConv2d(32, 32, 3, precisions.get("binary"))), (1, 32, 6, 6))
    network = runtime.compile(module, (1, 32, 6, 6), target=board)
    objdump = BOARDS[board].linker.removesuffix("gcc") + "objdump"
    code = subprocess.run([objdump, "-d", network.library], check=True, capture_output=True, text=True).stdout
    expected = ["\tvcnt.8", "\tvpadal.u8"] if board == "armv7" else ["\tcnt\t", "\tuadalp\t"]
    assert [each for each in expected if each not in code] == []


@pytest.mark.parametrize("target", ["aarch64", "aarch64+dotprod", "armv7"])
def test_bits_of_random_layers(target, tmp_path):
    board = target.partition("+")[0]
    needs(board, EMULATORS[board][0])
    random = np.random.default_rng(len(target))
    shape, layers = (1, int(random.integers(1, 70)), 7, 9), []
    channels = shape[1]
    for name, lanes in zip(["binary", "dithered", "twn-binary", "dorefa2"], (16, 4, 8, 2), strict=True):
        out = lanes * int(random.integers(1, 6))
        kernel, stride = random.choice([1, 3, 5]), random.integers(1, 3)
        layers.append(QuantConv2d(channels, out, int(kernel), precisions.get(name), stride=int(stride)))
        channels = out
    module = trained(torch.nn.Sequential(*layers), shape)
    image = random.standard_normal(shape).astype(np.float32)
    found = emulated(runtime.compile(module, shape, target=target), image, board, tmp_path)
    np.testing.assert_array_equal(found, runtime.compile(module, shape).run(image))


@pytest.mark.parametrize("channels", [MOST_WORDS * 32, MOST_WORDS * 32 + 32])
def test_more_bits_than_sums_of_16_bits_hold(channels, tmp_path):
    needs("aarch64", EMULATORS["aarch64"][0])
    module = QuantConv2d(channels, 4, 1, precisions.get("binary"), relu=False).eval()
    with torch.no_grad():
        module.weight.fill_(-1)
    shape = (1, channels, 1, 1)
    image = np.ones(shape, np.float32)  # all bits differ
    found = emulated(runtime.compile(module, shape, target="aarch64"), image, "aarch64", tmp_path)
    np.testing.assert_array_equal(found, runtime.compile(module, shape).run(image))


@pytest.mark.parametrize("board", BOARDS)
def test_an_artifact_for_a_board_is_refused_here(board, tmp_path):
    needs(board)
    architecture = search_spaces.space("tiny").sample(2)
    module = search_spaces.build(architecture).eval()
    network = runtime.compile(module, (1, *architecture.input_shape), target=board)
    image = np.zeros((1, *architecture.input_shape), np.float32)
    with pytest.raises(BitnasError, match=f"the network is for {BOARDS[board].machine}, this machine is"):
        network.run(image)
    network.save(tmp_path / "artifact")
    with pytest.raises(BitnasError, match=f"the artifact is for {BOARDS[board].machine}, this machine is"):
        runtime.load(tmp_path / "artifact")


def test_boards_by_cpu():
    assert cpu_of("aarch64/cortex-a76").flags == {"asimd", "asimddp"}
    assert cpu_of("aarch64").flags == {"asimd"}
    with pytest.raises(InvalidInput, match="unknown CPU 'znver4'"):
        cpu_of("aarch64/znver4")


def test_a_missing_linker_is_one_line(monkeypatch):
    monkeypatch.setenv("PATH", "")
    with pytest.raises(BitnasError, match="linked by aarch64-linux-gnu-gcc, which is not here; install it"):
        runtime.compile(torch.nn.Conv2d(3, 4, 1), (1, 3, 4, 4), target="aarch64")
