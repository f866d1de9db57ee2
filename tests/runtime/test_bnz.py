"""A network in one small file: what is read computes what was written, and damage is one clear line."""

import json
import zlib

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

import runtime
import search_spaces
from runtime.formats import bnz
from runtime.formats.coding import entropy_bits
from runtime.formats.coding.bits import read_with_length, with_length
from runtime.formats.plain_weights import LEVELS, RAW, SPARSE, plain
from runtime.formats.tensor_forms import fold_norms, taken
from search_spaces import BitnasError, InvalidInput, NamedNetwork
from search_spaces.layers import QuantConv2d, QuantLinear
from tests.thinning import each_nth

PRECISIONS = (
    *(
        "float",
        "int8",
        "ternary",
        "binary",
        "dithered",
        "dorefa2",
        "dorefa3",
        "dorefa8",
        "twn",
        "xnor",
        "bnn",
    ),
    *("bwn", "ternary-int8", "twn-int8", "bwn-int8", "int8-7", "dithered-binary-3d"),
)


def trained(architecture, seed=0):
    """A network whose norms and ranges have seen images, though its weights have learned nothing."""
    torch.manual_seed(seed)
    module = search_spaces.build(architecture).train()
    with torch.no_grad():
        for _ in range(2):
            module(torch.randn(8, *architecture.input_shape) * 1.5 + 0.3)
        for norm in (m for m in module.modules() if isinstance(m, nn.BatchNorm2d)):
            norm.weight.uniform_(0.5, 1.5)
            norm.bias.normal_()
    return module.eval()


def resnet(precision):
    return NamedNetwork(input_shape=(3, 16, 16), classes=10, network="resnet20", precision=precision)


def codes_of(module):
    return [m.stored_weights().values for m in module.modules() if isinstance(m, QuantConv2d | QuantLinear)]


def assert_same_network(architecture, module, coding="range", reals="float32"):
    data = bnz.to_bytes(module, architecture, coding=coding, reals=reals, about={"seed": 3})
    found = bnz.from_bytes(data)
    assert (found.architecture, found.about) == (architecture, {"seed": 3})
    for one, other in zip(codes_of(found.module), codes_of(module), strict=True):
        np.testing.assert_array_equal(one, other)
    again = bnz.from_bytes(bnz.to_bytes(found.module, architecture, coding=coding, reals=reals))
    for one, other in zip(
        found.module.state_dict().values(), again.module.state_dict().values(), strict=True
    ):
        assert torch.equal(one, other), "what was read is written and read as the same bits"
    return found.module


@pytest.mark.parametrize(("precision",), each_nth(2, PRECISIONS))
def test_every_code_comes_back(precision):
    architecture = resnet(precision)
    module = trained(architecture)
    found = assert_same_network(architecture, module)
    if "int8" not in precision and "dorefa" not in precision:  # where a rounding may tip a code of an input
        x = torch.randn(2, 3, 16, 16)
        with torch.no_grad():
            expected = module(x)
            np.testing.assert_allclose(found(x), expected, atol=1e-5 * float(expected.abs().max()))


@pytest.mark.parametrize(("seed", "space"), each_nth(5, range(10), ("tiny", "cifar")))
def test_so_do_networks_of_spaces(seed, space):
    architecture = search_spaces.space(space).sample(seed)
    coding, reals = ("range", "huffman")[seed % 2], ("float32", "float16")[seed // 2 % 2]
    assert_same_network(architecture, trained(architecture, seed), coding, reals)


def test_a_compiled_network_is_that_of_the_file(tmp_path):
    architecture = search_spaces.space("tiny").sample(3)
    (tmp_path / "network.bnz").write_bytes(bnz.to_bytes(trained(architecture), architecture))
    loaded = runtime.load(tmp_path / "network.bnz")
    shape = (1, *architecture.input_shape)
    own = runtime.compile(bnz.read_bnz(tmp_path / "network.bnz").module, shape)
    images = np.random.default_rng(0).random((8, *architecture.input_shape), np.float32)
    np.testing.assert_array_equal(loaded.run(images), own.run(images))
    for one, other in zip(loaded.constants, own.constants, strict=True):
        np.testing.assert_array_equal(one.array, other.array)


@pytest.mark.parametrize("precision", ["int8", "ternary", "binary"])
def test_its_bytes_are_the_entropy_of_its_codes(precision):
    architecture = resnet(precision)
    module = trained(architecture)
    content = taken(module, architecture, "float32")
    least = sum(entropy_bits(each.symbols) for each in content.weights) / 8
    about_codes = len(bnz.to_bytes(module, architecture)) - content.reals.nbytes - content.kept.nbytes
    assert about_codes <= 1.02 * least + 250  # what it is, and how each tensor is stored


def test_floats_are_stored_as_what_they_are():
    torch.manual_seed(0)
    layer = nn.Linear(64, 32)
    assert plain(layer).form == RAW
    with torch.no_grad():
        layer.weight *= torch.rand(32, 64) < 0.1
    pruned = plain(layer)
    assert (pruned.form, len(pruned.kept)) == (SPARSE, int((layer.weight != 0).sum()))
    with torch.no_grad():
        layer.weight.copy_((layer.weight * 20).round() / 20)
    shared = plain(layer)
    assert (shared.form, shared.reals[shared.zero]) == (LEVELS, 0)
    np.testing.assert_array_equal(shared.weights(), layer.weight.detach().numpy())


def test_a_layer_whose_tensors_have_changed_places_is_stored_as_well():
    architecture = resnet("float")
    module = trained(architecture)
    for layer in (
        m for m in module.modules() if getattr(m, "bias", None) is not None and hasattr(m, "scale_names")
    ):
        weight = layer.weight
        del layer.weight
        layer.weight = weight
    assert_same_network(architecture, module)


def test_folded_norms_compute_the_same():
    torch.manual_seed(0)
    norm = nn.BatchNorm2d(6, eps=1e-3).double().eval()
    with torch.no_grad():
        for tensor in (norm.weight, norm.bias, norm.running_mean):
            tensor.normal_()
        norm.running_var.uniform_(0.1, 3)
    x = torch.randn(2, 6, 3, 3, dtype=torch.float64)
    expected = norm(x)
    fold_norms(norm)
    assert (norm.running_mean == 0).all()
    torch.testing.assert_close(norm(x), expected, rtol=1e-12, atol=1e-12)


def test_scales_that_do_not_fit_are_refused():
    architecture = resnet("ternary")
    module = trained(architecture)
    with torch.no_grad():
        next(m for m in module.modules() if isinstance(m, nn.BatchNorm2d)).bias[0] = 1e6
    with pytest.raises(InvalidInput, match="does not fit float16"):
        bnz.to_bytes(module, architecture, reals="float16")


@pytest.fixture(scope="module")
def good():
    architecture = search_spaces.space("tiny").sample(0)
    return bnz.to_bytes(trained(architecture), architecture)


def signed(body):
    """A body that somebody forged, with the digest that it should have."""
    return body + bnz._digest(body)


def refuses(data):
    """Whether bytes are refused in one line; what else they are is a network."""
    try:
        found = bnz.from_bytes(data)
    except BitnasError as error:
        assert "\n" not in str(error)
        return True
    assert isinstance(found.module, nn.Module)
    return False


def with_header(good, **changes):
    deflated, start = read_with_length(good[:-8], 4)
    fields = json.loads(zlib.decompress(deflated)) | changes
    return signed(good[:4] + with_length(zlib.compress(json.dumps(fields).encode())) + good[start:-8])


SEEDS = st.integers(0, 1 << 30)


def damaged(data, seed, low, high):
    """Some bytes between two places changed; at times cut short."""
    rng = np.random.default_rng(seed)
    bad = bytearray(data)
    for place in rng.integers(low, min(high, len(data)), rng.integers(1, 4)):
        bad[place] = rng.integers(256)
    return bytes(bad if rng.random() < 0.7 else bad[: rng.integers(low, len(bad))])


@settings(max_examples=40, deadline=None)
@given(SEEDS)
def test_damage_is_one_line(good, seed):
    bad = damaged(good, seed, 0, len(good))
    assert bad == good or refuses(bad)


@pytest.mark.parametrize("until", [4, 300, 800, 1 << 30])
@settings(max_examples=25, deadline=None)
@given(seed=SEEDS)
def test_a_forged_file_is_refused_or_a_network(good, until, seed):
    """With its digest mended: in the lengths, in the tables of forms and codes, in codes, in numbers."""
    refuses(signed(damaged(good[:-8], seed, 4, until + 5)))


@pytest.mark.parametrize(
    "changes",
    [
        {"coding": "none"},
        {"reals": "float64"},
        {"architecture": "{}"},
        {"architecture": "[" * 900_000},
        {"more": 1},
        {"about": 3},
        {"reals": "float16"},
        {"coding": "huffman"},
    ],
)
def test_a_header_that_says_something_else_is_refused(good, changes):
    assert not refuses(with_header(good))
    assert refuses(with_header(good, **changes))


def test_a_huge_network_is_refused_before_it_takes_memory(good):
    architecture = search_spaces.space("tiny").sample(0)
    conv = {"kind": "conv", "width": 4096, "kernel": 11, "stride": 1, "precisions": {"conv": "float"}}
    huge = json.loads(architecture.to_json()) | {"blocks": [conv] * 200}
    with pytest.raises(BitnasError, match="numbers, more than"):
        bnz.from_bytes(with_header(good, architecture=json.dumps(huge)))


def test_a_header_that_inflates_without_end_is_refused(good):
    bomb = zlib.compress(b" " * (1 << 26))
    _, start = read_with_length(good[:-8], 4)
    assert refuses(signed(good[:4] + with_length(bomb) + good[start:-8]))


def test_what_is_no_file_is_refused(tmp_path):
    with pytest.raises(BitnasError, match="cannot be read"):
        bnz.read_bnz(tmp_path / "absent.bnz")
    (tmp_path / "a.bnz").write_bytes(b"")
    with pytest.raises(BitnasError, match="does not begin as"):
        runtime.load(tmp_path / "a.bnz")
