"""From a torch model to the operator graph of kernels that computes it."""

from runtime.lowering.builder import UnsupportedLayer
from runtime.lowering.trace import lower, workloads

__all__ = ["UnsupportedLayer", "lower", "workloads"]
