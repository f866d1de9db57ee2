"""ONNX as a form of an exported network: one file, run by onnxruntime, with what the data are called."""

import json
from functools import partial

import numpy as np
import onnx
import pytest
import torch

import search_spaces
from benchmarks.proof.drawn import trained
from nas.data import load
from nas.export.agreement import check_agreement, own_disagreement
from nas.export.finished import Finished
from nas.export.formats.base import formats
from nas.training.loop import predict
from search_spaces.errors import BitnasError


@pytest.fixture(scope="module")
def finished():
    """A network with random weights, as if trained and compiled."""
    torch.manual_seed(0)
    data = load("digits")
    module = trained(search_spaces.build(search_spaces.space("tiny").sample(0)), data.input_shape)
    return Finished(module, None, None, None, data, 0.0, None)


def test_the_file_gives_torchs_classes(finished, tmp_path):
    form = formats.get("onnx")
    form.write(finished, tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["network.onnx"]
    run, test = form.opened(tmp_path), finished.data.test
    found = np.concatenate([run(part).argmax(axis=1) for part in test.parts()])
    expected = predict(finished.module, test)
    check_agreement(found, expected, partial(own_disagreement, finished.module, test, expected))
    assert np.unique(found).size > 1
    told = {each.key: json.loads(each.value) for each in onnx.load(tmp_path / "network.onnx").metadata_props}
    assert told["mean"] == [*test.scaling.mean] and told["deviation"] == [*test.scaling.deviation]
    assert told.get("class_names", []) == [*finished.data.class_names]
    assert not form.holds_code


def test_what_is_not_installed_is_told(tmp_path, monkeypatch):
    monkeypatch.setattr("runtime.formats.onnx.running.PACKAGES", ("onnx", "no_such_package"))
    form = formats.get("onnx")
    assert form.missing(tmp_path) == "not installed: no_such_package"
    assert form.opened(tmp_path) is None


def test_a_file_that_is_none_is_refused(tmp_path):
    (tmp_path / "network.onnx").write_bytes(b"none")
    with pytest.raises(BitnasError, match=r"network.onnx: it is no ONNX file"):
        formats.get("onnx").opened(tmp_path)
