"""The artifact: a folder that holds a network, in one form or several, and all that is needed to check it.

manifest.json            the forms, the shapes, and a sha256 of every other file; for a compiled library also
                         its target, block sizes and constants' places
network.so               the machine code; its one entry is ``network``
constants.safetensors    the packed weights, scales, biases and thresholds
sample.safetensors       an input and the output that this network gave for it
predict.py               runs the network with numpy and apache-tvm-ffi alone
pictures.py              reads image files for it, by Pillow
...                      whatever the exporter adds: other forms, the architecture, the card

Only ``manifest.json`` is in every artifact: one that was exported in other forms has no library, and no code.
"""

import hashlib
import json
import math
import os
import platform
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator
from safetensors import SafetensorError
from safetensors.numpy import load_file

from runtime.codegen.sharing import MAX_THREADS
from runtime.formats.c_program import MAKEFILE
from runtime.formats.guard import MAX_BYTES, check_name, check_regular, check_tensors, strict_json
from runtime.formats.packed import Packed
from runtime.target import missing_flags
from search_spaces.errors import BitnasError

MANIFEST, LIBRARY, CONSTANTS, SAMPLE, PREDICT = (
    "manifest.json",
    "network.so",
    "constants.safetensors",
    "sample.safetensors",
    "predict.py",
)
TENSORS = ".safetensors"
PICTURES = "pictures.py"  # not in every artifact: older ones classify arrays alone
FORMAT: Literal[3] = 3
"""Of what is written; in artifacts of format 2 constants are stored as kernels take them, and all hold a
library and no other form."""
COMPILED = "tvm"
"""What the form is called that is a compiled library and its constants."""
BUILT = frozenset({"classify", "network.o"})
"""What an artifact's Makefile builds beside its files."""
MAX_EXTENT = 1 << 16


Extent = Annotated[int, Field(ge=1, le=MAX_EXTENT)]


class ConstantPlace(BaseModel):
    """Where a constant lies in the block of constants, and how it is stored; as it lies there without."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    name: str
    offset: int = Field(ge=0, le=MAX_BYTES)
    packed: Packed | None = None


class Manifest(BaseModel):
    """What every manifest has, as it is read: unknown fields and absurd sizes are refused.

    Attributes:
        format: of the manifest; 2 is that of older artifacts, which all hold a library and nothing else.
        formats: the forms that the network is in, by their names.
        input_shape: torch's, (N, C, H, W).
        output_shape: torch's.
        files: the sha256 of every other file, by its name.
        digest: the sha256 of all that is above.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")
    format: Literal[2, 3]
    formats: tuple[str, ...] = (COMPILED,)
    input_shape: tuple[Extent, Extent, Extent, Extent]
    output_shape: tuple[Extent, ...] = Field(max_length=4)
    files: dict[str, str]
    digest: str

    @field_validator("input_shape", "output_shape")
    @classmethod
    def _fits_memory(cls, shape: tuple[int, ...]) -> tuple[int, ...]:
        if 4 * math.prod(shape) > MAX_BYTES:
            raise ValueError("the shape is too large")
        return shape


class LibraryManifest(Manifest):
    """The manifest of an artifact that holds a compiled library; the fields are ``NetworkInfo``'s."""

    architecture: str
    target: str
    flags: tuple[str, ...]
    tvm: str
    constant_bytes: int = Field(ge=0, le=MAX_BYTES)
    workspace_bytes: int = Field(ge=0, le=MAX_BYTES)
    live_bytes: int = Field(ge=0, le=MAX_BYTES)
    threads: int = Field(ge=1, le=MAX_THREADS)
    constants: tuple[ConstantPlace, ...]
    workloads: tuple[str, ...]


def read_tensors(path: Path, *names: str) -> tuple[NDArray[Any], ...]:
    """The tensors of a safetensors file, by name.

    Raises:
        BitnasError: the file is missing or malformed, or lacks one of them.
    """
    try:
        arrays = load_file(path)
        return tuple(arrays[name] for name in names)
    except (OSError, SafetensorError, KeyError) as error:
        raise BitnasError(f"{path}: it does not hold its tensors ({error}); export it again") from error


def read_manifest(folder: Path) -> Manifest:
    """Read and validate ``manifest.json``."""
    path = folder / MANIFEST
    if os.path.lexists(path):
        check_regular(path)  # before it is opened: a pipe would have one wait for ever
    try:
        return manifest_of(path.read_bytes(), path)
    except (FileNotFoundError, NotADirectoryError) as error:
        raise BitnasError(
            f"{path}: there is no artifact here; pass a folder that `nas export` wrote"
        ) from error
    except OSError as error:
        raise BitnasError(f"{path}: it cannot be read ({error}); check the file") from error


def library_manifest(folder: Path) -> LibraryManifest:
    """Read and validate ``manifest.json`` of an artifact that must hold a compiled library."""
    manifest = read_manifest(folder)
    if not isinstance(manifest, LibraryManifest):
        forms = ", ".join(manifest.formats)
        raise BitnasError(f"{folder}: it holds no compiled library but {forms}; export it as {COMPILED}, too")
    return manifest


def manifest_of(content: bytes, path: Path) -> Manifest:
    """Validate what ``manifest.json`` at a path holds.

    Raises:
        BitnasError: it is malformed, or was changed.
    """
    try:
        fields = strict_json(content)
    except ValueError as error:
        raise BitnasError(f"{path}: it cannot be read ({error}); check the file") from error
    try:
        manifest = _kind_of(fields).model_validate_json(content)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"])) or "the file"
        raise BitnasError(f"{path}: {where}: {first['msg'].lower()}; export it again") from error
    if own_digest(fields) != manifest.digest:
        raise BitnasError(f"{path}: its digest is wrong, it was changed; export it again")
    return manifest


def _kind_of(fields: Any) -> type[Manifest]:
    """Which manifest it is: those of before there were other forms are all of libraries."""
    forms = fields.get("formats", (COMPILED,)) if isinstance(fields, dict) else ()
    return LibraryManifest if isinstance(forms, list | tuple) and COMPILED in forms else Manifest


def check_files(folder: Path, manifest: Manifest) -> None:
    """Refuse an artifact with a missing, changed or outside file, a link, or tensors that are none.

    Nothing is loaded, and no file is opened before it is known to be one.

    Raises:
        BitnasError: it has one; the message names the first.
    """
    for name in (LIBRARY, CONSTANTS, SAMPLE, PREDICT) if isinstance(manifest, LibraryManifest) else ():
        if name not in manifest.files:
            raise BitnasError(f"{folder / MANIFEST}: it lists no {name}; export it again")
    for name in manifest.files:
        check_name(name, folder / MANIFEST)
    for name in manifest.files:
        check_regular(folder / name)
    for name, expected in manifest.files.items():
        if checksum(folder / name) != expected:
            raise BitnasError(
                f"{folder / name}: its checksum is wrong, the file was changed; export it again"
            )
    for name in manifest.files:
        if name.endswith(TENSORS):
            check_tensors(folder / name)


def check_listed(folder: Path, manifest: Manifest) -> None:
    """Refuse a folder with more than its manifest lists: Python would import what lies beside a program.

    What the folder's own Makefile builds is passed over: nothing imports or runs it here.

    Raises:
        BitnasError: it does; the message names the first.
    """
    built = BUILT if MAKEFILE in manifest.files else frozenset()
    for path in sorted(folder.iterdir()):
        name, is_built = path.name, path.name in built and path.is_file()
        if name not in manifest.files and name != MANIFEST and not is_built:
            problem = f"the manifest does not list {name!r}, so nobody vouches for it"
            raise BitnasError(f"{folder}: {problem}; remove it, or export again")


def check_target(manifest: LibraryManifest) -> None:
    """Refuse code for another architecture or for instructions that this CPU lacks."""
    if manifest.architecture != platform.machine():
        raise BitnasError(
            f"target: the artifact is for {manifest.architecture}, this machine is {platform.machine()}; "
            "run it on its own device or export for this one"
        )
    missing = missing_flags(manifest.flags)
    if missing:
        raise BitnasError(
            f"target: the artifact is for {manifest.target} and this CPU lacks {', '.join(missing)}; "
            "run it on its own device or export for this one"
        )


def checksum(path: Path) -> str:
    """The sha256 of a file, in hex."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def own_digest(fields: dict[str, Any]) -> str:
    """The sha256 of a manifest's fields but for the digest itself, in hex."""
    rest = {name: value for name, value in fields.items() if name != "digest"}
    return hashlib.sha256(json.dumps(rest, sort_keys=True).encode()).hexdigest()


def read_sample(folder: Path) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """The sample's input and output."""
    image, output = read_tensors(folder / SAMPLE, "input", "output")
    return image, output
