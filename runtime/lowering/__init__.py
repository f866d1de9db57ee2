"""From a torch model to the operator graph of kernels that computes it."""

from runtime.lowering.torch_model import lower, workloads
from runtime.lowering.trace import Trace, lower_parts, structure, trace
from search_spaces.errors import UnsupportedLayerError

__all__ = ["Trace", "UnsupportedLayerError", "lower", "lower_parts", "structure", "trace", "workloads"]
