"""Which steps see what an operation in place changes: all names of the same memory do."""

from collections.abc import Iterable
from typing import TYPE_CHECKING

from search_spaces.errors import UnsupportedLayerError

if TYPE_CHECKING:
    from torch import fx

    from runtime.lowering.steps import Step


def require_visible_changes(steps: "Iterable[Step]", output: "fx.Node") -> None:
    """Refuse a forward pass that reads what was changed in place through another view of the memory.

    A tensor's own name, in Python, stands for the changed tensor; that of a view, such as a flattening,
    stands for what the step gave when it ran. What may be a view counts as one.

    Raises:
        UnsupportedLayerError: there is such a reading.
    """
    memory: dict[fx.Node, fx.Node] = {}
    changed_by: dict[fx.Node, str] = {}
    for step in steps:
        for node in step.node.all_input_nodes:
            _require_current(node, changed_by)
        source = step.node.all_input_nodes[0] if step.node.all_input_nodes else step.node
        if step.in_place:
            block = memory.get(source, source)
            names = [name for name, own in memory.items() if own is block] + [block]
            changed_by |= dict.fromkeys(names, step.name)
            memory[step.node] = block
        elif step.is_view:
            memory[step.node] = memory.get(source, source)
    _require_current(output, changed_by)


def _require_current(node: "fx.Node", changed_by: "dict[fx.Node, str]") -> None:
    if node in changed_by:
        raise UnsupportedLayerError(
            f"layer '{changed_by[node]}': it changes in place what another layer reads; "
            f"'{node.name}' is of the same memory"
        )
