"""From a torch model to the operator graph of kernels that computes it."""

from runtime.lowering.builder import UnsupportedLayerError
from runtime.lowering.trace import Trace, lower, lower_parts, structure, trace, workloads

__all__ = ["Trace", "UnsupportedLayerError", "lower", "lower_parts", "structure", "trace", "workloads"]
