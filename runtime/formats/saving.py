"""Writes a compiled network as an artifact."""

import json
import shutil
from collections.abc import Mapping, Sequence
from importlib.metadata import version
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from safetensors.numpy import save as serialized
from safetensors.numpy import save_file

from runtime.codegen.layout import Constant
from runtime.folders import new_folder
from runtime.formats.artifact import (
    CONSTANTS,
    FORMAT,
    LIBRARY,
    MANIFEST,
    PICTURES,
    PREDICT,
    SAMPLE,
    ConstantPlace,
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
        shutil.copyfile(library, folder / LIBRARY)
        content, places = constants_file(constants)
        (folder / CONSTANTS).write_bytes(content)
        save_file(dict(sample), folder / SAMPLE)
        for name in (PREDICT, PICTURES):
            shutil.copyfile(Path(__file__).with_name(name), folder / name)
        for name, content in extra.items():
            (folder / name).write_bytes(content)
        for path in folder.iterdir():
            path.chmod(0o644)  # safetensors makes files for their owner alone
        fields = _manifest(info, places, folder).model_dump(mode="json")
        text = json.dumps(fields | {"digest": own_digest(fields)}, indent=1, sort_keys=True)
        (folder / MANIFEST).write_text(text + "\n", encoding="utf-8")


def constants_file(constants: Sequence[Constant]) -> tuple[bytes, tuple[ConstantPlace, ...]]:
    """The safetensors file of a network's constants, and what the manifest says of each."""
    stored = {c.name: pack(c.array, c.find_units()) for c in constants}
    places = tuple(ConstantPlace(name=c.name, offset=c.offset, packed=stored[c.name][1]) for c in constants)
    return serialized({name: array for name, (array, _) in stored.items()}), places


def _manifest(info: NetworkInfo, places: tuple[ConstantPlace, ...], folder: Path) -> Manifest:
    """What is told of a network and of the files that were written of it, without a digest."""
    return Manifest(
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
        constants=places,
        workloads=tuple(w.to_json() for w in info.workloads),
        files={path.name: checksum(path) for path in sorted(folder.iterdir())},
        digest="",
    )
