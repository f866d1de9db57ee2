"""Networks in C on an emulated Cortex-M4 compute to the bit what the same C computes here."""

import shutil
import subprocess

import numpy as np
import pytest
import torch
from PIL import Image

import runtime
import search_spaces
from benchmarks.proof.cortex_m4 import BOARD, here, missing, on_board
from benchmarks.proof.drawn import drawn, trained
from runtime.formats.c_sizes import layout_of, on_cortex_m4
from search_spaces import BitnasError
from tests.environment import make
from tests.runtime.test_c import numbers
from tests.runtime.test_c_program import Normed

if reason := missing():
    pytest.skip(reason, allow_module_level=True)

NO_LIBM = "-DBITNAS_NO_LIBM"


def agrees(module, shape, calls, folder, floats, *options):
    """Whether board and machine agree on as many images, and the output (calls, outputs)."""
    runtime.write_c(module, shape, folder)
    images = numbers((calls, *shape))
    with torch.no_grad():
        outputs = module(torch.zeros(shape)).numel()
    found, _ = on_board(folder, images, outputs, floats, *options)
    expected = here(folder, images, outputs, floats, *options)
    return np.array_equal(found, expected, equal_nan=True), found


@pytest.mark.parametrize("floats", ["hard", "soft"])
def test_a_network_of_a_space(floats, tmp_path):
    architecture = search_spaces.space("tiny").sample(0)  # binary, ternary, int8 and float layers
    module = trained(search_spaces.build(architecture), architecture.input_shape)
    is_same, found = agrees(module, (1, *architecture.input_shape), 2, tmp_path / "c", floats, NO_LIBM)
    assert is_same and np.isfinite(found).all() and found.std() > 0


def test_square_roots_and_logarithms(tmp_path):
    is_same, found = agrees(Normed().eval(), (1, 8, 5, 4), 2, tmp_path / "c", "hard", NO_LIBM)
    assert is_same
    with torch.no_grad():
        expected = Normed()(torch.from_numpy(numbers((2, 8, 5, 4)))).numpy()
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-5)


def test_flash_and_ram_by_the_compiler(tmp_path):
    """Constants stay in flash, and all memory is the arena."""
    runtime.write_c(Normed().eval(), (1, 8, 5, 4), tmp_path / "c")
    stated, found = layout_of(tmp_path / "c" / "network.h"), on_cortex_m4(tmp_path / "c" / "network.c")
    assert stated.constants <= found.constants <= stated.constants + 512, "padding, and what code has"
    assert found.ram == stated.arena and 0 < found.stack < 1024 < found.code < 16384
    (tmp_path / "c" / "network.c").write_text("int x = y;")
    with pytest.raises(BitnasError, match=r"it does not compile for a Cortex-M4 \(.*; export it again"):
        on_cortex_m4(tmp_path / "c" / "network.c")


@pytest.mark.slow
@pytest.mark.parametrize("floats", ["hard", "soft"])
@pytest.mark.parametrize("number", range(60))
def test_drawn_networks(number, floats, tmp_path):
    network = drawn(number)
    is_same, found = agrees(network.module, network.shape, 2, tmp_path / "c", floats, NO_LIBM)
    assert is_same, network.told
    assert np.isfinite(found).all()


def test_the_example_classifies_an_image(tmp_path):
    model = torch.nn.Sequential(torch.nn.Conv2d(3, 4, 3), torch.nn.AdaptiveAvgPool2d(1), torch.nn.Flatten())
    images = runtime.ImageInput((128.0,) * 3, (64.0,) * 3, 255, ("a", "b", "c", "d"))
    runtime.write_c(model.eval(), (1, 3, 9, 9), tmp_path / "winner", images)
    pixels = numbers((9, 9, 3)) * 64 + 128
    Image.fromarray(pixels.clip(0, 255).astype(np.uint8)).save(tmp_path / "x.ppm")
    shutil.copytree(BOARD, tmp_path / "example")
    make(tmp_path / "winner")
    expected = subprocess.check_output([tmp_path / "winner" / "classify", tmp_path / "x.ppm"])
    given = [f"NETWORK={tmp_path}/winner", "run", f"IMAGE={tmp_path}/x.ppm {tmp_path}/x.ppm"]
    told = make(tmp_path / "example", *given)
    assert told.endswith(expected * 2), told
