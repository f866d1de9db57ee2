"""Weights to start from: each layer keeps what it learned for as long as its codes are the same."""

from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

import search_spaces
from nas.training.checkpoint import write_tensors
from nas.training.job import TrainJob
from nas.training.weights import transfer
from search_spaces.weight_codes.base import LATENT_START

NETWORK = "resnet20-dw"
DEEP, POINT, LAST = "blocks.0.conv1.0", "blocks.0.conv1.2", "classifier"
TTQ = ("weight", "positive", "negative")
RANGE = ("activation.scale", "activation.batches")
LEARNED = ("positive", "negative", "scale", "lowest", "batches")

Names = dict[str, tuple[str, ...]]
Choice = tuple[str, str | None]
"""A precision, and the classifier's where it is another."""


def made(choice: Choice) -> nn.Module:
    return search_spaces.network(NETWORK, choice[0], classifier=choice[1])


def given(path: Path, choice: Choice) -> dict[str, Tensor]:
    """Write weights of a network whose scales and ranges are no longer those that they start from."""
    state = {
        name: tensor * 2 + 1 if name.endswith(LEARNED) else tensor
        for name, tensor in made(choice).state_dict().items()
    }
    job = TrainJob(NETWORK, "digits", 1, precision=choice[0], classifier=choice[1])
    write_tensors(path, state, {"job": job.to_dict()})
    return state


@pytest.mark.parametrize(
    ("before", "after", "kept", "again"),
    [
        (("ternary-1x1", None), ("ternary", None), {POINT: TTQ, LAST: TTQ}, {DEEP: TTQ[1:]}),
        (("ternary", None), ("ternary-1x1", None), {POINT: TTQ, LAST: TTQ}, {}),
        (("ternary", None), ("ternary", "int8"), {DEEP: TTQ, POINT: TTQ}, {LAST: RANGE}),
        (("int8-1x1", None), ("int8", None), {POINT: ("weight", *RANGE)}, {DEEP: RANGE}),
        (("int8", None), ("int8", "ternary-int8"), {"stem.0": RANGE, LAST: RANGE}, {LAST: TTQ[1:]}),
        (("ternary-int8", None), ("ternary", None), {DEEP: TTQ, LAST: TTQ}, {DEEP: RANGE}),
        (("binary", None), ("dithered-binary", None), {DEEP: ("weight", "scale"), POINT: ("scale",)}, {}),
        (("ternary", None), ("binary", None), {}, {POINT: ("scale",)}),
        (("dorefa8", None), ("int8", None), {}, {POINT: RANGE}),  # both inputs are uint8, one range is fixed
        (("int8", None), ("dorefa8", None), {}, {POINT: RANGE}),
    ],
)
def test_layers_of_the_same_codes_keep_their_scales_and_ranges(
    tmp_path: Path, before: Choice, after: Choice, kept: Names, again: Names
) -> None:
    theirs, module = given(tmp_path / "w", before), made(after)
    transfer(module, tmp_path / "w", NETWORK)
    ours = module.state_dict()
    for layer, names in kept.items():
        for name in names:
            assert torch.equal(ours[f"{layer}.{name}"], theirs[f"{layer}.{name}"]), (layer, name)
    for layer, names in again.items():
        for name in (f"{layer}.{name}" for name in names):
            assert name not in theirs or not torch.equal(ours[name], theirs[name]), name


def test_a_layer_of_another_code_starts_at_the_real_weights(tmp_path: Path) -> None:
    """Of those that a learned code has, which are small; so does torch's layer, which float has there."""
    theirs = given(tmp_path / "w", ("ternary", None))
    real = theirs[f"{LAST}.weight"] / LATENT_START
    for precision, factor in (("int8", 1.0), ("bwn", 1.0), ("float", 1.0), ("ternary", LATENT_START)):
        module = made(("ternary", precision))
        transfer(module, tmp_path / "w", NETWORK)
        torch.testing.assert_close(module.state_dict()[f"{LAST}.weight"], real * factor)
    assert isinstance(made(("ternary", "float")).get_submodule(LAST), nn.Linear)


def test_a_ternary_layer_beside_others_starts_with_scales_that_fit(tmp_path: Path) -> None:
    theirs, module = given(tmp_path / "w", ("ternary-1x1", None)), made(("ternary", None))
    left = transfer(module, tmp_path / "w", NETWORK)
    assert {f"{DEEP}.positive", f"{DEEP}.negative"} < set(left)
    assert not [name for name in left if name.startswith((POINT, LAST))]
    weight, layer = theirs[f"{DEEP}.weight"], module.get_submodule(DEEP)
    torch.testing.assert_close(layer.weight, weight * LATENT_START)
    codes = layer.quantized_weight().sign()  # type: ignore[operator]  # ours, of whose attributes mypy knows nothing
    torch.testing.assert_close(layer.positive, weight[codes > 0].mean())
