"""Workloads: each names one compiled kernel by its family, shapes, strides, groups and codes.

A workload is the key of the latency table and the name of a function in a compiled network, so it holds
all that changes the machine code and nothing else: no weights, no layer names.
"""

import hashlib
import json
import re
from dataclasses import asdict, dataclass, field, fields
from typing import Any, ClassVar, Literal

from search_spaces.errors import PLUGINS, InvalidInput, UnknownFamilyError
from search_spaces.plugins import load_plugins

WeightCode = Literal["float", "int8", "dorefa8", "ternary", "binary"]
"""A byte b of ``dorefa8`` stands for 2 b + 1: its 256 levels are the odd numbers of -255 to 255."""

BYTE_WEIGHTS = ("int8", "dorefa8")
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
    _families[kind.family] = kind  # the same one, made anew


def _family(name: str) -> "type[Workload]":
    """The class of a family's workloads; those of plug-ins come with their kernels."""
    if name not in _families:
        load_plugins("kernels")
    if name not in _families:
        problem = f"no kernels of a family '{name}' are known"
        raise UnknownFamilyError("workload", problem, ("add their plug-in by ", PLUGINS))
    return _families[name]


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
            InvalidInput: no workload has; an UnknownFamilyError if it may be a plug-in's.
        """
        family, _, rest = key.partition("(")
        try:
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
        return json.dumps({"family": self.family, **asdict(self)}, sort_keys=True, separators=(",", ":"))

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


@dataclass(frozen=True)
class FusedOutput:
    """What a convolution does before its result leaves the registers.

    Attributes:
        residual: a tensor of the output's shape is added, before the ReLU.
        output: the code in which the result is written, for the next layer to read.
        also_float: with a code, the float is written as well.
        threshold: of what shape the thresholds of a binary output are.
        output_groups: in how many groups the next layer reads a binary output.
        arithmetic: how sums are scaled, and what the residual and the real output are.
    """

    relu: bool = field(default=False, kw_only=True)
    residual: bool = field(default=False, kw_only=True)
    output: OutputCode = field(default="float", kw_only=True)
    also_float: bool = field(default=False, kw_only=True)
    threshold: ThresholdKind = field(default="zero", kw_only=True)
    output_groups: int = field(default=1, kw_only=True)
    arithmetic: Arithmetic = field(default="float", kw_only=True)


@dataclass(frozen=True)
class Conv2d(FusedOutput, SpatialWorkload):
    """Convolution of floats or bytes, then a scale and a bias per output channel, then perhaps a ReLU."""

    family: ClassVar[str] = "conv2d"
    in_channels: int
    out_channels: int
    groups: int
    weight: WeightCode
    input: InputCode


@dataclass(frozen=True)
class BitserialConv2d(FusedOutput, SpatialWorkload):
    """Convolution of packed codes with binary, ternary or n-bit weights by popcount, then scale, bias, ReLU.

    Attributes:
        symmetric: ternary weights are +-1 times one scale, so that one sum serves both signs.
        input_bits: planes of signs that make one input: s_0 + 2 s_1 + 4 s_2 + ..., each s in {-1, +1}.
        weight_bits: the same of a weight whose code is ``binary``.
    """

    family: ClassVar[str] = "bitserial_conv2d"
    in_channels: int
    out_channels: int
    groups: int
    weight: WeightCode
    symmetric: bool = False
    input_bits: int = 1
    weight_bits: int = 1

    @property
    def planes(self) -> int:
        """Sums that are kept apart: one for each pair of bits, or for each sign of a ternary weight."""
        if self.weight == "ternary":
            return 1 if self.symmetric else 2
        return self.input_bits * self.weight_bits

    @property
    def compares_counts(self) -> bool:
        """Whether a count of differing bits alone decides each output bit, so that nothing is scaled."""
        is_plain = self.threshold in ("zero", "channel") and not self.residual and not self.also_float
        return self.output == "binary" and is_plain and self.planes == 1


@dataclass(frozen=True)
class DepthwiseConv2d(FusedOutput, SpatialWorkload):
    """Convolution of each channel with its own filter, then scale, bias and perhaps a ReLU."""

    family: ClassVar[str] = "depthwise_conv2d"
    channels: int
    weight: WeightCode
    input: InputCode


@dataclass(frozen=True)
class Dense(Workload):
    """Matrix product of (batch, in_features) in floats or bytes, then scale, bias and perhaps a ReLU."""

    family: ClassVar[str] = "dense"
    in_features: int
    out_features: int
    weight: WeightCode
    input: InputCode
    relu: bool = False
    arithmetic: Arithmetic = "float"


@dataclass(frozen=True)
class BitserialDense(Workload):
    """Matrix product of packed signs with binary or ternary weights by popcount, then scale and bias."""

    family: ClassVar[str] = "bitserial_dense"
    in_features: int
    out_features: int
    weight: WeightCode
    symmetric: bool = False
    relu: bool = False


@dataclass(frozen=True)
class SignPack(Workload):
    """The bit ``x < threshold`` of each value, packed into uint32 words along the channels of a group."""

    family: ClassVar[str] = "sign_pack"
    height: int
    width: int
    channels: int
    groups: int
    threshold: ThresholdKind


@dataclass(frozen=True)
class Quantize(Workload):
    """``round(x / step)``, of int8 plus a zero point, clamped to 0..255, or 0..2^N - 1 for uintN."""

    family: ClassVar[str] = "quantize"
    size: int
    code: ByteCode
    arithmetic: Arithmetic = "float"


@dataclass(frozen=True)
class MaxPool2d(SpatialWorkload):
    """The largest value in each window; padding counts for nothing, and neither does a NaN.

    Attributes:
        channels: of packed signs, the words of a pixel.
        code: what a channel is. Of signs the largest is +1 unless all are -1.
        mixed: of signs, some channels take the smallest in place of the largest, as a constant tells.
    """

    family: ClassVar[str] = "max_pool2d"
    channels: int
    code: PooledCode = "float"
    mixed: bool = False
    arithmetic: Arithmetic = "float"


@dataclass(frozen=True)
class AvgPool2d(SpatialWorkload):
    """The mean of each window; padding counts as zero, as in torch's default."""

    family: ClassVar[str] = "avg_pool2d"
    channels: int
    arithmetic: Arithmetic = "float"


@dataclass(frozen=True)
class GlobalAvgPool(Workload):
    """The mean of each channel over all pixels of an image."""

    family: ClassVar[str] = "global_avg_pool"
    pixels: int
    channels: int
    arithmetic: Arithmetic = "float"


@dataclass(frozen=True)
class Relu(Workload):
    """``max(x, 0)`` where no kernel before it could take it in."""

    family: ClassVar[str] = "relu"
    size: int
    arithmetic: Arithmetic = "float"


@dataclass(frozen=True)
class Add(Workload):
    """The sum of two tensors of the same shape."""

    family: ClassVar[str] = "add"
    size: int
    arithmetic: Arithmetic = "float"


@dataclass(frozen=True)
class Affine(Workload):
    """A scale and a bias per channel: a batch norm that follows no convolution."""

    family: ClassVar[str] = "affine"
    pixels: int
    channels: int
    arithmetic: Arithmetic = "float"


@dataclass(frozen=True)
class Relu6(Workload):
    """``min(max(x, 0), 6)``."""

    family: ClassVar[str] = "relu6"
    size: int
    arithmetic: Arithmetic = "float"


@dataclass(frozen=True)
class Prelu(Workload):
    """``max(x, 0) + slope * min(x, 0)``, a slope per channel."""

    family: ClassVar[str] = "prelu"
    pixels: int
    channels: int


@dataclass(frozen=True)
class AffineMap(Workload):
    """A scale for each channel of each pixel, and a bias per channel."""

    family: ClassVar[str] = "affine_map"
    pixels: int
    channels: int


@dataclass(frozen=True)
class Sigmoid(Workload):
    """``1 / (1 + exp(-x))``."""

    family: ClassVar[str] = "sigmoid"
    size: int


@dataclass(frozen=True)
class ScaleChannels(Workload):
    """Each channel of an image times a number of that image (squeeze-and-excitation)."""

    family: ClassVar[str] = "scale_channels"
    pixels: int
    channels: int


@dataclass(frozen=True)
class Subsample(Workload):
    """Every ``stride``-th pixel, and zeros for ``added`` channels behind the others."""

    family: ClassVar[str] = "subsample"
    height: int
    width: int
    channels: int
    stride: int
    added: int
    arithmetic: Arithmetic = "float"

    @property
    def out_height(self) -> int:
        """Rows of the output."""
        return -(-self.height // self.stride)

    @property
    def out_width(self) -> int:
        """Columns of the output."""
        return -(-self.width // self.stride)


@dataclass(frozen=True)
class Concat(Workload):
    """Tensors side by side along their channels."""

    family: ClassVar[str] = "concat"
    pixels: int
    channels: tuple[int, ...]
    arithmetic: Arithmetic = "float"


@dataclass(frozen=True)
class ChannelShuffle(Workload):
    """Channel ``g * (C / groups) + i`` goes to ``i * groups + g`` (ShuffleNet)."""

    family: ClassVar[str] = "channel_shuffle"
    pixels: int
    channels: int
    groups: int
    arithmetic: Arithmetic = "float"


@dataclass(frozen=True)
class ToNhwc(Workload):
    """From torch's NCHW to the kernels' NHWC."""

    family: ClassVar[str] = "to_nhwc"
    height: int
    width: int
    channels: int


@dataclass(frozen=True)
class ToNchw(Workload):
    """From the kernels' NHWC back to torch's NCHW."""

    family: ClassVar[str] = "to_nchw"
    height: int
    width: int
    channels: int
    arithmetic: Arithmetic = "float"
