"""Quantized layers: each quantizes its own input, then convolves it with quantized weights.

A layer is *pre-activation*: the ReLU before it is part of it, so that a binary layer takes the sign of
the batch norm's output and not of a ReLU's, which would be +1 everywhere.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn

from search_spaces.activation import InputActivation
from search_spaces.errors import InvalidInput
from search_spaces.pairs import Pair, pair, short
from search_spaces.plain_layers import check_positive
from search_spaces.precision import Precision
from search_spaces.weight_codes import WeightCode
from search_spaces.weight_codes.base import StoredWeights, along_outputs


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
        self.weight.data *= self.weight_code.start
        scales = self.weight_code.scales(self.weight.detach())
        self.scale_names = tuple(scales)
        for name, scale in scales.items():
            if self.weight_code.is_fitted:
                self.register_buffer(name, scale)
            else:
                self.register_parameter(name, nn.Parameter(scale))

    @property
    def weight_code(self) -> WeightCode:
        """What is done to the weights."""
        return self.precision.weight_code

    @property
    def scales(self) -> dict[str, Tensor]:
        """The learned or fitted scales of the weights, by name."""
        return {name: getattr(self, name) for name in self.scale_names}

    @torch.no_grad()
    def clip(self) -> None:
        """Bring latent weights back to where they learn, after a step of an optimizer."""
        self.weight_code.clip(self.weight)

    @torch.no_grad()
    def start_from(self, weight: Tensor) -> None:
        """Start at the real weights (O, ...) of another layer, with the scales that fit them best."""
        self.weight.copy_(weight * self.weight_code.start)
        for name, scale in self.weight_code.fitted(weight).items():
            getattr(self, name).copy_(scale)

    def quantized_weight(self) -> Tensor:
        """The real weights that the layer computes with, (O, ...), with the quantizers' gradients."""
        return self.weight_code.quantize(self.weight, self.scales, self.activation.inputs)

    def convolved(self, x: Tensor, convolve: Callable[[Tensor, Tensor], Tensor]) -> Tensor:
        """``convolve(x, weight)`` of a coded input: (N, O, ...), as the sum of the code's terms."""
        if self.training and self.weight_code.is_fitted:
            self._refit()
        terms = self.weight_code.terms(self.weight, self.scales, self.activation.inputs, self.training)
        first, *others = (_times(convolve(x, term.weight), term.factor) for term in terms)
        for y in others:
            first = first + y
        return first

    @torch.no_grad()
    def _refit(self) -> None:
        """Let scales that are no parameters follow the latent weights."""
        for name, scale in self.weight_code.refitted(self.weight, self.scales).items():
            getattr(self, name).copy_(scale)

    @torch.no_grad()
    def stored_weights(self) -> StoredWeights:
        """The weights as they are stored, from the latent ones as they are now.

        Raises:
            InvalidInput: a plug-in's code gives numbers that its storage does not hold.
        """
        code = self.weight_code
        coded = code.stored(self.weight, self.scales, self.activation.inputs)
        found, *factors = (each.detach().cpu().numpy() for each in coded)
        _require_held(code, found)
        # copies, so that going on training does not change what was handed out
        values = found.astype(code.storage, copy=True)
        positive, negative = (np.broadcast_to(f, len(values)).astype(np.float32) for f in factors)
        basis = code.basis(self.scales)
        sums = None if basis is None else basis.detach().cpu().numpy().astype(np.float32)
        return StoredWeights(code.name, values, positive, negative, sums)


def _require_held(code: WeightCode, values: NDArray[Any]) -> None:
    """Refuse whole numbers that would become others."""
    kind = np.dtype(code.storage)
    if kind.kind not in "iu" or not values.size:
        return
    ends, held = (values.min(), values.max()), np.iinfo(kind)
    if ends[0] < held.min or ends[1] > held.max:
        problem = f"'{code.name}' stores {ends[0]:g} to {ends[1]:g}, which {kind} does not hold"
        raise InvalidInput("precision.weight", problem, "name a wider type as its storage")


def _times(y: Tensor, factor: Tensor | None) -> Tensor:
    """The output (N, O, ...) times a factor (O,), 0-dim, or none."""
    return y if factor is None else along_outputs(factor, y.dim() - 2) * y


class QuantConv2d(_QuantLayer):
    """A convolution (N, C, H, W) -> (N, O, H', W') under a precision; without bias, as a batch norm follows.

    Binary inputs are padded with +1, as a {-1, +1} code has no zero; all others with 0. ``kernel``,
    ``stride``, ``padding`` and ``dilation`` are a number, or two, for rows and columns. ``padding`` is half
    of the window where not given, which keeps the size at stride 1 and odd kernels.

    Raises:
        InvalidInput: a size below 1, a negative padding, or groups that do not divide the channels.
    """

    bias: nn.Parameter | None

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel: Pair,
        precision: Precision,
        *,
        stride: Pair = 1,
        padding: Pair | None = None,
        dilation: Pair = 1,
        groups: int = 1,
        relu: bool = True,
        bias: bool = False,
    ) -> None:
        check_positive(in_channels=in_channels, out_channels=out_channels, groups=groups)
        _check_groups(groups, in_channels, out_channels)
        taps, gaps = pair("kernel", kernel, 1), pair("dilation", dilation, 1)
        half = ((taps[0] - 1) * gaps[0] + 1) // 2, ((taps[1] - 1) * gaps[1] + 1) // 2
        super().__init__((out_channels, in_channels // groups, *taps), precision, relu)
        self.in_channels, self.out_channels, self.groups = in_channels, out_channels, groups
        self.kernel, self.dilation = short(taps), short(gaps)
        self.stride = short(pair("stride", stride, 1))
        self.padding = short(pair("padding", half if padding is None else padding, 0))
        self.bias = nn.Parameter(torch.zeros(out_channels)) if bias else None

    def forward(self, x: Tensor) -> Tensor:
        x = self.activation(x)  # (N, C, H, W)
        padding = self.padding
        if self.activation.code == "binary" and padding:
            rows, columns = (padding, padding) if isinstance(padding, int) else padding
            x = F.pad(x, [columns, columns, rows, rows], value=1.0)  # (N, C, H + 2P, W + 2P)
            padding = 0

        def convolve(x: Tensor, weight: Tensor) -> Tensor:
            return F.conv2d(x, weight, None, self.stride, padding, self.dilation, self.groups)

        y = self.convolved(x, convolve)  # (N, O, H', W')
        return y if self.bias is None else y + self.bias.view(-1, 1, 1)

    def extra_repr(self) -> str:
        shape = f"{self.in_channels}, {self.out_channels}, kernel={self.kernel}, stride={self.stride}"
        gaps = "" if self.dilation == 1 else f", dilation={self.dilation}"
        return f"{shape}, padding={self.padding}{gaps}, groups={self.groups}, precision={self.precision.name}"


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


def _check_groups(groups: int, in_channels: int, out_channels: int) -> None:
    for channels, name in ((in_channels, "in_channels"), (out_channels, "out_channels")):
        if channels % groups:
            problem = f"{groups} does not divide {name} = {channels}"
            raise InvalidInput("groups", problem, "choose a divisor of both channel counts")
