"""How far the forms of a network agree: with torch, which must be so, and with one another, which is told."""

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from search_spaces.errors import DisagreementError

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from torch import nn

    from nas.data import Split
    from nas.export.formats.base import Run

LEAST_AGREEMENT, TRIES = 0.99, 3
"""The share of images that must have torch's class: a float that is summed in another order may fall to the
next code, so that of two classes that are as good as equal now and then the other one wins. Where that is not
so, as many more may differ as torch itself puts elsewhere with other rounding errors, in the worst of so many
tries."""

TORCH = "torch"


def classes_of(run: "Run", split: "Split") -> "NDArray[Any]":
    """The class (N,) that a network gives each image."""
    return np.concatenate([run(part).argmax(axis=1) for part in split.parts()])


def check_agreement(
    classes: "NDArray[Any]",
    expected: "NDArray[Any]",
    own: Callable[[], int] = lambda: 0,
    what: str = "network",
) -> None:
    """Refuse a network that puts more than a few images into other classes than torch does.

    Args:
        classes: those of the exported network, (N,).
        expected: torch's, (N,).
        own: in how many torch differs from itself; asked only where that matters.
        what: to call the network.

    Raises:
        DisagreementError: it does.
    """
    differing, few = np.flatnonzero(classes != expected), (1 - LEAST_AGREEMENT) * len(expected)
    if len(differing) <= few:
        return
    chaos = own()
    if len(differing) > few + chaos:
        raise DisagreementError(
            f"{what}: {len(differing)} of {len(expected)} images are classed otherwise than by torch, which "
            f"with other rounding errors classes {chaos} otherwise than itself; the first is image "
            f"{differing[0]}; report this with the network's precisions"
        )


def own_disagreement(module: "nn.Module", split: "Split", expected: "NDArray[Any]") -> int:
    """How many images torch puts into other classes when its sums are rounded otherwise, at most."""
    import torch

    from nas.export.rounding import rounded_otherwise
    from nas.training.loop import predict

    with rounded_otherwise(module, torch.Generator().manual_seed(0)):
        return max(int((predict(module, split) != expected).sum()) for _ in range(TRIES))


def differing(classes: Mapping[str, "NDArray[Any]"], name: str) -> dict[str, int]:
    """How many images a form classes otherwise than each other one, by the others' names."""
    mine = classes[name]
    return {other: int((mine != theirs).sum()) for other, theirs in classes.items() if other != name}
