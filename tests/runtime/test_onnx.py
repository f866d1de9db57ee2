"""ONNX files: onnxruntime gives what torch does, codes to the bit, in files as small as their types allow."""

import json
import sys

import numpy as np
import pytest
import torch
from torch import nn

import runtime
import search_spaces
from benchmarks.proof.drawn import drawn, named
from benchmarks.proof.judging import compared
from benchmarks.proof.onnx_form import by_onnxruntime
from runtime.formats.onnx import rules as written_rules
from runtime.formats.onnx.codes import coded_levels, packed
from runtime.formats.onnx.graph import OnnxGraph, Tensor
from runtime.formats.onnx.masks import thresholds
from runtime.formats.onnx.rulebook import OnnxLayer, exporters, onnx_layers
from runtime.lowering.base import Lowering, lowerings
from runtime.lowering.rulebook import rules
from search_spaces import precisions
from search_spaces.errors import BitnasError, InvalidInput, UnsupportedLayerError
from search_spaces.layers import QuantConv2d, QuantLinear
from search_spaces.precision import Precision
from search_spaces.quantizers import dither_mask
from search_spaces.sizing import stored
from tests.runtime import grammar, test_grammar
from tests.runtime.onnx_files import both, constants, is_standard, operators, ran

NETWORKS = 500
IN_CI = 43
CLOSE = 1e-5
"""How far a layer of floats may be from torch, as a share of its largest output."""


def chosen():
    """A network of each precision, mostly the smallest kind, and so many more that there are ``IN_CI``."""
    found = {}
    for number in range(NETWORKS):
        found.setdefault(named(number), number)
    taken = {}
    for kind, most in (("cifar", 1), ("mobile", 1), ("tiny", 4), ("stack", len(found))):
        new = [(name, n) for (own, name), n in found.items() if own == kind and name not in taken]
        taken.update(new[:most])
    more = (n for n in found.values() if n not in taken.values())
    return sorted([*taken.values(), *more][:IN_CI])


@pytest.mark.parametrize("number", chosen())
def test_random_networks_are_what_torch_computes(number):
    network = drawn(number)
    batch = network.shape[0]
    images = torch.randn(
        -(-6 // batch) * batch, *network.shape[1:], generator=torch.Generator().manual_seed(number)
    )
    found = compared(network, images, by_onnxruntime(network, images))
    assert not found["failure"], (network.told, found)


def test_every_precision_and_space_is_among_those_of_ci():
    found = {named(number) for number in chosen()}
    assert {name for _, name in found} == {*precisions}
    assert {kind for kind, _ in found} == {"stack", "tiny", "cifar", "mobile"}


def layer(precision, groups=1, kind=QuantConv2d):
    """A layer whose inputs have zeros, and ranges that were observed."""
    torch.manual_seed(0)
    own = precisions.get(precision) if isinstance(precision, str) else precision
    if kind is QuantLinear:
        made = nn.Sequential(QuantLinear(2 * 3 * 5, 7, own, relu=False, plane=(3, 5)))
        images = torch.randn(4, 30)
    else:
        made = QuantConv2d(8, 12, 3, own, stride=(1, 2), dilation=(2, 1), padding=2, groups=groups, bias=True)
        nn.init.normal_(made.bias)
        images = torch.randn(4, 8, 6, 5)
    made = made[0] if kind is QuantLinear else made
    for scale in made.scales.values():
        nn.init.uniform_(scale, 0.5, 2)
    images[images.abs() < 0.3] = 0
    made.train()
    for _ in range(2):
        made(images)
    return made.eval(), images


@pytest.mark.parametrize("groups", [1, 4])
@pytest.mark.parametrize("precision", [*precisions])
def test_convolutions_of_every_precision(precision, groups):
    module, images = layer(precision, groups)
    found, expected, model = both(module, images)
    assert is_standard(model)
    if module.activation.code == "binary":
        assert np.array_equal(found, expected), "sums of signs are exact"
    else:
        assert np.abs(found - expected).max() <= CLOSE * np.abs(expected).max()


class Rows(nn.Module):
    """Flattens images for a dense layer."""

    def __init__(self, dense):
        super().__init__()
        self.dense = dense

    def forward(self, x):
        return self.dense(torch.flatten(x, 1))


@pytest.mark.parametrize("precision", [*precisions])
def test_dense_layers_of_every_precision(precision):
    dense, rows = layer(precision, kind=QuantLinear)
    found, expected, model = both(Rows(dense).eval(), rows.reshape(4, 2, 3, 5))
    assert is_standard(model)
    if dense.activation.code == "binary":
        assert np.array_equal(found, expected), "sums of signs are exact"
    else:
        assert np.abs(found - expected).max() <= CLOSE * np.abs(expected).max()


@pytest.mark.parametrize("weight", ["int8", "dorefa8", "dorefa3"])
def test_codes_with_real_inputs(weight):
    """Such as a plug-in's precision may have."""
    module, images = layer(Precision("other", weight, "float"))
    found, expected, _ = both(module, images)
    assert np.abs(found - expected).max() <= CLOSE * np.abs(expected).max()


def test_a_sign_of_zero_is_one_where_the_sum_of_scaled_signs_is_zero():
    """An optimizer that moves a scale into the weights would leave a rounding error of either sign."""
    torch.manual_seed(0)
    first = QuantConv2d(64, 64, 3, precisions.get("binary"))
    nn.init.uniform_(first.scale, 0.1, 0.3)
    module = nn.Sequential(first, QuantConv2d(64, 8, 1, precisions.get("binary"))).eval()
    images = torch.randn(3, 64, 9, 9)
    with torch.no_grad():
        assert (first(images) == 0).sum() > 100
    found, expected, _ = both(module, images)
    assert np.array_equal(found, expected)


@pytest.mark.parametrize("precision", ["dithered", "dithered-3d"])
def test_pixels_at_the_threshold_of_a_mask_are_one(precision):
    """And those one float below it are not."""
    module = QuantConv2d(3, 4, 1, precisions.get(precision)).eval()
    at = -dither_mask(3, 6, 5, precisions.get(precision).dither).expand(3, 6, 5)
    found, expected, _ = both(module, torch.stack([at, torch.nextafter(at, torch.tensor(-2.0))]))
    assert np.array_equal(found, expected) and not np.array_equal(found[0], found[1])


@pytest.mark.parametrize("name", ["int8", "int8-7"])
@pytest.mark.parametrize("relu", [True, False])
def test_bytes_are_quantized_by_the_scales_of_the_integers(name, relu):
    module = QuantConv2d(4, 6, 3, precisions.get(name), relu=relu)
    for _ in range(3):
        module(torch.randn(2, 4, 5, 5))
    model = runtime.onnx_model(module.eval(), (1, 4, 5, 5))
    held = constants(model)
    (quantize,) = operators(model, "QuantizeLinear")
    step, zero = (held[each] for each in quantize.input[1:])
    activation = module.activation
    assert (step, zero) == (np.float32(activation.scale), int(activation.zero_point))
    assert relu or zero > 0
    weights = module.stored_weights()
    (of_weights,) = (n for n in operators(model, "DequantizeLinear") if n.input[0] in held)
    codes, steps, zeros = (held[each] for each in of_weights.input)
    assert np.array_equal(codes, weights.values) and np.array_equal(steps, weights.positive)
    assert codes.dtype == np.int8 and not zeros.any()


def test_a_negative_batch_norm_is_folded_into_codes_and_positive_steps():
    torch.manual_seed(0)
    module = nn.Sequential(QuantConv2d(4, 6, 3, precisions.get("int8")), nn.BatchNorm2d(6))
    module[1].weight.data = torch.tensor([1.0, -2.0, 0.0, 0.5, -0.1, 3.0])
    images = torch.randn(2, 4, 5, 5)
    for _ in range(3):
        module(images)
    found, expected, model = both(module.eval(), images)
    np.testing.assert_allclose(found, expected, atol=CLOSE * np.abs(expected).max())
    held = constants(model)
    (of_weights,) = (n for n in operators(model, "DequantizeLinear") if n.input[0] in held)
    assert (held[of_weights.input[1]] > 0).all()
    assert not operators(model, "Mul")


@pytest.mark.parametrize("mode", ["2d", "3d"])
def test_masks_are_those_of_torch_to_the_bit(mode):
    graph = OnnxGraph()
    name = thresholds(graph, 5, 21, 17, mode)
    found = graph.op("Add", "input", name)
    shape = (2, 5, 21, 17)
    from onnx import helper

    made = graph.finish(Tensor(found, shape), shape[1:], [], "mask")
    model = helper.make_model(made, opset_imports=[helper.make_opsetid("", 20)], ir_version=9)
    mask = -ran(model, np.zeros(shape, np.float32))
    expected = dither_mask(5, 21, 17, mode).numpy()
    assert np.array_equal(mask[1], np.broadcast_to(expected, shape[1:]))


TYPES = {3: 4, 5: 8, 6: 8, 7: 8}
"""Bits of the types that hold codes of so many bits, where these are others."""


@pytest.mark.parametrize(
    "precision", ["float", "int8", "ternary", "binary", "dithered", "twn", "xnor", "dorefa3"]
)
def test_files_are_as_small_as_their_types_allow(precision):
    module = search_spaces.network("resnet20", precision).eval()
    for each in module.modules():
        if isinstance(each, QuantConv2d):
            for scale in each.scales.values():
                nn.init.uniform_(scale)  # those of both signs differ
        elif isinstance(each, nn.BatchNorm2d):
            nn.init.normal_(each.weight)
            nn.init.normal_(each.bias)
    modules = dict(module.named_modules())
    allowed = 0
    for each in stored(module):
        count = modules[each.name].weight.numel() if each.code else 1
        bits = each.weight_bits // count
        allowed += count * TYPES.get(bits, bits) + each.other_bits
    size = runtime.onnx_model(module, (1, 3, 32, 32)).ByteSize()
    graph = 500 * 20  # bytes of what a layer is, which is seen where two sums of each take 75 kB
    assert size <= max(1.1 * allowed / 8, allowed / 8 + graph * (precision == "dithered")), size


@pytest.mark.parametrize("bits", [1, 2, 4])
def test_codes_are_packed_from_the_lowest_bits(bits):
    codes = np.random.default_rng(0).integers(0, 1 << bits, 21).astype(np.uint8)
    found = packed(codes, bits)
    assert found.size == -(-21 * bits // 8)
    number = int.from_bytes(found.tobytes(), "little")
    assert [(number >> (i * bits)) & ((1 << bits) - 1) for i in range(21)] == codes.tolist()


def test_levels_are_told_from_codes():
    for values in (np.array([[-3, 1], [3, -1]], np.int8), np.array([-255, 255, 1], np.int16)):
        levels, codes = coded_levels(values)
        assert np.array_equal(levels[codes], values) and levels.size == np.unique(values).size


def test_a_file_tells_what_it_is_and_takes_any_number_of_images(tmp_path):
    import onnx

    module = search_spaces.network("resnet20", "ternary", classes=3).eval()
    told = {"class_names": ["ant", "bee", "cat"], "mean": [0.5, 0.4, 0.3], "deviation": [0.2, 0.2, 0.1]}
    runtime.write_onnx(module, (2, 3, 32, 32), tmp_path / "network.onnx", **told)
    assert [path.name for path in tmp_path.iterdir()] == ["network.onnx"]
    model = onnx.load(tmp_path / "network.onnx")
    assert (model.producer_name, model.opset_import[0].version) == ("bitnas", 20)
    assert {each.key: json.loads(each.value) for each in model.metadata_props} == told
    images = torch.randn(5, 3, 32, 32)
    with torch.no_grad():
        np.testing.assert_allclose(ran(model, images), module(images).numpy(), rtol=1e-4, atol=1e-5)
    with pytest.raises(InvalidInput, match=r"network.onnx' is there already; name a new file$"):
        runtime.write_onnx(module, (2, 3, 32, 32), tmp_path / "network.onnx")
    with pytest.raises(BitnasError, match="cannot be written"):
        runtime.write_onnx(module, (2, 3, 32, 32), tmp_path / "no" / "network.onnx")


class Fixed(nn.Module):
    def forward(self, x):
        return x.view(2, -1) + 1


class Counted(nn.Module):
    def forward(self, x):
        return x * x.size(0)


class Cube(nn.Module):
    def forward(self, x):
        return x * x * x


class CubeLowering(Lowering):
    layer = Cube

    def lower(self, at, input):
        from runtime.workload import Relu

        return at.emit(Relu(input.shape[0], int(np.prod(input.shape[1:]))), [input], input.shape)


class CubeOnnx(OnnxLayer):
    layer = Cube

    def write(self, at, input):
        return at.op("Mul", at.op("Mul", input, input), input)


@pytest.mark.parametrize(
    ("module", "told"),
    [
        (Fixed(), "layer 'view': it is made for one number of images, and ONNX has any"),
        (Counted(), "layer 'mul': it computes with the number of images, and ONNX has any number"),
        (nn.Sequential(nn.Conv2d(3, 4, 1), nn.RReLU()), "layer '1': RReLU has no kernel"),
    ],
)
def test_what_has_no_form_is_refused_in_one_line(module, told):
    with pytest.raises(UnsupportedLayerError) as refused:
        runtime.onnx_model(module.eval(), (2, 3, 4, 4))
    assert str(refused.value).startswith(told) and "\n" not in str(refused.value)


def test_a_layer_of_a_plug_in_is_written_by_its_own_rule(monkeypatch):
    monkeypatch.setattr(lowerings, "_things", {"cube": CubeLowering()})
    monkeypatch.setattr("runtime.formats.onnx.steps.lower", lambda *_: None)  # its kernel is none
    module, images = nn.Sequential(nn.Conv2d(3, 4, 1), Cube()).eval(), torch.randn(2, 3, 4, 4)
    with pytest.raises(UnsupportedLayerError, match=r"layer '1': .*Cube has no form in ONNX; add one to"):
        runtime.onnx_model(module, (2, 3, 4, 4))
    monkeypatch.setattr(onnx_layers, "_things", {"cube": CubeOnnx()})
    found, expected, _ = both(module, images)
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-6)


def test_a_missing_package_is_one_line(monkeypatch):
    monkeypatch.setitem(sys.modules, "onnx", None)
    with pytest.raises(BitnasError, match=r"onnx: the package is not installed; run pip .*\[onnx\]"):
        runtime.onnx_model(nn.Conv2d(3, 4, 1).eval(), (1, 3, 4, 4))


def test_whatever_is_lowered_has_a_form():
    missing = {key for key, rule in rules.items() if rule.function not in exporters}
    assert written_rules and not missing


@pytest.mark.parametrize(
    "pool", [nn.MaxPool2d(2, ceil_mode=True), nn.MaxPool2d(3, 2, 1), nn.AdaptiveMaxPool2d(3)]
)
def test_zeros_around_an_image_are_not_taken_into_a_pool(pool):
    """onnxruntime would, as if they were less than all numbers."""
    model, images = nn.Sequential(nn.ZeroPad2d((1, 0, 1, 0)), pool), -torch.rand(2, 3, 8, 8)
    np.testing.assert_array_equal(through_onnx(model, images.numpy()), model(images).numpy())


def through_onnx(model, images):
    return ran(runtime.onnx_model(model, images.shape), images)


@pytest.mark.parametrize("first", [0, pytest.param(60, marks=pytest.mark.slow)])
def test_drawn_models_are_computed_as_torch_does_or_refused(first):
    """Those of ``test_grammar``."""
    seeds = range(first, 60 if first == 0 else test_grammar.MODELS)
    found = [test_grammar.outcome(*test_grammar.drawn(seed), through_onnx) for seed in seeds]
    assert grammar.SHAPE[0] > 1 and found.count("wrong") == 0
    assert found.count("equal") > len(found) / 2
