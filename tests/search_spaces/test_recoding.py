"""Single layers of a network get precisions of their own: built, sized and compiled."""

import json

import numpy as np
import pytest
import torch

import runtime
import search_spaces
from search_spaces import InvalidInput
from search_spaces.architecture import NamedNetwork, read_architecture
from search_spaces.precision import precisions
from search_spaces.recoding import recodable, recoded

RESNET = NamedNetwork(network="resnet20", input_shape=(3, 16, 16), classes=5)
MOBILE = NamedNetwork(network="mnasnet-a1", input_shape=(3, 32, 32), classes=3)
MIXED = {
    "stem.0": "int8",
    "blocks.1.conv2.0": "ternary-int8",
    "blocks.4.conv1.0": "twn",
    "classifier": "int8",
}


def test_layers_have_what_they_are_given_and_weights_still_fit():
    plain, mixed = search_spaces.build(RESNET), search_spaces.build(RESNET.recoded(MIXED))
    for name, layer in recodable(mixed).items():
        precision = getattr(layer, "precision", None)
        assert (precision.name if precision else "float") == MIXED.get(name, "float"), name
    given = plain.state_dict()
    assert {name: tensor.shape for name, tensor in mixed.state_dict().items() if name in given} == {
        name: tensor.shape for name, tensor in given.items()
    }


def test_an_architecture_tells_of_them_and_a_plain_one_does_not():
    assert "layer_precisions" not in json.loads(RESNET.to_json())
    mixed = RESNET.recoded(MIXED)
    assert read_architecture(mixed.to_json()) == mixed
    assert mixed.digest != RESNET.digest
    assert mixed.recoded({}) == RESNET
    assert mixed.title == "resnet20 in float, precisions by layer"
    assert search_spaces.size(mixed).kilobytes < search_spaces.size(RESNET).kilobytes


@pytest.mark.parametrize("architecture", [RESNET.recoded(MIXED), "a space's", "pruned"])
def test_compiled_code_computes_the_same(architecture):
    generator = np.random.default_rng(3)
    if architecture == "a space's":
        plain = search_spaces.space("tiny").sample(1)
        names = list(recodable(search_spaces.build(plain)))
        architecture = plain.recoded(dict.fromkeys(names[::2], "int8"))
    elif architecture == "pruned":
        architecture = RESNET.recoded(MIXED).pruned({"blocks.1.conv1.0": 8}, ["blocks.4"])
    torch.manual_seed(0)
    module = search_spaces.build(architecture)
    images = torch.from_numpy(generator.normal(size=(8, *architecture.input_shape)).astype(np.float32))
    for _ in range(3):
        module.train()(images)  # which finds the ranges of inputs
    module.eval()
    compiled = runtime.compile(module, (8, *architecture.input_shape))
    with torch.no_grad():
        expected = module(images).numpy()
    np.testing.assert_allclose(compiled.run(images.numpy()), expected, rtol=1e-3, atol=1e-3)


def test_every_kind_of_layer_can_be_given_a_precision():
    names = list(recodable(search_spaces.build(MOBILE)))
    module = search_spaces.build(MOBILE.recoded(dict.fromkeys(names, "int8"))).eval()
    assert {layer.precision.name for layer in recodable(module).values()} == {"int8"}
    assert module(torch.zeros(1, 3, 32, 32)).shape == (1, 3)


def test_a_layer_keeps_its_shape():
    layer = torch.nn.Conv2d(6, 8, (3, 1), stride=(2, 1), padding=(1, 0), groups=2, dilation=(2, 1))
    found = recoded(layer, precisions.get("float"))
    found.start_from(layer.weight.detach())
    found.bias.data.copy_(layer.bias.data)
    x = torch.randn(2, 6, 11, 7)
    torch.testing.assert_close(found(x), layer(x))


@pytest.mark.parametrize(
    ("changes", "field", "problem"),
    [
        ({"blocks.9.conv1.0": "int8"}, "architecture.layer_precisions", "no convolution or dense layer"),
        ({"blocks.0.conv1.1": "int8"}, "architecture.layer_precisions", "no convolution or dense layer"),
        ({"stem.0": "int9"}, "architecture.layer_precisions.stem.0", "unknown name 'int9'"),
        ({"stem.0": "binary"}, "architecture.layer_precisions.stem.0", "takes signs"),
        ({"stem.0": 8}, "architecture.layer_precisions", "valid string"),
        ({"../x": "int8"}, "architecture.layer_precisions", "match"),
    ],
)
def test_a_layer_or_precision_that_is_not_there(changes, field, problem):
    with pytest.raises(InvalidInput, match=problem) as found:
        search_spaces.build(RESNET.recoded(changes))
    assert found.value.parameter.startswith(field)
