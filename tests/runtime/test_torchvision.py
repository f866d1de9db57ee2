"""Torchvision's networks with random weights: compiled, each gives what torch gives."""

import importlib.util

import numpy as np
import pytest
import torch
from click.testing import CliRunner

import runtime
from benchmarks import torchvision, zoo
from benchmarks.torchvision import TOLERANCE
from runtime.lowering import lower
from tests.runtime import interpreter

if importlib.util.find_spec("torchvision") is None:
    pytest.skip("torchvision is not installed: pip install -e '.[dev]'", allow_module_level=True)

SIDE = 64
COMPILED = ("mobilenet_v3_small",)
INTERPRETED = ("convnext_tiny",)


def check(name, run):
    module, image = zoo.network(name, SIDE), torch.randn(1, 3, SIDE, SIDE)
    with torch.no_grad():
        expected, other = (module(each).numpy() for each in (image, image.flip(-1)))
    largest = np.abs(expected).max()
    assert np.abs(expected - other).max() > 100 * TOLERANCE * largest, "it does not depend on the image"
    found = run(module, image.numpy())
    np.testing.assert_allclose(found, expected, rtol=0, atol=TOLERANCE * largest)


def compiled(module, image):
    return runtime.compile(module, image.shape).run(image)


@pytest.mark.slow
@pytest.mark.parametrize("name", COMPILED)
def test_networks_are_compiled(name):
    check(name, compiled)


@pytest.mark.parametrize("name", INTERPRETED)
def test_networks_are_lowered(name):
    check(name, lambda module, image: interpreter.run(lower(module, image.shape), image))


def test_the_benchmark_holds_them_against_torch_and_onnxruntime():
    words = ["--quick", "--side", str(SIDE), "--only", "shufflenet_v2_x0_5"]
    result = CliRunner().invoke(torchvision.main, words)
    assert result.exit_code == 0, result.output  # the error is within its tolerance, too
    *_, name, kernels, error, ours, theirs, ratio, _ = result.stdout.splitlines()[-1].split("|")
    assert name.strip() == "shufflenet_v2_x0_5" and int(kernels) > 100 and float(error) <= TOLERANCE
    assert min(float(ours), float(theirs), float(ratio)) > 0


@pytest.mark.slow
@pytest.mark.parametrize("name", [name for name in zoo.MODELS if name not in COMPILED])
def test_all_others_are_compiled(name):
    check(name, compiled)
