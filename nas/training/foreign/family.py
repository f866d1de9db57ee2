"""The registry of other libraries' networks that are some of ours: how each library calls the layers."""

from collections.abc import Mapping
from dataclasses import dataclass

from search_spaces.registry import Registry

EPS = 1e-5
"""Of torch's batch norms, where nothing else is said."""

IMAGENET_SIDE = 224


@dataclass(frozen=True)
class Family:
    """A network of another library that computes what one of ours computes.

    Attributes:
        network: the name of ours.
        layers: of each of its layers with parameters, by its name there, the name here.
        eps: that its batch norms add to a variance.
        side: of the images that it is made for, in pixels.
    """

    network: str
    layers: Mapping[str, str]
    eps: float = EPS
    side: int = IMAGENET_SIDE

    @property
    def classifier(self) -> str:
        """The name there of the last layer, whose outputs are the classes."""
        return next(theirs for theirs, ours in self.layers.items() if ours == "classifier")


HOMES = tuple(f"nas.training.foreign.{name}" for name in ("residual", "inverted", "fire"))

families: Registry[Family] = Registry("family", "weight_families", HOMES)
"""By the library and its name for the network, such as ``torchvision/resnet50``."""
