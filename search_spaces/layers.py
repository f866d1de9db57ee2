"""Quantized layers: each quantizes its own input, then convolves it with quantized weights.

A layer is *pre-activation*: the ReLU before it is part of it, so that a binary layer takes the sign of
the batch norm's output and not of a ReLU's, which would be +1 everywhere.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn

from search_spaces.activation import InputActivation
from search_spaces.errors import InvalidInput
from search_spaces.plain_layers import check_positive
from search_spaces.precision import LEVEL_BITS, Precision
from search_spaces.quantizers import (
    binarize_analytically,
    channel_scales,
    dorefa_weight,
    fake_quantize,
    output_scales,
    sign,
    symmetric_codes,
    symmetric_scale,
    ternarize,
    ternarize_symmetrically,
    ternary_codes,
)

LATENT_START = 0.1
"""Factor on the latent weights that ternary and binary codes start from. The codes do not depend on it, but
near 0 the first steps flip signs, where a short training would otherwise keep most of the random ones."""

WEIGHT_STEPS = -127, 127
"""Lowest and highest step of int8 weights, which are symmetric."""


@dataclass(frozen=True)
class WeightCodes:
    """A layer's weights as they are stored: small codes and two scales per output channel.

    The real weight is ``values * positive`` where values > 0 and ``values * negative`` where values < 0,
    the scales running along the first axis. Scales may be negative: they are learned.

    Attributes:
        code: ``float``, ``int8``, ``ternary``, ``binary`` or one of DoReFa's.
        values: shape of the weight; float32 for ``float``, int16 for ``dorefa8``, else int8.
        positive: (O,) float32.
        negative: (O,) float32.
    """

    code: str
    values: NDArray[Any]
    positive: NDArray[np.float32]
    negative: NDArray[np.float32]


class _QuantLayer(nn.Module):
    """A weight of shape (O, ...) under a precision, and the activation of the layer's input."""

    def __init__(
        self, shape: tuple[int, ...], precision: Precision, relu: bool, plane: tuple[int, int] = (1, 1)
    ) -> None:
        super().__init__()
        self.precision = precision
        self.activation = InputActivation(precision, relu, plane)
        self.weight = nn.Parameter(torch.empty(shape))
        nn.init.kaiming_normal_(self.weight)
        if precision.scale != "learned":
            return
        if precision.weight in ("ternary", "binary"):
            self.weight.data *= LATENT_START
        if precision.weight == "ternary":
            self.positive = nn.Parameter(torch.tensor(1.0))  # W^p, one per layer
            self.negative = nn.Parameter(torch.tensor(1.0))  # W^n
        if precision.weight == "binary":
            # alpha; from here ±1 inputs give outputs of variance 1, with or without a batch norm behind
            self.scale = nn.Parameter(torch.full(shape[:1], self.weight[0].numel() ** -0.5))

    @torch.no_grad()
    def clip(self) -> None:
        """Bring latent binary weights back to [-1, 1]: beyond, they get no gradient (BNN, algorithm 1)."""
        if self.precision.weight == "binary":
            self.weight.clamp_(-1, 1)

    @torch.no_grad()
    def start_from(self, weight: Tensor) -> None:
        """Start at the real weights (O, ...) of another layer, with the scales that fit them best."""
        learns = self.precision.scale == "learned" and self.precision.weight in ("ternary", "binary")
        self.weight.copy_(weight * LATENT_START if learns else weight)
        if learns and self.precision.weight == "ternary":
            codes = ternary_codes(weight)
            for scale, chosen in ((self.positive, weight[codes > 0]), (self.negative, -weight[codes < 0])):
                scale.fill_(chosen.mean() if len(chosen) else 1.0)
        elif learns:
            self.scale.copy_(output_scales(weight))

    @property
    def is_symmetric(self) -> bool:
        """Whether ternary weights have one scale by their rule."""
        return self.precision.weight == "ternary" and self.precision.scale == "analytic"

    def quantized_weight(self) -> Tensor:
        """The real weights that the layer computes with, (O, ...), with the quantizers' gradients."""
        code, is_analytic = self.precision.weight, self.precision.scale == "analytic"
        if code == "ternary" and is_analytic:
            return ternarize_symmetrically(self.weight)
        if code == "ternary":
            return ternarize(self.weight, *self._ternary_scales())
        if code == "binary" and is_analytic:
            return binarize_analytically(self.weight)
        if code == "binary":
            factor = 1.0 if self.precision.scale == "none" else _per_output(self.scale, self.weight)
            return sign(self.weight) * factor
        if code == "int8":
            scales = _per_output(channel_scales(self.weight), self.weight)
            return fake_quantize(self.weight, scales, *WEIGHT_STEPS)
        if code in LEVEL_BITS:
            return dorefa_weight(self.weight, LEVEL_BITS[code])
        return self.weight

    def _ternary_scales(self) -> tuple[Tensor, Tensor]:
        """W^p and W^n, 0-dim; for integer inputs both are multiples of one step: sums are integers."""
        if not self.activation.is_bytes:
            return self.positive, self.negative
        step = self._ternary_step()
        return fake_quantize(self.positive, step, *WEIGHT_STEPS), fake_quantize(
            self.negative, step, *WEIGHT_STEPS
        )

    def _ternary_step(self) -> Tensor:
        largest = torch.maximum(self.positive.detach().abs(), self.negative.detach().abs())
        return largest.clamp_min(1e-8) / 127

    def convolved(self, x: Tensor, convolve: Callable[[Tensor, Tensor], Tensor]) -> Tensor:
        """``convolve(x, weight)`` of a coded input, scaled: (N, O, ...).

        Signs and ternary codes multiply to whole numbers, and so they are summed in evaluation, where a zero
        must be a zero for the next sign as it is in the compiled kernel: with the codes t of TTQ's weights,
        ``x . w = (W^p + W^n) / 2 (x . t) + (W^p - W^n) / 2 (x . |t|)``.
        """
        is_exact = self.activation.code == "binary" and self.precision.weight == "ternary"
        if self.training or not is_exact:
            return self.scaled(convolve(x, self.unscaled_weight()))
        if self.is_symmetric:
            return symmetric_scale(self.weight) * convolve(x, symmetric_codes(self.weight))
        codes = ternary_codes(self.weight)
        mean, half = (self.positive + self.negative) / 2, (self.positive - self.negative) / 2
        return mean * convolve(x, codes) + half * convolve(x, codes.abs())

    def unscaled_weight(self) -> Tensor:
        """What the convolution runs with: the real weights, but for a binary layer's factor.

        That one multiplies the output (XNOR-Net++, equation 3): sums of signs stay exact integers, and a
        zero is a zero for the next sign, as it is in the compiled kernel. So it is in training, too, but for
        an analytic factor, which has a gradient of its own.
        """
        is_apart = self._factor() is not None
        return sign(self.weight) if is_apart else self.quantized_weight()

    def scaled(self, y: Tensor) -> Tensor:
        """The output (N, O, ...) times a binary layer's factor; any other layer's as it is."""
        factor = self._factor()
        return y if factor is None else y * factor.view(-1, *[1] * (y.dim() - 2))

    def _factor(self) -> Tensor | None:
        """What the outputs of +-1 weights are multiplied by, (O,); None where the weights hold it."""
        if self.precision.weight != "binary" or self.precision.scale == "none":
            return None
        if self.precision.scale == "learned":
            return self.scale
        return None if self.training else output_scales(self.weight)

    @torch.no_grad()
    def weight_codes(self) -> WeightCodes:
        """The weights as they are stored, from the latent ones as they are now.

        TTQ's under integer inputs are small integers, as their two scales are.
        """
        ones, code = torch.ones(len(self.weight), device=self.weight.device), self.precision.weight
        if self.is_symmetric:
            scale = ones * symmetric_scale(self.weight)
            return self._coded(symmetric_codes(self.weight), scale, scale)
        if code == "ternary" and self.activation.is_bytes:
            step = self._ternary_step()
            return self._coded(torch.round(self.quantized_weight() * (1 / step)), ones * step, ones * step)
        if code == "ternary":
            return self._coded(ternary_codes(self.weight), ones * self.positive, ones * self.negative)
        if code == "binary":
            factor = self._stored_factor(ones)
            return self._coded(sign(self.weight), factor, factor)
        if code == "int8":
            scales = channel_scales(self.weight)
            steps = torch.round(self.weight * (1 / _per_output(scales, self.weight)))
            return self._coded(steps, scales, scales)
        if code in LEVEL_BITS:
            highest = 2 ** LEVEL_BITS[code] - 1
            return self._coded(torch.round(self.quantized_weight() * highest), ones / highest, ones / highest)
        return self._coded(self.weight, ones, ones)

    def _stored_factor(self, ones: Tensor) -> Tensor:
        if self.precision.scale == "learned":
            return self.scale
        return ones if self.precision.scale == "none" else output_scales(self.weight)

    def _coded(self, values: Tensor, positive: Tensor, negative: Tensor) -> WeightCodes:
        code = self.precision.weight
        kind = {"float": np.float32, "dorefa8": np.int16}.get(code, np.int8)
        # copies, so that going on training does not change what was handed out
        array = values.detach().cpu().numpy().astype(kind, copy=True)
        scales = (s.detach().cpu().numpy().astype(np.float32, copy=True) for s in (positive, negative))
        return WeightCodes(code, array, *scales)


class QuantConv2d(_QuantLayer):
    """A convolution (N, C, H, W) -> (N, O, H', W') under a precision; without bias, as a batch norm follows.

    Binary inputs are padded with +1, as a {-1, +1} code has no zero; all others with 0.
    ``padding`` is ``kernel // 2`` where not given, which keeps the size at stride 1 and odd kernels.

    Raises:
        InvalidInput: a size below 1, a negative padding, or groups that do not divide the channels.
    """

    bias: nn.Parameter | None

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel: int,
        precision: Precision,
        *,
        stride: int = 1,
        padding: int | None = None,
        groups: int = 1,
        relu: bool = True,
        bias: bool = False,
    ) -> None:
        sizes = {"in_channels": in_channels, "out_channels": out_channels, "kernel": kernel}
        check_positive(**sizes, stride=stride, groups=groups)
        _check_groups(groups, in_channels, out_channels)
        if padding is not None and padding < 0:
            raise InvalidInput("padding", f"{padding} is negative", "choose 0 or more")
        super().__init__((out_channels, in_channels // groups, kernel, kernel), precision, relu)
        self.in_channels, self.out_channels = in_channels, out_channels
        self.kernel, self.stride, self.groups = kernel, stride, groups
        self.padding = kernel // 2 if padding is None else padding
        self.bias = nn.Parameter(torch.zeros(out_channels)) if bias else None

    def forward(self, x: Tensor) -> Tensor:
        x = self.activation(x)  # (N, C, H, W)
        if self.activation.code == "binary" and self.padding:
            x = F.pad(x, [self.padding] * 4, value=1.0)  # (N, C, H + 2P, W + 2P)
        padding = 0 if self.activation.code == "binary" else self.padding

        def convolve(x: Tensor, weight: Tensor) -> Tensor:
            return F.conv2d(x, weight, stride=self.stride, padding=padding, groups=self.groups)

        y = self.convolved(x, convolve)  # (N, O, H', W')
        return y if self.bias is None else y + self.bias.view(-1, 1, 1)

    def extra_repr(self) -> str:
        shape = f"{self.in_channels}, {self.out_channels}, kernel={self.kernel}, stride={self.stride}"
        return f"{shape}, padding={self.padding}, groups={self.groups}, precision={self.precision.name}"


class QuantLinear(_QuantLayer):
    """A dense layer (N, F) -> (N, O) under a precision; the bias stays float.

    ``plane`` is the rows and columns of the images that were flattened to its features, for a mask on them.

    Raises:
        InvalidInput: a size below 1, or a plane that features are no whole images of.
    """

    bias: nn.Parameter | None

    def __init__(
        self,
        in_features: int,
        out_features: int,
        precision: Precision,
        *,
        relu: bool = False,
        bias: bool = True,
        plane: tuple[int, int] = (1, 1),
    ) -> None:
        check_positive(in_features=in_features, out_features=out_features, rows=plane[0], columns=plane[1])
        if in_features % (plane[0] * plane[1]):
            problem = f"{in_features} features are no images of {plane[0]}x{plane[1]} pixels"
            raise InvalidInput("plane", problem, "give the rows and columns of what was flattened")
        super().__init__((out_features, in_features), precision, relu, plane)
        self.in_features, self.out_features = in_features, out_features
        self.bias = nn.Parameter(torch.zeros(out_features)) if bias else None

    def forward(self, x: Tensor) -> Tensor:
        x = self.activation(x)  # (N, F)
        y = self.convolved(x, F.linear)  # (N, O)
        return y if self.bias is None else y + self.bias


def _per_output(scale: Tensor, weight: Tensor) -> Tensor:
    """(O,) as (O, 1, ...), to multiply a weight of shape (O, ...)."""
    return scale.view(-1, *[1] * (weight.dim() - 1))


def _check_groups(groups: int, in_channels: int, out_channels: int) -> None:
    for channels, name in ((in_channels, "in_channels"), (out_channels, "out_channels")):
        if channels % groups:
            problem = f"{groups} does not divide {name} = {channels}"
            raise InvalidInput("groups", problem, "choose a divisor of both channel counts")
