"""Torchvision's networks with random weights, for the tests and the benchmark of foreign networks."""

import importlib
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import nn

MODELS = (
    "mobilenet_v2",
    "mobilenet_v3_small",
    "mobilenet_v3_large",
    "shufflenet_v2_x0_5",
    "shufflenet_v2_x1_0",
    "squeezenet1_1",
    "mnasnet0_5",
    "resnet18",
    "resnet50",
    "efficientnet_b0",
    "regnet_y_400mf",
    "densenet121",
    "googlenet",
    "convnext_tiny",
)
"""Those that must compile, by torchvision's names for them."""

DETECTION_OPERATORS = ("nms", "qnms")
"""Operators of which torchvision tells torch the shapes when it is imported.

Its wheels are built for one build of torch each: beside another one, such as that for CPUs, its library of
compiled operators does not load, and then these are unknown and the import fails. No classifier uses them.
"""

SCHEMA = "(Tensor dets, Tensor scores, float iou_threshold) -> Tensor"

_library: Any = None  # an operator is known as long as this object lives


def torchvision_models() -> Any:
    """The module ``torchvision.models``, whichever build of torch is installed."""
    global _library
    if _library is None and not hasattr(torch.ops.torchvision, "nms"):
        _library = torch.library.Library("torchvision", "FRAGMENT")
        for name in DETECTION_OPERATORS:
            _library.define(f"{name}{SCHEMA}")
    return importlib.import_module("torchvision.models")


def network(name: str, side: int = 64) -> nn.Module:
    """A network in evaluation mode with random weights, which all count, and the statistics of noise."""
    torch.manual_seed(0)
    options = {"init_weights": False} if name == "googlenet" else {}  # its own way takes half a minute
    module: nn.Module = getattr(torchvision_models(), name)(weights=None, **options)
    for part_name, parameter in module.named_parameters():
        if part_name.endswith("layer_scale"):  # 1e-6 when training starts: blocks would do nothing
            nn.init.uniform_(parameter, 0.2, 1)
    norms = [part for part in module.modules() if isinstance(part, nn.BatchNorm2d)]
    for norm in norms:
        nn.init.uniform_(norm.weight, 0.5, 1.5)
        nn.init.normal_(norm.bias, std=0.2)
    with torch.no_grad(), _learning(module, norms):
        for _ in range(2):
            module(torch.randn(8, 3, side, side))
    return module.eval()


@contextmanager
def _learning(module: nn.Module, norms: list[nn.BatchNorm2d]) -> Iterator[None]:
    """Only batch norms as in training: each takes the mean of all that it sees."""
    module.eval()
    for norm in norms:
        norm.momentum = None
        norm.train()
    yield
    module.eval()
