"""A measuring server: sessions of TVM's RPC, each in a process of its own, behind a listener that survives.

TVM's own listener dies with a session's process, of a wrong handshake and of a bad key, and serves nobody
while one connection is idle. Here the handshake has a time limit and happens in a thread; the session runs in
a fresh process that is ended when it is idle or too old; one session at a time measures, the next waits.

Whoever reaches the port runs code as the user who started the server: RPC knows no password. Keep it on
loopback, and reach it from elsewhere through SSH.
"""

import logging
import os
import queue
import secrets
import select
import socket
import struct
import subprocess
import sys
import tempfile
import threading
import time
from dataclasses import dataclass
from pathlib import Path

from latency.record import SERVER_KEY, VERSION_FUNCTION, split_address
from runtime.light_tvm import without_torch

log = logging.getLogger("nas.serve")

MAGIC, SUCCESS, MISMATCH = 0xFF271, 0xFF271, 0xFF271 + 2
HANDSHAKE_S = 5.0
IDLE_S = 60.0
SESSION_S = 3600.0
POLL_S = 0.5
MIN_TIMEOUT_S = 0.001  # a timeout of 0 would mean not to wait at all
MAX_KEY_BYTES = 256
TCP_INFO_LAST_RECEIVED = 52  # struct tcp_info: milliseconds since data last came
CLOCK_TICKS = 14  # /proc/PID/stat: utime and stime are its 14th and 15th fields
TRACKER_PAUSE_S = 2.0


@dataclass(frozen=True)
class ServerOptions:
    """How a server is run."""

    host: str = "127.0.0.1"
    port: int = 9090
    key: str = SERVER_KEY
    tracker: str = ""
    public_host: str = ""
    idle_s: float = IDLE_S
    session_s: float = SESSION_S


class Server:
    """Listens, shakes hands, and hands each connection to a process of its own."""

    def __init__(self, options: ServerOptions) -> None:
        """Bind; OSError where the address is taken."""
        self.options = options
        self._match = options.key  # what a client's key must be; a tracker hands out one for each session
        self._waiting: queue.Queue[tuple[socket.socket, str]] = queue.Queue()
        self._stop = threading.Event()
        family = socket.AF_INET6 if ":" in options.host else socket.AF_INET
        self._listener = socket.socket(family, socket.SOCK_STREAM)
        self._listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self._listener.bind((options.host, options.port))
        self._listener.listen(16)
        self.port: int = self._listener.getsockname()[1]

    def run(self) -> None:
        """Serve until ``stop``."""
        threads = [threading.Thread(target=self._serve, daemon=True)]
        if self.options.tracker:
            threads.append(threading.Thread(target=self._report, daemon=True))
        for thread in threads:
            thread.start()
        try:
            with self._listener:
                while not self._stop.is_set():
                    ready, _, _ = select.select([self._listener], [], [], POLL_S)
                    if ready:
                        self._accept()
        finally:  # whatever ends it, no session is left behind
            self.stop()
            for thread in threads:
                thread.join()

    def stop(self) -> None:
        """End ``run``, and the session that it serves."""
        self._stop.set()

    def _accept(self) -> None:
        """Let a client in; where there is no room for one more, the next try may find some."""
        try:
            connection, peer = self._listener.accept()
        except OSError as error:
            log.warning("nobody let in: %s", error)
            self._stop.wait(POLL_S)
            return
        name = f"{peer[0]}:{peer[1]}"
        try:
            threading.Thread(target=self._shake_hands, args=(connection, name), daemon=True).start()
        except RuntimeError as error:  # no more threads
            log.warning("%s sent away: %s", name, error)
            connection.close()

    def _shake_hands(self, connection: socket.socket, peer: str) -> None:
        """Shake hands within a time limit; a stranger is sent away, a client waits its turn."""
        deadline = time.monotonic() + HANDSHAKE_S
        try:
            magic, length = struct.unpack("<ii", _receive(connection, 8, deadline))
            if magic != MAGIC or not 0 < length <= MAX_KEY_BYTES:
                raise ValueError("no client of TVM's RPC")
            words = _receive(connection, length, deadline).decode("utf-8").split()
            if not words or words[0] != f"client:{self._match}":
                connection.sendall(struct.pack("<i", MISMATCH))
                raise ValueError("another key")
        except (OSError, ValueError, struct.error) as error:
            log.warning("%s sent away: %s", peer, error)
            connection.close()
            return
        self._waiting.put((connection, peer))

    def _serve(self) -> None:
        """Serve one session after the other."""
        while not self._stop.is_set():
            try:
                connection, peer = self._waiting.get(timeout=POLL_S)
            except queue.Empty:
                continue
            with connection:
                try:
                    server_key = f"server:{self.options.key}".encode()
                    connection.settimeout(HANDSHAKE_S)
                    connection.sendall(struct.pack("<ii", SUCCESS, len(server_key)) + server_key)
                    connection.settimeout(None)
                    log.info("%s: session begins", peer)
                    log.info("%s: session ended, %s", peer, self._session(connection))
                except OSError as error:  # it went away, or there is no room for a process
                    log.warning("%s: no session, %s", peer, error)
                self._match_anew()

    def _session(self, connection: socket.socket) -> str:
        """Run a session in a process until it ends, is idle, is too old, or the server stops.

        Its files are in a folder that goes away with it, even if it is killed.
        """
        with tempfile.TemporaryDirectory(prefix="bitnas-session-") as folder:
            command = [sys.executable, "-m", "latency.hardware.server", str(connection.fileno()), folder]
            process = subprocess.Popen(  # noqa: S603 - our own module
                command,
                pass_fds=[connection.fileno()],
                stdin=subprocess.DEVNULL,
                env={**os.environ, "TMPDIR": folder},
            )
            return self._watch(process, connection)

    def _watch(self, process: "subprocess.Popen[bytes]", connection: socket.socket) -> str:
        """Wait for a session's end, or end it; why it ended."""
        started = busy = time.monotonic()
        ticks = 0
        try:
            while process.poll() is None:
                if self._stop.wait(POLL_S):
                    return "the server stops"
                now, ran = time.monotonic(), _cpu_ticks(process.pid)
                if ran > ticks or _idle_s(connection) < POLL_S * 2:
                    ticks, busy = ran, now
                if now - busy > self.options.idle_s:
                    return f"nothing happened for {self.options.idle_s:.0f} s"
                if now - started > self.options.session_s:
                    return f"it lasted {self.options.session_s:.0f} s"
            return "done" if process.returncode == 0 else f"its process died ({process.returncode})"
        finally:
            if process.poll() is None:
                process.kill()
            process.wait()

    def _match_anew(self) -> None:
        if self.options.tracker:
            self._match = f"{self.options.key}:{secrets.token_hex(8)}"

    def _report(self) -> None:
        """Keep a tracker told that one session is to be had; connect again whenever it is lost."""
        from tvm.rpc.base import RPC_TRACKER_MAGIC, TrackerCode, recvjson, sendjson

        self._match_anew()
        key, address = self.options.key, split_address("tracker", self.options.tracker)
        host = self.options.public_host or None
        while not self._stop.is_set():
            try:
                with socket.create_connection(address, timeout=HANDSHAKE_S) as tracker:
                    tracker.sendall(struct.pack("<i", RPC_TRACKER_MAGIC))
                    deadline = time.monotonic() + HANDSHAKE_S
                    if struct.unpack("<i", _receive(tracker, 4, deadline))[0] != RPC_TRACKER_MAGIC:
                        raise ValueError("it is no tracker")
                    tracker.settimeout(HANDSHAKE_S)
                    sendjson(
                        tracker,
                        [TrackerCode.UPDATE_INFO, {"key": f"server:{key}", "addr": (host, self.port)}],
                    )
                    recvjson(tracker)
                    offered = ""
                    while not self._stop.wait(TRACKER_PAUSE_S / 4):
                        sendjson(tracker, [TrackerCode.GET_PENDING_MATCHKEYS])
                        pending = recvjson(tracker)
                        if offered and offered not in pending and offered == self._match:
                            # A client was given it: leave it time to come, then offer another.
                            if self._stop.wait(TRACKER_PAUSE_S):
                                return
                            if offered == self._match and self._waiting.empty():
                                self._match_anew()
                        if self._match != offered:
                            offered = self._match
                            sendjson(tracker, [TrackerCode.PUT, key, (self.port, offered), host])
                            recvjson(tracker)
            except (OSError, ValueError, struct.error) as error:
                log.warning("tracker %s: %s; trying again", self.options.tracker, error)
                self._stop.wait(TRACKER_PAUSE_S)


def _receive(connection: socket.socket, count: int, deadline: float) -> bytes:
    """So many bytes before the deadline, however few come at a time.

    Raises:
        OSError: the time was up. ValueError: the connection was closed.
    """
    found = b""
    while len(found) < count:
        connection.settimeout(max(deadline - time.monotonic(), MIN_TIMEOUT_S))
        part = connection.recv(count - len(found))
        if not part:
            raise ValueError("the connection was closed early")
        found += part
    return found


def _idle_s(connection: socket.socket) -> float:
    """Seconds since data last came; the system knows, although another process reads it."""
    info = connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 104)
    milliseconds: int = struct.unpack_from("<I", info, TCP_INFO_LAST_RECEIVED)[0]
    return milliseconds / 1e3


def _cpu_ticks(pid: int) -> int:
    try:
        fields = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()
    except OSError:
        return 0
    return int(fields[CLOCK_TICKS - 3]) + int(fields[CLOCK_TICKS - 2])


def serve_session(descriptor: int, folder: str) -> None:
    """TVM's server loop on a connection, in a folder of its own."""
    from importlib.metadata import version

    without_torch()
    import tvm_ffi
    from tvm.rpc import _ffi_api
    from tvm.rpc.server import _server_env

    os.chdir(folder)
    tvm_ffi.register_global_func(VERSION_FUNCTION, lambda: version("apache-tvm"))
    environment = _server_env([])
    _ffi_api.ServerLoop(descriptor)
    environment.remove()


if __name__ == "__main__":
    serve_session(int(sys.argv[1]), sys.argv[2])
