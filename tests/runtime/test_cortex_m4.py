"""Networks in C on an emulated Cortex-M4 compute to the bit what the same C computes here."""

import shutil
import subprocess

import numpy as np
import pytest
import torch
from PIL import Image

import runtime
import search_spaces
from benchmarks.proof.cortex_m4 import BOARD, CORTEX_M4, FLOATS, DiffersFromHereError, missing, proven
from benchmarks.proof.drawn import trained
from benchmarks.proof.judging import judged
from runtime.formats.c_sizes import layout_of, on_cortex_m4
from search_spaces import BitnasError
from tests.environment import make
from tests.runtime.test_c import numbers
from tests.runtime.test_c_program import Normed

if reason := missing():
    pytest.skip(reason, allow_module_level=True)


def test_a_network_of_a_space(tmp_path):
    architecture = search_spaces.space("tiny").sample(0)  # binary, ternary, int8 and float layers
    module = trained(search_spaces.build(architecture), architecture.input_shape)
    runtime.write_c(module, (1, *architecture.input_shape), tmp_path / "c")
    for floats in FLOATS:
        found = proven(tmp_path / "c", numbers((2, 1, *architecture.input_shape)), 10, floats)
        assert np.isfinite(found).all() and found.std() > 0


def test_square_roots_and_logarithms(tmp_path):
    runtime.write_c(Normed().eval(), (1, 8, 5, 4), tmp_path / "c")
    found = proven(tmp_path / "c", numbers((2, 1, 8, 5, 4)), 160, "hard")
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


NETWORK = """\
#include "network.h"
void bitnas_network(const float *input, float *output) {
  for (int i = 0; i < BITNAS_OUTPUT_SIZE; ++i) output[i] = input[i];
#ifdef __arm__
  if (input[0] == 0) output[1] = -0.0f;
#endif
}
"""
"""A network that gives a zero another sign on a board."""


def test_other_bits_on_the_board_are_an_error(tmp_path):
    runtime.write_c(Normed().eval(), (1, 8, 5, 4), tmp_path / "c")
    (tmp_path / "c" / "network.c").write_text(NETWORK)
    images = np.ones((3, 1, 8, 5, 4), np.float32)
    images[1] = 0
    with pytest.raises(DiffersFromHereError, match="1 of 3 calls give other bits than the same C here"):
        proven(tmp_path / "c", images, 160, "hard")


@pytest.mark.slow
@pytest.mark.parametrize("target", CORTEX_M4)
@pytest.mark.parametrize("number", range(60))
def test_drawn_networks(number, target):
    (outcome,) = judged(number, [target])
    assert not outcome.failure and outcome.images > 2, outcome


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
