"""Lowering: models compute what torch computes, fusions fuse, what has no kernel is refused by name."""

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import torch
from torch import nn

import runtime
import search_spaces
from runtime.lowering import UnsupportedLayerError, lower
from search_spaces import InvalidInput, precisions
from search_spaces.layers import QuantConv2d, QuantLinear
from search_spaces.plain_layers import ChannelShift, ChannelShuffle, OutputScale, ShiftedPReLU
from search_spaces.precision import Precision
from tests.runtime.harness import TARGETS
from tests.thinning import each_nth

EVERY_PRECISION = sorted(precisions)


class Everything(nn.Module):
    """One of each layer that has a kernel, wired with an add and a concatenation."""

    def __init__(self, precision):
        super().__init__()
        p = precisions.get(precision)
        self.stem = nn.Sequential(
            QuantConv2d(3, 32, 3, precisions.get("float"), relu=False), nn.BatchNorm2d(32)
        )
        self.depthwise = nn.Sequential(QuantConv2d(32, 32, 3, p, groups=32, stride=2), nn.BatchNorm2d(32))
        self.grouped = nn.Sequential(
            QuantConv2d(32, 48, 1, p, groups=4), nn.BatchNorm2d(48), ChannelShuffle(4)
        )
        self.convolution = nn.Sequential(QuantConv2d(48, 20, 5, p, relu=False), nn.BatchNorm2d(20))
        self.pools = nn.ModuleList([nn.MaxPool2d(3, 1, 1), nn.AvgPool2d(3, 1, 1)])
        self.head = nn.Sequential(
            nn.ReLU(), nn.BatchNorm2d(40), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Dropout()
        )
        self.classifier = QuantLinear(40, 7, p, relu=True)

    def forward(self, x):
        x = self.convolution(self.grouped(self.depthwise(self.stem(x))))
        x = torch.cat([self.pools[0](x) + x, self.pools[1](x)], dim=1)
        return self.classifier(self.head(x))


def trained(module, shape):
    """A module whose ranges, means and scales are no longer those of its birth."""
    torch.manual_seed(0)
    module.train()
    for _ in range(2):
        module(torch.randn(8, *shape[1:]))
    for layer in module.modules():
        if isinstance(layer, nn.BatchNorm2d):
            nn.init.normal_(layer.weight)  # negative scales too
            nn.init.normal_(layer.bias)
        if isinstance(layer, QuantConv2d | QuantLinear) and hasattr(layer, "positive"):
            nn.init.constant_(layer.positive, 0.7)  # W^p and W^n apart
            nn.init.constant_(layer.negative, 1.3)
    return module.eval()


@pytest.mark.parametrize(("precision", "shape"), each_nth(3, EVERY_PRECISION, [(1, 3, 8, 8), (3, 3, 9, 13)]))
def test_compiled_models_compute_what_torch_computes(precision, shape):
    module = trained(Everything(precision), shape)
    images = torch.randn(6, *shape[1:])
    with torch.no_grad():
        expected = module(images).numpy()
    found = runtime.compile(module, shape).run(images.numpy())
    # between bytes fixed-point numbers are off by 2^-17, and some then go to the next step
    step = 0.01 if precisions.get(precision).activation not in ("float", "binary") else 1e-3
    np.testing.assert_allclose(found, expected, rtol=1e-3, atol=step)


@pytest.mark.parametrize("seed", range(6))
def test_samples_of_a_space_compute_what_torch_computes(seed):
    architecture = search_spaces.space("tiny").sample(seed)
    shape = (2, *architecture.input_shape)
    module = trained(search_spaces.build(architecture), shape)
    images = torch.rand(32, *shape[1:])
    with torch.no_grad():
        expected = module(images).numpy()
    found = runtime.compile(module, shape).run(images.numpy())
    close = np.isclose(found, expected, rtol=1e-3, atol=1e-3).all(axis=1)
    # A value within a rounding error of a threshold may fall on the other side of it.
    assert close.mean() > 0.95


def test_the_workloads_are_those_that_are_compiled():
    module = trained(Everything("binary"), (1, 3, 8, 8))
    assert (
        tuple(runtime.workloads(module, (1, 3, 8, 8))) == runtime.compile(module, (1, 3, 8, 8)).info.workloads
    )


def families(module, shape):
    return [w.family for w in lower(module.eval(), shape).workloads]


def test_batch_norm_and_relu_join_the_convolution():
    module = nn.Sequential(nn.Conv2d(1, 8, 3), nn.BatchNorm2d(8), nn.ReLU(), nn.Conv2d(8, 8, 3))
    graph = lower(module.eval(), (1, 1, 8, 8))
    assert [w.family for w in graph.workloads] == ["conv2d", "conv2d", "to_nchw"]
    assert [w.relu for w in graph.workloads[:2]] == [True, False]


class Branches(nn.Module):
    """A convolution that one reader takes with a ReLU and another without."""

    def __init__(self):
        super().__init__()
        self.convolution = nn.Conv2d(1, 8, 3, padding=1)
        self.norm = nn.BatchNorm2d(8)

    def forward(self, x):
        x = self.convolution(x)
        return torch.relu(x) + self.norm(x) + torch.relu(x)


def test_a_batch_norm_joins_the_packing_of_levels():
    torch.manual_seed(0)
    shape, lq2 = (1, 24, 5, 4), precisions.get("lq2")
    layers = [nn.BatchNorm2d(24), QuantConv2d(24, 12, 3, lq2, padding=1)]
    module = nn.Sequential(*layers, nn.ReLU(), nn.BatchNorm2d(12), QuantConv2d(12, 20, 1, lq2))
    module.train()
    with torch.no_grad():
        for batch in torch.randn(3, 8, *shape[1:]):
            module(2 * batch + 1)
    module.eval()
    families = [node.workload.family for node in lower(module, shape).nodes]
    pair = ["level_pack", "bitserial_conv2d"]
    assert families == ["to_nhwc", *pair, *pair, "to_nchw"]
    image = torch.randn(shape)
    with torch.no_grad():
        expected = module(image).numpy()
    np.testing.assert_allclose(
        runtime.compile(module, shape).run(image.numpy()), expected, rtol=1e-4, atol=1e-4
    )


def test_nothing_is_fused_that_something_else_reads():
    module = trained(Branches(), (2, 1, 5, 5))
    assert families(module, (2, 1, 5, 5)) == ["conv2d", "relu", "affine", "add", "add", "to_nchw"]
    images = torch.randn(2, 1, 5, 5)
    with torch.no_grad():
        expected = module(images).numpy()
    np.testing.assert_allclose(runtime.compile(module, (2, 1, 5, 5)).run(images.numpy()), expected, atol=1e-5)


def test_two_layers_share_the_signs_of_one_input():
    class Expand(nn.Module):
        def __init__(self):
            super().__init__()
            self.one = QuantConv2d(32, 32, 1, precisions.get("binary"))
            self.three = QuantConv2d(32, 32, 3, precisions.get("binary"))

        def forward(self, x):
            return torch.cat([self.one(x), self.three(x)], 1)

    assert families(Expand(), (1, 32, 4, 4)).count("sign_pack") == 1


@pytest.mark.parametrize(
    ("layer", "named"),
    [
        (nn.Conv2d(4, 4, 3, padding_mode="reflect", padding=1), "padding"),
        (nn.AdaptiveAvgPool2d((0, 1)), "whole numbers above 0"),
        (nn.Softmax(dim=0), "over the images of a batch"),
        (nn.MaxPool2d(2, 1, 1, 10), "larger than the image"),
        (nn.ConvTranspose2d(3, 4, 2), "3 channels"),
        (nn.Conv2d(4, 4, 11), "larger than the image"),
        (nn.Conv2d(3, 4, 3), "3 channels"),
    ],
)
def test_what_has_no_kernel_is_refused_by_the_layers_name(layer, named):
    module = nn.Sequential(nn.Identity(), layer).eval()
    with pytest.raises(UnsupportedLayerError, match=r"layer '1'.*" + named) as caught:
        runtime.workloads(module, (1, 4, 8, 8))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("shape", [(1, 8, 8), (1, 0, 8, 8), (1, 1, 8, -8), (1, 1, 8, 8.0)])
def test_a_bad_input_shape_is_refused(shape):
    with pytest.raises(InvalidInput, match="input_shape"):
        runtime.workloads(nn.Conv2d(1, 1, 1), shape)


@pytest.mark.parametrize("precision", EVERY_PRECISION)
def test_a_single_layer_is_a_model(precision):
    torch.manual_seed(0)
    layer = QuantConv2d(5, 6, 3, precisions.get(precision), stride=2).eval()
    images = torch.randn(2, 5, 7, 9)
    with torch.no_grad():
        expected = layer(images).numpy()
    found = runtime.compile(layer, (2, 5, 7, 9)).run(images.numpy())
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("groups", [1, 6])
def test_odd_weights_over_bytes_with_a_zero_point(groups):
    odd, shape = Precision("odd", "dorefa8", "int8"), (2, 6, 7, 9)  # 6 channels: quads are filled up
    model = trained(nn.Sequential(QuantConv2d(6, 6, 3, odd, groups=groups, relu=False)), shape)
    assert int(model[0].activation.zero_point) > 0
    images = torch.randn(shape)
    found = runtime.compile(model, shape).run(images.numpy())
    np.testing.assert_allclose(found, model(images).detach().numpy(), rtol=1e-4, atol=1e-4)


class Shifted(nn.Module):
    """ReActNet's: shift, sign, binary convolution, batch norm, shortcut, shifted PReLU."""

    def __init__(self, case):
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(3, 32, 3, padding=1), nn.BatchNorm2d(32))
        self.shift = ChannelShift(32)
        self.convolution = QuantConv2d(32, 32, 3, precisions.get("bnn"))
        self.scale = OutputScale(32, 9, 8, case)
        self.norm = nn.BatchNorm2d(32)
        self.prelu = ShiftedPReLU(32)

    def forward(self, x):
        x = self.stem(x)
        return self.prelu(x + self.norm(self.scale(self.convolution(self.shift(x)))))


@pytest.mark.parametrize("case", [1, 2, 3, 4])
def test_learned_shifts_scales_and_slopes_compile(case):
    module = trained(Shifted(case), (2, 3, 9, 8))
    for parameter in (*module.scale.parameters(), *module.shift.parameters(), *module.prelu.parameters()):
        nn.init.uniform_(parameter, 0.3, 1.2)
    images = torch.randn(2, 3, 9, 8)
    with torch.no_grad():
        expected = module(images).numpy()
    found = runtime.compile(module, (2, 3, 9, 8)).run(images.numpy())
    close = np.isclose(found, expected, rtol=1e-3, atol=1e-3)
    assert close.mean() > 0.97, "but for signs of values that are within a rounding error of 0"


def test_a_scale_of_one_size_refuses_images_of_another():
    with pytest.raises(UnsupportedLayerError, match=r"it is made for \(32, 9, 8\), but gets \(32, 8, 8\)"):
        lower(Shifted(2).eval(), (1, 3, 8, 8))


def test_an_unknown_target_is_refused():
    with pytest.raises(InvalidInput, match="target: unknown CPU 'pdp11'"):
        runtime.compile(nn.Conv2d(1, 1, 1), (1, 1, 2, 2), target="pdp11")


def test_bad_images_are_refused():
    network = runtime.compile(nn.Conv2d(1, 1, 1), (2, 1, 4, 4))
    for images in (np.zeros((3, 1, 4, 4), np.float32), np.zeros((2, 1, 4, 5), np.float32)):
        with pytest.raises(InvalidInput, match="images: shape"):
            network.run(images)
    with pytest.raises(InvalidInput, match="float64"):
        network.run(np.zeros((2, 1, 4, 4)))


class Applied(nn.Module):
    """A model that is one function of its inputs."""

    def __init__(self, function):
        super().__init__()
        self.function = function

    def forward(self, x):
        return self.function(x)


class TwoInputs(nn.Module):
    def forward(self, x, y):
        return x + y


@pytest.mark.parametrize(
    ("module", "named"),
    [
        (Applied(lambda x: (x + x, x)), "model: it returns more than one tensor"),
        (TwoInputs(), "model: it takes more than one input"),
        (Applied(lambda x: x % 2), "layer 'mod': mod has no kernel"),
    ],
)
def test_models_of_another_form_are_refused(module, named):
    with pytest.raises(UnsupportedLayerError, match=named):
        runtime.compile(module, (1, 3, 4, 4))


def test_what_is_no_module_or_no_array_is_refused():
    with pytest.raises(InvalidInput, match="module: a str is no torch module"):
        runtime.compile("resnet20", (1, 3, 4, 4))
    with pytest.raises(InvalidInput, match="images: a list is no numpy array"):
        runtime.compile(nn.Conv2d(3, 4, 1), (1, 3, 4, 4)).run([[1.0]])


def test_threads_may_share_a_network():
    network = runtime.compile(nn.Sequential(nn.Conv2d(3, 8, 3), nn.ReLU()), (1, 3, 8, 8))
    images = np.random.default_rng(0).standard_normal((4, 32, 3, 8, 8), np.float32)
    expected = [network.run(batch) for batch in images]

    def repeat(index):
        return all(np.array_equal(network.run(images[index]), expected[index]) for _ in range(100))

    with ThreadPoolExecutor(4) as pool:
        assert all(pool.map(repeat, range(4)))


@pytest.mark.parametrize("precision", ["float", "ternary", "binary", "dithered"])
def test_a_nan_stays_what_torch_makes_of_it(precision):
    layer = QuantConv2d(3, 8, 3, precisions.get(precision)).eval()
    x = np.random.default_rng(0).standard_normal((1, 3, 6, 6), np.float32)
    x[0, 1, 2, 3] = np.nan
    found = runtime.compile(layer, x.shape).run(x)
    np.testing.assert_allclose(found, layer(torch.from_numpy(x)).detach().numpy(), rtol=1e-4, atol=1e-4)


class Activations(nn.Module):
    """Whatever floats go through but for a max pool, side by side; of one size."""

    def __init__(self):
        super().__init__()
        self.steps = nn.ModuleList(
            [nn.ReLU(), nn.ReLU6(), nn.Sigmoid(), nn.PReLU(16), nn.BatchNorm2d(16), nn.AvgPool2d(3, 1, 1)]
        )
        self.convolution, self.norm, self.pool = (
            nn.Conv2d(16, 16, 1),
            nn.BatchNorm2d(16),
            nn.AdaptiveAvgPool2d(1),
        )
        kinds = nn.ReLU(), nn.ReLU6(), nn.Hardswish(), nn.SiLU()
        self.steps += [nn.Sequential(nn.Conv2d(16, 16, 3, padding=1), kind) for kind in kinds]

    def forward(self, x):
        found = [step(x) for step in self.steps]
        residual = torch.relu(self.norm(self.convolution(x)) + x)
        return torch.cat([*found, residual, x * torch.sigmoid(self.pool(x))], 1)


@pytest.mark.parametrize("odd", [[np.nan], [np.inf], [-np.inf], [np.nan, np.inf, -np.inf]])
def test_what_is_no_number_is_what_torch_makes_of_it(odd, activations):
    module, network = activations
    x = np.random.default_rng(0).standard_normal((1, 16, 6, 6)).astype(np.float32)
    for channel, value in enumerate(odd):
        x[0, channel, 2, 3 + channel] = value
    found, expected = network.run(x), module(torch.from_numpy(x)).detach().numpy()
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-4)


@pytest.fixture(scope="module")
def activations():
    module = Activations().eval()
    return module, runtime.compile(module, (1, 16, 6, 6))


class Shared(nn.Module):
    """Two readers of one convolution, of which a fusion must not forget one."""

    def __init__(self, function):
        super().__init__()
        self.convolution = nn.Conv2d(3, 8, 3)
        self.norm, self.other = nn.BatchNorm2d(8), nn.BatchNorm2d(8)
        self.dropout, self.relu = nn.Dropout(), nn.ReLU(inplace=True)
        self.left, self.right = nn.Linear(8, 4), nn.Linear(8, 4)
        self.pool, self.function = nn.AdaptiveAvgPool2d(1), function

    def forward(self, x):
        return self.function(self, x)


def flat(x):
    return torch.flatten(x, 1)


@pytest.mark.parametrize(
    "function",
    [
        lambda s, x: s.norm(s.convolution(x)) + s.other(s.convolution(x)),
        lambda s, x: s.norm(s.convolution(x)) + s.convolution(x),
        lambda s, x: (lambda y: s.norm(s.dropout(y)) + y)(s.convolution(x)),
        lambda s, x: (lambda y: s.left(flat(y)) + s.right(flat(torch.relu(y))))(s.pool(s.convolution(x))),
        lambda s, x: (lambda y: s.left(torch.relu(flat(y))) + s.right(flat(torch.relu(y))))(
            s.pool(s.convolution(x))
        ),
        lambda s, x: s.norm(s.relu(s.convolution(x))),
    ],
)
def test_fusions_leave_other_readers_what_they_read(function):
    torch.manual_seed(0)
    module = trained(Shared(function), (2, 3, 6, 6))
    x = torch.randn(2, 3, 6, 6)
    found = runtime.compile(module, (2, 3, 6, 6)).run(x.numpy())
    with torch.no_grad():
        expected = module(x).numpy()
    assert found.shape == expected.shape
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-4)


def test_what_runs_in_training_only_is_not_compiled():
    class Auxiliary(nn.Module):
        def __init__(self):
            super().__init__()
            self.main, self.auxiliary = nn.Conv2d(3, 4, 1), nn.Conv2d(3, 4, 1)

        def forward(self, x):
            return self.auxiliary(x) if self.training else self.main(x)

    module, x = Auxiliary(), torch.randn(1, 3, 4, 4)
    found = runtime.compile(module, (1, 3, 4, 4)).run(x.numpy())
    assert module.training
    np.testing.assert_allclose(found, module.eval()(x).detach().numpy(), rtol=1e-4, atol=1e-4)


def hooked():
    layer = nn.Conv2d(3, 4, 1)
    layer.register_forward_hook(lambda module, inputs, output: output * 2)
    return layer


@pytest.mark.parametrize(
    ("module", "named"),
    [
        (Applied(lambda x: torch.add(x, x, alpha="2")), "must be Number"),
        (Applied(lambda x: torch.flatten(x, 0, 1)), "joins the images of a batch"),
        (nn.Sequential(nn.Flatten(0, 1)), "joins the images of a batch"),
        (nn.Sequential(hooked()), "its hooks are not computed"),
        (nn.Sequential(nn.MaxPool2d(2, return_indices=True)), "return_indices=False"),
        (nn.Sequential(nn.Linear(3, 4)), "3 features last, but gets"),
        (nn.Sequential(QuantLinear(4, 4, precisions.get("int8"))), "flatten them first"),
        (nn.Sequential(nn.Flatten(), nn.Conv2d(3, 4, 1)), "gets rows of features"),
        (nn.Sequential(nn.Flatten(), nn.MaxPool2d(2)), "gets rows of features"),
        (nn.Sequential(nn.BatchNorm2d(5)), "it takes 5 channels, but gets 3"),
        (Applied(lambda x: torch.cat(x, 1)), "only a list of tensors"),
        (Applied(lambda x: x + len(x)), "asks for len"),
        (nn.Sequential(nn.Flatten(), QuantLinear(70_000, 1, precisions.get("int8"))), "channels|32 bits"),
    ],
)
def test_options_are_computed_or_refused(module, named):
    with pytest.raises(UnsupportedLayerError, match=named) as caught:
        runtime.compile(module, (1, 3, 4, 4))
    assert "\n" not in str(caught.value)


def test_sums_that_may_overflow_are_refused():
    module = nn.Sequential(nn.Flatten(), QuantLinear(70_000, 1, precisions.get("int8")))
    with pytest.raises(UnsupportedLayerError, match="a sum of 70000 bytes may not fit 32 bits"):
        runtime.compile(module, (1, 70_000, 1, 1))


def test_shapes_of_numpy_numbers_are_shapes():
    shape = tuple(np.array([1, 3, 4, 4]))
    assert runtime.compile(nn.Conv2d(3, 4, 1), shape).info.input_shape == (1, 3, 4, 4)


class Pooled(nn.Module):
    """A convolution, a pool, perhaps a batch norm, and a layer with a code of its own."""

    def __init__(self, precision, window, normed):
        super().__init__()
        p = precisions.get(precision)
        self.stem, self.pool = nn.Conv2d(3, 64, 3), nn.MaxPool2d(*window)
        self.norm = nn.BatchNorm2d(64) if normed else nn.Identity()
        self.layer = QuantConv2d(64, 20, 3, p)

    def forward(self, x):
        return self.layer(self.norm(self.pool(self.stem(x))))


@pytest.mark.parametrize("window", [(2,), (3, 2, 1), (5, 1, 2)])
@pytest.mark.parametrize(
    ("precision", "normed", "expected"),
    [
        ("float", False, ["conv2d float", "max_pool2d float", "conv2d float"]),
        ("float", True, ["conv2d float", "max_pool2d float", "affine", "conv2d float"]),
        ("int8", False, ["conv2d uint8", "max_pool2d byte", "conv2d float"]),
        ("binary", False, ["conv2d binary", "max_pool2d binary", "bitserial_conv2d float"]),
        ("binary", True, ["conv2d binary", "max_pool2d binary", "bitserial_conv2d float"]),
        ("ternary-binary", True, ["conv2d binary", "max_pool2d binary", "bitserial_conv2d float"]),
    ],
)
def test_pools_read_what_the_next_layer_reads(precision, normed, expected, window):
    module = trained(Pooled(precision, window, normed), (2, 3, 11, 9))
    assert not normed or {-1.0, 1.0} <= set(module.norm.weight.sign().tolist())
    found = [
        (w.family, getattr(w, "code", getattr(w, "output", "")))
        for w in lower(module, (2, 3, 11, 9)).workloads
    ]
    assert [" ".join(filter(None, told)) for told in found[1:-1]] == expected
    images = torch.randn(6, 3, 11, 9)
    with torch.no_grad():
        wanted = module(images).numpy()
    np.testing.assert_allclose(
        runtime.compile(module, (2, 3, 11, 9)).run(images.numpy()), wanted, rtol=1e-3, atol=1e-3
    )


def test_a_dithered_sign_stays_behind_a_pool():
    told = families(Pooled("dithered-binary", (2,), False), (1, 3, 12, 12))
    assert told[1:-1] == ["conv2d", "max_pool2d", "sign_pack", "bitserial_conv2d"]


class InPlace(nn.Module):
    """Changes a tensor in place, by another of its names."""

    def __init__(self, function):
        super().__init__()
        self.convolution, self.function = nn.Conv2d(4, 4, 1), function
        self.identity, self.dropout, self.relu = nn.Identity(), nn.Dropout(), nn.ReLU(inplace=True)

    def forward(self, x):
        return self.function(self, x)


def behind_an_identity(m, x):
    a = m.convolution(x)
    z = m.relu(m.identity(a))
    return m.convolution(a) + z


def on_the_input(m, x):
    z = m.relu(m.dropout(x))
    return m.convolution(x) + z


def behind_a_flattening(m, x):
    a = m.convolution(x)
    m.relu(torch.flatten(a, 1))
    return m.convolution(a)


def by_an_addition(m, x):
    a = m.convolution(x)
    b = m.identity(a)
    b += x
    return m.convolution(a)


def alone(m, x):
    return m.relu(m.identity(m.convolution(x)))


@pytest.mark.parametrize(
    "function", [behind_an_identity, on_the_input, behind_a_flattening, by_an_addition, alone]
)
def test_what_is_changed_in_place_under_another_name_is_seen_or_refused(function):
    module = InPlace(function).eval()
    if function is behind_a_flattening:
        with pytest.raises(UnsupportedLayerError, match="changes in place what another layer reads"):
            lower(module, (1, 4, 3, 3))
        return
    images = torch.randn(1, 4, 3, 3)
    with torch.no_grad():
        expected = module(images.clone()).numpy()
    found = runtime.compile(module, (1, 4, 3, 3)).run(images.numpy())
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5)


class ByKeyword(nn.Module):
    """Passes its tensors by keyword."""

    def __init__(self):
        super().__init__()
        self.convolution = nn.Conv2d(4, 4, 1)

    def forward(self, x):
        y = torch.relu(input=self.convolution(input=x))
        return torch.flatten(input=torch.add(y, other=x), start_dim=1)


def test_tensors_may_be_passed_by_keyword():
    images = torch.randn(1, 4, 3, 3)
    module = ByKeyword().eval()
    with torch.no_grad():
        expected = module(images).numpy()
    found = runtime.compile(module, (1, 4, 3, 3)).run(images.numpy())
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5)


def test_a_shuffle_of_rows_is_refused():
    with pytest.raises(UnsupportedLayerError, match="takes images"):
        lower(nn.Sequential(nn.Flatten(), ChannelShuffle(2)).eval(), (1, 4, 1, 1))


@pytest.mark.parametrize("scales", [(1.0, 1.0), (0.7, 0.7), (1.1, 0.9)])
@pytest.mark.parametrize("target", TARGETS)
def test_a_true_zero_of_a_ternary_layer_is_one_for_the_next_sign(target, scales):
    torch.manual_seed(0)
    p = precisions.get("ternary-binary")
    layers = (QuantConv2d(16, 32, 3, p), nn.BatchNorm2d(32), QuantConv2d(32, 16, 3, p))
    module = nn.Sequential(nn.Conv2d(3, 16, 1), nn.BatchNorm2d(16), *layers).eval()
    for layer in (layers[0], layers[2]):
        nn.init.constant_(layer.positive, scales[0])
        nn.init.constant_(layer.negative, scales[1])
    images = torch.randn(2, 3, 8, 8)
    with torch.no_grad():
        expected, exact = module(images).numpy(), module.double()(images.double()).numpy()
    found = runtime.compile(module.float(), (2, 3, 8, 8), target=target).run(images.numpy())
    np.testing.assert_allclose(expected, exact, rtol=1e-4, atol=1e-4)
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("pool", [nn.MaxPool2d(3, 2, 1), nn.MaxPool2d(2)])
@pytest.mark.parametrize("value", [float("-inf"), float("inf")])
def test_a_pool_gives_what_torch_gives_of_infinities(pool, value):
    images = torch.randn(1, 20, 7, 6)
    images[:, :, 2:5, 1:5] = value
    images[:, 3] = float("-inf")
    found = runtime.compile(pool, (1, 20, 7, 6)).run(images.numpy())
    np.testing.assert_array_equal(found, pool(images).numpy())
