"""Calls a model once with what records its forward pass, and leaves it as it was."""

from collections.abc import Iterator
from contextlib import contextmanager
from inspect import signature

import torch
from torch import fx, nn
from torch.nn.parameter import is_lazy

from runtime.lowering.caller import Attributes, KeepsTensors, holds_recorded, no_random_numbers
from runtime.lowering.recording import Called, Recorder
from runtime.lowering.wording import raised
from search_spaces.errors import BitnasError, UnsupportedLayerError


def require_traceable(module: nn.Module) -> None:
    """Refuse what holds no Python code, no weights yet, or weights without memory of their own."""
    for name, part in module.named_modules():
        if isinstance(part, torch.jit.ScriptModule):
            what = f"model: its part '{name}' is" if name else "model: it is"
            raise UnsupportedLayerError(f"{what} scripted (torch.jit); pass the module that it was made of")
        for own, tensor in (*part._parameters.items(), *part._buffers.items()):
            if is_lazy(tensor):
                raise UnsupportedLayerError(
                    f"layer '{name}': its '{own}' has no shape yet; run the model on a batch first"
                )
            if tensor is not None and tensor.layout != torch.strided:
                raise UnsupportedLayerError(
                    f"layer '{name}': its '{own}' is {tensor.layout}; only dense ones are computed"
                )


@contextmanager
def without_compiled_calls(module: nn.Module) -> Iterator[None]:
    """Without what a module does around its forward that does not change its result.

    That is: torch's compiler, and hooks on gradients.
    """
    before = []
    for name, part in module.named_modules():
        _require_own_compiled_call(name, part)
    for part in module.modules():
        for name, plain in (
            ("_compiled_call_impl", None),
            ("_backward_hooks", {}),
            ("_backward_pre_hooks", {}),
        ):
            if vars(part).get(name):
                before.append((part, name, vars(part)[name]))
                vars(part)[name] = plain
    try:
        yield
    finally:
        for part, name, value in before:
            vars(part)[name] = value


def _require_own_compiled_call(name: str, part: nn.Module) -> None:
    """Refuse a module whose call was replaced by another one than torch's compiler makes of it."""
    call = part._compiled_call_impl
    if call is not None and getattr(call, "_torchdynamo_orig_callable", None) != part._call_impl:
        what = f"layer '{name}': its" if name else "model: its"
        raise UnsupportedLayerError(
            f"{what} '_compiled_call_impl' is not what its compile() makes; set it to None"
        )


def recorded(module: nn.Module) -> tuple[Recorder, fx.Graph]:
    """What the forward pass does when it is called with one batch; the module is then as it was."""
    attributes = Attributes(module)
    try:
        with torch.no_grad(), KeepsTensors(module), no_random_numbers():
            found = _record(module)
            changed = list(attributes.changed())
            for name, value in changed:
                if not holds_recorded(value):
                    raise UnsupportedLayerError(
                        f"model: its forward() changes its attribute '{name}' in evaluation mode too; "
                        "what depends on earlier calls is not computed"
                    )
            if changed and str(_record(module)[1]) != str(found[1]):
                raise UnsupportedLayerError(
                    f"model: its forward() does something else once '{changed[0][0]}' is set; "
                    "what depends on earlier calls is not computed"
                )
    except BaseException:
        attributes.restore()
        raise
    if changed:
        attributes.restore()
    return found


def _record(module: nn.Module) -> tuple[Recorder, fx.Graph]:
    recorder = Recorder()
    try:
        graph = recorder.trace(Called(module))
        if recorder.refused is not None:
            raise recorder.refused
        return recorder, graph
    except BitnasError:
        raise
    except Exception as error:  # the model's own code runs here, and may raise anything
        if isinstance(recorder.refused, BitnasError):
            raise recorder.refused from error
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        if isinstance(error, TypeError) and "positional argument" in reason and not _takes_one(module):
            raise UnsupportedLayerError(
                f"model: it takes more than one input, or none ({reason}); pass one image batch"
            ) from error
        raise UnsupportedLayerError(raised(error)) from error


def _takes_one(module: nn.Module) -> bool:
    """Whether its forward() can be called with one argument."""
    try:
        signature(module.forward).bind(None)
    except TypeError:
        return False
    return True
