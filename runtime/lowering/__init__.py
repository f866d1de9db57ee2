"""From a torch model to the operator graph of kernels that computes it."""

from runtime.lowering.builder import UnsupportedLayerError
from runtime.lowering.trace import lower, workloads

__all__ = ["UnsupportedLayerError", "lower", "workloads"]
