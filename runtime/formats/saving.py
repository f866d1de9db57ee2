"""Writes a compiled network as an artifact."""

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
        save_file({c.name: c.array for c in constants}, folder / CONSTANTS)
        save_file(dict(sample), folder / SAMPLE)
        for name in (PREDICT, PICTURES):
            shutil.copyfile(Path(__file__).with_name(name), folder / name)
        for name, content in extra.items():
            (folder / name).write_bytes(content)
        for path in folder.iterdir():
            path.chmod(0o644)  # safetensors makes files for their owner alone
        fields = _manifest(info, constants, folder).model_dump(mode="json")
        text = json.dumps(fields | {"digest": own_digest(fields)}, indent=1, sort_keys=True)
        (folder / MANIFEST).write_text(text + "\n", encoding="utf-8")


def _manifest(info: NetworkInfo, constants: Sequence[Constant], folder: Path) -> Manifest:
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
        constants=tuple(ConstantPlace(name=c.name, offset=c.offset) for c in constants),
        workloads=tuple(w.to_json() for w in info.workloads),
        files={path.name: checksum(path) for path in sorted(folder.iterdir())},
        digest="",
    )
