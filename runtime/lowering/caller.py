"""Leaves the caller's model as it was: a trace runs its code, and its code may change it."""

import random
from collections import OrderedDict
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from torch import fx, nn
from torch.utils._python_dispatch import TorchDispatchMode

from search_spaces.errors import UnsupportedLayerError

CONTAINERS = (dict, OrderedDict, list, set)
NO_VALUE = object()


@contextmanager
def evaluating(module: nn.Module) -> Iterator[None]:
    """The module in evaluation mode for a while: a forward() may do something else in training.

    Raises:
        UnsupportedLayerError: it has no evaluation mode, or changes more than its mode to get there.
    """
    before = {m: m.training for m in module.modules()}
    own = Switch(module) if any(_switches_itself(m) for m in before) else None
    try:
        _evaluate(module)
        if own is not None:
            own.require_only_mode()
        yield
    finally:
        for m, training in before.items():
            m.training = training


def _evaluate(module: nn.Module) -> None:
    try:
        module.eval()
    except NotImplementedError as error:  # an exported program's
        raise UnsupportedLayerError(
            f"model: it has no evaluation mode ({error}); pass the module that it was exported from"
        ) from error


def _switches_itself(module: nn.Module) -> bool:
    """Whether it does something of its own to go into evaluation mode."""
    kind = type(module)
    return kind.train is not nn.Module.train or kind.eval is not nn.Module.eval


class Switch:
    """What a module may change beside its mode when it is put into evaluation mode."""

    def __init__(self, module: nn.Module) -> None:
        self._module, self._was_training = module, module.training
        self._attributes = Attributes(module)
        held = [t for t in (*module.parameters(), *module.buffers()) if not _is_empty(t)]
        self._tensors = [(t, t.data, t.detach().clone()) for t in held]  # .data raises no version

    def require_only_mode(self) -> None:
        """Refuse a module that changed more, as its weights are read later; it is then as it was."""
        changed = [name for name, _ in self._attributes.changed() if name != "training"]
        changed += ["weights" for tensor, _, before in self._tensors if not _equal(tensor.detach(), before)]
        if changed:
            for tensor, memory, before in self._tensors:
                tensor.data = memory
                memory.copy_(before)
            self._module.train(self._was_training)
            self._attributes.restore()
            raise UnsupportedLayerError(
                f"model: its eval() changes its '{changed[0]}'; call eval() before it is compiled"
            )


def _is_empty(tensor: torch.Tensor) -> bool:
    """Whether it holds no numbers to compare: on the meta device, or of a lazy layer."""
    return tensor.is_meta or isinstance(
        tensor, nn.parameter.UninitializedParameter | nn.parameter.UninitializedBuffer
    )


def _equal(tensor: torch.Tensor, other: torch.Tensor) -> bool:
    """Whether two tensors hold the same, a NaN being like another."""
    if tensor.shape != other.shape or tensor.dtype != other.dtype:
        return False
    return bool(((tensor == other) | ((tensor != tensor) & (other != other))).all())


class Attributes:
    """The attributes of a module and of those below it, and what they were."""

    def __init__(self, module: nn.Module) -> None:
        self._modules = list(module.modules())
        self._before = [_copied(vars(m)) for m in self._modules]

    def changed(self) -> Iterator[tuple[str, Any]]:
        """Names and values of the attributes that are not as they were; an entry of a container counts."""
        for module, before in zip(self._modules, self._before, strict=True):
            now = vars(module)
            if now.keys() != before.keys():
                yield from ((name, now.get(name)) for name in now.keys() ^ before.keys())
            for name, (value, content) in before.items():
                is_same = now.get(name, value) is value and (content is None or _same(value, content))
                if not is_same:
                    yield name, now[name]

    def restore(self) -> None:
        """Make all attributes what they were."""
        for module, before in zip(self._modules, self._before, strict=True):
            now = vars(module)
            for name in set(now) - set(before):
                del now[name]
            for name, (value, content) in before.items():
                now[name] = value
                if content is not None and not _same(value, content):
                    _refill(value, content)


def _copied(attributes: dict[str, Any]) -> dict[str, tuple[Any, Any]]:
    """Each value, and for a container a copy of it."""
    return {n: (v, v.copy() if type(v) in CONTAINERS else None) for n, v in attributes.items()}


def _same(value: Any, content: Any) -> bool:
    """Whether a container holds the very things that it held."""
    if not value or len(value) != len(content):
        return len(value) == len(content)
    if isinstance(value, dict):
        return all(value.get(k, NO_VALUE) is v for k, v in content.items())
    if isinstance(value, set):
        return {id(v) for v in value} == {id(v) for v in content}
    return all(a is b for a, b in zip(value, content, strict=True))


def _refill(value: Any, content: Any) -> None:
    value.clear()
    value.extend(content) if isinstance(value, list) else value.update(content)


def holds_recorded(value: Any) -> bool:
    """Whether it is what stands for a tensor in a trace, or a container of such things."""
    if isinstance(value, (*CONTAINERS, tuple)):
        parts = value.values() if isinstance(value, dict) else value
        return any(holds_recorded(part) for part in parts)
    return issubclass(type(value), fx.Proxy)


class KeepsTensors(TorchDispatchMode):  # type: ignore[no-untyped-call]  # torch's
    """Refuses what would change a tensor that a module holds, before it does."""

    def __init__(self, module: nn.Module) -> None:
        super().__init__()  # type: ignore[no-untyped-call]  # torch's
        named = (*module.named_parameters(), *module.named_buffers())
        self._names = {memory_of(tensor): name for name, tensor in named}
        self._held = [(name, tensor, tensor.data) for name, tensor in named]  # .data keeps its memory
        self._refused: UnsupportedLayerError | None = None

    @classmethod
    def _should_skip_dynamo(cls) -> bool:
        """Torch's question. To skip it is to import it first, which takes two seconds."""
        return False

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        """Run an operation that changes none of them."""
        given = kwargs or {}
        for at, argument in enumerate(func._schema.arguments):
            if argument.alias_info is None or not argument.alias_info.is_write:
                continue
            value = args[at] if at < len(args) else given.get(argument.name)
            name = self._names.get(memory_of(value)) if isinstance(value, torch.Tensor) else None
            if name is not None:
                self._refused = _changed(name)
                raise self._refused
        return func(*args, **given)

    def __exit__(self, kind: Any, error: Any, traceback: Any) -> None:
        """Put back tensors that were given other memory; raise what was refused, even if it was caught."""
        super().__exit__(kind, error, traceback)  # type: ignore[no-untyped-call]  # torch's
        for name, tensor, data in self._held:
            if memory_of(tensor) != memory_of(data):
                tensor.data = data
                self._refused = self._refused or _changed(name)
        if self._refused is not None and error is None:
            raise self._refused


def _changed(name: str) -> UnsupportedLayerError:
    return UnsupportedLayerError(
        f"model: its forward() changes '{name}', which it holds, in evaluation mode too; that is not computed"
    )


def memory_of(tensor: torch.Tensor) -> int:
    """What tells memory from other memory."""
    return int(tensor.untyped_storage()._cdata)


@contextmanager
def no_random_numbers() -> Iterator[None]:
    """Refuse a forward() that draws random numbers, and put the generators back.

    Raises:
        UnsupportedLayerError: it drew some.
    """
    before = random.getstate(), torch.get_rng_state(), np.random.get_state()
    try:
        yield
    finally:
        drew = _put_back(*before)
    if drew:
        raise UnsupportedLayerError(
            "model: its forward() draws random numbers in evaluation mode; that is not computed"
        )


def _put_back(python: Any, torchs: torch.Tensor, numpys: Any) -> bool:
    """Whether a generator is in another state than it was; it is put back."""
    is_same = random.getstate() == python and torch.equal(torch.get_rng_state(), torchs)
    if is_same and _same_numpy(np.random.get_state(), numpys):
        return False
    random.setstate(python)
    torch.set_rng_state(torchs)
    np.random.set_state(numpys)
    return True


def _same_numpy(now: Any, before: Any) -> bool:
    return bool(np.array_equal(now[1], before[1])) and tuple(now[2:]) == tuple(before[2:])
