"""A network to a server of this machine that a test can cut, and that loses what it is told to lose."""

import contextlib
import selectors
import socket
import threading
from typing import Self


class Network:
    """Forwards connections to a port; change the attributes while it runs.

    Attributes:
        port: where to connect to.
        is_cut: whether there is no way through: open connections end, others are refused.
        is_silent: whether what is sent stays on its way, for as long as this is so.
        loses: in what a client sends: the connection is cut there, once, and nothing of it arrives.
        loses_answer_to: the same, but it arrives; what the server answers does not.
        losses: how often that happened.
    """

    def __init__(self, port: int) -> None:
        self.is_cut = self.is_silent = False
        self.loses = self.loses_answer_to = b""
        self.losses = 0
        self._target = port
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._listener.settimeout(0.05)
        self.port: int = self._listener.getsockname()[1]
        self._ended = threading.Event()
        self._threads = [threading.Thread(target=self._accept)]
        self._threads[0].start()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        for thread in self._threads:
            thread.join()
        self._listener.close()

    def _accept(self) -> None:
        while not self._ended.is_set():
            with contextlib.suppress(TimeoutError):
                client, _ = self._listener.accept()
                if self.is_cut:
                    client.close()
                    continue
                thread = threading.Thread(target=self._forward, args=(client,))
                self._threads.append(thread)
                thread.start()

    def _forward(self, client: socket.socket) -> None:
        with (
            client,
            contextlib.suppress(OSError),
            socket.create_connection(("127.0.0.1", self._target)) as server,
            selectors.DefaultSelector() as ready,
        ):
            ready.register(client, selectors.EVENT_READ, server)
            ready.register(server, selectors.EVENT_READ, client)
            while not (self._ended.is_set() or self.is_cut):
                if self.is_silent:
                    self._ended.wait(0.05)
                    continue
                for key, _ in ready.select(0.05):
                    source, sink = key.fileobj, key.data
                    assert isinstance(source, socket.socket)
                    data = source.recv(1 << 16)
                    if not data or (source is client and self._is_lost(data, server)):
                        return
                    sink.sendall(data)

    def _is_lost(self, data: bytes, server: socket.socket) -> bool:
        if self.loses and self.loses in data:
            self.loses = b""
            self.losses += 1
            return True
        if self.loses_answer_to and self.loses_answer_to in data:
            self.loses_answer_to = b""
            self.losses += 1
            server.sendall(data)
            server.recv(1 << 16)  # it has done what it was told
            return True
        return False
