"""The architecture: what can be built, as plain data that crosses processes, machines and the database."""

import hashlib
import json
from abc import abstractmethod
from collections.abc import Iterable, Iterator, Mapping
from typing import Annotated, Any, Self, TypeVar

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    PlainSerializer,
    SerializerFunctionWrapHandler,
    ValidationError,
    model_serializer,
)

from search_spaces.errors import InvalidInput

MAX_JSON = 1_000_000
"""Characters of JSON that are read at all; the largest architecture allowed takes far less."""

V = TypeVar("V")


class _Frozen(Mapping[str, V]):
    """A mapping by name that can be hashed and not be changed."""

    def __init__(self, items: Mapping[str, V]) -> None:
        self._items = dict(sorted(items.items()))

    def __getitem__(self, name: str) -> V:
        return self._items[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._items)

    def __len__(self) -> int:
        return len(self._items)

    def __hash__(self) -> int:
        return hash(tuple(self._items.items()))

    def __repr__(self) -> str:
        return repr(self._items)


def _odd(value: int) -> int:
    if value % 2 == 0:
        raise ValueError("should be odd")
    return value


def _in_order(names: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(sorted(set(names)))


Name = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9._-]{0,63}$")]
Channels = Annotated[int, Field(ge=1, le=4096)]
Inputs = Annotated[int, Field(ge=1, le=65_536)]
"""Channels of an image, or the features of what is no image, which is one pixel then."""
Kernel = Annotated[int, Field(ge=1, le=11), AfterValidator(_odd)]
Stride = Annotated[int, Field(ge=1, le=4)]
Pixels = Annotated[int, Field(ge=1, le=4096)]
LayerPrecisions = Annotated[
    Mapping[Name, Name], Field(max_length=16), AfterValidator(_Frozen), PlainSerializer(dict)
]
PartName = Annotated[str, Field(pattern=r"^\w+(\.\w+)*$", max_length=200)]
Widths = Annotated[
    Mapping[PartName, Annotated[int, Field(ge=0, le=65_536)]],
    Field(max_length=4096),
    AfterValidator(_Frozen),
    PlainSerializer(dict),
]
PartPrecisions = Annotated[
    Mapping[PartName, Name], Field(max_length=4096), AfterValidator(_Frozen), PlainSerializer(dict)
]
PartNames = Annotated[tuple[PartName, ...], Field(max_length=1024), AfterValidator(_in_order)]


class _Data(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)


class Stem(_Data):
    """The first convolution: output channels, kernel size, stride and precision."""

    width: Channels
    kernel: Kernel
    stride: Stride
    precision: Name


class Block(_Data):
    """One block: its kind in the registry ``blocks``, its shape, and the precision of each of its layers.

    Attributes:
        kind: name in the registry ``blocks``.
        width: output channels.
        kernel: side of the spatial kernel, odd.
        stride: of the spatial kernel.
        groups: of the grouped convolutions, in kinds that have them.
        expansion: how many times as many channels as come in the depthwise convolution has, in ``inverted``.
        squeeze: the share of the channels that squeeze-and-excitation squeezes to, in ``inverted``; 0: none.
        skip: whether the input is added where the block keeps its shape, in kinds that leave that open.
        pool: whether, in these, the input's average pooling is added where the block subsamples and does not
            narrow; added channels are zeros.
        precisions: precision name by layer role; the kind says which roles there are.
    """

    kind: Name
    width: Channels
    kernel: Kernel
    stride: Stride
    groups: Channels = 1
    precisions: LayerPrecisions
    expansion: Annotated[int, Field(ge=1, le=16)] = 1
    squeeze: Annotated[float, Field(ge=0, le=1)] = 0.0
    skip: bool = False
    pool: bool = False

    @model_serializer(mode="wrap")
    def _without_later_fields(self, write: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """Fields that came later are left out at their defaults: digests of older architectures stay."""
        later = {"expansion": 1, "squeeze": 0.0, "skip": False, "pool": False}
        return {name: value for name, value in write(self).items() if later.get(name, ...) != value}


class Head(_Data):
    """The classifier behind the global average."""

    precision: Name


class Buildable(_Data):
    """What bitnas can build, as data; equal ones have equal JSON and equal digests.

    Attributes:
        input_shape: (C, H, W) of one image.
        classes: number of classes.
        widths: how many channels layers make, by the layer's name in the network, where pruning has left
            fewer than the network has without it (``search_spaces.pruning``).
        without: the blocks that pruning has left out, by name: what comes in goes out.
        layer_precisions: of single layers, by the layer's name in the network, where they have another than
            the network says (``search_spaces.recoding``).
    """

    input_shape: tuple[Inputs, Pixels, Pixels]
    classes: Annotated[int, Field(ge=2, le=100_000)]
    widths: Widths = _Frozen[int]({})
    without: PartNames = ()
    layer_precisions: PartPrecisions = _Frozen[str]({})

    @model_serializer(mode="wrap")
    def _without_changes(self, write: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """What was not changed says nothing of it, so that digests of older architectures stay."""
        changes = "widths", "without", "layer_precisions"
        return {k: v for k, v in write(self).items() if v or k not in changes}

    @property
    def is_pruned(self) -> bool:
        """Whether layers make fewer channels than they did, or blocks are left out."""
        return bool(self.widths or self.without)

    @property
    def is_changed(self) -> bool:
        """Whether it was pruned, or single layers have precisions of their own."""
        return self.is_pruned or bool(self.layer_precisions)

    def pruned(self, widths: Mapping[str, int], without: Iterable[str] = ()) -> Self:
        """The same with these widths, and without these blocks and those that are left out already."""
        fields = {**json.loads(self.to_json()), "widths": dict(widths)}
        return self.from_json(json.dumps({**fields, "without": [*self.without, *without]}))

    def recoded(self, layer_precisions: Mapping[str, str]) -> Self:
        """The same with these precisions of single layers, and no others."""
        fields = {**json.loads(self.to_json()), "layer_precisions": dict(layer_precisions)}
        return self.from_json(json.dumps(fields))

    def to_json(self) -> str:
        """Canonical JSON: every field, keys sorted, no spaces, ASCII."""
        return json.dumps(self.model_dump(mode="json"), sort_keys=True, separators=(",", ":"))

    @property
    @abstractmethod
    def origin(self) -> str:
        """The name of what it comes from."""

    @property
    def digest(self) -> str:
        """The identity: sha256 of the canonical JSON, in hexadecimal."""
        return hashlib.sha256(self.to_json().encode()).hexdigest()

    @classmethod
    def from_json(cls, text: str) -> Self:
        """Read and validate what ``to_json`` gave.

        Raises:
            InvalidInput: the text is not JSON, or a field is unknown, missing, of another type or out of
                bounds; the message starts with the path of the first such field.
        """
        if len(text) > MAX_JSON:
            problem = f"{len(text)} characters of JSON are more than {MAX_JSON}"
            raise InvalidInput("architecture", problem, "give one architecture")
        try:
            return cls.model_validate_json(text)
        except ValidationError as error:
            raise _invalid(error) from None


class Architecture(Buildable):
    """A network of blocks.

    Attributes:
        space: name of the search space it comes from.
    """

    space: Name
    stem: Stem
    blocks: Annotated[tuple[Block, ...], Field(max_length=256)]
    head: Head

    @property
    def origin(self) -> str:
        """Its space."""
        return self.space


class NamedNetwork(Buildable):
    """A published network, by its name, for images of a shape and so many classes.

    Attributes:
        network: name in the registry ``networks``.
        precision: of its layers, or a plan of them (``search_spaces.plan``).
        classifier: the precision of the last layer, if another is wanted.
    """

    network: Annotated[str, Field(min_length=1, max_length=64)]
    precision: Name = "float"
    classifier: Name | None = None

    @property
    def origin(self) -> str:
        """Its name."""
        return self.network

    @property
    def title(self) -> str:
        """Such as ``resnet20 in int8``."""
        return f"{self.network} in {self.told_precision}"

    @property
    def told_precision(self) -> str:
        """That of its layers, and whether some have another or channels were pruned."""
        last = "" if self.classifier is None else f", classifier in {self.classifier}"
        mixed = ", precisions by layer" if self.layer_precisions else ""
        return f"{self.precision}{last}{mixed}{', pruned' if self.is_pruned else ''}"


def read_architecture(text: str) -> Architecture | NamedNetwork:
    """What a text of JSON tells of: a published network where that is named, else one of blocks.

    Raises:
        InvalidInput: as ``Buildable.from_json`` says.
    """
    return NamedNetwork.from_json(text) if names_network(text) else Architecture.from_json(text)


def names_network(text: str) -> bool:
    """Whether a text of JSON names a published network."""
    if len(text) > MAX_JSON or '"network"' not in text:
        return False
    try:
        found = json.loads(text)
    except ValueError:
        return False
    return isinstance(found, dict) and "network" in found


_FIXES = {
    "extra_forbidden": "remove it",
    "missing": "add it",
    "json_invalid": "give the JSON that Architecture.to_json() writes",
}


def _invalid(error: ValidationError) -> InvalidInput:
    first = error.errors(include_url=False)[0]
    problem = str(first["msg"]).removeprefix("Value error, ")
    fix = _FIXES.get(first["type"], f"correct the value {_short(first['input'])}")
    return InvalidInput(_path(first["loc"]), problem[:1].lower() + problem[1:], fix)


def _path(location: tuple[int | str, ...]) -> str:
    """('blocks', 2, 'kernel') as ``architecture.blocks[2].kernel``."""
    path = "architecture"
    for step in location:
        if isinstance(step, int):
            path += f"[{step}]"
        elif step != "[key]":
            path += f".{step}" if step.isidentifier() else f"[{_short(step)}]"
    return path


def _short(value: Any) -> str:
    """The value on one line of at most 40 characters."""
    text = ascii(value)
    return text if len(text) <= 40 else f"{text[:37]}..."
