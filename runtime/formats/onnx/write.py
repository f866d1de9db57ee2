"""Writes a torch model as an ONNX file, for any number of images."""

import json
import os
import tempfile
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from runtime.formats.onnx.graph import IR_VERSION, LARGEST, OPSET
from search_spaces.errors import BitnasError, InvalidInput

if TYPE_CHECKING:
    from onnx import ModelProto
    from torch import nn

PRODUCER = "bitnas"
INSTALL = "run pip install -c constraints.txt -e '.[onnx]' in bitnas's repository"


def onnx_model(
    module: "nn.Module",
    input_shape: tuple[int, ...],
    *,
    class_names: Sequence[str] = (),
    mean: Sequence[float] = (),
    deviation: Sequence[float] = (),
) -> "ModelProto":
    """A torch model, as it computes in evaluation mode, in ONNX's standard operators.

    Args:
        module: a model made of the layers that ``runtime.lowering`` knows; its weights become constants.
        input_shape: (N, C, H, W); the model takes any number of images (C, H, W).
        class_names: in the order of the outputs, for the model's metadata.
        mean: subtracted from each channel of the pixels before they come in, for the metadata.
        deviation: by which they are divided then, for the metadata.

    Returns:
        A model that ``onnx.checker`` accepts, from ``input`` (N, C, H, W) to ``output``, torch's output;
        both are float32.

    Raises:
        InvalidInput: the shape is not one, or the model is larger than a file of ONNX may be.
        UnsupportedLayerError: a layer that has no form in ONNX, or a model made for one number of images.
        BitnasError: the package ``onnx`` is not installed.
    """
    _require_package()
    import onnx
    from onnx import helper

    from runtime.formats.onnx.steps import written

    graph = written(module, input_shape)
    opsets = [helper.make_opsetid("", OPSET)]
    model = helper.make_model(
        graph,
        opset_imports=opsets,
        ir_version=IR_VERSION,
        producer_name=PRODUCER,
        producer_version=version("bitnas"),
    )
    told = {"class_names": class_names, "mean": mean, "deviation": deviation}
    helper.set_model_props(model, {key: json.dumps([*given]) for key, given in told.items() if len(given)})
    if model.ByteSize() > LARGEST:
        problem = f"its weights take {model.ByteSize() / 1e9:.1f} GB, and a file of ONNX has at most 2.1 GB"
        raise InvalidInput("module", problem, "choose a precision of fewer bits")
    onnx.checker.check_model(model, full_check=True)
    return model


def write_onnx(module: "nn.Module", input_shape: tuple[int, ...], path: str | Path, **metadata: Any) -> None:
    """Write ``onnx_model`` into a new file: aside, then renamed, so that one that is there is whole.

    Args:
        module: as ``onnx_model`` takes it.
        input_shape: (N, C, H, W).
        path: of a file that is not there yet.
        metadata: ``class_names``, ``mean`` and ``deviation``, as ``onnx_model`` takes them.

    Raises:
        InvalidInput: the file is there already, or what ``onnx_model`` raises.
        UnsupportedLayerError: as ``onnx_model``.
        BitnasError: it cannot be written.
    """
    target = Path(path)
    if os.path.lexists(target):
        raise InvalidInput("path", f"'{target}' is there already", "name a new file")
    content = onnx_model(module, input_shape, **metadata).SerializeToString(deterministic=True)
    try:
        with tempfile.TemporaryDirectory(prefix=f".{target.name}-", dir=target.parent) as aside:
            written = Path(aside) / target.name
            written.write_bytes(content)
            written.replace(target)
    except OSError as error:
        raise BitnasError(f"path: '{target}' cannot be written ({error.strerror}); choose another") from error


def _require_package() -> None:
    try:
        import onnx  # noqa: F401
    except ImportError as error:
        raise BitnasError(f"onnx: the package is not installed; {INSTALL}") from error
