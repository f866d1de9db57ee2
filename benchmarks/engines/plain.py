"""A network of ours as torch's own layers, without what an engine would not run: what engines are given."""

import copy
import operator
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, fx, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from search_spaces.layers import QuantConv2d
from search_spaces.plain_layers import Subsample


class Every(nn.Module):
    """Every ``stride``-th pixel, and channels of zeros behind the others, in torch's own operators."""

    def __init__(self, stride: int, added: int) -> None:
        super().__init__()
        self.stride, self.added = stride, added

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, H, W) -> (N, C + added, ceil(H / stride), ceil(W / stride))."""
        return F.pad(x[:, :, :: self.stride, :: self.stride], [0, 0, 0, 0, 0, self.added])


class _Tracer(fx.Tracer):
    def is_leaf_module(self, m: nn.Module, module_qualified_name: str) -> bool:
        return isinstance(m, Every) or super().is_leaf_module(m, module_qualified_name)


def plain(module: nn.Module) -> fx.GraphModule:
    """A float network as a graph of layers and additions, in evaluation mode.

    Batch norms are folded into the convolutions before them, as every engine does; layers that change nothing
    and ReLUs of what is not negative anyway are left out.
    """
    copied = copy.deepcopy(module).eval()
    for name, layer in list(copied.named_modules()):
        if isinstance(layer, QuantConv2d):
            _replace(copied, name, _convolution(layer))
        elif isinstance(layer, Subsample):
            _replace(copied, name, Every(layer.stride, layer.added))
    found = fx.GraphModule(copied, _Tracer().trace(copied))
    for node in list(found.graph.nodes):
        _simplify(found, node)
    found.graph.lint()
    found.delete_all_unused_submodules()
    found.recompile()
    return found


def _replace(module: nn.Module, name: str, layer: nn.Module) -> None:
    parent, _, attribute = name.rpartition(".")
    setattr(module.get_submodule(parent), attribute, layer)


def _convolution(layer: QuantConv2d) -> nn.Module:
    """A float layer of ours as torch's, behind its ReLU if it has one."""
    o, c, k, _ = layer.weight.shape
    own = nn.Conv2d(c * layer.groups, o, k, layer.stride, layer.padding, groups=layer.groups, bias=False)
    own.weight = layer.weight
    return (nn.Sequential(nn.ReLU(), own) if layer.activation.relu else own).eval()


def layer_of(found: fx.GraphModule, node: fx.Node) -> nn.Module | None:
    """The layer that a step calls; a function that has one is given as that."""
    if node.op == "call_module":
        return found.get_submodule(str(node.target))
    return nn.ReLU() if node.target in (F.relu, torch.relu) else None


def is_addition(node: fx.Node) -> bool:
    """Whether a step adds two images."""
    return node.target in (operator.add, operator.iadd, torch.add)


def is_flatten(node: fx.Node) -> bool:
    """Whether a step makes rows of images of one pixel."""
    return node.target in ("flatten", torch.flatten)


def source(node: fx.Node) -> fx.Node:
    """What a step of one input reads."""
    (found,) = node.all_input_nodes
    return found


def _simplify(found: fx.GraphModule, node: fx.Node) -> None:
    """Leave a step out that need not be."""
    layer = layer_of(found, node)
    if isinstance(layer, nn.Identity | nn.Dropout):
        _skip(node)
    elif isinstance(layer, nn.BatchNorm2d):
        before = layer_of(found, source(node))
        if not isinstance(before, nn.Conv2d) or len(source(node).users) > 1:
            raise ValueError(f"{node.name}: a batch norm that no convolution is before")
        _replace(found, str(source(node).target), fuse_conv_bn_eval(before, layer))
        _skip(node)
    elif isinstance(layer, nn.ReLU) and _is_rectified(found, source(node)):
        _skip(node)


def _is_rectified(found: fx.GraphModule, node: fx.Node) -> bool:
    return isinstance(layer_of(found, node), nn.ReLU | nn.ReLU6)


def _skip(node: fx.Node) -> None:
    node.replace_all_uses_with(source(node))
    node.graph.erase_node(node)


def steps(found: fx.GraphModule) -> list[tuple[fx.Node, Any]]:
    """The steps between input and output, each with its layer if it has one."""
    return [(n, layer_of(found, n)) for n in found.graph.nodes if n.op not in ("placeholder", "output")]
