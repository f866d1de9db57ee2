"""A compiled network: one library, its constants, and the memory that it runs in."""

import platform
import shutil
import tempfile
import threading
import weakref
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from runtime.codegen.assembly import ENTRY, Assembly, assemble
from runtime.codegen.layout import Constant
from runtime.codegen.planning import ALIGNMENT
from runtime.codegen.sharing import MAX_THREADS
from runtime.graph import Graph
from runtime.lowering import lower
from runtime.network_info import NetworkInfo
from runtime.target import architecture_of, board_of, cpu_name, missing_flags, required_flags, resolve_target
from search_spaces.errors import BitnasError, InvalidInput

if TYPE_CHECKING:
    from torch import nn


class CompiledNetwork:
    """Runs a compiled network. Threads may share it: each runs in a workspace of its own.

    A network for another CPU does not run here; its ``twin`` is the same compiled for this machine.
    """

    def __init__(
        self,
        info: NetworkInfo,
        constants: tuple[Constant, ...],
        library: Path,
        twin: "CompiledNetwork | None" = None,
        stored_bytes: int | None = None,
    ) -> None:
        import tvm_ffi

        self.info = info
        self.constants = constants
        self.library = library
        self.twin = twin
        self._stored_bytes = stored_bytes
        self._constants = self._place_constants()
        self._of_thread = threading.local()
        self._lacking = missing_flags(info.flags)
        if info.architecture != platform.machine():
            return
        try:
            self._module = tvm_ffi.load_module(str(library), keep_module_alive=False)
        except (RuntimeError, OSError) as error:
            problem = "it is not a library that this system loads; export or compile the network again here"
            raise BitnasError(f"{library.name}: {problem}") from error

    @property
    def arguments(self) -> tuple[NDArray[Any], ...]:
        """The arguments of the compiled function for this thread: input, constants, workspace, output."""
        if not hasattr(self._of_thread, "arguments"):
            self._of_thread.arguments = self._allocate()
        found: tuple[NDArray[Any], ...] = self._of_thread.arguments
        return found

    @property
    def stored_bytes(self) -> int:
        """Bytes of the file that holds the constants of a saved network."""
        if self._stored_bytes is None:
            from runtime.formats.saving import constants_file

            self._stored_bytes = len(constants_file(self.constants)[0])
        return self._stored_bytes

    @property
    def entry(self) -> Any:
        """The compiled function, to be called with ``arguments``.

        Raises:
            BitnasError: it is for another architecture, or for a CPU that has what this one lacks.
        """
        if self.info.architecture != platform.machine():
            raise BitnasError(
                f"target: the network is for {self.info.architecture}, this machine is {platform.machine()}; "
                "save it and run it on its own device"
            )
        if self._lacking:
            lacking = ", ".join(self._lacking)
            raise BitnasError(
                f"target: the network is for {self.info.target} and this CPU lacks {lacking}; "
                "save it and run it on its own device"
            )
        return getattr(self._module, ENTRY)

    def run(self, images: NDArray[Any]) -> NDArray[np.float32]:
        """Run a batch of images.

        Args:
            images: float32 (n, C, H, W), n a multiple of the compiled batch.

        Returns:
            float32, a new array: torch's output of the model, (n, classes) for a classifier.

        Raises:
            InvalidInput: it is no array, has another shape or is not of float32.
        """
        if not isinstance(images, np.ndarray):
            raise InvalidInput(
                "images", f"a {type(images).__name__} is no numpy array", "convert with numpy.asarray()"
            )
        batch, *image = self.info.input_shape
        if images.ndim != 4 or list(images.shape[1:]) != image or len(images) % batch:
            wanted = f"(n, {', '.join(map(str, image))}) with n a multiple of {batch}"
            raise InvalidInput("images", f"shape {images.shape} does not fit", f"pass shape {wanted}")
        if images.dtype != np.float32:
            raise InvalidInput(
                "images", f"type {images.dtype} is not float32", "convert with .astype('float32')"
            )
        entry, arguments = self.entry, self.arguments
        source, _, _, result = arguments
        outputs = np.empty((len(images), *self.info.output_shape[1:]), np.float32)
        for start in range(0, len(images), batch):
            source[...] = images[start : start + batch]
            entry(*arguments)
            outputs[start : start + batch] = result
        return outputs

    def save(self, directory: str | Path, extra: Mapping[str, bytes] | None = None) -> None:
        """Write the network as an artifact; it is run once, for the sample in it.

        Args:
            directory: must not exist yet, or be an empty folder.
            extra: further files, by name.

        Raises:
            InvalidInput: the folder holds something.
            BitnasError: it cannot be written.
        """
        from runtime.formats.saving import save

        save(self.info, self.constants, self.library, self.sample(), Path(directory), extra or {})

    def sample(self) -> dict[str, NDArray[np.float32]]:
        """An ``input`` and the ``output`` for it, by which another machine checks what it computes."""
        image = np.random.default_rng(0).random(self.info.input_shape, np.float32)
        return {"input": image, "output": (self.twin or self).run(image)}

    def _place_constants(self) -> NDArray[np.uint8]:
        block = aligned_array((max(1, self.info.constant_bytes),), np.uint8)
        for constant in self.constants:
            raw = constant.array.reshape(-1).view(np.uint8)
            block[constant.offset : constant.offset + raw.size] = raw
        return block

    def _allocate(self) -> tuple[NDArray[Any], ...]:
        return (
            aligned_array(self.info.input_shape, np.float32),
            self._constants,
            aligned_array((max(1, self.info.workspace_bytes),), np.uint8),
            aligned_array(self.info.output_shape, np.float32),
        )


def aligned_array(shape: tuple[int, ...], dtype: Any) -> NDArray[Any]:
    """Zeros that start at a multiple of 64 bytes."""
    nbytes = int(np.prod(shape)) * np.dtype(dtype).itemsize
    raw = np.zeros(nbytes + ALIGNMENT, np.uint8)
    start = -raw.ctypes.data % ALIGNMENT
    return np.asarray(raw[start : start + nbytes].view(dtype).reshape(shape))


def compile(
    module: "nn.Module",
    input_shape: tuple[int, ...],
    target: str = "native",
    schedules: Mapping[str, str] | None = None,
    threads: int = 1,
) -> CompiledNetwork:
    """Compile a torch model, as it computes in evaluation mode, for a fixed batch.

    Args:
        module: a model made of the layers that ``runtime.lowering`` knows; its weights are copied.
        input_shape: (N, C, H, W).
        target: ``native``; an LLVM CPU name of this machine's family; or ``aarch64`` or ``armv7``, perhaps
            with a CPU (``aarch64/cortex-a72``), whose networks can be saved and run on such a machine.
        schedules: how to make a kernel, by its workload's key, as ``latency.LatencyModel.schedules`` found by
            measuring; others are made as seems best for the target.
        threads: how many share the work of one call, 1 to 256.

    Raises:
        InvalidInput: the shape or the target is not one, or the number of threads is out of its range.
        BitnasError: the target's linker is not installed.
        UnsupportedLayerError: the model holds a layer that no kernel computes.
    """
    resolve_target(target)
    _check_threads(threads)
    graph = lower(module, input_shape)
    folder = Path(tempfile.mkdtemp(prefix="bitnas-"))
    library = folder / "network.so"
    try:
        assembly = assemble(graph, target, library, schedules or {}, threads)
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)
        raise
    info = _info(graph, assembly, target, threads)
    runs_here = board_of(target) is None and not missing_flags(info.flags)
    twin = None if runs_here else compile(module, input_shape)
    network = CompiledNetwork(info, assembly.constants, library, twin)
    weakref.finalize(network, shutil.rmtree, folder, ignore_errors=True)
    return network


def _check_threads(threads: int) -> None:
    if not isinstance(threads, int) or not 1 <= threads <= MAX_THREADS:
        fix = f"pass a whole number from 1 to {MAX_THREADS}"
        raise InvalidInput("threads", f"{threads!r} is not a number of threads", fix)


def _info(graph: Graph, assembly: Assembly, target: str, threads: int) -> NetworkInfo:
    return NetworkInfo(
        input_shape=graph.input.shape,
        output_shape=graph.output.shape,
        architecture=architecture_of(target),
        target=cpu_name(target),
        flags=tuple(sorted({*required_flags(target), *assembly.flags})),
        constant_bytes=assembly.constant_bytes,
        workspace_bytes=assembly.workspace_bytes,
        live_bytes=assembly.live_bytes,
        workloads=tuple(graph.workloads),
        threads=threads,
    )
