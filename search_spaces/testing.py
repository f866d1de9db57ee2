"""Conformance suites for what plug-ins bring: derive a class of tests, and pytest runs them."""

import math
from abc import ABC, abstractmethod
from collections.abc import Iterator
from typing import Any, get_args

import torch
from torch import Tensor, nn

from search_spaces.layers import QuantConv2d
from search_spaces.precision import Precision
from search_spaces.weight_codes import Coded, Inputs, WeightCode
from search_spaces.weight_codes.base import Scales, along_outputs

INPUTS: tuple[Inputs, ...] = get_args(Inputs)
SHAPE = 4, 3, 3, 2
"""Of the weights that codes are tried on, (O, C, K, K); a code takes any shape."""


class WeightCodeConformance(ABC):
    """What holds for every weight code, under the precision that names it.

    ``tests/test_signs.py`` of a plug-in, which registers its code and precision as it is imported::

        from search_spaces.testing import WeightCodeConformance
        from signs import PRECISION

        class TestSigns(WeightCodeConformance):
            precision = PRECISION

            def gradient(self, weight, scales, grad):
                return grad * (weight.abs() <= 1)
    """

    is_idempotent = True
    """Whether quantized weights are as they are after another quantization, at the scales of the start."""

    @property
    @abstractmethod
    def precision(self) -> Precision:
        """What names the code; a class attribute will do."""

    def gradient(self, weight: Tensor, scales: Scales, grad: Tensor) -> Tensor:
        """The gradient of latent weights by the code's documented formula, for real inputs: straight through
        where this is not overridden. ``grad`` is that of the quantized weights."""
        return grad

    @property
    def code(self) -> WeightCode:
        """The code under test."""
        return self.precision.weight_code

    def test_it_is_the_same_object_each_time(self) -> None:
        """Trainings are compared by it."""
        assert self.precision.weight_code is self.code
        assert self.code.name == self.precision.weight

    def test_stored_codes_are_in_the_set(self) -> None:
        """Kernels are chosen by it."""
        for weight, scales, inputs in self._cases():
            codes, stored = self.code.code_set(inputs), self.code.stored(weight, scales, inputs)
            if codes.values is not None:
                strange = set(stored.values.flatten().tolist()) - codes.values
                assert not strange, f"{strange} are not in the code set for {inputs} inputs"
            same = torch.equal(torch.as_tensor(stored.positive), torch.as_tensor(stored.negative))
            assert codes.has_two_scales or same, f"two scales for {inputs} inputs, which the code set denies"

    def test_stored_codes_stand_for_the_quantized_weights(self) -> None:
        """What is compiled is what is trained."""
        for weight, scales, inputs in self._cases():
            quantized = self.code.quantize(weight, scales, inputs)
            stored = self.code.stored(weight, scales, inputs)
            torch.testing.assert_close(_real(stored, self.code.basis(scales)), quantized.detach())

    def test_terms_add_up_to_the_quantized_weights(self) -> None:
        """A layer computes with the terms."""
        for weight, scales, inputs in self._cases():
            for training in (True, False):
                terms = self.code.terms(weight, scales, inputs, training)
                parts = (
                    t.weight if t.factor is None else _spread(t.factor, t.weight) * t.weight for t in terms
                )
                found = sum(parts, torch.zeros_like(weight))
                torch.testing.assert_close(found, self.code.quantize(weight, scales, inputs))

    def test_latent_weights_stay_as_they_are(self) -> None:
        """Only ``clip`` changes them."""
        for weight, scales, inputs in self._cases():
            before = weight.clone()
            self.code.quantize(weight, scales, inputs)
            self.code.stored(weight, scales, inputs)
            self.code.terms(weight, scales, inputs, False)
            assert torch.equal(weight, before), "the latent weights were changed"

    def test_quantizing_again_changes_nothing(self) -> None:
        """Quantized weights are the code's own."""
        if not self.is_idempotent:
            return
        for weight, _, inputs in self._cases():
            scales = self.code.scales(weight)
            once = self.code.quantize(weight, scales, inputs)
            torch.testing.assert_close(self.code.quantize(once, scales, inputs), once)

    def test_the_gradient_of_weights_is_the_documented_one(self) -> None:
        """By ``gradient``."""
        for weight, scales, _ in self._cases():
            grad, latent = torch.randn_like(weight), weight.clone().requires_grad_()
            (found,) = torch.autograd.grad(self.code.quantize(latent, scales, "real"), latent, grad)
            expected = self.gradient(weight, scales, grad)
            torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-6)

    def test_the_gradient_of_scales_is_that_of_the_loss(self) -> None:
        """By finite differences; fitted ones have none."""
        if self.code.is_fitted:
            return
        weight = _weights()[0].double()
        scales = {
            name: s.clone().requires_grad_() for name, s in _disturbed(self.code.scales(weight)).items()
        }
        grad = torch.randn_like(weight)

        def loss(*values: Tensor) -> Tensor:
            named = dict(zip(scales, values, strict=True))
            return (grad * self.code.quantize(weight, named, "real")).sum()

        assert not scales or torch.autograd.gradcheck(loss, tuple(scales.values()))

    def test_bits_hold_the_codes(self) -> None:
        """The size of a network is computed by them."""
        values, _, basis = self.code.code_set("real")
        least = (basis or 32) if values is None else math.ceil(math.log2(len(values)))
        assert self.code.bits >= least, f"{self.code.bits} bits do not hold {values}"

    def test_clipping_is_done_once(self) -> None:
        """Clipped weights are where they belong."""
        for weight, _, _ in self._cases():
            self.code.clip(weight)
            once = weight.clone()
            self.code.clip(weight)
            assert torch.equal(weight, once)

    def test_fitted_scales_replace_those_of_the_start(self) -> None:
        """A training takes over the weights of another."""
        for weight, _, _ in self._cases():
            start, fitted = self.code.scales(weight), self.code.fitted(weight)
            assert {n: s.shape for n, s in start.items()} == {n: s.shape for n, s in fitted.items()}

    def test_every_parameter_of_a_layer_learns(self) -> None:
        """One that gets no gradient is none."""
        layer, images = _layer(self.precision)
        layer(images).square().sum().backward()
        for name, parameter in layer.named_parameters():
            assert parameter.grad is not None, f"{name} gets no gradient"
            assert parameter.grad.isfinite().all() and parameter.grad.any(), f"{name} learns nothing"

    def test_the_state_of_a_layer_is_all_there_is(self) -> None:
        """Out of one layer and into another, that computes and learns the same from there on."""
        (layer, images), (other, _) = _layer(self.precision), _layer(self.precision)
        _step(layer, images)
        other.load_state_dict(layer.state_dict())
        for each in (layer, other):
            _step(each, images)
        assert torch.equal(layer.eval()(images), other.eval()(images))

    def _cases(self) -> Iterator[tuple[Tensor, dict[str, Tensor], Inputs]]:
        """Weights, learned scales and kinds of input."""
        torch.manual_seed(0)
        for weight in _weights():
            for inputs in INPUTS:
                yield weight.clone(), _disturbed(self.code.scales(weight)), inputs


def _weights() -> list[Tensor]:
    """Normal ones, small and large ones, ones with zeros, and nothing but zeros."""
    normal = torch.randn(SHAPE)
    return [normal, normal * 1e-3, normal * 30, normal * (normal > 0), torch.zeros(SHAPE)]


def _disturbed(scales: dict[str, Tensor]) -> dict[str, Tensor]:
    """Scales as if they had learned."""
    return {name: scale + 0.3 * torch.rand_like(scale) for name, scale in scales.items()}


def _real(coded: Coded, basis: Tensor | None) -> Tensor:
    """What codes stand for."""
    if basis is not None:
        bits = basis.shape[1]
        raised = (coded.values.long() + (1 << bits) - 1) >> 1  # a bit for each sign
        signs = [2 * ((raised >> bit) & 1) - 1 for bit in range(bits)]
        return torch.stack([_spread(v, s) * s for v, s in zip(basis.T, signs, strict=True)]).sum(0)
    positive, negative = (_spread(scale, coded.values) for scale in (coded.positive, coded.negative))
    return torch.where(coded.values > 0, coded.values * positive, coded.values * negative)


def _spread(scale: Tensor, weight: Tensor) -> Tensor:
    return along_outputs(scale, weight.dim() - 1)


def _layer(precision: Precision) -> tuple[QuantConv2d, Tensor]:
    """A layer, and images for it."""
    return QuantConv2d(3, 4, 3, precision, bias=True), torch.randn(2, 3, 5, 5)


def _step(layer: Any, images: Tensor) -> None:
    """One of an optimizer, with all that belongs to it."""
    optimizer = torch.optim.SGD(layer.parameters(), lr=0.01)
    loss = nn.functional.mse_loss(layer(images), torch.ones_like(layer(images)))
    loss.backward()  # type: ignore[no-untyped-call]  # torch's
    optimizer.step()
    optimizer.zero_grad()
    layer.clip()
