"""Where compiled code is timed: in this process, or in a session of TVM's RPC."""

import shutil
import subprocess
import tempfile
from abc import ABC, abstractmethod
from itertools import count
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from latency.record import VERSION_FUNCTION, DeviceRecord, split_address
from search_spaces.errors import BitnasError

PROBE_C = Path(__file__).with_name("probe.c")
MAX_FILE_BYTES = 1 << 16


class Place(ABC):
    """A memory that code and arrays are loaded into, and a processor that runs them."""

    @property
    @abstractmethod
    def device(self) -> Any:
        """TVM's handle of the processor."""

    @abstractmethod
    def load(self, library: Path) -> Any:
        """A module of the functions in a fresh copy of a shared library: it lies elsewhere than others."""

    def tensor(self, array: NDArray[Any]) -> Any:
        """A copy of an array there, aligned to 64 bytes."""
        import tvm

        return tvm.runtime.tensor(array, self.device)


class ThisProcess(Place):
    """The processor that this process runs on."""

    @property
    def device(self) -> Any:
        """The CPU."""
        import tvm

        return tvm.cpu()

    def load(self, library: Path) -> Any:
        """Load a file that nobody has loaded: the system would give the same memory again."""
        import tvm_ffi

        with tempfile.NamedTemporaryFile(prefix="bitnas-", suffix=library.suffix) as copy:
            shutil.copyfile(library, copy.name)  # what is loaded outlives its file
            return tvm_ffi.load_module(copy.name, keep_module_alive=False)


class RpcSession(Place):
    """A session with a server of TVM's RPC; whoever makes one had better be killable."""

    def __init__(self, record: DeviceRecord, seconds: int) -> None:
        """Connect; the server ends the session after ``seconds``."""
        from tvm import rpc

        self._numbers = count()
        host, port = split_address(record.reach, record.address)
        if record.reach == "tracker":
            tracker = rpc.connect_tracker(host, port)
            self._session = tracker.request(record.key, session_timeout=seconds)
        else:
            self._session = rpc.connect(host, port, record.key, session_timeout=seconds)

    @property
    def device(self) -> Any:
        """The other machine's CPU."""
        return self._session.cpu(0)

    @property
    def tvm_version(self) -> str | None:
        """Of the server's TVM; None where the server is not ours, as TVM's own does not tell."""
        try:
            return str(self._session.get_function(VERSION_FUNCTION)())
        except (AttributeError, RuntimeError, ValueError):
            return None

    def load(self, library: Path) -> Any:
        """Send the library, under a name of its own, and load it there.

        To write over the file of one that is loaded would kill whoever calls into that.
        """
        name = f"{next(self._numbers)}-{library.name}"
        self._session.upload(str(library), name)
        module = self._session.load_module(name)
        self._session.remove(name)
        return module


class Probe:
    """Reads files of a device, and chooses its cores."""

    def __init__(self, place: Place, library: Path) -> None:
        self._place = place
        self._module = place.load(library)

    def read(self, path: str) -> str | None:
        """The beginning of a text file there; None where it cannot be read."""
        name = self._place.tensor(np.frombuffer(path.encode(), np.uint8).copy())
        into = self._place.tensor(np.zeros(MAX_FILE_BYTES, np.uint8))
        count = int(self._module["read_file"](name, into))
        return None if count < 0 else into.numpy()[:count].tobytes().decode(errors="replace")

    def use_cores(self, count: int) -> int:
        """Keep the session to its last ``count`` cores; how many there are."""
        return int(self._module["use_cores"](count))


def compile_probe(target: str, library: Path) -> None:
    """Compile the probe for a target.

    Raises:
        BitnasError: the C compiler for the target is missing or fails.
    """
    from runtime.target import linker_of

    compiler = linker_of(target) or "cc"
    command = [compiler, "-shared", "-fPIC", "-O2", "-s", "-o", str(library), str(PROBE_C)]
    try:
        subprocess.run(command, check=True, capture_output=True, text=True)  # noqa: S603 - a compiler
    except FileNotFoundError as error:
        raise BitnasError(f"target: the C compiler '{compiler}' is not here; install it") from error
    except subprocess.CalledProcessError as error:
        last = (error.stderr.strip().splitlines() or ["no message"])[-1]
        raise BitnasError(f"target: '{compiler}' cannot compile for '{target}': {last}") from error


def probe_of(place: Place, target: str) -> Probe:
    """A probe, compiled and loaded."""
    with tempfile.TemporaryDirectory(prefix="bitnas-") as folder:
        library = Path(folder) / "probe.so"
        compile_probe(target, library)
        return Probe(place, library)
