"""The space ``mobile``: MnasNet's factorized hierarchical one (Tan et al., 2019, 4.1), with precisions."""

from collections import Counter
from dataclasses import dataclass, replace

from search_spaces.architecture import Architecture, Block, Head, Stem
from search_spaces.search_space import USER_PRECISIONS, Choose, SearchSpace, number, roles_of, spaces, text

BASE = ((16, 1, 1), (24, 2, 2), (32, 3, 2), (64, 4, 2), (96, 3, 1), (160, 3, 2), (320, 1, 1))
"""Channels, layers and first stride of MobileNetV2's stages, which choices are relative to."""

OPERATIONS = {
    "conv": ("conv", 1),
    "separable": ("separable", 1),
    "inverted3": ("inverted", 3),
    "inverted6": ("inverted", 6),
}
"""A stage's operation: the kind of its blocks, and their expansion."""

PERCENT = 100


@dataclass(frozen=True)
class Hierarchical(SearchSpace):
    """A float stem, stages of equal blocks, a 1x1 convolution and a float classifier.

    A stage chooses its operation, kernel, squeeze ratio (of inverted residuals), width and number of layers,
    and for each layer of its block a precision, which all repeats have. Its skip is none, the identity in all
    layers but the first, or pooling: that, and in the first layer an average pooling, where that subsamples
    and does not narrow. A stage of one layer has none or pooling.
    """

    name: str
    description: str
    input_shape: tuple[int, int, int]
    classes: int
    base: tuple[tuple[int, int, int], ...] = BASE
    stem: int = 32
    last: int = 1280
    operations: tuple[str, ...] = tuple(OPERATIONS)
    kernels: tuple[int, ...] = (3, 5)
    squeezes: tuple[int, ...] = (0, 25)
    skips: tuple[str, ...] = ("none", "identity")
    poolings: tuple[str, ...] = ("none", "average")
    widths: tuple[int, ...] = (75, 100, 125)
    extra: tuple[int, ...] = (-1, 0, 1)
    precisions: tuple[str, ...] = USER_PRECISIONS

    def fitted(self, input_shape: tuple[int, int, int], classes: int) -> "Hierarchical":
        """The same choices for other images; any will do."""
        return replace(self, input_shape=input_shape, classes=classes)

    def propose(self, choose: Choose) -> Architecture:
        """Stage by stage, then the precision of the last convolution."""
        blocks: list[Block] = []
        for index, base in enumerate(self.base, start=1):
            incoming = blocks[-1].width if blocks else self.stem
            blocks += self._stage(choose, f"stage{index}", incoming, *base)
        precision = text(choose, "last.precision", self.precisions)
        blocks.append(Block(kind="conv", width=self.last, kernel=1, stride=1, precisions={"conv": precision}))
        return Architecture(
            space=self.name,
            input_shape=self.input_shape,
            classes=self.classes,
            stem=Stem(width=self.stem, kernel=3, stride=2, precision="float"),
            blocks=tuple(blocks),
            head=Head(precision="float"),
        )

    def _stage(
        self, choose: Choose, stage: str, incoming: int, channels: int, layers: int, stride: int
    ) -> list[Block]:
        operation = text(choose, f"{stage}.operation", self.operations)
        kind, expansion = OPERATIONS[operation]
        kernel = number(choose, f"{stage}.kernel", self.kernels)
        squeeze = number(choose, f"{stage}.squeeze", self.squeezes) if kind == "inverted" else 0
        width = rounded(channels * number(choose, f"{stage}.width", self.widths) / PERCENT)
        repeats = number(choose, f"{stage}.layers", self._layers(layers))
        skip = repeats > 1 and text(choose, f"{stage}.skip", self.skips) == "identity"
        can_pool = (skip or repeats == 1) and pools(stride, incoming, width)
        pool = can_pool and text(choose, f"{stage}.pool", self.poolings) == "average"
        precisions = {
            role: text(choose, f"{stage}.{role}.precision", self.precisions) for role in roles_of(kind)
        }
        block = Block(
            kind=kind,
            width=width,
            kernel=kernel,
            stride=1,
            precisions=precisions,
            expansion=expansion,
            squeeze=squeeze / PERCENT,
            skip=skip,
        )
        first = block.model_copy(update={"stride": stride, "skip": False, "pool": pool})
        return [first, *[block] * (repeats - 1)]

    def _layers(self, layers: int) -> tuple[int, ...]:
        return tuple(layers + more for more in self.extra if layers + more > 0)

    def size(self) -> int:
        """Stage by stage, as a stage's skips depend on the width before it; times the last precisions."""
        by_width = Counter({self.stem: 1})  # so many ways lead to a width
        for channels, layers, stride in self.base:
            grown: Counter[int] = Counter()
            for width in {rounded(channels * w / PERCENT) for w in self.widths}:
                for incoming, ways in by_width.items():
                    grown[width] += ways * self._stage_size(layers, pools(stride, incoming, width))
            by_width = grown
        return by_width.total() * len(self.precisions)

    def _stage_size(self, layers: int, can_pool: bool) -> int:
        """Of a stage whose width is chosen."""
        skips = sum(self._skips(repeats, can_pool) for repeats in self._layers(layers))
        operations = sum(self._operation_size(OPERATIONS[operation][0]) for operation in self.operations)
        return len(self.kernels) * skips * operations

    def _skips(self, repeats: int, can_pool: bool) -> int:
        poolings = len(self.poolings) if can_pool else 1
        if repeats == 1:
            return poolings
        return len(self.skips) + (poolings - 1 if "identity" in self.skips else 0)

    def _operation_size(self, kind: str) -> int:
        squeezes = len(self.squeezes) if kind == "inverted" else 1
        found: int = squeezes * len(self.precisions) ** len(roles_of(kind))
        return found


def pools(stride: int, incoming: int, width: int) -> bool:
    """Whether an average pooling can be added to what a stage's first layer gives."""
    return stride > 1 and width >= incoming


def rounded(channels: float, divisor: int = 8) -> int:
    """The nearest multiple of 8, but never below nine tenths: MobileNetV2's rule for multiplied widths."""
    near = max(divisor, int(channels + divisor / 2) // divisor * divisor)
    return near + divisor if near < 0.9 * channels else near


MOBILE = Hierarchical(
    name="mobile",
    description="224x224 colour images: MnasNet's seven stages, a precision for each layer of their blocks",
    input_shape=(3, 224, 224),
    classes=1000,
)
spaces.add("mobile", MOBILE)
