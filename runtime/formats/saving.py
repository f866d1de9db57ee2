"""Writes artifacts: a compiled network's files, and the manifest of whatever lies in a folder."""

import json
import shutil
from collections.abc import Mapping, Sequence
from importlib.metadata import version
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
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
    save_file({c.name: c.array for c in constants}, folder / CONSTANTS)
    save_file(dict(sample), folder / SAMPLE)
    for name in (PREDICT, PICTURES):
        shutil.copyfile(Path(__file__).with_name(name), folder / name)


def write_manifest(
    folder: Path, info: NetworkInfo, constants: Sequence[Constant], formats: Sequence[str] = (COMPILED,)
) -> None:
    """Write ``manifest.json`` for all other files of a folder; one that is there is replaced.

    Args:
        folder: that is not yet renamed.
        info: of the network; what it says of a library is left out where ``formats`` have none.
        constants: of the library.
        formats: the forms that the network is in.
    """
    (folder / MANIFEST).unlink(missing_ok=True)
    for path in folder.iterdir():
        path.chmod(0o644)  # safetensors makes files for their owner alone
    fields = _manifest(info, constants, formats, folder).model_dump(mode="json")
    text = json.dumps(fields | {"digest": own_digest(fields)}, indent=1, sort_keys=True)
    (folder / MANIFEST).write_text(text + "\n", encoding="utf-8")


def _manifest(
    info: NetworkInfo, constants: Sequence[Constant], formats: Sequence[str], folder: Path
) -> Manifest:
    """What is told of a network and of the files that were written of it, without a digest."""
    every = Manifest(
        format=FORMAT,
        formats=tuple(formats),
        input_shape=info.input_shape,  # type: ignore[arg-type]  # lowering checked that it has four
        output_shape=info.output_shape,
        files={path.name: checksum(path) for path in sorted(folder.iterdir())},
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
        constants=tuple(ConstantPlace(name=c.name, offset=c.offset) for c in constants),
        workloads=tuple(w.to_json() for w in info.workloads),
    )
