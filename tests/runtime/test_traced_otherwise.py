"""A model that does something else in torch than in a trace is refused, and so is one that torch refuses."""

import warnings
from contextlib import suppress
from itertools import count

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional as F
from torch.nn.utils import parametrizations, parametrize
from torch.overrides import TorchFunctionMode
from torch.utils.checkpoint import checkpoint

import search_spaces
from runtime.lowering import UnsupportedLayerError, lower, replay
from tests.runtime import interpreter, tricks

SHAPE = (2, 4, 8, 8)
UNLIKE = "does something else in torch than when it is traced"


class Applied(nn.Module):
    """A convolution, and then a function of the model and its output."""

    def __init__(self, function):
        super().__init__()
        self.convolution, self.pool, self.relu = nn.Conv2d(4, 4, 1), nn.MaxPool2d(2), nn.ReLU()
        self.norm, self.function = nn.BatchNorm2d(4), function

    def forward(self, x):
        return self.function(self, self.convolution(x))


def refused(module, named, shape=SHAPE):
    """Lower a model, which must be refused in one line that has ``named`` in it, and not be changed."""
    held = {name: tensor.clone() for name, tensor in module.state_dict().items()}
    told = [dict(vars(part)) for part in module.modules()]
    with pytest.raises(UnsupportedLayerError, match=named) as caught:
        lower(module, shape)
    assert "\n" not in str(caught.value)
    assert all(tensor.equal(held[name]) for name, tensor in module.state_dict().items())
    assert [dict(vars(part)) for part in module.modules()] == told


@pytest.mark.parametrize("name", tricks.UNLIKE)
def test_a_forward_that_takes_another_way_in_torch_is_refused(name):
    refused(Applied(lambda m, y: tricks.UNLIKE[name](y)), UNLIKE)


@pytest.mark.parametrize("name", tricks.SWALLOWED)
def test_a_forward_that_catches_the_refusal_is_refused(name):
    refused(
        Applied(lambda m, y: tricks.SWALLOWED[name](y)),
        "branches on|iterates over|no kernel|asks for len|is set, which|use clone()",
    )


class Negative(TorchFunctionMode):
    """Has every ReLU give its negative."""

    def __torch_function__(self, function, types, args=(), kwargs=None):
        result = function(*args, **(kwargs or {}))
        return -result if function is F.relu else result


def within_a_mode(m, y):
    with Negative():
        return m.relu(y)


def changed_and_put_back(m, y):
    m.pool.stride = 1
    y = m.pool(y)
    m.pool.stride = 2
    return y


def statistics_put_back(m, y):
    m.norm.running_mean, before = m.norm.running_mean + 1, m.norm.running_mean
    y = m.norm(y)
    m.norm.running_mean = before
    return y


class Counting(nn.Module):
    """A parametrization that gives another weight each time, and counts in plain Python."""

    def __init__(self):
        super().__init__()
        self.times = count(1)

    def forward(self, weight):
        return weight * next(self.times)


def counting():
    model = nn.Sequential(nn.Conv2d(4, 4, 3))
    parametrize.register_parametrization(model[0], "weight", Counting(), unsafe=True)
    return model


def changed_at_its_third_call():
    calls = count()
    return Applied(lambda m, y: y * 2 if next(calls) > 1 else y)


def hooked_wrapper(wrap):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # torch has no kind word for data parallel models
        wrapper = wrap(nn.Sequential(nn.Conv2d(4, 4, 3)))
    wrapper.register_forward_hook(lambda m, i, o: o * 2)
    return wrapper


@pytest.mark.parametrize(
    "make",
    [
        lambda: Applied(within_a_mode),
        lambda: Applied(changed_and_put_back),
        lambda: Applied(statistics_put_back),
        counting,
        changed_at_its_third_call,
        lambda: hooked_wrapper(lambda m: nn.DataParallel(m, device_ids=[])),
        lambda: nn.Sequential(hooked_wrapper(lambda m: nn.DataParallel(m, device_ids=[]))),
        lambda: nn.Sequential(hooked_wrapper(torch.compile)),
    ],
)
def test_a_module_that_does_something_else_in_torch_is_refused(make):
    refused(make().eval(), UNLIKE)


class Straight(torch.autograd.Function):
    """Gives what it gets; gradients pass as they are."""

    @staticmethod
    def forward(context, x):
        return x

    @staticmethod
    def backward(context, gradient):
        return gradient


def inferred(m, y):
    with torch.inference_mode():
        return m.relu(m.convolution(y))


def with_constants(m, y):
    return y * float(m.norm.running_var.numpy().sum()) + m.norm.running_var[1:2].tolist()[0]


@pytest.mark.parametrize(
    "function",
    [
        lambda m, y: Straight.apply(y) * 2,
        lambda m, y: checkpoint(m.convolution, y, use_reentrant=False),
        lambda m, y: (print(y), y * 2)[1],
        lambda m, y: (m.relu(y), y)[1],
        inferred,
        with_constants,
    ],
)
def test_a_forward_that_does_in_a_trace_what_it_does_in_torch_is_computed(function, capsys):
    model, images = Applied(function).eval(), torch.randn(SHAPE)
    with torch.inference_mode():
        lower(model, SHAPE)
    with torch.no_grad():
        expected = model(images).numpy()
    found = interpreter.run(lower(model, SHAPE), images.numpy())
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5)


def bumps_and_goes_on(m, y):
    with suppress(Exception):
        m.seen.add_(1)
    return y


def bumps_behind_the_trace(m, y):
    if type(y) is torch.Tensor:
        m.convolution.weight.mul_(2)
    return y


def replaces_data(m, y):
    m.seen.data = m.seen.data + 1
    return y


def replaces_data_behind_the_trace(m, y):
    if type(y) is torch.Tensor:
        m.convolution.weight.data = m.convolution.weight.data * 2
    return y


@pytest.mark.parametrize(
    "function", [bumps_and_goes_on, bumps_behind_the_trace, replaces_data, replaces_data_behind_the_trace]
)
def test_a_forward_that_changes_what_the_model_holds_is_refused_and_undone(function):
    model = Applied(function)
    model.register_buffer("seen", torch.zeros(4))
    refused(model, "changes '(seen|convolution.weight)', which it holds")


def test_a_parallel_model_is_run_without_its_devices():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        model = nn.Sequential(nn.DataParallel(nn.Conv2d(4, 4, 3), device_ids=[]))
    model[0].device_ids = [0, 1]
    with pytest.raises(AttributeError):
        model(torch.zeros(SHAPE))
    lower(model, SHAPE)
    assert "forward" not in vars(model[0])


def test_a_call_that_is_not_what_torch_compiles_is_refused():
    model = nn.Sequential(nn.Conv2d(4, 4, 3), nn.ReLU())
    model[1]._compiled_call_impl = lambda x: x
    refused(model, "layer '1': its '_compiled_call_impl' is not what its compile")


def with_statistics(kind):
    model = nn.Sequential(nn.Conv2d(4, 4, 3), nn.BatchNorm2d(4))
    model[1].to(kind)
    return model.eval()


def with_bias(layer):
    layer.bias = nn.Parameter(layer.bias.double())
    return nn.Sequential(nn.Flatten() if isinstance(layer, nn.Linear) else nn.Identity(), layer)


def of_whole_numbers():
    model = nn.Sequential(nn.Conv2d(4, 4, 3, bias=False))
    model[0].weight = nn.Parameter(torch.ones(4, 4, 3, 3, dtype=torch.int32), requires_grad=False)
    return model


def only_one(m, y):
    if type(y) is torch.Tensor and len(y) > 1:
        raise ValueError("one image\nat a time")
    return y


@pytest.mark.parametrize(
    "make",
    [
        lambda: with_statistics(torch.float64),
        lambda: with_bias(nn.Conv2d(4, 4, 3)),
        lambda: with_bias(nn.Linear(256, 4)),
        lambda: nn.Sequential(nn.BatchNorm2d(4, eps=-2.0)),
        of_whole_numbers,
        lambda: Applied(only_one),
    ],
)
def test_what_torch_refuses_when_it_runs_is_refused_with_its_reason(make):
    model = make().eval()
    with pytest.raises((RuntimeError, ValueError)) as theirs, torch.no_grad():
        model(torch.zeros(SHAPE))
    reason = str(theirs.value).splitlines()[0]
    with pytest.raises(UnsupportedLayerError) as ours:
        lower(model, SHAPE)
    told = str(ours.value)
    assert told == f"model: torch itself refuses it for float32 images of shape {SHAPE}: {reason}"


def test_a_batch_norm_in_float32_within_a_model_in_half_precision_is_as_in_torch():
    model = with_statistics(torch.float32)
    model[0].half()
    lower(model, SHAPE)


def test_layers_that_do_not_run_in_bfloat16_are_refused_in_it():
    model = search_spaces.network("resnet20", "int8", 10).eval()
    lower(model, (1, 3, 8, 8))
    refused(model.bfloat16(), r"bfloat16 images .*; convert it with \.float\(\)", (1, 3, 8, 8))


def shapes_run(module, shape, monkeypatch):
    """Those of the images that a model is run on where 2000 numbers are many."""
    seen = []
    module.register_forward_pre_hook(
        lambda m, given: seen.append(given[0].shape) if type(given[0]) is torch.Tensor else None
    )
    monkeypatch.setattr(replay, "MAX_REPLAY_ELEMENTS", 2000)
    lower(module.eval(), shape)
    return set(seen)


def test_a_large_model_is_run_on_smaller_images_that_it_takes(monkeypatch):
    convolution = nn.Conv2d(4, 4, 1)
    assert shapes_run(nn.Sequential(convolution), (1, 4, 8, 8), monkeypatch) == {(1, 4, 8, 8)}
    assert shapes_run(nn.Sequential(convolution), (4, 4, 64, 64), monkeypatch) == {(1, 4, 8, 8)}
    fixed = nn.Sequential(convolution, nn.Flatten(), nn.Linear(4096, 2))
    assert shapes_run(fixed, (4, 4, 32, 32), monkeypatch) == {(1, 4, 32, 32)}
    pinned = Applied(lambda m, y: y.view(4, 4096))
    assert shapes_run(pinned, (4, 4, 32, 32), monkeypatch) == {(4, 4, 32, 32)}


def test_weights_that_are_made_stay_while_a_smaller_shape_is_sought(monkeypatch):
    model = nn.Sequential(parametrizations.spectral_norm(nn.Conv2d(4, 4, 1))).train()
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    monkeypatch.setattr(replay, "MAX_REPLAY_ELEMENTS", 2000)
    lower(model, (4, 4, 64, 64))
    assert model[0].training
    assert all(tensor.equal(before[name]) for name, tensor in model.state_dict().items())


def test_images_are_of_the_type_that_the_layers_take():
    model = nn.Sequential(nn.Conv2d(4, 4, 1))
    model.temperature = nn.Parameter(torch.ones((), dtype=torch.float64))
    lower(model, SHAPE)
    torch.set_default_dtype(torch.float64)
    try:
        lower(Applied(lambda m, y: y).float(), SHAPE)
    finally:
        torch.set_default_dtype(torch.float32)


def test_a_step_that_torch_refuses_where_the_model_takes_another_way_is_refused():
    wrong = Applied(lambda m, y: y if type(y) is torch.Tensor else m.norm(y))
    wrong.norm.running_var = wrong.norm.running_var.double()
    refused(wrong.eval(), "does in torch what it does not when it is traced: ")


def test_torch_runs_on_one_thread_meanwhile():
    seen, before = [], torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        lower(Applied(lambda m, y: (seen.append(torch.get_num_threads()), y)[1]), SHAPE)
        assert seen[1:] == [1, 1] and torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(before)


def test_numbers_that_are_not_finite_are_compared():
    model = nn.Sequential(nn.Conv2d(4, 4, 1), nn.ReLU())
    with torch.no_grad():
        model[0].bias[:2] = torch.tensor([torch.nan, torch.inf])
    lower(model, SHAPE)
    refused(Applied(lambda m, y: y * (torch.nan if type(y) is torch.Tensor else 1)), "with other arguments")
