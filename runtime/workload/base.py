"""What a workload is: the name of one compiled kernel by its family, shapes, strides, groups and codes.

A workload is the key of the latency table and the name of a function in a compiled network, so it holds
all that changes the machine code and nothing else: no weights, no layer names.
"""

import hashlib
import json
import re
from dataclasses import Field, asdict, dataclass, field, fields
from typing import Any, ClassVar, Literal, get_args

from runtime.workload.window import Sides, Window
from search_spaces.errors import PLUGINS, InvalidInput, UnknownFamilyError
from search_spaces.pairs import Pair
from search_spaces.plugins import load_plugins

Layout = str
"""The name of the layout that a kernel takes weights in: see ``runtime.kernels.weight_layouts``."""

InputCode = Literal["float", "uint8", "uint7", "int8", "int7", "binary"]
"""What a kernel reads. Bytes of ``uint7`` and ``int7`` are below 128; DoReFa's are ``uint8`` in any case."""

ByteCode = Literal["uint2", "uint3", "uint4", "uint5", "uint6", "uint7", "uint8", "int8", "int7"]
"""What a byte holds: so many steps from 0, or so many of which one stands for 0, in ``int8`` and ``int7``."""

HIGHEST_BYTE = {"uint8": 255, "uint7": 127, "int8": 255, "int7": 127}
"""The highest byte of each input of bytes."""

OutputCode = ByteCode | Literal["float", "binary"]
PooledCode = Literal["float", "byte", "binary"]
Arithmetic = Literal["float", "integer"]
"""How a kernel scales its sums and what it keeps real numbers in: float32, or int32 in fixed point."""

ThresholdKind = Literal["zero", "channel", "position", "element"]

Activation = Literal["none", "relu6", "hardswish", "hardsigmoid", "silu", "sigmoid"]
"""What a kernel with weights does to its outputs beside a ReLU, which has a flag: the family of a kernel that
does nothing else."""

ACTIVATIONS: tuple[Activation, ...] = tuple(each for each in get_args(Activation) if each != "none")

UNLESS_DEFAULT = {"told": "unless it is the default"}
"""Metadata of a field that came later: keys tell it where they must, and stay what they were elsewhere."""


def is_affine(code: str) -> bool:
    """Whether a code of bytes has a zero point, a byte that stands for zero, which is 0 in the others."""
    return code in ("int8", "int7")


_families: dict[str, type["Workload"]] = {}


def _value(text: str) -> Any:
    """What ``str`` made a field of a key from."""
    if text in ("True", "False"):
        return text == "True"
    if text.startswith("("):
        return tuple(int(part) for part in text.strip("()").split(",") if part.strip())
    return int(text) if text.lstrip("-").isdigit() else text


def _add_family(kind: "type[Workload]") -> None:
    """Have keys that begin with the family of a class read as its.

    Raises:
        InvalidInput: the family's name is no name in C, or another class has it.
    """
    if re.fullmatch(r"[a-z][a-z0-9_]*", kind.family) is None:
        fix = "take small letters, digits and underscores"
        raise InvalidInput("workload", f"'{kind.family}' is no name for a family", fix)
    known = _families.setdefault(kind.family, kind)
    if (known.__module__, known.__qualname__) != (kind.__module__, kind.__qualname__):
        problem = f"the family '{kind.family}' is that of {known.__module__}.{known.__qualname__}"
        raise InvalidInput("workload", problem, "choose another name")
    _families[kind.family] = kind  # the same one, made again


def _family(name: str) -> "type[Workload]":
    """The class of a family's workloads; those of plug-ins come with their kernels."""
    if name not in _families:
        load_plugins("kernels")
    if name not in _families:
        problem = f"no kernels of a family '{name}' are known"
        raise UnknownFamilyError("workload", problem, ("add their plug-in by ", PLUGINS))
    return _families[name]


def is_known(key: str) -> bool:
    """Whether a workload's key is of a family that is known: a table may hold those of a plug-in, too."""
    try:
        _family(key.partition("(")[0])
    except UnknownFamilyError:
        return False
    return True


@dataclass(frozen=True)
class Workload:
    """The base of all workloads; ``batch`` is the number of images in one call.

    A family is a frozen dataclass derived from it, whose ``family`` no other has. Its fields are whole
    numbers, flags, words of letters, digits and underscores, and tuples of whole numbers: what ``from_key``
    can read of a key. They tell all that changes the machine code, as one entry of a latency table, and one
    function of a library, stands for all workloads with the same key. A family whose code has changed gets
    another name, or a field for its version: else what was measured before counts for it.
    """

    family: ClassVar[str] = ""
    batch: int

    def __init_subclass__(cls) -> None:
        if "family" in vars(cls):
            _add_family(cls)

    @property
    def key(self) -> str:
        """A readable, canonical and unique name: ``conv2d(batch=1,height=8,...)``."""
        values = ",".join(f"{each.name}={getattr(self, each.name)}" for each in self._told())
        return f"{self.family}({values})"

    def _told(self) -> "list[Field[Any]]":
        """The fields that its name tells."""
        return [
            each
            for each in fields(self)
            if each.metadata != UNLESS_DEFAULT or getattr(self, each.name) != each.default
        ]

    @property
    def symbol(self) -> str:
        """The name of the compiled function, a valid C identifier."""
        return f"{self.family}_{hashlib.sha256(self.key.encode()).hexdigest()[:16]}"

    @staticmethod
    def from_key(key: str) -> "Workload":
        """The workload that has this key.

        Raises:
            InvalidInput: no workload has; an UnknownFamilyError if it may be a plug-in's.
        """
        family, _, rest = key.partition("(")
        try:
            if re.fullmatch(r"\w+\(.+\)", key) is None:
                raise ValueError("no family and fields")
            pairs = (part.partition("=") for part in re.split(r",(?=\w+=)", rest.removesuffix(")")))
            kind: Any = _family(family)
            found: Workload = kind(**{name: _value(text) for name, _, text in pairs})
        except UnknownFamilyError:
            raise
        except (KeyError, TypeError, ValueError) as error:
            raise InvalidInput("workload", f"not a workload's key: {key!r}", "pass one of a table") from error
        return found

    def to_json(self) -> str:
        """The workload as canonical JSON."""
        values, told = asdict(self), {"family": self.family}
        told |= {each.name: values[each.name] for each in self._told()}
        return json.dumps(told, sort_keys=True, separators=(",", ":"))

    @staticmethod
    def from_json(text: str) -> "Workload":
        """The workload that ``to_json`` wrote.

        Raises:
            InvalidInput: the text is not JSON, or the family or a field is unknown.
        """
        try:
            fields: dict[str, Any] = json.loads(text)
            kind: Any = _family(fields.pop("family"))
            found: Workload = kind(
                **{name: tuple(v) if isinstance(v, list) else v for name, v in fields.items()}
            )
            return found
        except UnknownFamilyError:
            raise
        except (json.JSONDecodeError, KeyError, TypeError, AttributeError) as error:
            raise InvalidInput(
                "workload", f"not a workload: {error!r}", "pass what to_json() wrote"
            ) from error


@dataclass(frozen=True)
class ElementwiseWorkload(Workload):
    """A kernel that computes numbers one by one, ``size`` in all, wherever they lie in a tensor."""

    size: int


@dataclass(frozen=True)
class SpatialWorkload(Workload):
    """A kernel that slides a window over an NHWC image.

    Kernels read ``window``; the fields are what keys tell, in their shortest form: 3 for (3, 3).

    Attributes:
        kernel: taps, (rows, columns) where they differ.
        stride: pixels from one window to the next, (down, right) where they differ.
        padding: pixels around the image, (top, left, bottom, right) where they differ.
        dilation: pixels from one tap to the next, (down, right) where they differ.
    """

    height: int
    width: int
    kernel: Pair
    stride: Pair
    padding: Sides
    dilation: Pair = field(default=1, kw_only=True, metadata=UNLESS_DEFAULT)

    def __post_init__(self) -> None:
        for name, value in self.window.fields.items():
            object.__setattr__(self, name, value)

    @property
    def window(self) -> Window:
        """How the window slides."""
        return Window.of(self.kernel, self.stride, self.padding, self.dilation)

    @property
    def out_height(self) -> int:
        """Rows of the output."""
        return self.window.outputs(self.height, self.width)[0]

    @property
    def out_width(self) -> int:
        """Columns of the output."""
        return self.window.outputs(self.height, self.width)[1]
