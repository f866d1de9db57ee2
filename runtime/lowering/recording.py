"""Records what a forward pass does, in-place operations and aliases as torch has them."""

import math
import operator
from functools import wraps
from typing import Any, NoReturn

import torch
from torch import fx, nn

from runtime.lowering.leaves import behind_wrapper, is_leaf, kind_of, require_plain
from runtime.lowering.rulebook import place_of, rules, torch_shape
from runtime.lowering.shape_rules import IDENTITIES
from runtime.lowering.stand_in import IN_PLACE, Recorded
from runtime.lowering.wording import (
    UNTOLD_PARTS,
    asked_for_length,
    branched,
    called_outside,
    iterated,
    tensor_outside,
    unpacked,
    weight_outside,
)
from search_spaces.errors import BitnasError, UnsupportedLayerError

WRAPPED_MODULES: Any = ()  # numbers need no proxies, and to wrap the functions of ``math`` takes long
SIZES = ("size", "dim", "ndimension", "numel", "nelement")
"""Methods that give numbers, which are not changed in place."""

PARTS_ARGUMENTS = ("chunks", "split_size", "split_size_or_sections")
"""Names that torch has for the number or the sizes of parts."""

ROOT = "model"
OF_MODEL = "model: "


class Called(nn.Module):
    """Calls a model with one batch of images, with all that torch does around its forward."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model
        self.training = model.training

    def forward(self, images: Any) -> Any:
        """What the model gives."""
        return self.model(images)


def _remembered(method: Any) -> Any:
    """A method of the recorder that keeps what it refuses: a forward pass may catch the exception."""

    @wraps(method)
    def call(self: "Recorder", *args: Any, **kwargs: Any) -> Any:
        try:
            return method(self, *args, **kwargs)
        except (BitnasError, fx.proxy.TraceError) as error:
            self.refused = self.refused or error
            raise

    return call


class Recorder(fx.Tracer):
    """Traces with the layers that have rules as leaves."""

    def __init__(self) -> None:
        super().__init__(autowrap_modules=WRAPPED_MODULES)
        self.kinds: dict[fx.Node, type] = {}
        """Of steps that give numbers."""
        self.refused: Exception | None = None
        """What cannot be traced, whatever became of its exception."""
        self._doing, self._autocasts = "model", _autocasts()

    @property
    def _model(self) -> nn.Module:
        return self.root.get_submodule(ROOT)

    def _place(self, name: str) -> str:
        """How an error names a step that is recorded now."""
        paths = [path for path, _ in self.module_stack.values()]
        return place_of(name, "" if not paths or name in paths else paths[-1])

    def refuse(self, problem: str) -> NoReturn:
        """Raise an error, and keep it; a problem of the model's is that of the module whose forward runs."""
        path = next((path for path, _ in reversed(self.module_stack.values()) if path), "")
        if path and problem.startswith(OF_MODEL):
            problem = f"module '{path}': {problem.removeprefix(OF_MODEL)}"
        self.refused = self.refused or UnsupportedLayerError(problem)
        raise self.refused

    def to_bool(self, obj: fx.Proxy) -> NoReturn:
        """Refuse a branch."""
        self.refuse(branched(self.kinds.get(obj.node)))

    def iter(self, obj: Any) -> Any:
        """The parts of a tensor, where their number is told; refuse any other loop."""
        count = _parts(obj.node)
        if count is None:
            self.refuse(UNTOLD_PARTS if _is_divided(obj.node) else iterated(self.kinds.get(obj.node)))
        return iter([obj[i] for i in range(count)])

    def length(self, obj: fx.Proxy) -> int:
        """The number of parts of a tensor, where it is told; refuse any other ``len()``, but keep nothing."""
        count = _parts(obj.node)
        if count is None:
            kind = self.kinds.get(obj.node)
            raise UnsupportedLayerError(UNTOLD_PARTS if _is_divided(obj.node) else asked_for_length(kind))
        return count

    def keys(self, obj: fx.Proxy) -> NoReturn:
        """Refuse ``**``."""
        self.refuse(unpacked(self.kinds.get(obj.node)))

    def proxy(self, node: fx.Node) -> fx.Proxy:
        """What stands for the result of a step."""
        return Recorded(node, self)

    def path_of_module(self, mod: nn.Module) -> str:
        """The name of a module below the model."""
        try:
            return super().path_of_module(mod).removeprefix(ROOT).removeprefix(".")
        except NameError:
            self.refuse(called_outside(mod))

    def is_leaf_module(self, m: nn.Module, module_qualified_name: str) -> bool:
        """Whether a module is one step."""
        return is_leaf(m, module_qualified_name) or (
            kind_of(m) is None and super().is_leaf_module(m, module_qualified_name)
        )

    @_remembered
    def call_module(self, m: nn.Module, forward: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """A step for a layer; any other module is traced into, with its hooks."""
        inner = behind_wrapper(m)
        if inner is not m:
            return inner(*args, **kwargs)
        name = self.path_of_module(m)
        if not self.is_leaf_module(m, name):
            return super().call_module(m, forward, args, kwargs)
        require_plain(m, name)
        if isinstance(m, IDENTITIES) and len(args) == 1 and not kwargs:
            return args[0]  # as torch does: the tensor itself
        return super().call_module(m, forward, args, kwargs)

    def create_arg(self, a: Any) -> Any:
        """What stands for an argument of a step."""
        if type(a) is Recorded:
            return a.node
        if isinstance(a, torch.Tensor):
            raise UnsupportedLayerError(tensor_outside(self._model, self._place(self._doing), a))
        return super().create_arg(a)

    @_remembered
    def create_proxy(
        self, kind: str, target: Any, args: tuple[Any, ...], kwargs: dict[str, Any], *rest: Any, **more: Any
    ) -> Any:
        """A step; of one that changes a tensor, that tensor."""
        if kind == "call_function" and _is_leaf_of_fx(target):
            return target(*args, **kwargs)  # traced into, whatever torch.fx.wrap() says of it
        self._doing = target if isinstance(target, str) else getattr(target, "__name__", str(target))
        if _autocasts() != self._autocasts:
            place = self._place(self._doing)
            problem = f"{place}: torch.autocast within forward() is not computed; leave it out"
            raise UnsupportedLayerError(problem)
        proxy = super().create_proxy(kind, target, args, kwargs, *rest, **more)
        self._require_in_layers(proxy.node)
        kind_of_number = self._number(proxy.node)
        if kind_of_number is not None:
            self.kinds[proxy.node] = kind_of_number
            return proxy
        changed = args[0] if args else kwargs.get("input")
        layer = self.root.get_submodule(f"{ROOT}.{target}") if kind == "call_module" else None
        if changes_in_place(proxy.node, layer) and type(changed) is Recorded:
            changed.node = proxy.node
            return changed
        return proxy

    def _require_in_layers(self, node: fx.Node) -> None:
        """Refuse a step that takes a parameter, but no weights as those of a layer."""
        weights = [each for each in node.all_input_nodes if each.op == "get_attr"]
        if not weights or node.op == "output" or (node.target in rules and _takes_weights(node)):
            return
        name = str(weights[0].target).removeprefix(f"{ROOT}.")
        asked = str(node.args[1]) if node.target is getattr else None
        if node.op == "call_method" and node.target in SIZES:
            asked = str(node.target)
        raise UnsupportedLayerError(weight_outside(self._model, self._place(node.name), name, asked))

    def _number(self, node: fx.Node) -> type | None:
        """What a step gives that asks for sizes, or computes with them; None where it gives a tensor."""
        if node.op == "call_method" and node.target in SIZES:
            return torch.Size if node.target == "size" and len(node.args) + len(node.kwargs) == 1 else int
        if node.op != "call_function":
            return None
        if node.target is getattr:
            return {"shape": torch.Size, "ndim": int}.get(str(node.args[1]))
        is_operator = getattr(node.target, "__module__", "") == "_operator"
        before = [self.kinds.get(each) for each in node.all_input_nodes]
        if not is_operator or not before or None in before:
            return None
        if node.target is operator.getitem:
            return torch.Size if isinstance(node.args[1], slice) else int
        return float if node.target in (operator.truediv, operator.itruediv) else before[0]


def _takes_weights(node: fx.Node) -> bool:
    """Whether a step computes an image with parameters, as a layer does."""
    if rules[node.target].takes_parameters:
        return any(each.op != "get_attr" for each in node.all_input_nodes)
    image = node.args[0] if node.args else node.kwargs.get("input")
    is_image = not isinstance(image, fx.Node) or image.op != "get_attr"
    return is_image and "weight" in rules[node.target].parameters.parameters


def _parts(node: fx.Node) -> int | None:
    """How many parts a chunk or a split gives; None where that depends on a shape, or it is neither.

    A chunk of few channels gives fewer than it is asked for. Then a part that is not there is refused later.
    """
    if node.target is operator.getitem:
        given, index = node.args
        if not isinstance(given, fx.Node) or not isinstance(index, slice):
            return None
        whole = _parts(given)
        is_told = all(each is None or isinstance(each, int) for each in (index.start, index.stop, index.step))
        return len(range(whole)[index]) if whole is not None and is_told else None
    if not _is_divided(node):
        return None
    given = [*node.args[1:2], *(node.kwargs.get(name) for name in PARTS_ARGUMENTS)]
    told = next((each for each in given if each is not None), None)
    if isinstance(told, list | tuple):
        return len(told)
    return told if node.target in ("chunk", torch.chunk) and isinstance(told, int) else None


def _is_divided(node: fx.Node) -> bool:
    """Whether a step gives the parts of a tensor."""
    return node.target in ("chunk", "split", torch.chunk, torch.split)


def _is_leaf_of_fx(function: Any) -> bool:
    """Whether a function was declared by ``torch.fx.wrap`` as one that no trace of fx's own enters."""
    place = id(getattr(function, "__globals__", None)), getattr(function, "__name__", "")
    return place in fx._symbolic_trace._wrapped_fns_to_patch


def _autocasts() -> tuple[bool, bool]:
    """Whether operations run in half precision now."""
    return torch.is_autocast_enabled("cpu"), torch.is_autocast_enabled("cuda")


def changes_in_place(node: fx.Node, layer: nn.Module | None) -> bool:
    """Whether a step changes its first argument."""
    if node.op == "call_module":
        return bool(getattr(layer, "inplace", False))
    if node.op not in ("call_function", "call_method"):
        return False
    if node.target in IN_PLACE.values() or node.target in (operator.setitem, operator.delitem):
        return True
    name = node.target if isinstance(node.target, str) else getattr(node.target, "__name__", "")
    is_named_so = name in IN_PLACE or (name.endswith("_") and not name.endswith("__"))
    return is_named_so or bool(node.kwargs.get("inplace")) or "out" in node.kwargs


def size_of(node: fx.Node, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """What a step gives that asks for a value's sizes, or computes with such numbers."""
    if node.op == "call_function" and node.target is not getattr:
        return node.target(*args, **kwargs)  # type: ignore[operator]  # one of ``operator``'s
    shape = torch_shape(args[0])
    if node.target is getattr:
        return shape if args[1] == "shape" else len(shape)
    if node.target == "size":
        dim = args[1] if len(args) > 1 else kwargs.get("dim")
        return shape if dim is None else shape[dim]
    return len(shape) if node.target in ("dim", "ndimension") else math.prod(shape)
