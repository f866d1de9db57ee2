"""Writes artifacts: a compiled network's files, and the manifest of whatever lies in a folder."""

import json
import shutil
from collections.abc import Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors.numpy import save as serialized
from safetensors.numpy import save_file

from runtime.codegen.layout import Constant
from runtime.folders import new_folder
from runtime.formats.artifact import (
    COMPILED,
    CONSTANTS,
    FORMAT,
    LIBRARY,
    MANIFEST,
    PICTURES,
    PREDICT,
    SAMPLE,
    ConstantPlace,
    LibraryManifest,
    Manifest,
    checksum,
    own_digest,
)
from runtime.formats.packed import pack
from runtime.network_info import NetworkInfo


def save(
    info: NetworkInfo,
    constants: Sequence[Constant],
    library: Path,
    sample: Mapping[str, NDArray[np.float32]],
    directory: Path,
    extra: Mapping[str, bytes],
) -> None:
    """Write an artifact: aside, then renamed, so that a folder with a manifest is always whole.

    Args:
        info: of the network.
        constants: its packed weights.
        library: its code.
        sample: an ``input`` and the ``output`` for it.
        directory: must not exist yet, or be an empty folder.
        extra: further files, by name.

    Raises:
        InvalidInput: the folder holds something.
        BitnasError: it cannot be written.
    """
    with new_folder(directory) as folder:
        write_library(constants, library, sample, folder)
        for name, content in extra.items():
            (folder / name).write_bytes(content)
        write_manifest(folder, info, constants)


def write_library(
    constants: Sequence[Constant], library: Path, sample: Mapping[str, NDArray[np.float32]], folder: Path
) -> None:
    """Write the files of a compiled network into a folder; ``write_manifest`` vouches for them."""
    shutil.copyfile(library, folder / LIBRARY)
    (folder / CONSTANTS).write_bytes(constants_file(constants)[0])
    save_file(dict(sample), folder / SAMPLE)
    for name in (PREDICT, PICTURES):
        shutil.copyfile(Path(__file__).with_name(name), folder / name)


def constants_file(constants: Sequence[Constant]) -> tuple[bytes, tuple[ConstantPlace, ...]]:
    """The safetensors file of a network's constants, and what the manifest says of each."""
    stored = {c.name: pack(c.array, c.find_units()) for c in constants}
    places = tuple(ConstantPlace(name=c.name, offset=c.offset, packed=stored[c.name][1]) for c in constants)
    in_order = {name: np.asarray(array, order="C") for name, (array, _) in stored.items()}
    return serialized(in_order), places  # which writes memory as it lies


def write_manifest(
    folder: Path, info: NetworkInfo, constants: Sequence[Constant], formats: Sequence[str] = (COMPILED,)
) -> None:
    """Write ``manifest.json`` of a folder for all files in it; ``vouch_again`` does so for more files.

    Args:
        folder: that is not yet renamed.
        info: of the network; what it says of a library is left out where ``formats`` have none.
        constants: of the library.
        formats: the forms that the network is in.
    """
    _write(folder, _manifest(info, constants, formats).model_dump(mode="json"))


def vouch_again(folder: Path) -> None:
    """Write the manifest of a folder again, for what is in the folder by now."""
    _write(folder, json.loads((folder / MANIFEST).read_text(encoding="utf-8")))


def _write(folder: Path, fields: dict[str, Any]) -> None:
    """Write a manifest's fields, with the sums of all other files and its own."""
    others = sorted(path for path in folder.iterdir() if path.name != MANIFEST)
    for path in others:
        path.chmod(0o644)  # safetensors makes files for their owner alone
    fields |= {"files": {path.name: checksum(path) for path in others}}
    text = json.dumps(fields | {"digest": own_digest(fields)}, indent=1, sort_keys=True)
    (folder / MANIFEST).write_text(text + "\n", encoding="utf-8")


def _manifest(info: NetworkInfo, constants: Sequence[Constant], formats: Sequence[str]) -> Manifest:
    """What is told of a network, without files and digest."""
    every = Manifest(
        format=FORMAT,
        formats=tuple(formats),
        input_shape=info.input_shape,  # type: ignore[arg-type]  # lowering checked that it has four
        output_shape=info.output_shape,
        files={},
        digest="",
    )
    if COMPILED not in formats:
        return every
    return LibraryManifest(
        **every.model_dump(),
        architecture=info.architecture,
        target=info.target,
        flags=info.flags,
        tvm=version("apache-tvm"),
        constant_bytes=info.constant_bytes,
        workspace_bytes=info.workspace_bytes,
        live_bytes=info.live_bytes,
        threads=info.threads,
        constants=constants_file(constants)[1],
        workloads=tuple(w.to_json() for w in info.workloads),
    )
