"""Loads an artifact as a compiled network."""

import shutil
import tempfile
import weakref
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from runtime.codegen.layout import Constant
from runtime.formats.artifact import (
    CONSTANTS,
    FORMAT,
    LIBRARY,
    MANIFEST,
    ConstantPlace,
    LibraryManifest,
    check_files,
    check_target,
    checksum,
    library_manifest,
    read_sample,
    read_tensors,
)
from runtime.formats.bnz import SUFFIX, read_bnz
from runtime.formats.predict import laid_out
from runtime.network import CompiledNetwork, compile
from runtime.network_info import NetworkInfo
from runtime.workload import Workload
from search_spaces.errors import PLUGINS, BitnasError, InvalidInput, UnknownFamilyError


def load(directory: str | Path) -> CompiledNetwork:
    """Load an artifact, after checking every file's checksum and that its code runs on this CPU.

    A ``network.bnz`` holds no code: its network is compiled for this machine.

    Raises:
        BitnasError: a file is missing or changed, or the artifact is for another machine.
    """
    if not isinstance(directory, str | Path) or "\0" in str(directory):
        raise InvalidInput("directory", f"{directory!r} is no path", "pass a folder that `nas export` wrote")
    folder = Path(directory)
    if folder.suffix == SUFFIX:
        bnz = read_bnz(folder)
        return compile(bnz.module, (1, *bnz.architecture.input_shape))
    manifest = library_manifest(folder)
    check_files(folder, manifest)
    check_target(manifest)
    # A copy of its own: a library that was loaded from this path before would be given again, changed or not.
    private = Path(tempfile.mkdtemp(prefix="bitnas-"))
    try:
        library = Path(shutil.copy(folder / LIBRARY, private))
        if checksum(library) != manifest.files[LIBRARY]:  # of what is loaded, whatever became of the other
            raise _misfit(folder, "library")
        constants = _constants(folder, manifest)
        is_older = manifest.format != FORMAT  # whose cards count what kernels take
        stored = sum(c.array.nbytes for c in constants) if is_older else (folder / CONSTANTS).stat().st_size
        network = CompiledNetwork(_info(folder, manifest), constants, library, stored_bytes=stored)
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


def _info(folder: Path, manifest: LibraryManifest) -> NetworkInfo:
    try:
        workloads = tuple(Workload.from_json(text) for text in manifest.workloads)
    except UnknownFamilyError as error:
        problem = f"{folder / MANIFEST}: {error.problem}; add their plug-in by "
        raise BitnasError(problem, PLUGINS) from error
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


def _constants(folder: Path, manifest: LibraryManifest) -> tuple[Constant, ...]:
    arrays = read_tensors(folder / CONSTANTS, *(c.name for c in manifest.constants))
    pairs = list(zip(manifest.constants, arrays, strict=True))
    for place, stored in pairs:  # before they are laid out: what does not fit may be large
        nbytes = stored.nbytes if place.packed is None else place.packed.nbytes
        fits = place.packed is None or place.packed.fits(stored)
        if not fits or place.offset + nbytes > manifest.constant_bytes:
            raise _misfit(folder, "constants")
    return tuple(Constant(place.name, _laid_out(place, stored), place.offset) for place, stored in pairs)


def _laid_out(place: ConstantPlace, stored: NDArray[Any]) -> NDArray[Any]:
    """A constant as kernels take it."""
    if place.packed is None:
        return stored
    found: NDArray[Any] = laid_out(stored, place.packed.model_dump())
    return found


def _misfit(folder: Path, what: str) -> BitnasError:
    return BitnasError(f"{folder / MANIFEST}: it does not fit the {what} beside it; export it again")
