"""Optimizers and schedules of the learning rate, by name, and which parameters decay."""

import torch
from torch import nn
from torch.optim.lr_scheduler import LRScheduler

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
    return torch.optim.lr_scheduler.OneCycleLR(optimizer, max_lr=recipe.peak_rate, total_steps=steps + 1)


@schedules.register("cosine")
def _cosine(optimizer: torch.optim.Optimizer, recipe: Recipe, steps: int) -> LRScheduler:
    return torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, T_max=steps)


@schedules.register("step")
def _step(optimizer: torch.optim.Optimizer, recipe: Recipe, steps: int) -> LRScheduler:
    """A tenth of the rate after half of the steps, again after three quarters (He et al., section 4.2)."""
    milestones = [max(1, steps // 2), max(1, steps * 3 // 4)]
    return torch.optim.lr_scheduler.MultiStepLR(optimizer, milestones, 0.1)


def parameter_groups(module: nn.Module, recipe: Recipe) -> Groups:
    """What decays, and what does not: scales, biases and norms, and latent weights whose code forbids it."""
    layers = [m for m in module.modules() if isinstance(m, QuantConv2d | QuantLinear)]
    exempt = {id(layer.weight) for layer in layers if not layer.weight_code.decays}
    exempt |= {id(p) for m in module.modules() if isinstance(m, OutputScale) for p in m.parameters()}
    trained = [parameter for parameter in module.parameters() if parameter.requires_grad]
    decaying = [p for p in trained if p.ndim > 1 and id(p) not in exempt]
    others = [p for p in trained if p.ndim <= 1 or id(p) in exempt]
    groups: Groups = [{"params": decaying, "weight_decay": recipe.weight_decay}]
    groups.append({"params": others, "weight_decay": 0.0})
    return [group for group in groups if group["params"]]
