"""Published networks, by name, each in any precision; the first convolution stays float."""

from search_spaces.networks import (  # noqa: F401 - each registers its own
    alexnet,
    bcnn,
    densenet,
    efficientnet,
    mnasnet,
    mobilenet,
    mobilenetv3,
    pooled_resnet,
    resnet,
    shufflenet,
    squeezenet,
)
from search_spaces.networks.published import Published, check_images, network, networks

__all__ = ["Published", "check_images", "network", "networks"]
