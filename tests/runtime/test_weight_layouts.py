"""Weight layouts: built-in codes have the kernels that they always had, and a plug-in's finds its own."""

import hashlib
import runpy
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

import runtime
import search_spaces
from runtime import UnsupportedLayerError
from runtime.kernels.weight_layouts import layout_for
from runtime.lowering import lower
from runtime.workload import BitserialConv2d, Workload
from search_spaces import Precision, precisions
from search_spaces.layers import QuantConv2d, QuantLinear
from search_spaces.testing import WeightCodeConformance
from search_spaces.weight_codes import CodeSet, weight_codes
from tests.runtime import interpreter

EXAMPLE = Path(__file__).parents[2] / "examples" / "weight_code.py"

TOLD = {
    "binary": ("aa81fe6766d0", "627b553422ce"),
    "binaryconnect": ("9a8fc7c69a2a", "34a7c5bcc194"),
    "bnn": ("e726ab3f6777", "627b553422ce"),
    "bwn": ("9a8fc7c69a2a", "34a7c5bcc194"),
    "bwn-int8": ("2b5879a29632", "b5c18c6ffb96"),
    "dithered": ("de197b0b04a6", "da3875ec42cb"),
    "dithered-3d": ("be8c5c82bf3b", "da3875ec42cb"),
    "dithered-binary": ("2e1b805e27c6", "630cb64dad45"),
    "dithered-binary-3d": ("5ec73c852387", "630cb64dad45"),
    "dorefa2": ("174987303130", "be35139f4a7d"),
    "dorefa2-4": ("2d5084af9fd6", "be35139f4a7d"),
    "dorefa3": ("2be3789169da", "43125bcd8cfa"),
    "dorefa4": ("2d5084af9fd6", "dcb1b21a1c05"),
    "dorefa4-8": ("98a12ad7ea63", "dcb1b21a1c05"),
    "dorefa5": ("760ddb7d6dd9", "d42607776ef0"),
    "dorefa6": ("3c032a72879f", "b18e6a26485a"),
    "dorefa7": ("952d82c2d928", "d132322f4c04"),
    "dorefa8": ("a13f68a9809a", "f5303cca2acc"),
    "float": ("b5f0fd33af2e", "e3b0c44298fc"),
    "int8": ("2b5879a29632", "75ee684c5921"),
    "int8-7": ("8c7ed7da89a1", "75ee684c5921"),
    "ternary": ("e3e7a804cc5d", "8192a41f0260"),
    "ternary-binary": ("2c1eb50574a0", "da3875ec42cb"),
    "ternary-int8": ("7f363aef7c8a", "22adc13e2b2d"),
    "twn": ("ccf75f05b8ac", "2a3092d816c0"),
    "twn-binary": ("1d7e512aeaba", "2e0ceffa1234"),
    "twn-int8": ("d6049c24dcd3", "03316b254cab"),
    "xnor": ("e726ab3f6777", "627b553422ce"),
}
"""Of each precision, taken before codes were objects: of the keys of its kernels and the names of its state,
and of its packed weights. They change only with ``runtime.kernels.base.GENERATION``, and the first only where
layers come to write what others read, as 16 channels in two groups write bits: ledgers, artifacts and
checkpoints hold them."""


def digest(content):
    return hashlib.sha256(content).hexdigest()[:12]


def network(precision):
    """Three layers whose weights do not depend on torch's random numbers."""
    found = nn.Sequential(
        QuantConv2d(8, 16, 3, precision, groups=2, relu=False),
        QuantConv2d(16, 16, 3, precision, groups=16, bias=True),
        nn.Flatten(),
        QuantLinear(256, 5, precision),
    )
    for layer in (found[0], found[1], found[3]):
        numbers = torch.arange(layer.weight.numel()) * 37 % 101 - 50
        layer.weight.data.copy_((numbers / 40).reshape(layer.weight.shape))
    return found.eval()


def told(name):
    module = network(precisions.get(name))
    nodes = lower(module, (1, 8, 4, 4)).nodes
    lines = [node.workload.key for node in nodes]
    lines += [f"{key} {tuple(tensor.shape)}" for key, tensor in module.state_dict().items()]
    packed = [
        node.constants[each].tobytes()
        for node in nodes
        for each in ("offset", "total", "weight")
        if each in node.constants and node.constants[each].dtype.kind in "iu"
    ]
    return digest("\n".join(lines).encode()), digest(b"".join(packed))


@pytest.mark.parametrize("name", TOLD)
def test_kernels_state_and_packed_weights_are_what_they_were(name):
    assert told(name) == TOLD[name]


def test_a_key_is_what_it_was():
    key = (
        "bitserial_conv2d(batch=1,height=4,width=4,kernel=3,stride=1,padding=1,relu=False,residual=False,"
        "output=float,also_float=False,threshold=zero,output_groups=1,arithmetic=float,in_channels=8,"
        "out_channels=16,groups=2,weight=ternary,symmetric=False,input_bits=1,weight_bits=1)"
    )
    found = Workload.from_key(key)
    assert found == BitserialConv2d(1, 4, 4, 3, 1, 1, 8, 16, 2, "ternary")
    assert (found.key, found.symbol) == (key, "bitserial_conv2d_cd03c84a22a85d23")


@pytest.mark.parametrize(
    ("values", "two_scales", "layouts"),
    [
        (None, False, ("float", None, None)),
        ({-1, 1}, False, ("binary", "int8", "binary")),
        ({-1, 1}, True, ("binary", None, "ternary")),
        ({-1, 0, 1}, False, ("ternary", "ternary", "ternary")),
        ({-1, 0, 1}, True, ("ternary", None, "ternary")),
        ({0, 1}, False, ("ternary", "ternary", "ternary")),
        ({-4, 0, 3}, False, ("float", "int8", None)),
        ({-4, 0, 3}, True, ("float", None, None)),
        ({-129, 1, 255}, False, ("float", "dorefa8", None)),
        ({-128, 0}, False, ("float", None, None)),
    ],
)
def test_a_code_set_finds_its_layout(values, two_scales, layouts):
    codes = CodeSet(None if values is None else frozenset(values), two_scales)
    found = [layout_for(codes, inputs) for inputs in ("real", "bytes", "signs")]
    assert tuple(each and each.name for each in found) == layouts


@pytest.fixture
def _example(monkeypatch):
    """The example's code and precisions, for one test."""
    for registry in (weight_codes, precisions):
        list(registry)
        monkeypatch.setattr(registry, "_things", dict(registry._things))
    runpy.run_path(str(EXAMPLE))


@pytest.mark.usefixtures("_example")
class TestPowerOfTwo(WeightCodeConformance):
    """The worked plug-in."""

    @property
    def precision(self):
        return precisions.get("power2-int8")

    def test_its_size_is_told(self):
        size = search_spaces.size(QuantConv2d(3, 4, 3, self.precision))
        assert size.bits_by_code == {"power2": 4 * 3 * 4 * 9}
        assert size.other_bits == (4 + 1) * 32, "its scales, and that of the input"

    def test_it_is_computed_by_the_kernels_of_bytes(self):
        torch.manual_seed(0)
        layers = QuantConv2d(3, 16, 3, self.precision), QuantLinear(16, 5, self.precision)
        model = nn.Sequential(layers[0], nn.AvgPool2d(4), nn.Flatten(), layers[1])
        images = torch.rand(1, 3, 4, 4)
        model(images)
        model.eval()
        kernels = runtime.workloads(model, (1, 3, 4, 4))
        assert {w.weight for w in kernels if hasattr(w, "weight")} == {"int8"}
        found = runtime.compile(model, (1, 3, 4, 4)).run(images.numpy())
        np.testing.assert_allclose(found, model(images).detach().numpy(), atol=0.02)

    def test_with_real_inputs_it_is_computed_as_floats(self):
        model = network(precisions.get("power2"))
        images = torch.rand(1, 8, 4, 4)
        graph = lower(model, (1, 8, 4, 4))
        np.testing.assert_allclose(
            interpreter.run(graph, images.numpy()), model(images).detach().numpy(), rtol=1e-4, atol=1e-4
        )

    def test_what_no_kernel_takes_is_refused_in_one_line(self):
        with pytest.raises(UnsupportedLayerError) as caught:
            lower(network(Precision("mine", "power2", "binary")), (1, 8, 4, 4))
        assert str(caught.value) == (
            "layer '0': no kernel takes power2 weights with binary inputs; kernels of signs take -1, 0 and 1"
        )
