"""Optimizers and schedules of the learning rate, by name, and which parameters decay."""

import math
from collections.abc import Collection
from itertools import product
from typing import Any

import torch
from torch import nn
from torch.optim.lr_scheduler import LRScheduler

from nas.rungs import rungs
from nas.training.recipe import Groups, Recipe, optimizers, schedules
from search_spaces.layers import QuantConv2d, QuantLinear
from search_spaces.plain_layers import OutputScale


@optimizers.register("adamw")
def _adamw(groups: Groups, recipe: Recipe) -> torch.optim.Optimizer:
    return torch.optim.AdamW(groups, lr=recipe.peak_rate)


@optimizers.register("adam")
def _adam(groups: Groups, recipe: Recipe) -> torch.optim.Optimizer:
    return torch.optim.Adam(groups, lr=recipe.peak_rate)


@optimizers.register("sgd")
def _sgd(groups: Groups, recipe: Recipe) -> torch.optim.Optimizer:
    return torch.optim.SGD(groups, lr=recipe.peak_rate, momentum=0.9, nesterov=True)


@schedules.register("one-cycle")
def _one_cycle(optimizer: torch.optim.Optimizer, recipe: Recipe, steps: int) -> LRScheduler:
    """Up in the first 30 %, then down by a cosine (Smith and Topin, *Super-Convergence*).

    Its last step would have no rate: it is one after the end, so that a training of one step learns.
    """
    rates = [group["lr"] for group in optimizer.param_groups]
    return torch.optim.lr_scheduler.OneCycleLR(optimizer, max_lr=rates, total_steps=steps + 1)


@schedules.register("cosine")
def _cosine(optimizer: torch.optim.Optimizer, recipe: Recipe, steps: int) -> LRScheduler:
    return torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, T_max=steps)


@schedules.register("step")
def _step(optimizer: torch.optim.Optimizer, recipe: Recipe, steps: int) -> LRScheduler:
    """A tenth of the rate after half of the steps, again after three quarters (He et al., section 4.2)."""
    milestones = [max(1, steps // 2), max(1, steps * 3 // 4)]
    return torch.optim.lr_scheduler.MultiStepLR(optimizer, milestones, 0.1)


RISE, START = 0.3, 0.04
"""Of each cycle: the share of its steps in which the rate rises, and of the rate, where it starts."""


@schedules.register("rungs")
def _rungs(optimizer: torch.optim.Optimizer, recipe: Recipe, steps: int) -> LRScheduler:
    """A cycle up to each rung, so that a network may be judged there and trained on from there.

    Warm restarts (Loshchilov and Hutter, *SGDR*), with cycles of one-cycle's shape that end at the rungs.
    """
    ends = recipe.rungs or rungs(steps)
    return Cycles(optimizer, [steps * end // ends[-1] for end in ends])


class Cycles(LRScheduler):
    """The rate rises and falls by cosines, again and again; ``ends`` are the steps after each cycle."""

    def __init__(self, optimizer: torch.optim.Optimizer, ends: list[int]) -> None:
        self.ends = ends
        super().__init__(optimizer)

    def get_lr(self) -> list[float | torch.Tensor]:
        """The rate of the next step, by group of parameters."""
        return [rate * self._share(self.last_epoch) for rate in self.base_lrs]

    def _share(self, step: int) -> float:
        """Of the highest rate, at a step counted from 0; after the last cycle it stays at its end."""
        end = next((end for end in self.ends if step < end), self.ends[-1])
        start = max((other for other in self.ends if other < end), default=0)
        place = min((step + 1 - start) / (end - start + 1), 1.0)  # above 0 and, within the cycle, below 1
        if place < RISE:
            return START + (1 - START) * (1 - math.cos(math.pi * place / RISE)) / 2
        return (1 + math.cos(math.pi * (place - RISE) / (1 - RISE))) / 2


TRAINED_RATE = 0.1
"""Of the highest rate, for what was trained before: the full one would first undo what it learned."""


def parameter_groups(module: nn.Module, recipe: Recipe, trained_before: Collection[str] = ()) -> Groups:
    """What decays, and what does not: scales, biases and norms, and latent weights whose code forbids it.

    Args:
        module: what is trained.
        recipe: tells the decay and the rate.
        trained_before: the names of parameters that go on at a tenth of the rate.
    """
    layers = [m for m in module.modules() if isinstance(m, QuantConv2d | QuantLinear)]
    exempt = {id(layer.weight) for layer in layers if not layer.weight_code.decays}
    exempt |= {id(p) for m in module.modules() if isinstance(m, OutputScale) for p in m.parameters()}
    groups: dict[tuple[float, float], Any] = {}
    for is_trained, decays in product((False, True), (True, False)):
        rate = recipe.peak_rate * (TRAINED_RATE if is_trained else 1.0)
        decay = recipe.weight_decay if decays else 0.0
        groups[is_trained, decays] = {"params": [], "weight_decay": decay, "lr": rate}
    for name, parameter in module.named_parameters():
        if parameter.requires_grad:
            decays = parameter.ndim > 1 and id(parameter) not in exempt
            groups[name in trained_before, decays]["params"].append(parameter)
    return [group for group in groups.values() if group["params"]]
