"""Search spaces: which architectures there are to choose from, and those called ``tiny`` and ``cifar``."""

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from random import Random
from typing import Protocol, cast

from search_spaces.architecture import Architecture, Block, Buildable, Head, Stem
from search_spaces.errors import InvalidInput
from search_spaces.registry import Registry

Option = str | int
Choose = Callable[[str, tuple[Option, ...]], Option]
"""Picks one of the options for the choice of this name: a sampler, a random generator, or a replay."""


class Candidate(Protocol):
    """What a space proposes: an ``Architecture``, or something of your own for an evaluator of your own.

    Equal candidates have equal JSON and equal digests; a digest has at most 64 characters.
    """

    @property
    def digest(self) -> str: ...

    def to_json(self) -> str: ...


def buildable(candidate: Candidate) -> Buildable:
    """A candidate that bitnas can build, compile and time.

    Raises:
        InvalidInput: it is none of bitnas's architectures.
    """
    if isinstance(candidate, Buildable):
        return candidate
    kind = type(candidate).__name__
    problem = f"it proposes architectures of its own ({kind}), which bitnas cannot build"
    raise InvalidInput("space", problem, "choose a space of bitnas's, or an evaluator of your own")


USER_PRECISIONS = ("float", "int8", "ternary", "binary", "dithered")


class SearchSpace(ABC):
    """A set of architectures, given by the choices that lead to one.

    A space holds no state: one instance serves any number of threads. Every sequence of choices leads to
    an architecture that builds and runs; nothing is drawn and thrown away.

    A space for an evaluator of your own needs a name and ``propose`` alone; the rest is for what bitnas
    trains.
    """

    name: str
    description: str
    input_shape: tuple[int, int, int]
    classes: int

    @abstractmethod
    def propose(self, choose: Choose) -> Candidate:
        """The architecture that ``choose`` leads to.

        ``choose(name, options)`` is called once per choice. Which choices come may depend on earlier ones,
        but a name always has the same options, and the names never change between releases: stored
        choices can be replayed.
        """

    def size(self) -> int:
        """How many architectures the space holds, each counted once: here, by all ways to choose.

        That takes as long as there are architectures; a space of many counts them by arithmetic.
        """
        return sum(1 for _ in every(self))

    def fitted(self, input_shape: tuple[int, int, int], classes: int) -> "SearchSpace":
        """The same choices for other images: (C, H, W), and so many classes.

        Raises:
            InvalidInput: the space is for its own images only.
        """
        own = getattr(self, "input_shape", None), getattr(self, "classes", None)
        if own in ((input_shape, classes), (None, None)):  # one for an evaluator of your own has no shape
            return self
        problem = f"'{self.name}' is for {self.input_shape} images of {self.classes} classes only"
        raise InvalidInput("space", problem, f"the data has {input_shape} and {classes}; choose another")

    def sample(self, seed: int) -> Candidate:
        """An architecture by uniform choices; the same seed gives the same one on every machine.

        Raises:
            InvalidInput: the seed is no whole number of 0 or more.
        """
        if not isinstance(seed, int) or isinstance(seed, bool) or seed < 0:
            raise InvalidInput("seed", f"{seed!r} is no seed", "give a whole number of 0 or more")
        generator = Random(seed)  # noqa: S311 - for sampling, not for secrets
        # of the generator only random() promises the same numbers in later versions of Python
        return self.propose(lambda _, options: options[int(generator.random() * len(options))])


def every(space: SearchSpace) -> Iterator[dict[str, Option]]:
    """All choices that lead to the architectures of a space, one after the other, in a fixed order."""
    path: list[int] | None = []  # which option of each choice, in the order in which they are asked
    while path is not None:
        choices, path = _walked(space, path)
        yield choices


def _walked(space: SearchSpace, path: list[int]) -> tuple[dict[str, Option], list[int] | None]:
    """The choices along a path, first options beyond its end, and the next path; None after the last."""
    taken: list[tuple[int, int]] = []  # which option, of how many
    choices: dict[str, Option] = {}

    def choose(name: str, options: tuple[Option, ...]) -> Option:
        index = path[len(taken)] if len(taken) < len(path) else 0
        taken.append((index, len(options)))
        choices[name] = options[index]
        return options[index]

    space.propose(choose)
    while taken and taken[-1][0] + 1 == taken[-1][1]:
        taken.pop()
    if not taken:
        return choices, None
    return choices, [index for index, _ in taken[:-1]] + [taken[-1][0] + 1]


spaces: Registry[SearchSpace] = Registry("space", "spaces", homes=("search_spaces.mobile",))


def space(name: str) -> SearchSpace:
    """The search space called ``name``.

    Raises:
        InvalidInput: there is none of that name; the message lists those there are.
    """
    return spaces.get(name)


@dataclass(frozen=True)
class Staged(SearchSpace):
    """A float stem, then stages, each one kind of block repeated, then a float classifier.

    A stage chooses its kind, width, kernel, stride, how often the block repeats and, for shuffle blocks,
    the groups; every layer of every block chooses its precision. ``stages`` holds the widths to choose
    from, stage by stage: they grow, as shuffle blocks cannot narrow, and no width is in two stages, so
    that no architecture is reached in two ways.
    """

    name: str
    description: str
    input_shape: tuple[int, int, int]
    classes: int
    stages: tuple[tuple[int, ...], ...]
    stem_widths: tuple[int, ...] = (16, 32)
    kinds: tuple[str, ...] = ("separable", "shuffle", "fire")
    kernels: tuple[int, ...] = (3, 5)
    strides: tuple[int, ...] = (1, 2)
    repeats: tuple[int, ...] = (1, 2)
    groups: tuple[int, ...] = (1, 2, 4)
    precisions: tuple[str, ...] = USER_PRECISIONS

    def fitted(self, input_shape: tuple[int, int, int], classes: int) -> "Staged":
        """The same choices for other images; any will do."""
        return replace(self, input_shape=input_shape, classes=classes)

    def propose(self, choose: Choose) -> Architecture:
        stem = Stem(
            width=number(choose, "stem.width", self.stem_widths), kernel=3, stride=1, precision="float"
        )
        blocks: list[Block] = []
        for index, widths in enumerate(self.stages, start=1):
            blocks += self._stage(choose, f"stage{index}", widths)
        return Architecture(
            space=self.name,
            input_shape=self.input_shape,
            classes=self.classes,
            stem=stem,
            blocks=tuple(blocks),
            head=Head(precision="float"),
        )

    def _stage(self, choose: Choose, stage: str, widths: tuple[int, ...]) -> list[Block]:
        kind = text(choose, f"{stage}.block", self.kinds)
        width = number(choose, f"{stage}.width", widths)
        kernel = number(choose, f"{stage}.kernel", self.kernels)
        stride = number(choose, f"{stage}.stride", self.strides)
        groups = number(choose, f"{stage}.groups", self.groups) if kind == "shuffle" else 1
        return [
            Block(
                kind=kind,
                width=width,
                kernel=kernel,
                stride=stride if repeat == 0 else 1,
                groups=groups,
                precisions={
                    role: text(choose, f"{stage}.repeat{repeat}.{role}.precision", self.precisions)
                    for role in roles_of(kind)
                },
            )
            for repeat in range(number(choose, f"{stage}.repeats", self.repeats))
        ]

    def size(self) -> int:
        """Stem widths times, for each stage, the sum over kinds of shapes times precisions per layer."""
        return len(self.stem_widths) * math.prod(self._stage_size(widths) for widths in self.stages)

    def _stage_size(self, widths: tuple[int, ...]) -> int:
        shapes = len(widths) * len(self.kernels) * len(self.strides)
        return shapes * sum(self._kind_size(kind) for kind in self.kinds)

    def _kind_size(self, kind: str) -> int:
        groups = len(self.groups) if kind == "shuffle" else 1
        layers = [len(roles_of(kind)) * repeat for repeat in self.repeats]
        return groups * sum(math.prod([len(self.precisions)] * count) for count in layers)


TINY = Staged(
    name="tiny",
    description="8x8 grey images: two stages of separable, shuffle or fire blocks, a precision per layer",
    input_shape=(1, 8, 8),
    classes=10,
    stages=((32, 48), (64, 96)),
)
CIFAR = Staged(
    name="cifar",
    description="32x32 colour images: three stages of blocks as in tiny, a precision per layer",
    input_shape=(3, 32, 32),
    classes=10,
    stages=((32, 48), (64, 96), (128, 192)),
    repeats=(1, 2, 3),
)
spaces.add("tiny", TINY)
spaces.add("cifar", CIFAR)


def roles_of(kind: str) -> Sequence[str]:
    """The layers of a kind of block that take a precision."""
    # here, as blocks are torch modules and a space is told by name before torch is needed
    from search_spaces.block import blocks

    return blocks.get(kind).roles


def number(choose: Choose, name: str, options: tuple[int, ...]) -> int:
    """The number that is chosen."""
    return cast(int, choose(name, options))


def text(choose: Choose, name: str, options: tuple[str, ...]) -> str:
    """The word that is chosen."""
    return cast(str, choose(name, options))
