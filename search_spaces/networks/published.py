"""The registry of published networks."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from torch import nn

from search_spaces.errors import InvalidInput
from search_spaces.layers import QuantConv2d, QuantLinear
from search_spaces.networks.scales import add_scales
from search_spaces.outputs import outputs
from search_spaces.plan import ONLY_1X1, SCALE_CASES, Plan, plan
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
    name: str,
    precision: str = "float",
    classes: int | None = None,
    classifier: str | None = None,
    channels: int | None = None,
) -> nn.Module:
    """A published network with random weights.

    Args:
        name: one of ``networks``.
        precision: of all layers but the first (int8 is of that, too), or ``NAME-1x1`` for the 1x1
            convolutions and the classifier, or ``binary-case2`` to ``-case4`` for XNOR-Net++'s scales.
        classes: the paper's number if not given.
        classifier: the precision of the last layer, if another is wanted.
        channels: of the images, if not the paper's: grey ones have one.

    Raises:
        InvalidInput: there is no network or precision of that name, ``NAME-1x1`` is of no layer, fewer than
            two classes, or no channel.
    """
    found = networks.get(name)
    if classes is not None and classes < 2:
        raise InvalidInput("classes", f"{classes} is below 2", "give 2 or more")
    chosen = plan(precision, classifier)
    module = found.build(chosen, found.classes if classes is None else classes)
    if _is_vain(module, chosen):
        problem = f"'{precision}' is of no layer of '{name}', which has no 1x1 convolution"
        raise InvalidInput("precision", problem, f"choose {precision.removesuffix(ONLY_1X1)}")
    if chosen.scale_case is not None:
        add_scales(module, found.input_shape, chosen.scale_case)
    if channels not in (None, found.input_shape[0]):
        _take_channels(module, channels)
    return module


def check_images(module: nn.Module, name: str, precision: str, input_shape: tuple[int, int, int]) -> None:
    """Refuse images (C, H, W) that the network called ``name`` cannot take.

    Args:
        module: the network, perhaps on the device ``meta``.
        name: of it.
        precision: of it.
        input_shape: of the images.

    Raises:
        InvalidInput: ``precision`` has scales for other images; or the ``input_shape`` does not fit.
    """
    (channels, height, width), (_, rows, columns) = input_shape, networks.get(name).input_shape
    if precision in SCALE_CASES and (height, width) != (rows, columns):
        problem = f"the scales of '{precision}' are for images of {columns}x{rows}, not {width}x{height}"
        raise InvalidInput("precision", problem, "choose binary, or images of that size")
    try:
        outputs(module, input_shape, ())
    except RuntimeError as error:
        problem = f"'{name}' does not take {width}x{height} images of {channels} channels"
        raise InvalidInput("input_shape", problem, f"it is made for {columns}x{rows}") from error


def _is_vain(module: nn.Module, chosen: Plan) -> bool:
    """Whether a plan is for 1x1 convolutions and a classifier that a network has none of to code."""
    layers = (m for m in module.modules() if isinstance(m, QuantConv2d | QuantLinear))
    is_partial = chosen.name.endswith(ONLY_1X1) and chosen.pointwise.name != "float"
    return is_partial and all(layer.precision.name == "float" for layer in layers)


def _take_channels(module: nn.Module, channels: int) -> None:
    """Make the first convolution, which is in float, again for images of so many channels."""
    if channels < 1:
        raise InvalidInput("channels", f"{channels} is below 1", "give 1 or more")
    kinds = (QuantConv2d, nn.Conv2d)
    name, first = next((name, m) for name, m in module.named_modules() if isinstance(m, kinds))
    stride, padding = first.stride, first.padding
    made: nn.Module
    if isinstance(first, QuantConv2d):
        relu = first.activation.relu
        made = QuantConv2d(
            channels,
            first.out_channels,
            first.kernel,
            first.precision,
            stride=first.stride,
            padding=first.padding,
            relu=relu,
            bias=first.bias is not None,
        )
    else:
        window: Any = first.kernel_size
        made = nn.Conv2d(channels, first.out_channels, window, stride, padding, bias=first.bias is not None)  # type: ignore[arg-type]  # a square window's, as tuples
    parent, _, attribute = name.rpartition(".")
    setattr(module.get_submodule(parent), attribute, made)
