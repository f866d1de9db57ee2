"""What a quantized layer does to its input: a ReLU, bytes or levels that follow its range, a sign, a mask."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from search_spaces.learned_levels import first_basis, quantize_all, refit
from search_spaces.precision import LEARNED_BITS, LEVEL_BITS, Precision
from search_spaces.quantizers import dithered, fake_quantize, in_memory_order, sign
from search_spaces.weight_codes import Inputs

RANGE_MOMENTUM = 0.1
"""Share of the newest batch's maximum in an observed int8 range, once ten batches were seen."""

STEPS = {"int8": 255, "int7": 127, **{f"uint{n}": 2**n - 1 for n in range(2, 9)}}
"""Highest step of the integer activation codes, the lowest being 0. The zero point, what a real zero is coded
as, is 0 for all but ``int8`` and ``int7``, which learn it."""


WIDE = {"uint16": 2**16 - 1}
"""The same of codes that no byte holds, which kernels keep as floats."""

BASIS_BITS = {**LEARNED_BITS, "uint1": 1}
"""Bits of codes whose levels are sums of a basis; that of DoReFa's one bit is fixed: 0 and 1."""


UNSIGNED = {"int8": "uint8", "int7": "uint7"}
"""What the affine codes are behind a ReLU, where nothing lies below zero."""


class InputActivation(nn.Module):
    """What a layer does to its input before it convolves; any shape with channels on axis 1.

    Attributes:
        code: ``float``, ``uint8`` (behind a ReLU), ``int8`` (of both signs), ``uint7`` and ``int7`` (the same
            in 7 bits), ``binary``, for DoReFa's codes ``uint1`` to ``uint8`` and ``uint16``, or
            ``lq1`` to ``lq3``.
        relu: whether negative inputs become 0; a binary input keeps its sign, so there it is ignored.
        dither: the mask added before the sign: None, ``2d`` or ``3d``.
        plane: rows and columns of the images that rows of features are of, where a mask is added to these.
        scale: 0-dim, the integer codes' step; follows the range of inputs while training, but that of
            DoReFa's codes is fixed: 0 to 1 is what they cover. Always positive.
        basis: (n,) of LQ-Net's codes: levels are sums of some of these numbers, and 0 is one of them. It
            follows the inputs while training by quantization error minimization.
        lowest: 0-dim, the lower end of an ``int8`` or ``int7`` range, at most 0; the code is affine (Jacob et
            al., *Quantization and Training of Neural Networks for Efficient Integer-Arithmetic-Only
            Inference*, equation 1): x = scale (q - zero point), q in 0..255 or 0..127.
    """

    scale: Tensor
    lowest: Tensor
    basis: Tensor
    batches: Tensor

    def __init__(self, precision: Precision, relu: bool, plane: tuple[int, int] = (1, 1)) -> None:
        super().__init__()
        self.code = _input_code(precision.activation, relu)
        self.is_fixed = precision.activation in LEVEL_BITS
        self.relu = relu
        self.dither = precision.dither
        self.plane = plane
        self.register_buffer("scale", torch.tensor(1.0 / self.highest))
        self.register_buffer("batches", torch.tensor(0))
        if self.is_affine:
            self.register_buffer("lowest", torch.tensor(-0.5))
        if self.has_basis:
            bits = BASIS_BITS[self.code]
            spaced = 2.0 ** torch.arange(bits) * (1.0 if self.is_fixed else 1.5 / 2**bits)
            self.register_buffer("basis", spaced)

    @property
    def is_bytes(self) -> bool:
        """Whether the input is an integer."""
        return self.code in STEPS

    @property
    def highest(self) -> int:
        """The highest step of codes that count steps; 1 for others."""
        highest: int = (STEPS | WIDE).get(self.code, 1)
        return highest

    @property
    def has_basis(self) -> bool:
        """Whether the input is one of a few levels that are sums of ``basis``."""
        return self.code in BASIS_BITS

    @property
    def is_wide(self) -> bool:
        """Whether the input is one of so many steps that no byte counts them."""
        return self.code in WIDE

    @property
    def inputs(self) -> Inputs:
        """What the weights are multiplied by."""
        if self.is_bytes:
            return "bytes"
        return "signs" if self.code == "binary" else "real"

    @property
    def is_affine(self) -> bool:
        """Whether a real zero is coded as another number than 0."""
        return self.code in UNSIGNED

    @property
    def zero_point(self) -> Tensor:
        """What a real zero is coded as: 0-dim, a whole number in 0..255 or 0..127."""
        if not self.is_affine:
            return torch.zeros_like(self.scale)
        return torch.round(-self.lowest * (1 / self.scale)).clamp(0, STEPS[self.code])

    def forward(self, x: Tensor) -> Tensor:
        if self.code == "float":
            return F.relu(x) if self.relu else x
        if self.code == "binary":
            return sign(x if self.dither is None else dithered(x, self.dither, self.plane))
        if x.dtype == torch.bfloat16:
            x = x.float()  # bfloat16 has 8 bits for a number, and so have steps
        if self.training and not self.is_fixed:
            self._observe(x.detach())
        if self.has_basis:
            return quantize_all(F.relu(x) if self.relu else x, self.basis)
        if not self.is_affine:
            return fake_quantize(x, self.scale, 0, self.highest)
        zero = self.zero_point
        return fake_quantize(x, self.scale, -zero, STEPS[self.code] - zero)

    @torch.no_grad()
    def _observe(self, x: Tensor) -> None:
        """Move the range towards this batch's: the mean over the first ten, then a moving one.

        It holds 0, so that padding is exact (Jacob et al., section 2.1). So do LQ-Net's levels, which move
        alike: a tenth of the way to those that fit the batch.
        """
        self.batches += 1
        share = (1.0 / self.batches).clamp_min(RANGE_MOMENTUM)
        if self.has_basis:
            self._refit(F.relu(x) if self.relu else x, share)
            return
        lowest, highest = (end.float() for end in torch.aminmax(in_memory_order(x)))
        lowest = lowest.clamp_max(0) if self.is_affine else torch.zeros_like(lowest)
        step = (highest.clamp_min(0) - lowest).clamp_min(1e-5) / STEPS[self.code]
        self.scale.lerp_(step, share)
        if self.is_affine:
            self.lowest.lerp_(lowest, share)

    def _refit(self, x: Tensor, share: Tensor) -> None:
        row = in_memory_order(x)[None].float()
        if self.batches == 1:
            self.basis.copy_(first_basis(row, len(self.basis), 0)[0])
        else:
            self.basis.lerp_(refit(row, self.basis[None], 0)[0], share)


def _input_code(activation: str, relu: bool) -> str:
    if activation in LEVEL_BITS:
        return f"uint{LEVEL_BITS[activation]}"
    return UNSIGNED.get(activation, activation) if relu else activation
