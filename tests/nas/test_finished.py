"""An artifact is written where compiled code and torch agree, as far as torch agrees with itself."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

import latency
import runtime
from nas.data import load
from nas.export import finished, writing
from nas.training.loop import predict
from search_spaces import precisions
from search_spaces.errors import DisagreementError
from search_spaces.layers import QuantLinear

ORIGIN = {"network": "a", "precision": "float", "digest": "0", "data": "digits", "epochs": 0, "seed": 0}


@pytest.fixture
def some() -> finished.Finished:
    """A dense layer that nobody trained."""
    torch.manual_seed(0)
    module, data = nn.Sequential(nn.Flatten(), QuantLinear(64, 10, precisions.get("float"))), load("digits")
    network = runtime.compile(module.eval(), (1, *data.input_shape))
    time = latency.Measurement(0.1, 0.0, 12, "2026-01-01T00:00:00+00:00", "0")
    return finished.Finished(module, network, time, latency.device("local"), data, 0.1, None)


def test_torch_is_asked_how_far_it_agrees_with_itself(
    some: finished.Finished, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = predict(some.module, some.data.test)
    wrong = np.where(np.arange(len(expected)) < 5, (expected + 1) % 10, expected)
    monkeypatch.setattr(writing, "classes_of", lambda run, split: wrong)
    written: dict[str, Any] = {"output": tmp_path / "out", "identity": ("network.json", "{}"), **ORIGIN}
    with pytest.raises(DisagreementError, match=r"5 of 360 .* classes 0 otherwise than itself"):
        writing.write_artifact(some, **written)
    assert not (tmp_path / "out").exists()
    monkeypatch.setattr("nas.export.rounding.ROUNDING", 0.05)  # a network for which the last bits matter
    assert writing.write_artifact(some, **written).same_class == 355
    assert (tmp_path / "out" / "card.json").exists()
