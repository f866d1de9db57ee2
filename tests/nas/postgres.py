"""A real PostgreSQL server on loopback for tests, which can be stopped at once and started again."""

import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
import uuid
from contextlib import closing
from importlib.util import find_spec
from pathlib import Path
from typing import Self

USER = "bitnas"
ASKED = "asked"
"""The role that is asked for its password; whoever needs it makes it. All others are let in."""


def why_absent() -> str | None:
    """Why there can be no server here; None where there can."""
    if _program("initdb") is None or _program("postgres") is None:
        return "PostgreSQL is not installed"
    if find_spec("psycopg") is None:
        return "psycopg, the driver for PostgreSQL, is not installed"
    return None


class PostgresServer:
    """A server with a cluster of its own, which is gone when the block ends.

    Attributes:
        port: on 127.0.0.1; the same after a stop and a start.
        process: of the running server; None while it is stopped.
    """

    def __init__(self, **settings: str) -> None:
        """``settings`` are those of ``postgresql.conf``, such as ``max_connections="200"``."""
        self._settings = settings
        # PostgreSQL refuses to run as root, and another user cannot look into pytest's own folders.
        self._user = "nobody" if os.geteuid() == 0 else None
        self._home = Path(tempfile.mkdtemp(prefix="bitnas-postgres-"))
        self._log = self._home.parent / f"{self._home.name}.log"
        self.port = _free_port()
        self.process: subprocess.Popen[bytes] | None = None
        if self._user is not None:
            shutil.chown(self._home, self._user)

    def __enter__(self) -> Self:
        try:
            made = [_program("initdb"), *self._data(), "-U", USER, "--auth=trust", "--no-sync"]
            command = [*map(str, made), "--encoding=UTF8"]
            subprocess.run(command, user=self._user, cwd=self._home, check=True, stdout=subprocess.DEVNULL)
            rules = self._home / "data" / "pg_hba.conf"
            asks = f"host all {ASKED} 127.0.0.1/32 scram-sha-256\n"
            rules.write_text(asks + rules.read_text())  # the first that fits is taken
            self.start()
        except BaseException:
            self._remove()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        # The "fast" shutdown: it does not wait for connections that a failed test left open.
        self.stop(signal.SIGINT)
        self._remove()

    @property
    def url(self) -> str:
        """Without a database, for SQLAlchemy."""
        return f"postgresql+psycopg://{USER}@127.0.0.1:{self.port}"

    def start(self) -> None:
        """Start it, and wait until it answers."""
        options = ["-F", "-p", str(self.port), "-c", "listen_addresses=127.0.0.1", "-k", str(self._home)]
        options += [f"--{name}={value}" for name, value in self._settings.items()]
        command = [str(_program("postgres")), *self._data(), *options]
        with self._log.open("ab") as log:
            self.process = subprocess.Popen(command, user=self._user, cwd=self._home, stdout=log, stderr=log)
        self._wait()

    def stop(self, how: int = signal.SIGQUIT) -> None:
        """Stop it: at once, as by ``pg_ctl stop -m immediate``, unless told otherwise."""
        if self.process is not None:
            self.process.send_signal(how)
            self.process.wait(30)
            self.process = None

    def database(self) -> str:
        """The URL of a new, empty database."""
        import psycopg

        name = f"test_{uuid.uuid4().hex}"
        url = self.url.replace("+psycopg", "")
        with closing(psycopg.connect(f"{url}/postgres", autocommit=True)) as connection:
            connection.execute(f'CREATE DATABASE "{name}"')
        return f"{self.url}/{name}"

    def _data(self) -> list[str]:
        return ["-D", str(self._home / "data")]

    def _wait(self) -> None:
        import psycopg

        for _ in range(600):
            try:
                psycopg.connect(host="127.0.0.1", port=self.port, user=USER, dbname="postgres").close()
                return
            except psycopg.OperationalError:
                time.sleep(0.1)
        raise TimeoutError(f"PostgreSQL did not start within a minute: {self._log.read_text()[-2000:]}")

    def _remove(self) -> None:
        shutil.rmtree(self._home)
        self._log.unlink(missing_ok=True)


def _program(name: str) -> Path | None:
    versions = sorted(Path("/usr/lib/postgresql").glob(f"*/bin/{name}"))
    found = str(versions[-1]) if versions else shutil.which(name)
    return None if found is None else Path(found).resolve()


def _free_port() -> int:
    with closing(socket.socket()) as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
