"""What a workload is: the name of one compiled kernel by its family, shapes, strides, groups and codes.

A workload is the key of the latency table and the name of a function in a compiled network, so it holds
all that changes the machine code and nothing else: no weights, no layer names.
"""

import hashlib
import json
import re
from dataclasses import asdict, dataclass, fields
from typing import Any, ClassVar, Literal

from search_spaces.errors import InvalidInput

Layout = str
"""The name of the layout that a kernel takes weights in: see ``runtime.kernels.weight_layouts``."""

InputCode = Literal["float", "uint8", "int8", "binary"]
ByteCode = Literal["uint2", "uint3", "uint4", "uint5", "uint6", "uint7", "uint8", "int8"]
"""What a byte holds: so many steps from 0, or int8's. Who reads ``uint2`` to ``uint8`` does the same."""

OutputCode = ByteCode | Literal["float", "binary"]
PooledCode = Literal["float", "byte", "binary"]
Arithmetic = Literal["float", "integer"]
"""How a kernel scales its sums and what it keeps real numbers in: float32, or int32 in fixed point."""

ThresholdKind = Literal["zero", "channel", "position", "element"]

_families: dict[str, type["Workload"]] = {}


def _value(text: str) -> Any:
    """What ``str`` made a field of a key from."""
    if text in ("True", "False"):
        return text == "True"
    if text.startswith("("):
        return tuple(int(part) for part in text.strip("()").split(",") if part.strip())
    return int(text) if text.lstrip("-").isdigit() else text


@dataclass(frozen=True)
class Workload:
    """The base of all workloads; ``batch`` is the number of images in one call."""

    family: ClassVar[str] = ""
    batch: int

    def __init_subclass__(cls) -> None:
        _families[cls.family] = cls

    @property
    def key(self) -> str:
        """A readable, canonical and unique name: ``conv2d(batch=1,height=8,...)``."""
        values = ",".join(f"{each.name}={getattr(self, each.name)}" for each in fields(self))
        return f"{self.family}({values})"

    @property
    def symbol(self) -> str:
        """The name of the compiled function, a valid C identifier."""
        return f"{self.family}_{hashlib.sha256(self.key.encode()).hexdigest()[:16]}"

    @staticmethod
    def from_key(key: str) -> "Workload":
        """The workload that has this key.

        Raises:
            InvalidInput: no workload has.
        """
        family, _, rest = key.partition("(")
        try:
            pairs = (part.partition("=") for part in re.split(r",(?=\w+=)", rest.removesuffix(")")))
            kind: Any = _families[family]
            found: Workload = kind(**{name: _value(text) for name, _, text in pairs})
        except (KeyError, TypeError, ValueError) as error:
            raise InvalidInput("workload", f"not a workload's key: {key!r}", "pass one of a table") from error
        return found

    def to_json(self) -> str:
        """The workload as canonical JSON."""
        return json.dumps({"family": self.family, **asdict(self)}, sort_keys=True, separators=(",", ":"))

    @staticmethod
    def from_json(text: str) -> "Workload":
        """The workload that ``to_json`` wrote.

        Raises:
            InvalidInput: the text is not JSON, or the family or a field is unknown.
        """
        try:
            fields: dict[str, Any] = json.loads(text)
            kind: Any = _families[fields.pop("family")]
            found: Workload = kind(
                **{name: tuple(v) if isinstance(v, list) else v for name, v in fields.items()}
            )
            return found
        except (json.JSONDecodeError, KeyError, TypeError, AttributeError) as error:
            raise InvalidInput(
                "workload", f"not a workload: {error!r}", "pass what to_json() wrote"
            ) from error


@dataclass(frozen=True)
class SpatialWorkload(Workload):
    """A kernel that slides a square window over an NHWC image."""

    height: int
    width: int
    kernel: int
    stride: int
    padding: int

    @property
    def out_height(self) -> int:
        """Rows of the output."""
        return (self.height + 2 * self.padding - self.kernel) // self.stride + 1

    @property
    def out_width(self) -> int:
        """Columns of the output."""
        return (self.width + 2 * self.padding - self.kernel) // self.stride + 1
