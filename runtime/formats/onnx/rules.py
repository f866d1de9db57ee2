"""All rules for traced steps: those of torch's layers and ours, and those of plug-ins."""

from typing import TYPE_CHECKING

from runtime.formats.onnx import (
    arithmetic_rules,
    arranging_rules,
    layer_rules,
    max_rules,
    norm_rules,
    pool_rules,
    resizing_rules,
)
from runtime.formats.onnx.rulebook import Exporter, exporters, onnx_layers

if TYPE_CHECKING:
    from torch import nn

    from runtime.lowering.rulebook import Rule
    from runtime.lowering.steps import Step

__all__ = [
    "arithmetic_rules",
    "arranging_rules",
    "exporter_of",
    "layer_rules",
    "max_rules",
    "norm_rules",
    "pool_rules",
    "resizing_rules",
    "without_form",
]


def exporter_of(rule: "Rule", layer: "nn.Module | None") -> Exporter | None:
    """The rule that writes a step, by how it is lowered; None where there is none."""
    if rule.function in exporters:
        return exporters[rule.function]
    added = (onnx_layers.get(name) for name in onnx_layers)
    found = next((each for each in added if layer is not None and isinstance(layer, each.layer)), None)
    return None if found is None else Exporter(found.write)


def without_form(step: "Step") -> str:
    """What an error says of a step without a rule: what has one."""
    what = getattr(step.node.target, "__name__", step.node.target)
    if step.layer is None:
        return f"{what} has no form in ONNX; choose among the functions and layers of docs/torch-models.md"
    kind = type(step.layer)
    return (
        f"{kind.__module__}.{kind.__name__} has no form in ONNX; add one to the registry "
        "runtime.formats.onnx.rulebook.onnx_layers, or choose among the layers of docs/torch-models.md"
    )
