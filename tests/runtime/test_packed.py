"""Files hold weights as their codes' bits, once for each output channel, and give kernels the same bytes."""

import json

import numpy as np
import pytest
import torch
from pydantic import ValidationError
from safetensors.numpy import load, load_file, save_file
from torch import nn

import runtime
import search_spaces
from runtime.codegen.layout import lay_out
from runtime.formats.artifact import checksum
from runtime.formats.packed import Packed, narrowed
from runtime.formats.predict import Network, laid_out
from runtime.formats.saving import constants_file
from runtime.lowering import lower
from runtime.target import cpu_of
from search_spaces import BitnasError
from search_spaces.layers import QuantConv2d, QuantLinear
from search_spaces.precision import precisions
from search_spaces.sizing import size
from tests.runtime.harness import edit_manifest
from tests.thinning import each_nth

TARGETS = (
    "sapphirerapids",
    "znver4",
    "x86-64-v3",
    "aarch64",
    "aarch64/cortex-a72",
    "aarch64/cortex-a510",
    "armv7",
)
MOST = 1.02


def constants_of(module, shape, target):
    return lay_out(lower(module.eval(), shape), cpu_of(target)).constants


def weights_stored(constants):
    """Bytes of all weights in a file; each constant comes back from it to the bit."""
    content, places = constants_file(constants)
    arrays = load(content)
    for constant, place in zip(constants, places, strict=True):
        again = stored = arrays[constant.name]
        if place.packed is not None:
            assert place.packed.fits(stored)
            again = laid_out(stored, place.packed.model_dump())
        assert again.tobytes() == constant.array.tobytes(), constant.name
    return sum(array.nbytes for name, array in arrays.items() if name.endswith(".weight"))


@pytest.mark.parametrize(("seed", "space"), each_nth(7, range(21), ("tiny", "cifar", "mobile")))
def test_weights_take_the_bits_of_their_codes(seed, space):
    architecture = search_spaces.space(space).sample(seed)
    torch.manual_seed(seed)
    module = search_spaces.build(architecture)
    for target in (TARGETS[seed % len(TARGETS)], TARGETS[(seed + 3) % len(TARGETS)]):
        stored = weights_stored(constants_of(module, (1, *architecture.input_shape), target))
        assert stored <= MOST * size(module).weight_bytes


ODD_SHAPES = (
    ("int8", 6, 10, 1),
    ("ternary", 33, 24, 1),
    ("binary", 40, 48, 2),
    ("dithered", 24, 20, 1),
    ("dorefa8", 12, 32, 1),
    ("int8", 24, 24, 24),
    ("int8", 16, 32, 1),
    ("twn-int8", 32, 32, 1),
    ("ternary-int8", 16, 32, 1),
    ("bwn-int8", 16, 32, 1),
    ("dorefa3", 32, 32, 1),
    ("twn-int8", 8, 32, 1),
    ("binary", 12, 56, 1),
    ("ternary", 16, 16, 16),
)


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize(("precision", "inputs", "outputs", "groups"), ODD_SHAPES)
def test_so_do_those_that_do_not_fill_vectors_and_words(precision, inputs, outputs, groups, target):
    torch.manual_seed(0)
    chosen = precisions.get(precision)
    layer = QuantConv2d(inputs, outputs, 3, padding=1, groups=groups, precision=chosen)
    module = nn.Sequential(layer, nn.Flatten(), QuantLinear(outputs * 25, 10, precision=chosen))
    bits = sum(each.weight.numel() * each.precision.weight_bits for each in (layer, module[2]))
    found = weights_stored(constants_of(module, (1, inputs, 5, 5), target))
    assert found <= -(-bits // 8) + 1  # a byte is begun for each of the two


def test_what_a_file_says_is_read_as_the_page_tells():
    """Three channels of five bits each, in two vectors of two lanes that overlap, in bytes of eight."""
    rows = np.array([[1, 0, 1, 1, 0], [0, 1, 1, 0, 0], [1, 1, 1, 1, 1]], np.uint8)
    packed = Packed(
        dtype="uint8",
        axes=(2, 2, 8),
        channels=(0, 1),
        bits=True,
        rows=3,
        order=((0, 2), (1, 2)),
        used=(5, 3),
        levels=(),
    )
    stored = np.packbits(rows.reshape(-1), bitorder="little")
    assert packed.fits(stored)
    np.testing.assert_array_equal(laid_out(stored, packed.model_dump()), [0b01101, 0b00110, 0b00110, 0b11111])


GOOD = {
    "dtype": "int8",
    "axes": (2, 3, 4),
    "channels": (0, 2),
    "bits": False,
    "rows": 8,
    "order": (),
    "used": (),
    "levels": (),
}


@pytest.mark.parametrize(
    "bad",
    [
        {"axes": (1 << 20, 1 << 20, 4)},
        {"channels": (0, 3)},
        {"channels": (0, 0)},
        {"rows": 9},
        {"rows": 7},
        {"rows": 1, "order": ((0, 1 << 20),)},
        {"order": ((1, 8),)},
        {"order": ((0, 7),)},
        {"used": (2, 2)},
        {"used": (0,)},
        {"bits": True, "dtype": "int32"},
        {"dtype": "object"},
        {"levels": (float("nan"),)},
        {"levels": tuple(range(200))},
        {"more": 1},
    ],
)
def test_what_cannot_be_laid_out_is_refused(bad):
    assert Packed(**GOOD).nbytes == 24
    with pytest.raises(ValidationError):
        Packed(**{**GOOD, **bad})


def test_few_numbers_are_stored_as_which_they_are():
    values = np.array([-2, 7, 0, 7, 5], np.float32)
    packed = Packed(
        **{**GOOD, "dtype": "float32", "axes": (5,), "channels": (0,), "rows": 5, "levels": (7, -2, 0.0, 5)}
    )
    stored = np.array([0b00100001, 0b11], np.uint8)  # 1, 0, 2, 0 and 3, two bits each from the lowest
    assert packed.fits(stored)
    np.testing.assert_array_equal(laid_out(stored, packed.model_dump()), values)


def test_numbers_are_stored_in_the_fewest_bits_that_hold_them():
    for values, dtype in (([1.5, -2.0], "float16"), ([0.1], "float32"), ([1e6], "float32")):
        assert narrowed(np.array(values, np.float32)).dtype == dtype
    for value, dtype in ((-128, "int8"), (128, "int16"), (1 << 20, "int32"), (1 << 40, "int64")):
        assert narrowed(np.array([value], np.int64)).dtype == dtype


@pytest.fixture(scope="module")
def network():
    torch.manual_seed(0)
    architecture = search_spaces.space("tiny").sample(3)
    return runtime.compile(search_spaces.build(architecture), (1, *architecture.input_shape))


@pytest.fixture
def folder(network, tmp_path):
    network.save(tmp_path / "artifact")
    return tmp_path / "artifact"


def test_predict_and_load_see_the_bytes_that_were_compiled(network, folder):
    loaded = {c.name: c for c in runtime.load(folder).constants}
    alone = Network(folder).constants
    for constant in network.constants:
        raw = constant.array.tobytes()
        assert loaded[constant.name].array.tobytes() == raw
        assert alone[constant.offset : constant.offset + len(raw)].tobytes() == raw


def test_an_artifact_of_the_older_format_loads(network, folder):
    (folder / "constants.safetensors").unlink()
    save_file({c.name: c.array for c in network.constants}, folder / "constants.safetensors")
    fields = json.loads((folder / "manifest.json").read_text())
    places = [{k: v for k, v in place.items() if k != "packed"} for place in fields["constants"]]
    files = fields["files"] | {"constants.safetensors": checksum(folder / "constants.safetensors")}
    edit_manifest(folder, format=2, constants=places, files=files)
    images = np.random.default_rng(0).random((4, 1, 8, 8), np.float32)
    np.testing.assert_array_equal(runtime.load(folder).run(images), network.run(images))
    np.testing.assert_array_equal(Network(folder).run(images), network.run(images))


def test_a_file_that_holds_less_than_the_manifest_says_is_refused(folder):
    path = folder / "constants.safetensors"
    arrays = load_file(path)
    name = next(name for name in arrays if name.endswith(".weight"))
    save_file(arrays | {name: arrays[name].reshape(-1)[:-1].copy()}, path)
    files = json.loads((folder / "manifest.json").read_text())["files"]
    edit_manifest(folder, files=files | {path.name: checksum(path)})
    with pytest.raises(BitnasError, match=r"does not fit the constants beside it"):
        runtime.load(folder)
