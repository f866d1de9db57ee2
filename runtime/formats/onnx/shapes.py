"""The shapes of all that a traced model computes, found by running it in torch, for any number of images."""

from typing import TYPE_CHECKING, Any

import torch

from runtime.lowering.replay import as_it_is, one_thread, performed, sample_images
from search_spaces.errors import UnsupportedLayerError

if TYPE_CHECKING:
    from torch import fx, nn

    from runtime.lowering.trace import Trace

COUNTS = 2, 3
"""Images of the two runs: what depends on their number is told from what does not."""


class Shapes:
    """What steps give: shapes of tensors, and numbers; of a model that takes any number of images.

    Raises:
        UnsupportedLayerError: the model is made for one number of images.
    """

    def __init__(self, module: "nn.Module", traced: "Trace", image: tuple[int, ...]) -> None:
        runs = [_run(module, traced, (count, *image)) for count in COUNTS]
        self._found = runs[0]
        self.varying: set[fx.Node] = set()
        """The steps whose numbers depend on how many images there are."""
        for node, first in runs[0].items():
            if node.op != "get_attr" and not _is_of_each(first, runs[1][node]):
                if not isinstance(first, _Numbers):
                    raise _made_for_one(node.name)
                self.varying.add(node)

    def of(self, node: "fx.Node") -> Any:
        """The shape of a tensor, the shapes of several, or a number or numbers."""
        found = self._found[node]
        if isinstance(found, _Numbers):
            return found.value
        return tuple(map(tuple, found)) if type(found) is tuple else tuple(found)


class _Shape(tuple[int, ...]):
    """Of a tensor."""


class _Numbers:
    """What a step gives that asks for sizes."""

    def __init__(self, value: Any) -> None:
        self.value = value


def _run(module: "nn.Module", traced: "Trace", shape: tuple[int, ...]) -> dict[Any, Any]:
    """What the steps give for a batch."""
    with as_it_is(module), one_thread():
        image = next(sample_images(module, traced, shape))
        values: dict[Any, Any] = {traced.input: image}
        found: dict[Any, Any] = {traced.input: _told(image)}
        last_reader = {node: step for step in traced.steps for node in step.node.all_input_nodes}
        for step in traced.steps:
            try:
                values[step.node] = performed(step, values)
            except (RuntimeError, ValueError, TypeError, IndexError) as error:  # torch's: shapes do not fit
                raise _made_for_one(step.name) from error
            found[step.node] = _told(values[step.node])
            for node in step.node.all_input_nodes:
                if last_reader[node] is step:
                    values.pop(node)
    return found


def _told(value: Any) -> Any:
    if isinstance(value, torch.Tensor):
        return _Shape(value.shape)
    is_parts = isinstance(value, tuple | list) and any(isinstance(each, torch.Tensor) for each in value)
    return tuple(map(_told, value)) if is_parts else _Numbers(value)


def _is_of_each(first: Any, second: Any) -> bool:
    """Whether two runs gave the same but for the number of images, which comes first in shapes."""
    if isinstance(first, _Numbers):
        return isinstance(second, _Numbers) and bool(first.value == second.value)
    if isinstance(first, _Shape):
        return (first[:1], second[:1]) == (COUNTS[:1], COUNTS[1:]) and first[1:] == second[1:]
    return len(first) == len(second) and all(map(_is_of_each, first, second))


def _made_for_one(name: str) -> UnsupportedLayerError:
    return UnsupportedLayerError(
        f"layer '{name}': it is made for one number of images, and ONNX has any; "
        "write -1 or x.size(0) for that number"
    )
