"""Asks a device through a process that is killed when it takes too long, and started when it is lost."""

import contextlib
import json
import os
import selectors
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import weakref
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from latency.record import DeviceRecord, split_address
from latency.timing.place import compile_probe
from search_spaces.errors import MeasurementError, NoDeviceError

MAX_TRIES = 3
CONNECT_S = 30.0
MEASURE_S, MEASURE_EACH_S = 120.0, 20.0  # for a batch, and for each of what is in it
SESSION_S = 3600
CLOSING_S = 2.0  # a process closes its pipes before it says why
RETRY_PAUSE_S = 0.5  # before a fresh session, so that a server may come back


class LostSessionError(Exception):
    """The process, or its session, ended or took too long."""


class Client:
    """Jobs for a device, each within a time limit; see ``latency.hardware.runner`` for what they are."""

    def __init__(self, record: DeviceRecord, cooldown_s: float = 0.0) -> None:
        self._process: subprocess.Popen[bytes] | None = None
        self._record = record
        self._cooldown_s = cooldown_s
        self._folder = Path(tempfile.mkdtemp(prefix="bitnas-"))
        weakref.finalize(self, shutil.rmtree, self._folder, ignore_errors=True)
        self._output = self._folder / "output"
        self._opening: dict[str, Any] | None = None
        self._send = self._receive = -1

    def ask(self, job: Mapping[str, Any], seconds: float) -> dict[str, Any]:
        """The answer to a job; a lost session is replaced by a fresh one, up to ``MAX_TRIES``.

        Raises:
            MeasurementError: the device gave no usable time.
            NoDeviceError: it does not answer.
        """
        for attempt in range(MAX_TRIES):
            try:
                if attempt > 0:
                    self._check_listening()
                if self._process is None:
                    self._open()
                answer = self._exchange(job, seconds)
            except LostSessionError as error:
                lost = error
                self.close()
                time.sleep(RETRY_PAUSE_S)
                continue
            if "error" in answer:
                raise MeasurementError(answer["error"])
            found: dict[str, Any] = answer["found"]
            return found
        where = f"'{self._record.name}' at {self._record.address}"
        raise NoDeviceError(
            f"device: {where} does not answer ({lost}); see that `nas device serve` runs there with the same "
            f"key, and try `nas device probe {self._record.name}`"
        )

    def close(self) -> None:
        """End the process and with it the session."""
        if self._process is None:
            return
        self._process.kill()
        self._process.wait()
        for descriptor in (self._send, self._receive):
            os.close(descriptor)
        self._process = None

    def __del__(self) -> None:
        self.close()

    def _check_listening(self) -> None:
        """Whether somebody listens at all costs nothing to ask, a process that connects costs seconds."""
        address = split_address(self._record.reach, self._record.address)
        try:
            socket.create_connection(address, CONNECT_S).close()
        except OSError as error:
            raise LostSessionError(f"{type(error).__name__}: {error}") from error

    def _open(self) -> None:
        """Start a process and have it connect."""
        child_reads, self._send = os.pipe()
        self._receive, child_writes = os.pipe()
        command = [sys.executable, "-m", "latency.hardware.runner", str(child_reads), str(child_writes)]
        with self._output.open("wb") as output:
            self._process = subprocess.Popen(  # noqa: S603 - our own module
                command,
                pass_fds=(child_reads, child_writes),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
            )
        os.close(child_reads)
        os.close(child_writes)
        if self._opening is None:  # while the process imports what it needs
            with contextlib.ExitStack() as undo:
                undo.callback(self.close)
                self._opening = self._prepare()
                undo.pop_all()
        self._exchange(self._opening, CONNECT_S)

    def _prepare(self) -> dict[str, Any]:
        """Compile what every session loads: the probe and the reference."""
        from latency.timing.reference import compile_reference

        folder = self._folder
        compile_probe(self._record.target, folder / "probe.so")
        reference = compile_reference(self._record.target, folder / "reference.so")
        return {
            "record": asdict(self._record),
            "seconds": SESSION_S,
            "probe": str(folder / "probe.so"),
            "library": str(folder / "reference.so"),
            "reference": reference,
            "cooldown_s": self._cooldown_s,
        }

    def _exchange(self, job: Mapping[str, Any], seconds: float) -> dict[str, Any]:
        try:
            os.write(self._send, json.dumps(job).encode() + b"\n")
        except BrokenPipeError as error:
            raise LostSessionError(self._last_line()) from error
        deadline = time.monotonic() + seconds
        line = b""
        with selectors.DefaultSelector() as selector:
            selector.register(self._receive, selectors.EVENT_READ)
            while not line.endswith(b"\n"):
                left = deadline - time.monotonic()
                if left <= 0 or not selector.select(left):
                    raise LostSessionError(f"no answer within {seconds:.0f} s")
                part = os.read(self._receive, 1 << 16)
                if not part:
                    raise LostSessionError(self._last_line())
                line += part
        answer: dict[str, Any] = json.loads(line)
        return answer

    def _last_line(self) -> str:
        """The last line that a process wrote that ended, or is about to."""
        if self._process is not None:
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(CLOSING_S)
        lines = self._output.read_text(encoding="utf-8", errors="replace").strip().splitlines()
        return lines[-1][:200] if lines else "the session ended and said nothing"
