"""Runs an ONNX file that somebody may have written, by onnxruntime, once it is known to hold no code."""

import importlib.util
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from runtime.formats.onnx.graph import INPUT, OUTPUT
from search_spaces.errors import BitnasError

if TYPE_CHECKING:
    from onnx import GraphProto, ModelProto

PACKAGES = "onnx", "onnxruntime"
IMAGES = 64
"""Images of a run: activations of more would take memory."""

Run = Callable[[NDArray[np.float32]], NDArray[np.float32]]


def missing_packages() -> list[str]:
    """Those that are needed to run a file, and not installed."""
    return [name for name in PACKAGES if importlib.util.find_spec(name) is None]


def opened(path: Path) -> Run:
    """The network of a file: images, float32 (n, C, H, W) -> its outputs, on one thread.

    Raises:
        BitnasError: it is no such file, or holds what may be code or lie in other files.
    """
    import onnxruntime

    content = _content(path)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    try:
        session = onnxruntime.InferenceSession(content, options, ["CPUExecutionProvider"])
    except Exception as error:  # onnxruntime's have no class in common but this one
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise BitnasError(f"{path}: onnxruntime does not load it ({reason}); export it again") from error

    def run(images: NDArray[np.float32]) -> NDArray[np.float32]:
        starts = range(0, len(images), IMAGES)
        return np.concatenate([session.run([OUTPUT], {INPUT: images[i : i + IMAGES]})[0] for i in starts])

    return run


def _content(path: Path) -> bytes:
    """The bytes of a file that names no other files and has only ONNX's own operators.

    Raises:
        BitnasError: it is no such file.
    """
    import onnx

    try:
        content = path.read_bytes()
        model = onnx.load_model_from_string(content)
        _require_plain(path, model)  # first: the checker looks for files
        onnx.checker.check_model(model)
    except BitnasError:
        raise
    except Exception as error:  # of the file system, of protocol buffers, of the checker
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise BitnasError(f"{path}: it is no ONNX file ({reason}); export it again") from error
    return content


def _require_plain(path: Path, model: "ModelProto") -> None:
    """Refuse operators that onnxruntime would find elsewhere, and tensors that lie in other files."""
    foreign = {each.domain for each in model.opset_import if each.domain} | {f.name for f in model.functions}
    if foreign:
        raise BitnasError(f"{path}: it has operators of {', '.join(sorted(foreign))}; only ONNX's own run")
    if _is_scattered(model.graph):
        raise BitnasError(f"{path}: its tensors lie in other files; one file must hold all")


def _is_scattered(graph: "GraphProto") -> bool:
    """Whether a tensor lies in another file, or a graph within the graph may have such ones."""
    from onnx import TensorProto

    held = [attribute.t for node in graph.node for attribute in node.attribute if attribute.HasField("t")]
    inner = any(attribute.HasField("g") for node in graph.node for attribute in node.attribute)
    others = bool(graph.sparse_initializer) or inner
    return others or any(t.data_location == TensorProto.EXTERNAL for t in (*graph.initializer, *held))
