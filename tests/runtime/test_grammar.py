"""Five hundred small torch models are computed as torch computes them, or refused in one line."""

import random
from collections import Counter

import numpy as np
import torch

import runtime
from runtime.lowering import lower
from search_spaces.errors import BitnasError
from tests.runtime import grammar, interpreter

MODELS = 500
COMPILED = 12


def state(model):
    """All numbers of a model, to the bit, and its modes."""
    held = {name: tensor.detach().clone() for name, tensor in model.state_dict().items()}
    return held, [part.training for part in model.modules()], [list(vars(m)) for m in model.modules()]


def same(before, after):
    """Whether nothing was changed."""
    equal = before[0].keys() == after[0].keys() and before[1:] == after[1:]
    return equal and all(torch.equal(before[0][name], after[0][name]) for name in before[0])


def outcome(model, images, run):
    """What became of a model: ``refused``, ``equal``, or what is wrong."""
    before = state(model)
    try:
        found = run(model, images.numpy())
    except BitnasError as error:
        assert "\n" not in str(error)
        return "refused"
    finally:
        assert same(before, state(model)), f"changed by its lowering: {model.told}"
    assert not model.is_wrong, f"torch refuses it: {model.told}"
    with torch.no_grad():
        expected = model.eval()(images.clone()).numpy()
    assert found.shape == expected.shape, model.told
    size = 1e-4 * max(1e-3, float(np.abs(expected).max()))
    close = np.isclose(found, expected, rtol=1e-4, atol=size).reshape(len(images), -1).all(axis=1)
    if model.has_signs:  # a value within a rounding error of a threshold may fall on its other side
        return "equal" if close.all() else "flipped" if close.any() else "wrong"
    assert close.all(), f"{np.abs(found - expected).max()} beside {np.abs(expected).max()}: {model.told}"
    return "equal"


def compiled(model, images):
    return runtime.compile(model, images.shape).run(images)


def interpreted(model, images):
    """What the graph computes; one with bytes is compiled."""
    try:
        return interpreter.run(lower(model, images.shape), images)
    except interpreter.NotInterpreted:
        return compiled(model, images)


def drawn(seed):
    pick = random.Random(seed)
    model = grammar.draw(pick)
    return (model.train() if pick.random() < 0.2 else model.eval()), torch.randn(grammar.SHAPE)


def test_drawn_models_are_computed_as_torch_does_or_refused():
    counts = Counter(outcome(*drawn(seed), interpreted) for seed in range(MODELS))
    print(f"{MODELS} models: {dict(counts)}")
    assert counts["equal"] >= MODELS / 2, counts
    assert counts["refused"] >= MODELS / 10, "the grammar has what no kernel computes"
    assert counts["wrong"] + counts["flipped"] < 0.02 * MODELS, counts


def test_some_are_compiled():
    found = Counter(outcome(*drawn(seed), compiled) for seed in range(MODELS, MODELS + 2 * COMPILED))
    assert found["equal"] >= COMPILED, found
