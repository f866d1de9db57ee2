"""The search space ``bench`` of 2,000 networks: few enough that each can be trained."""

from dataclasses import dataclass

from search_spaces.architecture import Architecture, Block, Head, Stem
from search_spaces.search_space import (
    USER_PRECISIONS,
    Choose,
    SearchSpace,
    number,
    roles_of,
    spaces,
    text,
)

KERNELS, GROUPS = (3, 5), (1, 2)


@dataclass(frozen=True)
class BenchSpace(SearchSpace):
    """``tiny`` cut down until all of it can be trained: one block a stage, one precision for all its layers.

    A separable block of the first stage chooses its kernel, shuffle blocks choose their groups.
    """

    name: str = "bench"
    description: str = "8x8 grey images: two blocks, a precision each; every network is trained in a table"
    input_shape: tuple[int, int, int] = (1, 8, 8)
    classes: int = 10
    widths: tuple[tuple[int, ...], ...] = ((8, 12), (16, 24))
    kinds: tuple[str, ...] = ("separable", "shuffle", "fire")

    def propose(self, choose: Choose) -> Architecture:
        blocks = [self._block(choose, stage, widths) for stage, widths in enumerate(self.widths, start=1)]
        return Architecture(
            space=self.name,
            input_shape=self.input_shape,
            classes=self.classes,
            stem=Stem(width=8, kernel=3, stride=1, precision="float"),
            blocks=tuple(blocks),
            head=Head(precision="float"),
        )

    def _block(self, choose: Choose, index: int, widths: tuple[int, ...]) -> Block:
        stage = f"stage{index}"
        kind = text(choose, f"{stage}.block", self.kinds)
        has_kernel = kind == "separable" and index == 1
        width = number(choose, f"{stage}.width", widths)
        kernel = number(choose, f"{stage}.kernel", KERNELS) if has_kernel else KERNELS[0]
        groups = number(choose, f"{stage}.groups", GROUPS) if kind == "shuffle" else 1
        precision = text(choose, f"{stage}.precision", USER_PRECISIONS)
        precisions = dict.fromkeys(roles_of(kind), precision)
        return Block(kind=kind, width=width, kernel=kernel, stride=2, groups=groups, precisions=precisions)

    def size(self) -> int:
        """The product of the stages: 50 times 40."""
        shapes = (len(KERNELS) + len(GROUPS) + 1, 1 + len(GROUPS) + 1)  # separable, shuffle, fire
        first, second = (
            kinds * len(widths) * len(USER_PRECISIONS)
            for kinds, widths in zip(shapes, self.widths, strict=True)
        )
        return first * second


BENCH = BenchSpace()
spaces.add(BENCH.name, BENCH)
