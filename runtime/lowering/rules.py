"""All rules for traced steps."""

from runtime.lowering import arithmetic_rules, layer_rules, shape_rules, window_rules
from runtime.lowering.rulebook import rules

__all__ = ["arithmetic_rules", "layer_rules", "rules", "shape_rules", "window_rules"]
