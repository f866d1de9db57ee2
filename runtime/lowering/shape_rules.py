"""Rules for steps that change nothing, as dropouts, and for the layers that shuffle channels."""

from typing import Any

import torch
from torch import nn
from torch.nn import functional as F

from runtime.graph import Value
from runtime.lowering.arrangement import Tensor
from runtime.lowering.rulebook import At, rule
from runtime.workload import ChannelShuffle
from search_spaces import plain_layers

IDENTITIES = (nn.Identity, nn.Dropout, nn.Dropout1d, nn.Dropout2d, nn.AlphaDropout, nn.FeatureAlphaDropout)
"""Layers that give the tensor that they get."""


@rule(*IDENTITIES, view=True, takes="any")
@rule("contiguous", "detach", torch.detach, view=True, takes="any")
def _identity(at: At, input: Tensor, memory_format: Any = None) -> Tensor:
    return at.any_tensor(input)


@rule("clone", torch.clone, takes="any")
def _clone(at: At, input: Tensor, memory_format: Any = None) -> Tensor:
    return at.any_tensor(input)


@rule(F.dropout, F.dropout2d, F.alpha_dropout, F.feature_alpha_dropout, view=True, takes="any")
def _dropout(at: At, input: Tensor, p: float = 0.5, training: bool = True, inplace: bool = False) -> Tensor:
    at.require(not training, "dropout draws random numbers; pass training=self.training")
    return at.any_tensor(input)


@rule(plain_layers.ChannelShuffle, nn.ChannelShuffle, options=("groups",))
@rule(F.channel_shuffle)
def _channel_shuffle(at: At, input: Value, groups: int) -> Value:
    n, height, width, channels = at.image(input).shape
    at.require(groups > 0 and channels % groups == 0, f"{groups} groups do not divide {channels} channels")
    return at.emit(ChannelShuffle(n, height * width, channels, groups), [input], input.shape)
