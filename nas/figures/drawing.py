"""An architecture as a drawing shows it: its parts from the image to the classes, each with its size."""

from typing import NamedTuple

from nas.figures.layers import layer_rows
from search_spaces.errors import BitnasError


class Part(NamedTuple):
    """A box of the drawing: the stem, a block, or the head."""

    kind: str
    short: str  # what fits under the box
    width: int  # output channels
    kernel: int | None
    stride: int
    side: int | None  # of the image that comes out, pixels; None where it is not known
    precisions: tuple[tuple[str, str], ...]  # (layer, precision)
    groups: int = 1
    enters: int | None = None  # the side of the image that comes in


SHORT = {"separable": "sep", "shuffle": "shuf", "inverted": "inv", "residual": "res", "pool, linear": "head"}


def parts_of(architecture_json: str) -> list[Part]:
    """The parts of an architecture; none where it is not one of bitnas's, or no longer read."""
    from search_spaces.architecture import NamedNetwork, read_architecture

    try:
        network = read_architecture(architecture_json)
        rows = layer_rows(architecture_json)
    except BitnasError:
        return []
    side = None if isinstance(network, NamedNetwork) else network.input_shape[1]
    parts = []
    for row in rows:
        stride = row.stride or 1
        before, side = side, None if side is None else 1 if row.part == "head" else -(-side // stride)
        short = "stem" if row.part == "stem" else SHORT.get(row.kind, row.kind[:5])
        shape = row.width or 1, row.kernel, stride, side
        parts.append(Part(row.kind, short, *shape, row.precisions, row.groups or 1, before))
    return parts
