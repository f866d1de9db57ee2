"""From a whole torch model to its operator graph: traced, lowered, and held against the model itself.

Batch norms are folded into the scale and bias of the convolution before them, ReLUs into the kernel that
produces their input where nothing else reads it, and equal steps on equal inputs run once.
"""

from math import prod
from typing import TYPE_CHECKING

import numpy as np

from runtime.graph import Graph
from runtime.lowering.builder import MAX_ELEMENTS
from runtime.lowering.trace import lower_parts, trace
from runtime.workload import Workload
from search_spaces.errors import InvalidInput

if TYPE_CHECKING:
    from torch import nn


def lower(module: "nn.Module", input_shape: tuple[int, ...]) -> Graph:
    """The operator graph of a model in evaluation mode, for a batch of a fixed shape.

    Args:
        module: a torch model; docs/torch-models.md tells of what it may be made. It stays as it is.
        input_shape: (N, C, H, W).

    Raises:
        InvalidInput: a shape that is not four positive numbers.
        UnsupportedLayerError: a layer, or an option of it, that the kernels do not compute; or a model that
            does something else in torch than in its trace.
    """
    check_input_shape(input_shape)
    from runtime.lowering.caller import KeepsTensors, evaluating, no_random_numbers
    from runtime.lowering.replay import require_same

    traced = trace(module)
    # to ask for a weight's shape is to make it, where a parametrization does, whose code may do anything
    with evaluating(module), KeepsTensors(module), no_random_numbers():
        traced.require_numbers()
        graph = lower_parts([traced], tuple(int(d) for d in input_shape))
    require_same(module, traced, graph)
    return graph


def workloads(module: "nn.Module", input_shape: tuple[int, ...]) -> list[Workload]:
    """The kernels that the model would run, in order, without compiling any."""
    return lower(module, input_shape).workloads


def check_input_shape(input_shape: tuple[int, ...]) -> None:
    """Refuse a shape that is not (N, C, H, W) with positive whole numbers."""
    is_batch = isinstance(input_shape, tuple | list) and len(input_shape) == 4
    whole = is_batch and all(isinstance(d, int | np.integer) and not isinstance(d, bool) for d in input_shape)
    if not whole or min(input_shape) < 1:
        raise InvalidInput(
            "input_shape", f"{input_shape} is not an image batch", "pass (N, C, H, W), all above 0"
        )
    if prod(int(d) for d in input_shape) > MAX_ELEMENTS:
        raise InvalidInput(
            "input_shape", f"{input_shape} has over {MAX_ELEMENTS} numbers", "pass a smaller one"
        )
