"""Multiply-accumulates: how much a network computes."""

from typing import TYPE_CHECKING

from nas.formatting import MISSING
from nas.objectives.base import ArchitectureCost

if TYPE_CHECKING:
    from search_spaces import Buildable


class Macs(ArchitectureCost):
    """Multiply-accumulates for one image, of all layers with weights, whatever their codes are."""

    name, title, limit = "macs", "MACs", "max_macs"

    def cost(self, architecture: "Buildable") -> float:
        """The sum that ``nas size`` shows layer by layer."""
        from search_spaces import build
        from search_spaces.sizing import layers

        return float(sum(layer.macs for layer in layers(build(architecture), architecture.input_shape)))

    def show(self, value: float | None) -> str:
        """All digits."""
        return MISSING if value is None else f"{value:,.0f}"
