"""What torch does around a forward pass is computed, or refused by name; the model stays as it is."""

import random
import warnings

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional as F
from torch.nn.utils import parametrizations, parametrize, prune, spectral_norm, weight_norm

import runtime
from runtime.lowering import UnsupportedLayerError, lower
from search_spaces import precisions
from search_spaces.errors import BitnasError
from search_spaces.layers import QuantConv2d
from tests.runtime import interpreter

SHAPE = (2, 4, 8, 8)


class Applied(nn.Module):
    """A convolution, and then a function of the model and its output."""

    def __init__(self, function):
        super().__init__()
        self.convolution, self.pool = nn.Conv2d(4, 4, 1), nn.AdaptiveAvgPool2d(1)
        self.relu, self.identity, self.dropout = (
            nn.ReLU(inplace=True),
            nn.Identity(),
            nn.Dropout(inplace=True),
        )
        self.function = function

    def forward(self, x):
        return self.function(self, self.convolution(x))


def check(module, images=None):
    """Lower a model, and compare what the graph gives with torch."""
    images = torch.randn(SHAPE) if images is None else images
    found = interpreter.run(lower(module, images.shape), images.numpy())
    with torch.no_grad():
        expected = module.eval()(images.clone()).float().numpy()
    assert found.shape == expected.shape
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5 * max(1.0, np.abs(expected).max()))


def refused(module, named=None, shape=SHAPE):
    """Compile a model, which must be refused in one line that has ``named`` in it."""
    with pytest.raises(UnsupportedLayerError, match=named) as caught:
        runtime.compile(module.eval(), shape)
    assert "\n" not in str(caught.value)


def imul(m, y):
    a = y
    y *= torch.sigmoid(m.pool(y))
    return y + a


def iadd(m, y):
    a = y
    y += m.relu(y * 1)
    return y * a


def by_numbers(m, y):
    a = y
    y -= 1
    y /= 2
    y *= 3
    y += 0.5
    return y + a


def by_methods(m, y):
    a = m.identity(y)
    y.mul_(2).add_(1).clamp_(0, 6)
    y.sub_(1).neg_()
    return m.dropout(y) + a


def by_functions(m, y):
    a = m.dropout(y)
    F.relu(y, inplace=True)
    b = torch.relu_(a * 1)
    F.relu6(b, True)
    return F.hardtanh(y, 0, 6, True) + a + b


def by_layers(m, y):
    a, b = y, y.detach()
    m.relu(y)
    return a + b + y.data


def by_data(m, y):
    a = y
    y.data *= 2
    y.data.add_(1)
    y.detach().relu_()
    return y + a


def a_view_before(m, y):
    flat = y.flatten(1)  # read before the change
    z = flat + flat
    m.relu(y)
    return z.view(y.shape) + y


def a_clone(m, y):
    a = y.clone()
    y *= 2
    return a + y


def numbers_stay(m, y):
    height = width = y.size(2)
    height *= y.size(3)
    return y.view(y.size(0), -1, 2 * width, height // (2 * width))


def in_lists(m, y):
    kept = [y, y * 2]
    y.relu_()
    return torch.cat(kept, 1)


@pytest.mark.parametrize(
    "function",
    [
        *(imul, iadd, by_numbers, by_methods, by_functions, by_layers, by_data),
        *(a_view_before, a_clone, numbers_stay, in_lists),
    ],
)
def test_what_changes_in_place_is_seen_by_every_name(function):
    check(Applied(function))


def changed(change):
    """A function that changes its tensor and then reads it by another name."""

    def function(m, y):
        a = y
        change(y)
        return a + m.convolution(a)

    return function


def after(view):
    """A function that changes a tensor after, or by, a view of it, and reads the other one."""

    def by_base(m, y):
        a = view(y)
        y.relu_()
        return a * 2

    def by_view(m, y):
        view(y).mul_(2)
        return m.convolution(y)

    return by_base, by_view


@pytest.mark.parametrize(
    ("change", "named"),
    [
        (lambda y: y.__setitem__((slice(None), slice(2)), 0), "setitem"),
        (lambda y: y[:, :2].zero_(), "zero_"),
        (lambda y: y.copy_(y * 2), "copy_"),
        (lambda y: y.__ipow__(2), "ipow"),
        (lambda y: y.__ifloordiv__(2), "ifloordiv"),
        (lambda y: y.__imod__(2), "imod"),
        (lambda y: y.__imatmul__(y), "imatmul"),
        (lambda y: y.__iand__(y), "iand"),
        (lambda y: y.fill_(1), "fill_"),
        (lambda y: y.transpose_(2, 3), "transpose_"),
        (lambda y: torch.add(y, y, out=y), "out"),
        (lambda y: torch.relu_(y[0]), "relu_"),
        (lambda y: setattr(y, "data", y * 2), "'data'"),
        (lambda y: y.clamp_(-1, 1), "lower end of 0"),
        (lambda y: F.dropout(y, training=True, inplace=True), "random"),
    ],
)
def test_other_changes_in_place_are_refused(change, named):
    refused(Applied(changed(change)), named)


@pytest.mark.parametrize(
    "view",
    [
        *(
            lambda y: y.flatten(1),
            lambda y: y.view(2, -1),
            lambda y: y.reshape(2, 256),
            lambda y: y.contiguous(),
        ),
        *(lambda y: y.view(2, 8, 4, 8), lambda y: torch.flatten(y, 1), lambda y: torch.detach(y)),
    ],
)
def test_changes_through_another_view_are_refused(view):
    for function in after(view):
        refused(Applied(function), "changes in place what another layer reads")


class Plain(nn.Conv2d):
    """A subclass that changes nothing."""

    colour = "red"

    def extra_repr(self):
        return self.colour


class Tripling(nn.ReLU):
    def forward(self, x):
        return super().forward(x) * 3


class Called(nn.ReLU):
    def __call__(self, x):
        return super().__call__(x) * 3


class LowRank(nn.Linear):
    """As in LoRA: a correction of low rank beside the weight."""

    def __init__(self):
        super().__init__(4, 6)
        self.down, self.up = nn.Linear(4, 1, bias=False), nn.Linear(1, 6, bias=False)

    def forward(self, x):
        return super().forward(x) + self.up(self.down(x)) * 0.5


class CalledModel(nn.Sequential):
    def __call__(self, x):
        return super().__call__(x) * 2


def with_forward(module, forward):
    module.forward = forward
    return module


def hooked(module, kind, hook):
    getattr(module, f"register_{kind}_hook")(hook)
    return module


def test_replaced_forwards_and_calls_are_traced():
    convolution, model = nn.Conv2d(4, 6, 3), nn.Sequential(nn.Conv2d(4, 6, 3), nn.ReLU())
    own, doubled = convolution.forward, nn.Sequential(nn.Conv2d(4, 6, 3)).append(nn.ReLU())
    for module in (
        nn.Sequential(Plain(4, 6, 3), Tripling(), Called()),
        Plain(4, 6, 3, padding="valid"),
        nn.Sequential(nn.Flatten(1), nn.Linear(256, 4), LowRank()),
        CalledModel(nn.Conv2d(4, 6, 3)),
        with_forward(convolution, lambda x: own(x) * 2),
        with_forward(model, lambda x: model[0](x)),
        hooked(doubled, "forward", lambda m, i, o: o * 2),
        hooked(nn.Sequential(nn.Conv2d(4, 4, 1)), "forward_pre", lambda m, i: (i[0] * 2,)),
        hooked(nn.Conv2d(4, 4, 1), "full_backward", lambda m, i, o: None),
        hooked(nn.Sequential(nn.Conv2d(4, 4, 1)), "full_backward", lambda m, i, o: None),
        hooked(nn.Conv2d(4, 4, 1), "state_dict_post", lambda *given: None),
    ):
        check(module)


def own_convolution():
    class Own(nn.Conv2d):
        def _conv_forward(self, x, weight, bias):
            return super()._conv_forward(x, weight.abs(), bias)

    return Own(4, 4, 1)


def own_quantized():
    class Own(QuantConv2d):
        def convolved(self, x, convolve):
            return super().convolved(x, convolve) * 2

    return Own(4, 4, 1, precisions.get("bnn"))


@pytest.mark.parametrize(
    ("module", "named"),
    [
        (hooked(nn.Conv2d(4, 4, 1), "forward", lambda m, i, o: None), "layer '0': its hooks"),
        (hooked(nn.ReLU(), "forward_pre", lambda m, i: (i[0] + 1,)), "layer '0': its hooks"),
        (hooked(nn.Identity(), "forward", lambda m, i, o: o * 2), "layer '0': its hooks"),
        (hooked(QuantConv2d(4, 4, 1, precisions.get("int8")), "forward", lambda m, i, o: -o), "hooks"),
        (own_convolution(), "'abs_1': it computes with the parameter 'weight' of shape"),
        (own_quantized(), "layer|model"),
        (with_forward(nn.BatchNorm2d(4), lambda x: torch.tanh(x)), "tanh"),
    ],
)
def test_what_else_a_layer_does_is_refused(module, named):
    refused(module, named)


def test_what_is_replaced_for_all_modules_is_refused(monkeypatch):
    layer = nn.Sequential(nn.Conv2d(4, 4, 1))
    handle = nn.modules.module.register_module_forward_hook(lambda m, i, o: o * 2)
    refused(layer, "hooks that torch calls for every module")
    handle.remove()
    own, call = nn.Conv2d.forward, nn.Module.__call__
    with monkeypatch.context() as patch:
        patch.setattr(nn.Conv2d, "forward", lambda self, x: own(self, x) * 2)
        refused(layer, r"Conv2d.forward was replaced")
    with monkeypatch.context() as patch:
        patch.setattr(nn.Module, "__call__", lambda self, *given: call(self, *given))
        refused(layer, r"Module.__call__ was replaced")
    with monkeypatch.context() as patch:
        patch.setattr(QuantConv2d, "forward", lambda self, x: x)
        refused(QuantConv2d(4, 4, 1, precisions.get("float")), "QuantConv2d.forward was replaced")
    check(layer)


def test_layers_of_quantization_aware_training_are_refused():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch moves them elsewhere
        from torch.ao.nn import qat
        from torch.ao.quantization import get_default_qat_qconfig

        config = get_default_qat_qconfig("fbgemm")
        layers = qat.Conv2d(4, 4, 3, qconfig=config), qat.Linear(8, 4, qconfig=config)
    for layer in layers:
        refused(nn.Sequential(layer), "qat.*computes otherwise than")


class Half(nn.Module):
    def forward(self, weight):
        return weight * 0.5


def old_weight_norm(layer):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)
        return weight_norm(layer)


def parametrized(layer):
    parametrize.register_parametrization(layer, "weight", Half())
    return layer


def pruned(layer):
    prune.l1_unstructured(layer, "weight", 0.5)
    return prune.random_unstructured(layer, "weight", 0.2)


@pytest.mark.parametrize(
    "make",
    [
        parametrizations.weight_norm,
        parametrizations.spectral_norm,
        old_weight_norm,
        spectral_norm,
        parametrized,
        pruned,
    ],
)
def test_weights_that_are_made_are_those_of_evaluation_and_nothing_is_changed(make):
    convolution = make(nn.Conv2d(4, 32, 3))
    module = nn.Sequential(convolution, nn.ReLU(), make(QuantConv2d(32, 4, 3, precisions.get("bnn"))))
    module(torch.randn(SHAPE))  # spectral norms then know a vector
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.mul_(1.5)  # what a step of training does; an old norm makes its weight when it runs
    module.train()
    held = {name: tensor.detach().clone() for name, tensor in module.state_dict().items()}
    told = [dict(vars(part)) for part in module.modules()]
    images = torch.randn(SHAPE)
    found = interpreter.run(lower(module, SHAPE), images.numpy())
    assert all(part.training for part in module.modules())
    assert all(torch.equal(held[name], tensor) for name, tensor in module.state_dict().items())
    for part, before in zip(module.modules(), told, strict=True):
        assert vars(part).keys() == before.keys()
        assert all(vars(part)[name] is before[name] for name in before)
    with torch.no_grad():
        expected = module.eval()(images).numpy()
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-4)


def plain():
    return nn.Sequential(
        nn.Conv2d(4, 8, 3), nn.BatchNorm2d(8), nn.ReLU(), nn.Flatten(), nn.Linear(288, 3)
    ).eval()


@pytest.mark.parametrize("kind", [torch.float16, torch.bfloat16, torch.float64])
def test_weights_of_other_types_are_floats_of_the_same_values(kind):
    module, images = plain().to(kind), torch.randn(SHAPE)
    found = interpreter.run(lower(module, SHAPE), images.numpy())
    assert next(module.parameters()).dtype == kind
    with torch.no_grad():
        expected, own = module.float()(images).numpy(), module.to(kind)(images.to(kind)).float().numpy()
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(found, own, rtol=0.05, atol=0.05)
    layer = QuantConv2d(4, 8, 3, precisions.get("ternary-binary")).to(kind).eval()
    found = interpreter.run(lower(layer, SHAPE), images.numpy())
    np.testing.assert_allclose(found, layer.float()(images).detach().numpy(), rtol=1e-4, atol=1e-5)


def mixed():
    module = plain()
    module[0].half()
    return module


def in_training_always():
    class Always(nn.Dropout):
        def train(self, mode=True):
            return super().train(True)

    return nn.Sequential(nn.Conv2d(4, 4, 1), Always())


class Averaged(nn.Sequential):
    """Computes with other weights in evaluation mode."""

    def eval(self):
        self.gain = 2
        return super().eval()

    def forward(self, x):
        return super().forward(x) * getattr(self, "gain", 1)


class Frozen(nn.Sequential):
    """Keeps a batch norm in evaluation mode."""

    def train(self, mode=True):
        super().train(mode)
        self[1].eval()
        return self


def test_a_mode_that_is_more_than_a_mode_is_refused():
    module = Averaged(nn.Conv2d(4, 4, 1)).train()
    with pytest.raises(UnsupportedLayerError, match=r"its eval\(\) changes its 'gain'; call eval"):
        lower(module, SHAPE)
    assert module.training and not hasattr(module, "gain")
    check(module.eval())
    frozen = Frozen(nn.Conv2d(4, 4, 1), nn.BatchNorm2d(4)).train()
    lower(frozen, SHAPE)
    assert frozen[0].training and not frozen[1].training
    check(frozen)


def exported():
    return torch.export.export(plain(), (torch.randn(SHAPE),)).module()


def sparse():
    model = nn.Sequential(nn.Flatten(), nn.Linear(256, 4))
    model[1].weight = nn.Parameter(model[1].weight.detach().to_sparse())
    return model


class TwoInputs(nn.Module):
    def forward(self, x, y):
        return x + y


@pytest.mark.parametrize(
    ("make", "named"),
    [
        (lambda: plain().to("meta"), "on the meta device"),
        (lambda: nn.Conv2d(4, 4, 1, dtype=torch.complex64), "complex64"),
        (mixed, "float16 and"),
        (sparse, "layer '1': its 'weight' is torch.sparse_coo; only dense"),
        (lambda: torch.jit.script(plain()), "model: it is scripted"),
        (lambda: torch.jit.trace(plain(), torch.randn(SHAPE)), "model: it is scripted"),
        (lambda: nn.Sequential(nn.Conv2d(4, 4, 1), torch.jit.script(nn.ReLU())), "its part '1' is scripted"),
        (lambda: nn.LazyConv2d(4, 1), "no shape yet"),
        (lambda: nn.Sequential(nn.LazyConv2d(4, 1)), "layer '0'.*no shape yet"),
        (lambda: nn.ModuleList([nn.Conv2d(4, 4, 1)]), "ModuleList"),
        (nn.Module, "Module has no kernel"),
        (TwoInputs, "more than one input"),
        (in_training_always, "stays in training mode"),
    ],
)
def test_models_without_code_or_numbers_are_refused(make, named):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch's own, of scripts and of lazy layers
        module = make()
    with pytest.raises(UnsupportedLayerError, match=named) as caught:
        runtime.compile(module, SHAPE)
    assert "\n" not in str(caught.value)


@pytest.mark.filterwarnings("ignore")
def test_exported_programs_are_refused():
    with pytest.raises(UnsupportedLayerError, match="pass the module that it was exported from"):
        runtime.compile(exported(), SHAPE)


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_compiled_parallel_and_traced_models_are_what_they_wrap():
    inside = nn.Sequential(nn.Conv2d(4, 4, 1), torch.compile(nn.Sequential(nn.ReLU(), nn.Conv2d(4, 4, 1))))
    own = plain()
    own.compile()
    for module, wrapped in (
        (torch.compile(plain()), lambda m: m._orig_mod),
        (nn.DataParallel(plain(), device_ids=[]), lambda m: m),
        (nn.Sequential(nn.DataParallel(plain(), device_ids=[])), lambda m: m),
        (torch.fx.symbolic_trace(plain()), lambda m: m),
        (inside, lambda m: nn.Sequential(m[0], m[1]._orig_mod)),
    ):
        images = torch.randn(SHAPE)
        found = interpreter.run(lower(module, SHAPE), images.numpy())
        with torch.no_grad():
            expected = wrapped(module).eval()(images).numpy()
        np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5)
    lower(own, SHAPE)
    assert own._compiled_call_impl is not None


@pytest.mark.parametrize(
    "shape",
    [(1, 4, 2**20, 2**20), (2**31, 4, 8, 8), (1, 4, 8, True), (0, 4, 8, 8), "1488", (1, "4", 8, 8), None],
)
def test_absurd_shapes_are_refused(shape):
    with pytest.raises(BitnasError):
        lower(nn.Sequential(nn.Conv2d(4, 4, 1)), shape)


def test_what_torch_refuses_does_not_compile():
    wrong = nn.Conv2d(4, 4, 3)
    wrong.bias = nn.Parameter(torch.zeros(3))
    grouped = nn.Conv2d(4, 6, 1)
    grouped.groups = 4
    for module in (
        *(nn.MaxPool2d(2, 2, 2), nn.AvgPool2d(3, 1, 2), nn.MaxPool2d(9), nn.AvgPool2d(2, 0), nn.MaxPool2d(0)),
        *(nn.MaxPool2d((2, 2, 2)), nn.MaxPool2d(2.0), nn.BatchNorm1d(4), nn.BatchNorm2d(5), nn.PReLU(3)),
        nn.Sequential(nn.Flatten(), nn.BatchNorm2d(256)),
        *(nn.Conv2d(3, 4, 1), nn.Conv2d(4, 4, 9), nn.Conv2d(4, 4, 3, padding=-1), wrong, grouped),
        *(nn.ChannelShuffle(3), nn.Sequential(nn.Flatten(), nn.Linear(100, 2)), nn.Flatten(1, 5)),
        nn.AdaptiveAvgPool2d((1, 2, 3)),
        *(Applied(lambda m, y: y.view(3, -1)), Applied(lambda m, y: torch.cat([y, m.pool(y)], 1))),
        *(Applied(lambda m, y: torch.cat([], 1)), Applied(lambda m, y: y.flatten(1).view(2, 3, -1, 1))),
        *(
            Applied(lambda m, y: m.pool(y).mul_(y)),
            Applied(lambda m, y: m.relu(y, 1)),
            Applied(lambda m, y: y / y.size(5)),
        ),
        *(Applied(lambda m, y: F.max_pool2d(y, 2, foo=1)), Applied(lambda m, y: m.convolution(foo=y))),
    ):
        with (
            pytest.raises((RuntimeError, ValueError, TypeError, IndexError, AttributeError)),
            torch.no_grad(),
        ):
            module.eval()(torch.randn(SHAPE))
        refused(module)


@pytest.mark.parametrize(
    "function",
    [
        lambda m, y: F.adaptive_avg_pool2d(y, 1),
        lambda m, y: F.adaptive_avg_pool2d(y, (4, 4)),
        lambda m, y: nn.functional.avg_pool2d(y, y.shape[2:]),
        lambda m, y: y.mean([2, 3]),
        lambda m, y: torch.mean(y, dim=(-1, -2), keepdim=True),
        lambda m, y: F.max_pool2d(y, 2),
        lambda m, y: F.max_pool2d(input=y, kernel_size=3, stride=2, padding=1),
        lambda m, y: y.view(y.size(0), -1),
        lambda m, y: y.view(-1, 256),
        lambda m, y: y.reshape(y.shape[0], y.shape[1] * y.shape[2] * y.shape[3]),
        lambda m, y: m.pool(y).view(y.size(0), -1, 1, 1),
        lambda m, y: y.flatten(start_dim=1, end_dim=3),
        lambda m, y: y.flatten(1).reshape(y.shape),
        lambda m, y: F.dropout(y, 0.3, training=m.training),
        lambda m, y: F.dropout2d(y, training=False),
        lambda m, y: torch.cat([y, y * 2], -3),
        lambda m, y: torch.cat((y.flatten(1), y.flatten(1)), dim=-1),
        lambda m, y: F.pad(y, (1, 1, 1, 1)),
        lambda m, y: F.pad(y, (0, 0, 0, 0, 0, 3)),
        lambda m, y: F.channel_shuffle(y, 2),
        lambda m, y: F.hardswish(y) + F.silu(y) + F.hardsigmoid(y),
        lambda m, y: F.leaky_relu(y, 0.2) - F.relu6(y),
        lambda m, y: 2 - torch.sub(y, y * y, alpha=3) / 4 + -y,
        lambda m, y: torch.add(1, y, alpha=2) if isinstance(y, torch.Tensor) else y,
        lambda m, y: y * 2 if torch.is_tensor(y) else y,
        lambda m, y: y * 2 if torch.is_grad_enabled() else y,
        lambda m, y: F.conv2d(y, m.convolution.weight, m.convolution.bias),
        lambda m, y: F.linear(m.pool(y).flatten(1), m.linear.weight),
    ],
)
def test_functions_of_the_field_are_computed(function):
    module = Applied(function)
    module.linear = nn.Linear(4, 3)
    check(module)


def test_layers_of_the_field_are_computed():
    for layer in (
        *(
            nn.Conv2d(4, 4, 3, padding="valid"),
            nn.Conv2d(4, 4, 5, padding="same"),
            nn.Conv2d(4, 4, 3, padding=(1, 1)),
        ),
        *(
            nn.MaxPool2d(2, ceil_mode=True),
            nn.MaxPool2d(3, 2, 1, ceil_mode=False),
            nn.AvgPool2d(4, ceil_mode=True),
        ),
        *(nn.AdaptiveAvgPool2d(8), nn.AdaptiveAvgPool2d((None, None)), nn.AdaptiveAvgPool2d((4, 4))),
        *(nn.Flatten(1, 3), nn.Flatten(-3), nn.ChannelShuffle(2), nn.ZeroPad2d(2)),
        *(nn.Hardswish(), nn.SiLU(), nn.Hardsigmoid(), nn.LeakyReLU(0.3), nn.Hardtanh(0, 6)),
        nn.Sequential(nn.Identity(), nn.Conv2d(4, 4, 1), nn.Dropout2d(), nn.AlphaDropout()),
    ):
        check(nn.Sequential(layer, nn.PReLU()))


class Remembers(nn.Module):
    """A forward pass that does something to the module, by name."""

    def __init__(self, does):
        super().__init__()
        self.convolution, self.does = nn.Conv2d(4, 4, 1), does
        self.scale = nn.Parameter(torch.ones(4, 1, 1))
        self.count, self.kept, self.last = 0, [], None
        self.register_buffer("seen", torch.zeros(4))

    def forward(self, x):
        y = self.convolution(x)
        return self.does(self, y)


def counts(m, y):
    m.count += 1
    return y


def keeps(m, y):
    m.last, m.features = y, {"y": y}
    m.kept.append(y)
    return y * 2


def reads_what_it_kept(m, y):
    y = y if m.last is None else y * 2
    m.last = y
    return y


def changes_a_buffer(m, y):
    m.seen.add_(1)
    return y


def changes_a_weight(m, y):
    m.convolution.weight.data.mul_(2)
    return y


def draws(m, y):
    return y * 2 if random.random() < 0.5 else y


def draws_with_numpy(m, y):
    return y * float(np.random.rand())


def draws_and_fails(m, y):
    random.random()
    return y.no_such_thing


def draws_with_torch(m, y):
    return y * torch.rand(1).item()


def casts(m, y):
    with torch.autocast("cpu", dtype=torch.bfloat16):
        return m.convolution(y)


def branches(m, y):
    return y if y.mean() > 0 else y * 2


@pytest.mark.parametrize(
    ("does", "named"),
    [
        (counts, "'count'"),
        (reads_what_it_kept, "'last'"),
        (changes_a_buffer, "changes '.*seen'"),
        (changes_a_weight, "layer|changes '.*weight'"),
        (draws, "draws random numbers"),
        (draws_with_numpy, "draws random numbers"),
        (draws_with_torch, "draws random numbers"),
        (draws_and_fails, "no attribute"),
        (branches, "branches on the numbers of a tensor"),
        (casts, "autocast within"),
        (lambda m, y: y / m.scale, "computes with the parameter .scale. of shape"),
        (lambda m, y: m.no_such_thing(y), "raises AttributeError: .* no attribute"),
        (lambda m, y: y + torch.ones(4, 1, 1), "that is not computed of the image"),
        (lambda m, y: y + m.seen.view(-1, 1, 1), "of .seen., which the model holds, outside"),
        (lambda m, y: (y, y), "more than one tensor"),
        (lambda m, y: y.shape[0], "return a tensor"),
        (lambda m, y: None, "more than one tensor, or none"),
    ],
)
def test_forwards_that_are_not_the_same_each_time_are_refused_and_leave_the_model_as_it_was(does, named):
    module = Remembers(does).eval()
    weight, state = module.convolution.weight.detach().clone(), random.getstate()
    refused(module, named)
    assert (module.count, module.kept, module.last) == (0, [], None)
    assert torch.equal(module.convolution.weight, weight) and not module.seen.any()
    assert random.getstate() == state and not hasattr(module, "features")


def test_features_that_are_kept_and_not_read_are_no_matter():
    module = Remembers(keeps)
    lower(module, SHAPE)
    assert module.kept == [] and module.last is None and not hasattr(module, "features")
    check(module)


def test_what_nothing_reads_makes_no_kernel():
    module = Remembers(lambda m, y: [torch.sigmoid(y), y][1])
    assert [w.family for w in lower(module, SHAPE).workloads] == ["to_nhwc", "conv2d", "to_nchw"]


class Doubled(nn.Conv2d):
    """Changes its weights behind torch's back on its way into evaluation mode."""

    def train(self, mode=True):
        if not mode and self.training:
            self.weight.data = self.weight.data * 2
        return super().train(mode)


def test_an_eval_that_changes_weights_through_data_is_refused_and_undone():
    model = nn.Sequential(Doubled(4, 4, 3)).train()
    before = model[0].weight.detach().clone()
    with pytest.raises(BitnasError, match="its eval\\(\\) changes its 'weights'"):
        runtime.workloads(model, (1, 4, 8, 8))
    assert torch.equal(model[0].weight, before)
    assert model[0].training


class Counting(nn.Module):
    """A parametrization that gives another weight each time."""

    def __init__(self):
        super().__init__()
        self.register_buffer("times", torch.zeros(()))

    def forward(self, weight):
        self.times += 1
        return weight * self.times


class Noisy(nn.Module):
    """A parametrization that draws random numbers."""

    def forward(self, weight):
        return weight + torch.randn_like(weight)


@pytest.mark.parametrize("kind", [Counting, Noisy])
def test_a_parametrization_that_changes_itself_is_refused(kind):
    from torch.nn.utils import parametrize

    model = nn.Sequential(nn.Conv2d(4, 4, 3)).eval()
    parametrize.register_parametrization(model[0], "weight", kind(), unsafe=True)
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    random = torch.get_rng_state()
    with pytest.raises(BitnasError, match="that is not computed"):
        runtime.workloads(model, (1, 4, 8, 8))
    assert torch.equal(torch.get_rng_state(), random)
    assert all(torch.equal(tensor, before[name]) for name, tensor in model.state_dict().items())


def test_a_relu6_of_other_ends_is_no_relu6():
    layer = nn.ReLU6()
    layer.max_val = 3.0
    with pytest.raises(BitnasError, match="only an upper end of 6"):
        runtime.workloads(nn.Sequential(layer).eval(), (1, 4, 8, 8))
