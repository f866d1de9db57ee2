"""Real weights: what codes stand for, where inputs are real and no kernel decodes them."""

from runtime.graph import Constants
from runtime.kernels import packing
from runtime.kernels.base import Buffer
from runtime.kernels.weight_layouts.base import LayerWeights, Shape, Taps, WeightLayout, weight_layouts
from search_spaces.weight_codes import CodeSet, Inputs


class FloatTaps(Taps):
    """float32, as they are."""

    def buffers(self, shape: Shape) -> list[Buffer]:
        """Of ``shape``."""
        return [Buffer("weight", "constant", shape, "float32")]

    def pack(self, weights: LayerWeights, width: int, step: float) -> Constants:
        """Vectors of output channels last."""
        return {"weight": packing.lane_layout(weights.values, width), **weights.scaled(width, step)}


class Float(WeightLayout):
    """What any code can be where its inputs are real: its real weights."""

    name, bits, taps = "float", 32, FloatTaps()

    def fits(self, codes: CodeSet, inputs: Inputs) -> bool:
        """All codes, with real inputs."""
        return inputs == "real"


weight_layouts.add("float", Float())
