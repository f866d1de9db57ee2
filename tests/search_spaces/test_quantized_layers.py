"""Quantized layers against plain numpy, computed from their stored codes."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn

from search_spaces.activation import InputActivation
from search_spaces.errors import InvalidInput
from search_spaces.layers import QuantConv2d, QuantLinear
from search_spaces.plain_layers import ChannelShuffle, Subsample
from search_spaces.precision import Precision, precisions
from search_spaces.quantizers import dither_mask

CODES = {
    "float": (np.float32, None),
    "int8": (np.int8, range(-127, 128)),
    "ternary": (np.int8, {-1, 0, 1}),
    "binary": (np.int8, {-1, 1}),
    **{f"dorefa{n}": (np.int8, range(1 - 2**n, 2**n, 2)) for n in range(2, 8)},
    "dorefa1": (np.int8, {-1, 1}),
    "dorefa8": (np.int16, range(-255, 256, 2)),
    "dorefa16": (np.int32, range(-65535, 65536, 2)),
    **{f"lq{n}": (np.int8, range(1 - 2**n, 2**n, 2)) for n in range(1, 4)},
}


def activate(x, activation):
    """What the spec of an input activation says, in numpy: (N, C, H, W) -> the same."""
    if activation.code == "binary":
        return np.where(x + mask(x, activation.dither) >= 0, 1.0, -1.0).astype(np.float32)
    if activation.code == "float":
        return np.maximum(x, 0) if activation.relu else x
    if activation.has_basis:
        basis = activation.basis.numpy()
        found = np.array(
            [
                sum(v for v, b in zip(basis, np.binary_repr(k, 8)[::-1], strict=False) if b == "1")
                for k in range(2 ** len(basis))
            ]
        )
        x = np.maximum(x, 0) if activation.relu else x
        return found[np.abs(x[..., None] - found).argmin(axis=-1)].astype(np.float32)
    step = activation.scale.numpy()
    is_affine = activation.code.startswith("int")
    highest = 2 ** int(activation.code.removeprefix("u").removeprefix("int")) - 1
    zero = np.round(-activation.lowest.numpy() / step) if is_affine else 0
    return (np.clip(np.round(x / step) + zero, 0, highest) - zero) * step


def mask(x, dither):
    if dither is None:
        return np.float32(0)
    z, y, w = np.indices(x.shape[1:])
    level = ((w + (z if dither == "3d" else 1) * 67) + y * 236) * 119 & 255
    return (2.0 * (level / 255.0) - 1.0).astype(np.float32)


def real_weight(codes):
    if codes.basis is not None:  # an odd number is a sum of powers of two with signs
        raised = (codes.values.astype(int) + 2 ** codes.basis.shape[1] - 1) // 2
        signs = [(raised >> plane) % 2 * 2 - 1 for plane in range(codes.basis.shape[1])]
        spread = codes.basis.T.reshape(len(signs), -1, *[1] * (codes.values.ndim - 1))
        return sum(v * s for v, s in zip(spread.astype(np.float64), signs, strict=True))
    shape = (-1, *[1] * (codes.values.ndim - 1))
    positive, negative = codes.positive.reshape(shape), codes.negative.reshape(shape)
    return np.where(codes.values > 0, codes.values * positive, codes.values * negative).astype(np.float64)


def convolve(x, weight, *, stride, padding, groups, fill):
    """A convolution by its definition: (N, C, H, W), (O, C / groups, K, K) -> (N, O, H', W')."""
    x = np.pad(x, [(0, 0), (0, 0), (padding, padding), (padding, padding)], constant_values=fill)
    kernel, depth, per_group = weight.shape[-1], weight.shape[1], len(weight) // groups
    rows, columns = ((size - kernel) // stride + 1 for size in x.shape[2:])
    out = np.zeros((len(x), len(weight), rows, columns))
    for o in range(len(weight)):
        first = o // per_group * depth
        for row in range(rows):
            for column in range(columns):
                top, left = row * stride, column * stride
                window = x[:, first : first + depth, top : top + kernel, left : left + kernel]
                out[:, o, row, column] = (window * weight[o]).sum((1, 2, 3))
    return out


def disturb(layer):
    """Learned scales away from their start, some of them negative."""
    for name, parameter in layer.named_parameters():
        if name != "weight":
            parameter.data += torch.randn_like(parameter)


@pytest.mark.parametrize("relu", [True, False])
@pytest.mark.parametrize(
    ("kernel", "stride", "padding", "groups"),
    [(1, 1, None, 1), (3, 1, None, 2), (3, 2, None, 4), (5, 2, None, 1), (3, 3, 0, 1), (2, 1, 1, 2)],
)
@pytest.mark.parametrize("name", sorted(precisions))
def test_stored_codes_reproduce_the_convolution(name, kernel, stride, padding, groups, relu):
    torch.manual_seed(kernel)
    shape = {"kernel": kernel, "stride": stride, "padding": padding, "groups": groups, "relu": relu}
    layer = QuantConv2d(4, 8, precision=precisions.get(name), **shape)
    disturb(layer)
    x = torch.randn(2, 4, 6, 7)
    layer(x)  # in training, so that int8 ranges are observed
    layer.eval()
    codes = layer.stored_weights()
    expected = convolve(
        activate(x.numpy(), layer.activation),
        real_weight(codes),
        stride=stride,
        padding=kernel // 2 if padding is None else padding,
        groups=groups,
        fill=1 if layer.activation.code == "binary" else 0,
    )
    np.testing.assert_allclose(layer(x).detach().numpy(), expected, rtol=1e-4, atol=1e-5)
    check_codes(codes, layer)


@pytest.mark.parametrize("relu", [True, False])
@pytest.mark.parametrize("name", sorted(precisions))
def test_stored_codes_reproduce_the_dense_layer(name, relu):
    torch.manual_seed(0)
    layer = QuantLinear(17, 5, precisions.get(name), relu=relu)
    disturb(layer)
    x = torch.randn(3, 17)
    layer(x)
    layer.eval()
    pixels = activate(x.numpy().reshape(3, 17, 1, 1), layer.activation).reshape(3, 17)
    expected = pixels @ real_weight(layer.stored_weights()).T + layer.bias.detach().numpy()
    np.testing.assert_allclose(layer(x).detach().numpy(), expected, rtol=1e-4, atol=1e-5)
    check_codes(layer.stored_weights(), layer)


def check_codes(codes, layer):
    kind, allowed = CODES[codes.code]
    assert codes.code == layer.precision.weight
    assert codes.values.dtype == kind
    assert codes.values.shape == tuple(layer.weight.shape)
    if (
        layer.precision.weight == "ternary"
        and layer.activation.is_bytes
        and layer.precision.scale == "learned"
    ):
        assert len(set(codes.values.flat)) <= 3, "W^p and W^n in steps"
    else:
        assert allowed is None or set(codes.values.flat) <= set(allowed)
    assert codes.positive.dtype == codes.negative.dtype == np.float32
    assert codes.positive.shape == codes.negative.shape == (len(layer.weight),)


def test_stored_codes_do_not_follow_later_training():
    layer = QuantConv2d(2, 3, 3, precisions.get("float"))
    before = layer.stored_weights().values.copy()
    codes = layer.stored_weights()
    layer.weight.data += 1
    np.testing.assert_array_equal(codes.values, before)


@pytest.mark.parametrize("name", sorted(precisions))
def test_every_parameter_learns(name):
    torch.manual_seed(0)
    layer = nn.Sequential(
        QuantConv2d(3, 4, 3, precisions.get(name)), nn.Flatten(), QuantLinear(100, 5, precisions.get(name))
    )
    layer(torch.randn(2, 3, 5, 5)).square().sum().backward()
    for parameter_name, parameter in layer.named_parameters():
        assert parameter.grad.abs().sum() > 0, parameter_name


@pytest.mark.parametrize("name", sorted(precisions))
def test_outputs_start_with_sane_magnitudes(name):
    torch.manual_seed(0)
    layer = QuantConv2d(64, 64, 3, precisions.get(name), relu=False)
    spread = layer(torch.randn(4, 64, 9, 9)).std().item()
    code = precisions.get(name)
    is_large = code.weight in ("ternary", "dorefa2") or code.scale == "none"  # and a batch norm follows
    assert 0.1 < spread < (100 if is_large else 3)


@pytest.mark.parametrize("name", sorted(precisions))
def test_layers_train_in_bfloat16(name):
    torch.manual_seed(0)
    layers = [QuantConv2d(3, 8, 3, precisions.get(name)), nn.BatchNorm2d(8)]
    layers += [QuantConv2d(8, 8, 3, precisions.get(name), groups=8), nn.Flatten()]
    module = nn.Sequential(*layers, QuantLinear(8 * 36, 5, precisions.get(name)))
    for _ in range(2):
        with torch.autocast("cpu", torch.bfloat16):
            out = module(torch.randn(2, 3, 6, 6))
        out.float().square().sum().backward()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in module.parameters())
    assert all(p.dtype == torch.float32 for p in module.parameters())
    assert all(b.dtype != torch.bfloat16 for b in module.buffers())


def test_ternary_scales_start_at_one_and_are_per_layer():
    layer = QuantConv2d(3, 4, 3, precisions.get("ternary"))
    assert (layer.positive.item(), layer.negative.item()) == (1.0, 1.0)


def test_binary_scales_are_one_per_output_channel():
    assert QuantConv2d(3, 4, 3, precisions.get("binary")).scale.shape == (4,)


@pytest.mark.parametrize(("relu", "code", "zero"), [(True, "uint8", 0), (False, "int8", 170)])
def test_int8_ranges_follow_the_input_while_training(relu, code, zero):
    activation = InputActivation(precisions.get("int8"), relu)
    assert activation.code == code
    assert activation.scale.shape == ()
    assert activation.scale > 0
    activation(torch.tensor([[-4.0, 2.0]]))
    first = 2.0 if relu else 6.0
    assert activation.scale.item() == pytest.approx(first / 255)
    assert activation.zero_point.item() == zero
    activation(torch.tensor([[-4.0, 2.0]]) * 2)
    assert activation.scale.item() == pytest.approx(1.5 * first / 255)
    activation.eval()
    activation(torch.tensor([[100.0, -100.0]]))
    assert activation.scale.item() == pytest.approx(1.5 * first / 255)
    assert activation.zero_point.item() == zero


def test_an_old_int8_range_moves_by_a_tenth():
    activation = InputActivation(precisions.get("int8"), relu=False)
    for _ in range(20):
        activation(torch.ones(1, 1))
    activation(torch.full((1, 1), 2.0))
    assert activation.scale.item() * 255 == pytest.approx(1.1)


@pytest.mark.parametrize("sign", [1, -1])
def test_an_affine_range_holds_zero(sign):
    activation = InputActivation(precisions.get("int8"), relu=False)
    x = sign * torch.linspace(3.0, 7.0, 50).view(1, -1)
    activation(x)
    assert activation.zero_point.item() == (0 if sign > 0 else 255)
    activation.eval()
    assert activation(torch.zeros(1, 1)).item() == 0  # padding is exact
    assert (activation(x) - x).abs().max() <= 7 / 255 / 2 + 1e-6


def test_an_int8_range_of_zeros_stays_positive():
    activation = InputActivation(precisions.get("int8"), relu=True)
    assert activation(torch.zeros(1, 4)).tolist() == [[0, 0, 0, 0]]
    assert activation.scale > 0


def test_binary_inputs_ignore_the_relu():
    x = torch.tensor([[-0.5, 0.0, 0.5]])
    assert InputActivation(precisions.get("binary"), relu=True)(x).tolist() == [[-1, 1, 1]]


def test_training_state_survives_saving():
    layer = QuantConv2d(3, 4, 3, precisions.get("int8"))
    layer(torch.randn(2, 3, 5, 5))
    again = QuantConv2d(3, 4, 3, precisions.get("int8"))
    again.load_state_dict(layer.state_dict())
    x = torch.randn(2, 3, 5, 5)
    assert torch.equal(again.eval()(x), layer.eval()(x))


@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
@pytest.mark.parametrize("stride", [1, 2, 3])
def test_subsampling_and_its_gradient_are_those_of_a_slice(stride, layout):
    x = torch.randn(2, 3, 7, 4).contiguous(memory_format=layout).requires_grad_()
    found = Subsample(stride, 2)(x)
    expected = F.pad(x[:, :, ::stride, ::stride], [0, 0, 0, 0, 0, 2])
    assert torch.equal(found, expected)
    grad = torch.randn_like(found)
    (ours,), (theirs,) = (torch.autograd.grad(y, x, grad) for y in (found, expected))
    assert torch.equal(ours, theirs)
    assert ours.is_contiguous(memory_format=layout)


@pytest.mark.parametrize("groups", [1, 2, 3, 6])
def test_channel_shuffle_interleaves_groups(groups):
    x = torch.arange(48.0).view(2, 6, 2, 2)
    per_group = 6 // groups
    order = [g * per_group + i for i in range(per_group) for g in range(groups)]
    assert torch.equal(ChannelShuffle(groups)(x), x[:, order])
    last = ChannelShuffle(groups)(x.contiguous(memory_format=torch.channels_last))
    assert torch.equal(last, x[:, order])
    assert last.is_contiguous(memory_format=torch.channels_last)


@pytest.mark.parametrize(
    ("changes", "parameter"),
    [
        ({"in_channels": 0}, "in_channels"),
        ({"out_channels": -1}, "out_channels"),
        ({"kernel": 0}, "kernel"),
        ({"stride": 0}, "stride"),
        ({"padding": -1}, "padding"),
        ({"groups": 0}, "groups"),
        ({"groups": 3}, "groups"),
    ],
)
def test_impossible_convolutions_are_refused(changes, parameter):
    arguments = {"in_channels": 6, "out_channels": 8, "kernel": 3, "precision": precisions.get("float")}
    with pytest.raises(InvalidInput) as caught:
        QuantConv2d(**{**arguments, **changes})
    assert caught.value.parameter == parameter


@pytest.mark.parametrize(
    ("codes", "parameter"),
    [
        (("int4", "float", None), "precision.weight"),
        (("int8", "ternary", None), "precision.activation"),
        (("binary", "binary", "4d"), "precision.dither"),
        (("binary", "float", "2d"), "precision.dither"),
    ],
)
def test_impossible_precisions_are_refused(codes, parameter):
    with pytest.raises(InvalidInput) as caught:
        Precision("mine", *codes)
    assert caught.value.parameter == parameter


def test_the_five_names_users_know():
    codes = {name: precisions.get(name) for name in ("float", "int8", "ternary", "binary", "dithered")}
    assert {n: (p.weight, p.activation, p.dither, p.weight_bits) for n, p in codes.items()} == {
        "float": ("float", "float", None, 32),
        "int8": ("int8", "int8", None, 8),
        "ternary": ("ternary", "float", None, 2),
        "binary": ("binary", "binary", None, 1),
        "dithered": ("ternary", "binary", "2d", 2),
    }


def test_latent_binary_weights_are_brought_back_to_where_they_learn():
    binary = QuantConv2d(2, 3, 1, precisions.get("binary"))
    ternary = QuantConv2d(2, 3, 1, precisions.get("ternary"))
    for layer in (binary, ternary):
        layer.weight.data.fill_(1.5)
        layer.clip()
    assert (binary.weight == 1).all()
    assert (ternary.weight == 1.5).all()


def test_a_mask_made_under_another_default_device_serves_all():
    dither_mask.cache_clear()
    with torch.device("meta"):
        dither_mask(3, 5, 7, "3d")
    assert dither_mask(3, 5, 7, "3d").device.type == "cpu"


@pytest.mark.parametrize(
    ("plane", "says"), [((4, 4), "plane: 24 features are no images"), ((0, 4), "rows: 0")]
)
def test_features_are_whole_images(plane, says):
    with pytest.raises(InvalidInput, match=says):
        QuantLinear(24, 2, precisions.get("dithered"), plane=plane)
