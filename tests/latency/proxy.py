"""A small TCP proxy that can be told to misbehave: to be slow, to cut connections."""

import contextlib
import socket
import threading
import time


class Proxy:
    """Forwards connections to a port of this machine; change the attributes while it runs.

    Attributes:
        delay_s: how long each piece of data is held back.
        cut_after: bytes of the client after which a connection is cut, once; None for never.
        cuts: how often that happened.
    """

    def __init__(self, port):
        self.delay_s, self.cut_after, self.cuts = 0.0, None, 0
        self._target = port
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._listener.settimeout(0.2)
        self.port = self._listener.getsockname()[1]
        self._stop = threading.Event()
        self._open = []
        self._thread = threading.Thread(target=self._accept)
        self._thread.start()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self._stop.set()
        self._thread.join()
        self._listener.close()
        for connection in self._open:
            connection.close()

    def _accept(self):
        while not self._stop.is_set():
            with contextlib.suppress(TimeoutError):
                client, _ = self._listener.accept()
                server = socket.create_connection(("127.0.0.1", self._target))
                self._open += [client, server]
                for pair in ((client, server, True), (server, client, False)):
                    threading.Thread(target=self._forward, args=pair, daemon=True).start()

    def _forward(self, source, sink, is_client):
        passed = 0
        with contextlib.suppress(OSError):
            while data := source.recv(1 << 16):
                time.sleep(self.delay_s)
                sink.sendall(data)
                passed += len(data)
                if is_client and self.cut_after is not None and passed > self.cut_after:
                    self.cut_after = None
                    self.cuts += 1
                    break
        for connection in (source, sink):
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
