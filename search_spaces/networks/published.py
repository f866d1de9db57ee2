"""The registry of published networks."""

from collections.abc import Callable
from dataclasses import dataclass

from torch import nn

from search_spaces.errors import InvalidInput
from search_spaces.plan import Plan, plan
from search_spaces.registry import Registry

Build = Callable[[Plan, int], nn.Module]
"""Takes the plan of its precisions and the number of classes."""


@dataclass(frozen=True)
class Published:
    """A network from a paper.

    Attributes:
        build: makes it, with random weights.
        input_shape: (C, H, W) that the paper states its figures for.
        classes: likewise.
        paper: which it is from.
    """

    build: Build
    input_shape: tuple[int, int, int]
    classes: int
    paper: str


networks: Registry[Published] = Registry("network", "networks")

CIFAR, IMAGENET = ((3, 32, 32), 10), ((3, 224, 224), 1000)


def published(name: str, data: tuple[tuple[int, int, int], int], paper: str) -> Callable[[Build], Build]:
    """Register a function that builds a network for ``data``: an input shape and a number of classes."""

    def register(build: Build) -> Build:
        networks.add(name, Published(build, *data, paper))
        return build

    return register


def network(
    name: str, precision: str = "float", classes: int | None = None, classifier: str | None = None
) -> nn.Module:
    """A published network with random weights.

    Args:
        name: one of ``networks``.
        precision: of all layers but the first, or ``NAME-1x1`` for the 1x1 convolutions and the classifier.
        classes: the paper's number if not given.
        classifier: the precision of the last layer, if another is wanted.

    Raises:
        InvalidInput: there is no network or precision of that name, or fewer than two classes.
    """
    found = networks.get(name)
    if classes is not None and classes < 2:
        raise InvalidInput("classes", f"{classes} is below 2", "give 2 or more")
    return found.build(plan(precision, classifier), found.classes if classes is None else classes)
