"""A trained network as one small file, ``network.bnz``: what it is, and its weights as codes, entropy coded.

    bnz1                    four bytes
    header                  JSON, deflated, behind its length: the architecture, and what the writer adds
    forms                   bits, behind their length: how each tensor is stored
    codes                   of all weights, behind their length, by the header's coding
    reals                   scales, biases and norms, float32 or float16
    kept                    weights that are stored as they are, float32
    digest                  eight bytes of blake2b of all before

Reading builds the network and puts back what was stored, to the bit. Everything is checked, nothing is run.
"""

import hashlib
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from runtime.formats.coding import coders
from runtime.formats.coding.bits import read_with_length, with_length
from runtime.formats.tensor_forms import Content, described, part_of, put_back, taken, undescribed
from search_spaces.errors import PLUGINS, BitnasError, CodingError, InvalidInput

if TYPE_CHECKING:
    from torch import nn

    from search_spaces import Buildable

NAME = "network.bnz"
SUFFIX = ".bnz"
MAGIC = b"bnz1"
DIGEST_BYTES = 8
MAX_HEADER = 1 << 21
MAX_NUMBERS = 1 << 28
"""Of all parameters of a network that is read: what a file of few bytes may ask for is bounded by this."""

Reals = Literal["float32", "float16"]


class Header(BaseModel):
    """What a file says of itself.

    Attributes:
        architecture: canonical JSON of what the network is.
        coding: of its codes, in the registry ``coders``.
        reals: the type of scales, biases and norms.
        about: whatever the writer adds: where the network comes from.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)
    architecture: str
    coding: str = Field(max_length=64)
    reals: Reals
    about: dict[str, Any]


@dataclass(frozen=True)
class Bnz:
    """A network that was read.

    Attributes:
        module: with its weights, in eval mode.
        architecture: what it is.
        about: what the writer added.
        header: the rest of what the file says of itself.
    """

    module: "nn.Module"
    architecture: "Buildable"
    about: Mapping[str, Any]
    header: Header


def to_bytes(
    module: "nn.Module",
    architecture: "Buildable",
    *,
    coding: str = "range",
    reals: Reals = "float32",
    about: Mapping[str, Any] | None = None,
) -> bytes:
    """The file of a trained network.

    Its batch norms are folded, and its weights are those that its codes stand for: what is read computes
    the same codes, and differs from the given network by roundings of its real numbers.

    Args:
        module: of the architecture, trained.
        architecture: that it was built from.
        coding: in the registry ``coders``.
        reals: the type of scales, biases and norms; float16 rounds them.
        about: JSON that the reader gets back.

    Raises:
        InvalidInput: there is no such coding, or a number is too large for float16.
    """
    content = taken(module, architecture, reals)
    header = Header(
        architecture=architecture.to_json(), coding=coding, reals=reals, about=dict(about or {})
    ).model_dump_json()
    coder = coders.get(coding)
    codes = coder.encode([part_of(w) for w in content.weights], [w.symbols for w in content.weights])
    body = b"".join(
        [
            MAGIC,
            with_length(zlib.compress(header.encode(), 9)),
            with_length(described(content)),
            with_length(codes),
            content.reals.tobytes(),
            content.kept.tobytes(),
        ]
    )
    return body + _digest(body)


def read_bnz(path: str | Path) -> Bnz:
    """Read a ``network.bnz``.

    Raises:
        BitnasError: it is missing or damaged, or names what is not known here.
    """
    try:
        data = Path(path).read_bytes()
    except OSError as error:
        raise BitnasError(f"{path}: it cannot be read ({error.strerror}); check the file") from error
    return from_bytes(data, Path(path))


def from_bytes(data: bytes, path: Path = Path(NAME)) -> Bnz:
    """The network of a file's bytes.

    Raises:
        BitnasError: they are no such file, or a damaged one.
    """
    try:
        header, start = _header(data)
        architecture, module = _built(header, path)
        numbers = sum(each.numel() for each in module.state_dict().values())
        if numbers > MAX_NUMBERS:
            raise CodingError(f"its network has {numbers} numbers, more than {MAX_NUMBERS}")
        content = _content(data, start, header, module)
        return Bnz(put_back(architecture, content), architecture, header.about, header)
    except CodingError as error:
        raise BitnasError(f"{path}: it is damaged: {error}; compress the network again") from error


def _header(data: bytes) -> tuple[Header, int]:
    """The header, and where what follows begins."""
    if data[: len(MAGIC)] != MAGIC:
        raise CodingError("it does not begin as a file of `nas compress` does")
    if len(data) < len(MAGIC) + DIGEST_BYTES or _digest(data[:-DIGEST_BYTES]) != data[-DIGEST_BYTES:]:
        raise CodingError("its digest is wrong")
    deflated, start = read_with_length(data[:-DIGEST_BYTES], len(MAGIC))
    inflater = zlib.decompressobj()
    try:
        text = inflater.decompress(deflated, MAX_HEADER)
        if not inflater.eof or inflater.unused_data:
            raise CodingError("its header is cut short or too long")
        return Header.model_validate_json(text), start
    except zlib.error as error:
        raise CodingError("its header cannot be inflated") from error
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"])) or "the header"
        raise CodingError(f"{where}: {str(first['msg']).lower()}") from error


def _built(header: Header, path: Path) -> "tuple[Buildable, nn.Module]":
    """The architecture, and what it builds without memory."""
    import torch

    import search_spaces

    try:
        architecture = search_spaces.read_architecture(header.architecture)
        with torch.device("meta"):
            return architecture, search_spaces.build(architecture)
    except InvalidInput as error:
        fix = "if a plug-in brings it, give it by "
        raise BitnasError(f"{path}: {error.parameter}: {error.problem}; {fix}", PLUGINS) from error


def _content(data: bytes, start: int, header: Header, module: "nn.Module") -> Content:
    """What is stored of each tensor."""
    end = len(data) - DIGEST_BYTES
    forms, start = read_with_length(data[:end], start)
    codes, start = read_with_length(data[:end], start)
    outline = undescribed(forms, module)
    try:
        coder = coders.get(header.coding)
    except InvalidInput as error:
        raise CodingError(f"{error.problem}; {error.fix}") from error
    symbols = coder.decode([part_of(w) for w in outline.weights], codes)
    dtype = np.dtype(header.reals).newbyteorder("<")
    middle = start + outline.reals_count * dtype.itemsize
    if end - middle != 4 * outline.kept_count(symbols):
        raise CodingError("it holds more or fewer numbers than its network has")
    reals = np.frombuffer(data[start:middle], dtype).astype(np.float32)
    return outline.filled(symbols, reals, np.frombuffer(data[middle:end], "<f4"))


def codes_bytes(data: bytes) -> int:
    """How many bytes of a file the codes of its weights take, with their tables.

    Raises:
        CodingError: it is no such file.
    """
    _, start = _header(data)
    _, start = read_with_length(data, start)
    return len(read_with_length(data, start)[0])


def _digest(data: bytes) -> bytes:
    return hashlib.blake2b(data, digest_size=DIGEST_BYTES).digest()
