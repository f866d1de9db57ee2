"""Runs ONNX files by onnxruntime, and looks into them, for the tests."""

import numpy as np
import onnx
import onnxruntime
import torch
from onnx import numpy_helper

import runtime


def session(model):
    """A session of onnxruntime on one thread."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    return onnxruntime.InferenceSession(model.SerializeToString(), options, ["CPUExecutionProvider"])


def ran(model, images):
    """What onnxruntime makes of images (n, C, H, W)."""
    return session(model).run(None, {"input": np.asarray(images)})[0]


def both(module, images):
    """What onnxruntime and torch make of images, and the file's content."""
    model = runtime.onnx_model(module, tuple(images.shape))
    with torch.no_grad():
        return ran(model, images), module(images).numpy(), model


def constants(model):
    """The constants of a model by name."""
    return {each.name: numpy_helper.to_array(each) for each in model.graph.initializer}


def operators(model, kind=None):
    """The operators of a model, or those of a kind."""
    return [node for node in model.graph.node if kind in (None, node.op_type)]


def is_standard(model):
    """Whether the model is made of standard operators alone, and the checker accepts it."""
    onnx.checker.check_model(model, full_check=True)
    domains = {node.domain for node in model.graph.node} | {each.domain for each in model.opset_import}
    return domains == {""} and not model.functions
