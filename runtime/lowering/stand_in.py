"""What stands for a tensor in a forward pass that is recorded, and for a number made of its sizes."""

import dis
import operator
import sys
from functools import cache
from pathlib import Path
from types import CodeType
from typing import Any

import torch
from torch import fx

IN_PLACE = {
    f"__{name}__": getattr(operator, name)
    for name in (
        *("iadd", "isub", "imul", "itruediv", "ifloordiv", "imod", "ipow", "imatmul"),
        *("iand", "ior", "ixor", "ilshift", "irshift"),
    )
}
"""Python's operators that change a tensor; fx's own proxies take ``a *= b`` for a new tensor."""

TORCH = str(Path(torch.__file__).parent)


class Recorded(fx.Proxy):
    """Stands for a tensor, or a number made of its sizes, in a forward pass.

    It is one object for all names that Python has for a tensor: what changes the tensor in place gives the
    same object, which then stands for the changed tensor.
    """

    tracer: Any

    @property  # type: ignore[misc]  # it can be read only
    def __class__(self) -> Any:
        """A forward pass that asks ``isinstance(x, torch.Tensor)`` takes the way that it takes with one.

        Torch's own code gets the truth, and so does C++ that a line of the model calls: what they take for a
        tensor they look into.
        """
        asking = sys._getframe(1)
        is_torchs = asking.f_code.co_filename.startswith(TORCH) and asking.f_code.co_name != "is_tensor"
        if is_torchs or not _calls_isinstance(asking.f_code, asking.f_lasti):
            return Recorded
        return self.tracer.kinds.get(self.node, torch.Tensor)

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_") or not hasattr(torch.Tensor, name):
            raise AttributeError(f"a tensor has no attribute '{name}'")
        if name == "data":  # the same memory; gradients, which it is without, are not computed
            return self
        if name == "detach":
            return lambda: self
        if callable(getattr(torch.Tensor, name)):
            return super().__getattr__(name)
        return self.tracer.create_proxy("call_function", getattr, (self, name), {})

    def __setattr__(self, name: str, value: Any) -> None:
        if name not in ("node", "tracer") and value is not self:
            self.tracer.refuse(
                f"layer '{self.node.name}': its attribute '{name}' is set, which is not computed"
            )
        if value is not self:
            object.__setattr__(self, name, value)

    def __setitem__(self, index: Any, value: Any) -> None:
        self.tracer.create_proxy("call_function", operator.setitem, (self, index, value), {})

    def __reduce_ex__(self, protocol: Any) -> Any:
        self.tracer.refuse(f"layer '{self.node.name}': its copy by Python is not computed; use clone()")

    def __deepcopy__(self, memo: Any) -> Any:
        return self.__reduce_ex__(memo)

    def __len__(self) -> int:  # which C++ asks of anything, and goes on; so it is not kept
        return int(self.tracer.length(self))

    def __delitem__(self, index: Any) -> None:
        self.tracer.create_proxy("call_function", operator.delitem, (self, index), {})


@cache
def _calls_isinstance(code: CodeType, at: int) -> bool:
    """Whether the instruction at an offset is a call of ``isinstance``, which begins where its name does."""
    places = list(code.co_positions())
    start = places[at // 2][0], places[at // 2][2]
    return None not in start and any(
        step.argval == "isinstance" and (places[step.offset // 2][0], places[step.offset // 2][2]) == start
        for step in dis.get_instructions(code)
    )


def _recorder(function: Any) -> Any:
    def record(self: Recorded, other: Any) -> Any:
        return self.tracer.create_proxy("call_function", function, (self, other), {})

    return record


for _name, _function in IN_PLACE.items():
    setattr(Recorded, _name, _recorder(_function))
