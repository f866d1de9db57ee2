"""ONNX files that somebody may have written: run by onnxruntime, unless they may hold code or name files."""

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper
from torch import nn

import runtime
from runtime.formats.onnx.running import IMAGES, missing_packages, opened
from search_spaces.errors import BitnasError


@pytest.fixture
def model():
    return runtime.onnx_model(nn.Conv2d(3, 2, 3).eval(), (1, 3, 5, 5))


def written(model, folder):
    path = folder / "network.onnx"
    path.write_bytes(model.SerializeToString())
    return path


def test_any_number_of_images_is_run(model, tmp_path):
    assert missing_packages() == []
    images = np.random.default_rng(0).random((IMAGES + 3, 3, 5, 5), np.float32)
    run = opened(written(model, tmp_path))
    np.testing.assert_allclose(run(images)[-2:], run(images[-2:]), rtol=1e-5)
    assert run(images).shape == (IMAGES + 3, 2, 3, 3)


def refused(path):
    with pytest.raises(BitnasError) as found:
        opened(path)
    assert "\n" not in str(found.value)
    return str(found.value)


def test_operators_that_are_not_onnxs_are_not_run(model, tmp_path):
    model.opset_import.append(helper.make_opsetid("com.example", 1))
    model.graph.node[0].domain = "com.example"
    assert "network.onnx: it has operators of com.example; only ONNX's own run" in refused(
        written(model, tmp_path)
    )


def test_files_beside_it_are_not_read(model, tmp_path):
    (tmp_path / "secret").write_bytes(bytes(4096))
    held = model.graph.initializer[0]
    held.ClearField("raw_data")
    held.data_location = TensorProto.EXTERNAL
    held.external_data.add(key="location", value="secret")
    assert "its tensors lie in other files" in refused(written(model, tmp_path))


def test_graphs_within_it_are_not_run(model, tmp_path):
    body = helper.make_graph([helper.make_node("Identity", ["input"], ["inner"])], "body", [], [])
    branch = helper.make_node("If", ["yes"], ["unused"], then_branch=body, else_branch=body)
    body.output.append(helper.make_tensor_value_info("inner", TensorProto.FLOAT, None))
    model.graph.initializer.append(onnx.numpy_helper.from_array(np.array(True), "yes"))
    model.graph.node.append(branch)
    assert "in other files" in refused(written(model, tmp_path))


def test_what_is_no_model_is_one_line(model, tmp_path):
    assert "it is no ONNX file" in refused(tmp_path / "none.onnx")
    path = tmp_path / "network.onnx"
    for content in (b"", b"no model", model.SerializeToString()[:-100]):
        path.write_bytes(content)
        assert "export it again" in refused(path)
    model.graph.node[0].op_type = "NoOperator"
    assert "export it again" in refused(written(model, tmp_path))
