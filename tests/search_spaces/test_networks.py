"""Published networks: sizes and counts as the papers print them, and every precision where it belongs."""

from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn

import runtime
import search_spaces
from search_spaces import InvalidInput, precisions, size
from search_spaces.layers import QuantConv2d, QuantLinear
from search_spaces.networks import networks
from search_spaces.networks.mbconv import MBConv, MBShape
from search_spaces.networks.parts import InvertedResidual, SqueezeExcitation
from search_spaces.plain_layers import OutputScale
from search_spaces.plan import plan
from search_spaces.sizing import layers
from tests.thinning import each_nth

DOCUMENTED = (Path(__file__).parents[2] / "docs" / "networks.md").read_text(encoding="utf-8")

SMALL = {"alexnet": 227, **{name: 64 for name in networks if name.startswith("squeezenet")}}
"""Sides of small images that each network takes; 32 where nothing is said."""


TRAINED = ["resnet20-dw", "resnet20-react", "bcnn-half", "mobilenet-0.25", "shufflenet-g3", "squeezenet1.1"]


def untrained(name, *options, **more):
    with torch.device("meta"):
        return search_spaces.network(name, *options, **more)


def shape_of(name):
    if networks.get(name).input_shape[1] <= 32:
        return networks.get(name).input_shape
    return (3, SMALL.get(name, 32), SMALL.get(name, 32))


@pytest.mark.parametrize(
    ("name", "precision", "kilobytes"),
    [
        ("resnet20", "float", 1073.344),
        ("resnet20", "ternary", 68.704),
        ("resnet20-dw", "float", 145.536),
        ("resnet20-dw", "ternary", 10.716),
        ("resnet20-dw", "ternary-1x1", 31.776),
        ("squeezenet1.1", "float", 2898.688),
        ("squeezenet1.1", "ternary", 187.648),
        ("squeezenet1.1", "binary", 97.280),
        ("bcnn", "float", 56088.064),
        ("bcnn", "binary", 1766.144),
    ],
)
def test_weights_take_what_the_paper_states(name, precision, kilobytes):
    assert size(untrained(name, precision)).weight_bytes / 1000 == kilobytes


@pytest.mark.parametrize(("name", "kilobytes"), [("resnet18-cifar", 30.560), ("pooled-resnet12", 31.776)])
def test_signs_and_everything_else_fit_32_kb(name, kilobytes):
    assert size(untrained(name, "binaryconnect")).kilobytes == kilobytes


COUNTS = [
    # millions of parameters and of multiply-accumulates, to the digits that papers print, with the classifier
    ("mobilenet-1.0", "4.2", "569"),
    ("mobilenet-0.75", "2.6", "325"),
    ("mobilenet-0.5", "1.3", "149"),
    ("mobilenet-0.25", "0.5", "41"),
    ("mobilenetv2", "3.505", "300.8"),
    ("mnasnet-a1", "3.9", "312"),
    ("shufflenet-g1", "1.532", "143.1"),
    ("shufflenet-g2", "1.734", "140.8"),
    ("shufflenet-g3", "1.866", "137.5"),
    ("shufflenet-g4", "1.968", "134.3"),
    ("shufflenet-g8", "2.435", "138.4"),
    ("squeezenet1.0", "1.2504", "832.7"),
    ("alexnet", "60.975", "724.4"),
    ("squeezenet1.0-original", "1.248424", "818.9"),
    ("mobilenetv3-large", "5.483", "216.6"),
    ("mobilenetv3-small", "2.5", "56.5"),
    ("efficientnet-b0", "5.3", "386"),
    ("resnet50", "25.557", "4089.2"),
    ("resnet18", "11.690", "1814.1"),
    ("resnet20", "0.27", "40.6"),
    ("resnet32", "0.46", "68.9"),
    ("densenet-bc-100", "0.769162", "287.9"),
    ("bireal18", "11.690", "1814.1"),
]

DEVIATIONS = [
    # what is counted here, and what the paper prints
    ("mobilenetv2", "3.505 M parameters", "3.4 M"),
    ("mobilenetv2", "300.8 M multiply-accumulates", "300 M"),
    ("alexnet", "60.975 M parameters", "60 M"),
    ("squeezenet1.0", "1.2504 M parameters", "1.248424 M"),
    ("mobilenetv3-large", "5.483 M parameters", "5.4 M"),
    ("mobilenetv3-large", "216.6 M multiply-accumulates", "219 M"),
    ("mobilenetv3-small", "56.5 M multiply-accumulates", "56 M"),
    ("resnet50", "4089.2 M multiply-accumulates", "3800 M"),
    ("shufflenet-g2", "140.8 M multiply-accumulates", "140 M"),
    ("shufflenet-g4", "134.3 M multiply-accumulates", "133 M"),
    ("shufflenet-g8", "138.4 M multiply-accumulates", "137 M"),
]
"""Those in which a paper's figure is another, as the documentation has them."""


def in_millions(count, like):
    """``count`` with as many digits behind the point as ``like``."""
    return f"{count / 1e6:.{len(like.partition('.')[2])}f}"


def counted(name):
    """Parameters, and the layers of the network as its paper has it."""
    module = untrained(name)
    return sum(p.numel() for p in module.parameters()), layers(module, networks.get(name).input_shape)


@pytest.mark.parametrize(("name", "parameters", "macs"), COUNTS)
def test_counts_to_the_digits_that_papers_print(name, parameters, macs):
    found, parts = counted(name)
    assert in_millions(found, parameters) == parameters
    assert in_millions(sum(layer.macs for layer in parts), macs) == macs


@pytest.mark.parametrize(
    ("groups", "macs"), [(1, "143"), (2, "140"), (3, "137"), (4, "133"), (8, "137")], ids=str
)
def test_shufflenets_print_what_they_compute_without_their_classifier(groups, macs):
    parts = counted(f"shufflenet-g{groups}")[1]
    assert in_millions(sum(layer.macs for layer in parts if layer.name != "classifier"), macs) == macs


@pytest.mark.parametrize(("name", "here", "printed"), DEVIATIONS)
def test_counts_that_deviate_are_documented(name, here, printed):
    assert (name, here.split()[0]) in {(n, figure) for n, *figures in COUNTS for figure in figures}
    assert here.split()[0] != printed.split()[0]
    assert f"| `{name}` | {here} | {printed} |" in DOCUMENTED


def test_every_network_is_documented():
    assert [name for name in networks if f"`{name}`" not in DOCUMENTED] == []
    assert DOCUMENTED.count(" M | ") == len(DEVIATIONS)


LOWERED = ["float", "int8", "ternary", "binary", "dithered", "ternary-1x1"]


@pytest.mark.parametrize(("name", "precision"), each_nth(7, sorted(networks), LOWERED))
def test_every_network_lowers_in_every_precision(name, precision):
    if name == "alexnet" and precision != "binary":
        pytest.skip("its 60 million weights take long, and its layers are those of others")
    module = search_spaces.network(name, precision, classes=5)
    assert runtime.workloads(module, (1, *shape_of(name)))


@pytest.mark.parametrize("precision", ["float", "int8", "ternary", "binary", "dithered"])
@pytest.mark.parametrize(
    "name", ["resnet20-dw", "bcnn-quarter", "mobilenet-0.25", "shufflenet-g3", "squeezenet1.1"]
)
def test_networks_train_a_step(name, precision):
    torch.manual_seed(0)
    module = search_spaces.network(name, precision, classes=5)
    out = module(torch.randn(2, *shape_of(name)))
    out.square().sum().backward()
    assert out.shape == (2, 5)
    assert all(p.grad is not None for p in module.parameters())


VALUES = {"ternary": 3, "binary": 2, "int8": 255, "dorefa2": 4, "dorefa4": 16}
TRAINED_CODES = [
    "ternary",
    "binary",
    "dithered",
    "int8",
    "twn",
    "twn-binary",
    "bnn",
    "xnor",
    "bwn",
    "dorefa4",
]


WITH_EVERY_BLOCK = ["mnasnet-a1", "resnet18", "resnet20-react", "shufflenet-g3", "squeezenet1.0-bypass"]


@pytest.mark.parametrize(
    ("name", "precision"),
    [
        *((name, code) for name in ("resnet20-dw", "bcnn-quarter") for code in TRAINED_CODES),
        *each_nth(2, WITH_EVERY_BLOCK, ("binary", "ternary-int8", "int8")),
        *(("pooled-resnet12", code) for code in ("binaryconnect", "dorefa2", "dithered-binary-3d")),
    ],
)
def test_layers_hold_nothing_but_their_code(name, precision):
    """After training, as one public figure came from a block that was left in float by mistake."""
    torch.manual_seed(1)
    module = search_spaces.network(name, precision)
    optimizer = torch.optim.Adam(module.parameters(), 0.01)
    for _ in range(2):
        optimizer.zero_grad()
        F.cross_entropy(module(torch.randn(4, *shape_of(name))), torch.arange(4)).backward()
        optimizer.step()
    found = layers(module.eval(), shape_of(name))
    exempt = {layer.name for layer in found if stays_float(name, precision, layer.name, found)}
    for layer in (named for named in found if named.name not in exempt):
        holds_nothing_but(module.get_submodule(layer.name), layer.name, precisions.get(precision).weight)
    assert {layer.weight for layer in found if layer.name in exempt} <= {"float"}


def stays_float(name, precision, layer, found):
    """Whether the documents say that a layer keeps float weights."""
    if precision == "int8":
        return False
    if layer == found[0].name or ".attention." in layer:  # sees the image; sees one pixel
        return True
    on_signs = precisions.get(precision).activation == "binary"
    is_dense_stack = name.startswith(("bcnn", "alexnet", "squeezenet"))
    return on_signs and ("shortcut" in layer or (layer == found[-1].name and not is_dense_stack))


def holds_nothing_but(part, name, code):
    """The weights that a layer computes with are codes of its precision times their scales."""
    assert isinstance(part, QuantConv2d | QuantLinear), name
    codes = part.stored_weights()
    assert codes.code == code
    assert np.unique(codes.values).size <= VALUES[code], name
    shape = (-1, *[1] * (codes.values.ndim - 1))
    scales = np.where(codes.values > 0, codes.positive.reshape(shape), codes.negative.reshape(shape))
    computed = part.quantized_weight().detach().numpy()
    np.testing.assert_allclose(computed, codes.values * scales, rtol=1e-4, atol=1e-7)


@pytest.mark.parametrize("name", sorted(networks))
def test_signs_see_both_sides_of_zero(name):
    """A ReLU, or a ReLU and a pooling, before a sign would leave nothing but +1."""
    if name == "alexnet":
        pytest.skip("its 60 million weights take long, and its layers are those of others")
    torch.manual_seed(0)
    module = search_spaces.network(name, "binary", classes=5)
    shares = {}
    for layer_name, layer in module.named_modules():
        if isinstance(layer, QuantConv2d | QuantLinear) and layer.activation.code == "binary":

            def note(_module, inputs, layer_name=layer_name):
                shares[layer_name] = float((inputs[0] < 0).float().mean())

            layer.register_forward_pre_hook(note)
    module(torch.randn(4, *shape_of(name)))
    assert shares
    assert min(shares.values()) > 0.02, min(shares, key=shares.get)


def test_what_has_no_mask_has_the_same_codes():
    module = search_spaces.network("squeezenet1.1", "dithered")
    convs = [m for m in module.modules() if isinstance(m, QuantConv2d)]
    assert {m.precision.name for m in convs if not m.activation.dither} == {"ternary-binary"}


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        # after the first layer, after each subsampling, before the last layer that sees more than a pixel
        ("resnet20", ["blocks.0.conv1.0", "blocks.3.conv2.0", "blocks.6.conv2.0", "blocks.8.conv2.0"]),
        ("resnet20-dw", ["blocks.0.conv1.0", "blocks.3.conv1.2", "blocks.6.conv1.2", "blocks.8.conv2.2"]),
        ("mobilenet-0.25", [f"features.{i}" for i in ("1.0", "2.2", "4.2", "6.2", "12.2", "13.2")]),
        ("bcnn-half", ["features.2", "features.5", "features.10", "dense.0"]),
        ("alexnet", ["features.4", "features.8", "dense.1"]),
        ("squeezenet1.1", [*(f"features.{i}.squeeze.0" for i in (4, 8, 12)), "classifier"]),
        (
            "mobilenetv2",
            [
                f"features.{i}.0"
                for i in ("1.depthwise", "2.project", "4.project", "7.project", "14.project", "18")
            ],
        ),
        ("resnet50", [f"blocks.{i}.0" for i in ("0.conv1", "3.conv3", "7.conv3", "13.conv3", "15.conv3")]),
        (
            "mobilenetv3-small",
            [f"features.{i}.0" for i in ("1.project", "2.project", "4.project", "9.project", "12")],
        ),
        (
            "shufflenet-g3",
            [f"features.{i}.0" for i in ("4.reduce", "4.expand", "8.expand", "16.expand", "19.expand")],
        ),
        (
            "pooled-resnet12",
            ["stages.0", "stages.3.conv1.0", "stages.8.conv1.0", "stages.9.conv2.0"],
        ),
    ],
)
def test_masks_follow_what_subsamples(name, expected):
    layers = search_spaces.network(name, "dithered").named_modules()
    found = [n for n, m in layers if isinstance(m, QuantConv2d | QuantLinear) and m.activation.dither]
    assert found == expected


@pytest.mark.parametrize("name", ["resnet20", "bcnn-half"])
def test_grey_images(name):
    assert search_spaces.network(name, "ternary", channels=1)(torch.randn(2, 1, 32, 32)).shape == (2, 10)
    with pytest.raises(search_spaces.InvalidInput, match="channels: 0 is below 1"):
        search_spaces.network(name, channels=0)


def test_a_plan_of_1x1_convolutions_leaves_the_others_in_float():
    found = layers(untrained("resnet20-dw", "binary-1x1"), (3, 32, 32))
    by_kind = {}
    for layer in found:
        by_kind.setdefault(layer.kind, set()).add(layer.weight)
    assert by_kind == {
        "conv 3x3": {"float"}, "depthwise 3x3": {"float"}, "conv 1x1": {"binary"}, "dense": {"float"}
    }  # fmt: skip


def test_the_classifier_may_have_a_precision_of_its_own():
    found = layers(untrained("resnet20", "ternary", classifier="int8"), (3, 32, 32))
    assert [layer.weight for layer in found[-2:]] == ["ternary", "int8"]


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        (("resnet21",), "network: unknown name 'resnet21'"),
        (("resnet20", "tern"), "precision: unknown name 'tern'.*one of these followed by -1x1"),
        (("resnet20", "tern-1x1"), "precision: unknown name 'tern-1x1'"),
        (("resnet20", "binary-case2-1x1"), "precision: unknown name 'binary-case2-1x1'.*, or binary-case2, "),
        (("resnet20", "float", 1), "classes: 1 is below 2"),
        (("resnet20", "float", 10, "none"), "classifier: unknown name 'none'"),
    ],
)
def test_what_there_is_not_is_refused(options, problem):
    with pytest.raises(search_spaces.InvalidInput, match=problem):
        search_spaces.network(*options)


def test_images_that_do_not_fit_are_refused():
    with pytest.raises(search_spaces.InvalidInput, match="do not fit the network"):
        layers(untrained("bcnn"), (3, 16, 16))


def settled(module, *shape):
    """Batch norms as after some training, and other scales than those that layers start with."""
    torch.manual_seed(2)
    with torch.no_grad():
        for _ in range(3):
            module.train()(torch.randn(4, *shape))
        for part in module.modules():
            if isinstance(part, nn.BatchNorm2d):
                part.weight.uniform_(0.5, 1.5)
                part.bias.normal_(0, 0.2)
    return module.eval()


@pytest.mark.parametrize("precision", ["float", "int8", "ternary"])
@pytest.mark.parametrize(
    "options",
    [{"squeeze_ratio": 0.25}, {"clips": True}, {"expansion": 1}, {"stride": 2, "kernel": 5}],
    ids=str,
)
def test_inverted_residuals_compile(precision, options, tmp_path):
    chosen = {"expansion": 3, "kernel": 3, "stride": 1, **options}
    block = InvertedResidual(16, 16, plan=plan(precision), **chosen)
    module = settled(nn.Sequential(nn.Conv2d(3, 16, 3), nn.BatchNorm2d(16), block), 3, 11, 11)
    agrees(module, (2, 3, 11, 11), 1e-4 if precision == "float" else 0.05)


@pytest.mark.parametrize(
    ("activation", "gate", "precision"),
    [
        (nn.Hardswish, nn.Hardsigmoid, "float"),
        (nn.SiLU, nn.Sigmoid, "int8"),
        pytest.param(nn.Hardswish, nn.Hardsigmoid, "int8", marks=pytest.mark.slow),
        pytest.param(nn.SiLU, nn.Sigmoid, "ternary", marks=pytest.mark.slow),
        pytest.param(nn.ReLU, nn.Hardsigmoid, "binary", marks=pytest.mark.slow),
    ],
)
def test_inverted_bottlenecks_compile(activation, gate, precision):
    block = MBConv(16, MBShape(5, 40, 16, 8, 1), plan(precision), activation, nn.SiLU, gate)
    module = settled(nn.Sequential(nn.Conv2d(3, 16, 3), nn.BatchNorm2d(16), block), 3, 11, 11)
    agrees(module, (2, 3, 11, 11), 1e-4 if precision == "float" else 0.05)


@pytest.mark.parametrize("precision", ["float", "int8", "ternary", "binary"])
def test_the_original_squeezenets_have_biases_where_layers_compute_with_numbers(precision):
    module = untrained("squeezenet1.1-original", precision)
    norms = [m for m in module.modules() if isinstance(m, nn.BatchNorm2d)]
    biased = [m for m in module.modules() if getattr(m, "bias", None) is not None and m not in norms]
    assert (len(norms), len(biased)) == ((0, 26) if precision in ("float", "int8") else (len(norms), 1))
    assert precision in ("float", "int8") or len(norms) >= 25


def test_squeeze_and_excitation_scales_channels():
    torch.manual_seed(0)
    block = SqueezeExcitation(12, 3, precisions.get("float"))
    x = torch.randn(2, 12, 5, 4)
    mean = x.mean((2, 3))
    hidden = torch.relu(mean @ block.squeeze.weight[:, :, 0, 0].T + block.squeeze.bias)
    share = torch.sigmoid(hidden @ block.excite.weight[:, :, 0, 0].T + block.excite.bias)
    torch.testing.assert_close(block(x), x * share[:, :, None, None])


@pytest.mark.parametrize(
    ("name", "precision"),
    [
        ("resnet20-dw", "float"),
        ("resnet20-dw", "binary"),
        ("pooled-resnet12", "float"),
        ("pooled-resnet12", "binary"),
        ("resnet18-cifar", "dithered-3d"),
        ("resnet20-bireal", "bnn"),
        ("resnet20-react", "bnn"),
    ],
)
def test_shortcuts_of_every_kind_compile(name, precision):
    module = settled(search_spaces.network(name, precision), 3, 16, 16)
    agrees(module, (2, 3, 16, 16), 1e-4 if precision == "float" else None)


def agrees(module, shape, tolerance):
    """Compiled code gives torch's logits, and where signs hang on the last bit of a float, the classes."""
    network = runtime.compile(module, shape)
    x = torch.randn(shape)
    with torch.inference_mode():
        expected = module(x).numpy()
    found = network.run(x.numpy())
    if tolerance is None:
        assert (found.argmax(1) == expected.argmax(1)).all()
    else:
        close = abs(found - expected) <= tolerance * abs(expected).max()
        assert close.mean() > 0.99


@pytest.mark.parametrize("case", [2, 3, 4])
def test_binary_networks_take_scales_of_each_shape(case):
    torch.manual_seed(0)
    module = search_spaces.network("resnet20-bireal", f"binary-case{case}", classes=5)
    scales = [m for m in module.modules() if isinstance(m, OutputScale)]
    assert [scale.size for scale in scales[:7]] == [(16, 32, 32)] * 6 + [(32, 16, 16)]
    assert len(scales) == 18
    assert {scale.case for scale in scales} == {case}
    optimizer = torch.optim.SGD(module.parameters(), 0.1)
    for _ in range(2):
        optimizer.zero_grad()
        F.cross_entropy(module(torch.randn(8, 3, 32, 32)), torch.arange(8) % 5).backward()
        optimizer.step()
    assert all(p.grad.abs().sum() > 0 for scale in scales for p in scale.factors)
    plain = set(search_spaces.network("resnet20-bireal", "bnn", classes=5).state_dict())
    assert plain <= set(module.state_dict()), "all else keeps its name: weights of the same network fit"
    x = torch.randn(16, 3, 32, 32)
    found = runtime.compile(module.eval(), (1, 3, 32, 32)).run(x.numpy())
    with torch.no_grad():
        close = np.isclose(found, module(x).numpy(), rtol=1e-2, atol=1e-2)
    assert close.mean() > 0.9  # a sum within a rounding error of zero may fall on its other side


@pytest.mark.parametrize("name", sorted(networks))
def test_every_network_takes_scales_of_pixels(name):
    if name == "alexnet":
        pytest.skip("its 60 million weights take long, and its layers are those of others")
    module = untrained(name, "binary-case3")
    binary = [m for m in module.modules() if isinstance(m, QuantConv2d) and m.precision.name == "bnn"]
    assert len(binary) == sum(isinstance(m, OutputScale) for m in module.modules()) > 0


def test_scales_of_pixels_are_for_images_of_one_size():
    with pytest.raises(RuntimeError, match="size of tensor"):
        search_spaces.network("resnet20-bireal", "binary-case4")(torch.randn(2, 3, 16, 16))


@pytest.mark.parametrize("precision", ["dithered", "dithered-binary-3d"])
def test_masks_on_flattened_images_compile(precision):
    module = settled(search_spaces.network("bcnn-quarter", precision), 3, 32, 32)
    agrees(module, (2, 3, 32, 32), None)
    assert module.dense[0].activation.plane == (4, 4)


@pytest.mark.parametrize("name", ["resnet20", "mobilenet-0.25", "pooled-resnet12"])
@pytest.mark.parametrize("precision", ["float", "binary", "binary-case2"])
def test_a_classifier_that_is_asked_for_is_there(name, precision):
    usual = search_spaces.network(name, precision)
    assert isinstance(usual.classifier, torch.nn.Linear)
    asked = search_spaces.network(name, precision, classifier="twn")
    assert asked.classifier.precision.name == "twn"


@pytest.mark.parametrize("precision", ["float", "ternary", "dorefa2", "int8", "binaryconnect"])
@pytest.mark.parametrize("classifier", ["binary", "xnor", "dithered", "ternary-binary"])
def test_a_classifier_that_would_see_nothing_but_ones_is_refused(precision, classifier):
    with pytest.raises(InvalidInput, match=f"'{classifier}' takes signs, which are all .1 behind the ReLUs"):
        search_spaces.network("resnet20", precision, classifier=classifier)
    if classifier == "binary":
        module = search_spaces.network("resnet20", classifier, classifier=classifier)
        assert module.classifier.precision.name == classifier


@pytest.mark.parametrize("name", ["resnet20", "pooled-resnet12"])
def test_a_precision_that_is_of_no_layer_is_refused(name):
    with pytest.raises(InvalidInput, match=f"'binary-1x1' is of no layer of '{name}'.*; choose binary$"):
        search_spaces.network(name, "binary-1x1")
    search_spaces.network(name, "float-1x1")
    search_spaces.network(name, "ternary-1x1", classifier="ternary")
