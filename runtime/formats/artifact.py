"""The artifact: a folder that holds a compiled network and all that is needed to run and to check it.

manifest.json            format, target, block sizes, constants' places, and a sha256 of every other file
network.so               the machine code; its one entry is ``network``
constants.safetensors    the packed weights, scales, biases and thresholds
sample.safetensors       an input and the output that this network gave for it
predict.py               runs the network with numpy and apache-tvm-ffi alone
pictures.py              reads image files for it, by Pillow
...                      whatever the exporter adds: the architecture, the card
"""

import hashlib
import json
import math
import platform
import shutil
import tempfile
import weakref
from importlib.metadata import version
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator
from safetensors import SafetensorError
from safetensors.numpy import load_file, save_file

from runtime.codegen.layout import Constant
from runtime.folders import new_folder
from runtime.network import MOST_THREADS, CompiledNetwork, NetworkInfo
from runtime.target import missing_flags
from runtime.workload import Workload
from search_spaces.errors import BitnasError, InvalidInput

MANIFEST, LIBRARY, CONSTANTS, SAMPLE, PREDICT = (
    "manifest.json",
    "network.so",
    "constants.safetensors",
    "sample.safetensors",
    "predict.py",
)
PICTURES = "pictures.py"  # not in every artifact: older ones classify arrays alone
FORMAT: Literal[2] = 2
MAX_BYTES = 1 << 32
MAX_EXTENT = 1 << 16


Extent = Annotated[int, Field(ge=1, le=MAX_EXTENT)]


class ConstantPlace(BaseModel):
    """Where a constant lies in the block of constants."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    name: str
    offset: int = Field(ge=0, le=MAX_BYTES)


class Manifest(BaseModel):
    """The manifest of an artifact, as it is read: unknown fields and absurd sizes are refused."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    format: Literal[2]
    architecture: str
    target: str
    flags: tuple[str, ...]
    tvm: str
    input_shape: tuple[Extent, Extent, Extent, Extent]
    output_shape: tuple[Extent, ...] = Field(max_length=4)
    constant_bytes: int = Field(ge=0, le=MAX_BYTES)
    workspace_bytes: int = Field(ge=0, le=MAX_BYTES)
    live_bytes: int = Field(ge=0, le=MAX_BYTES)
    threads: int = Field(ge=1, le=MOST_THREADS)
    constants: tuple[ConstantPlace, ...]
    workloads: tuple[str, ...]
    files: dict[str, str]
    digest: str

    @field_validator("input_shape", "output_shape")
    @classmethod
    def _fits_memory(cls, shape: tuple[int, ...]) -> tuple[int, ...]:
        if 4 * math.prod(shape) > MAX_BYTES:
            raise ValueError("the shape is too large")
        return shape


def save(network: CompiledNetwork, directory: Path, extra: dict[str, bytes] | None = None) -> None:
    """Write an artifact: aside, then renamed, so that a folder with a manifest is always whole.

    Args:
        network: what to save; it is run once for the sample.
        directory: must not exist yet, or be an empty folder.
        extra: further files, by name.

    Raises:
        InvalidInput: the folder holds something.
        BitnasError: it cannot be written.
    """
    with new_folder(directory) as aside:
        _write_files(network, aside, extra or {})


def load(directory: str | Path) -> CompiledNetwork:
    """Load an artifact, after checking every file's checksum and that its code runs on this CPU.

    Raises:
        BitnasError: a file is missing or changed, or the artifact is for another machine.
    """
    if not isinstance(directory, str | Path) or "\0" in str(directory):
        raise InvalidInput("directory", f"{directory!r} is no path", "pass a folder that `nas export` wrote")
    folder = Path(directory)
    manifest = read_manifest(folder)
    check_files(folder, manifest)
    check_target(manifest)
    # A copy of its own: a library that was loaded from this path before would be given again, changed or not.
    private = Path(tempfile.mkdtemp(prefix="bitnas-"))
    try:
        library = Path(shutil.copy(folder / LIBRARY, private))
        network = CompiledNetwork(_info(folder, manifest), _constants(folder, manifest), library)
    except BaseException:
        shutil.rmtree(private, ignore_errors=True)
        raise
    weakref.finalize(network, shutil.rmtree, private, ignore_errors=True)
    image, expected = read_sample(folder)
    try:
        output = network.run(image)
    except ValueError as error:  # what the library's entry says of blocks that are not its own
        raise _misfit(folder, "library") from error
    if not np.array_equal(output, expected, equal_nan=True):
        raise _misfit(folder, "sample")
    return network


def _info(folder: Path, manifest: Manifest) -> NetworkInfo:
    try:
        workloads = tuple(Workload.from_json(text) for text in manifest.workloads)
    except InvalidInput as error:
        raise _misfit(folder, "workloads") from error
    return NetworkInfo(
        input_shape=manifest.input_shape,
        output_shape=manifest.output_shape,
        architecture=manifest.architecture,
        target=manifest.target,
        flags=manifest.flags,
        constant_bytes=manifest.constant_bytes,
        workspace_bytes=manifest.workspace_bytes,
        live_bytes=manifest.live_bytes,
        threads=manifest.threads,
        workloads=workloads,
    )


def _constants(folder: Path, manifest: Manifest) -> tuple[Constant, ...]:
    arrays = read_tensors(folder / CONSTANTS, *(c.name for c in manifest.constants))
    pairs = zip(manifest.constants, arrays, strict=True)
    constants = tuple(Constant(c.name, array, c.offset) for c, array in pairs)
    if any(c.offset + c.array.nbytes > manifest.constant_bytes for c in constants):
        raise _misfit(folder, "constants")
    return constants


def _misfit(folder: Path, what: str) -> BitnasError:
    return BitnasError(f"{folder / MANIFEST}: it does not fit the {what} beside it; export the artifact anew")


def read_tensors(path: Path, *names: str) -> tuple[NDArray[Any], ...]:
    """The tensors of a safetensors file, by name.

    Raises:
        BitnasError: the file is missing or malformed, or lacks one of them.
    """
    try:
        arrays = load_file(path)
        return tuple(arrays[name] for name in names)
    except (OSError, SafetensorError, KeyError) as error:
        raise BitnasError(
            f"{path}: it does not hold its tensors ({error}); export the artifact anew"
        ) from error


def read_manifest(folder: Path) -> Manifest:
    """Read and validate ``manifest.json``."""
    path = folder / MANIFEST
    try:
        manifest = Manifest.model_validate_json(path.read_text(encoding="utf-8"))
        if own_digest(manifest.model_dump(mode="json")) != manifest.digest:
            raise BitnasError(f"{path}: its digest is wrong, it was changed; export the artifact anew")
        return manifest
    except (FileNotFoundError, NotADirectoryError) as error:
        raise BitnasError(
            f"{path}: there is no artifact here; pass a folder that `nas export` wrote"
        ) from error
    except (OSError, UnicodeDecodeError) as error:
        raise BitnasError(f"{path}: it cannot be read ({error}); check the file") from error
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"])) or "the file"
        raise BitnasError(f"{path}: {where}: {first['msg'].lower()}; export the artifact anew") from error


def check_files(folder: Path, manifest: Manifest) -> None:
    """Refuse an artifact with a missing, changed or outside file."""
    for name in (LIBRARY, CONSTANTS, SAMPLE, PREDICT):
        if name not in manifest.files:
            raise BitnasError(f"{folder / MANIFEST}: it lists no {name}; export the artifact anew")
    for name, expected in manifest.files.items():
        path = folder / name
        if Path(name).name != name:
            raise BitnasError(f"{folder / MANIFEST}: '{name}' lies outside the artifact; export it anew")
        if not path.is_file():
            raise BitnasError(f"{path}: the file is missing; export the artifact anew")
        if checksum(path) != expected:
            raise BitnasError(
                f"{path}: its checksum is wrong, the file was changed; export the artifact anew"
            )


def check_target(manifest: Manifest) -> None:
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


def _write_files(network: CompiledNetwork, folder: Path, extra: dict[str, bytes]) -> None:
    info = network.info
    shutil.copyfile(network.library, folder / LIBRARY)
    save_file({c.name: c.array for c in network.constants}, folder / CONSTANTS)
    sample = np.random.default_rng(0).random(info.input_shape, np.float32)
    save_file({"input": sample, "output": (network.twin or network).run(sample)}, folder / SAMPLE)
    for name in (PREDICT, PICTURES):
        shutil.copyfile(Path(__file__).with_name(name), folder / name)
    for name, content in extra.items():
        (folder / name).write_bytes(content)
    for path in folder.iterdir():
        path.chmod(0o644)  # safetensors makes files for their owner alone
    manifest = Manifest(
        format=FORMAT,
        architecture=info.architecture,
        target=info.target,
        flags=info.flags,
        tvm=version("apache-tvm"),
        input_shape=info.input_shape,  # type: ignore[arg-type]  # lowering checked that it has four
        output_shape=info.output_shape,
        constant_bytes=info.constant_bytes,
        workspace_bytes=info.workspace_bytes,
        live_bytes=info.live_bytes,
        threads=info.threads,
        constants=tuple(ConstantPlace(name=c.name, offset=c.offset) for c in network.constants),
        workloads=tuple(w.to_json() for w in info.workloads),
        files={path.name: checksum(path) for path in sorted(folder.iterdir())},
        digest="",
    )
    fields = manifest.model_dump(mode="json")
    text = json.dumps(fields | {"digest": own_digest(fields)}, indent=1, sort_keys=True)
    (folder / MANIFEST).write_text(text + "\n", encoding="utf-8")
