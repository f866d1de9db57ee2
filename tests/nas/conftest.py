"""Databases for the ledger's tests: a SQLite file, and a real PostgreSQL server where one is installed.

For tests of data, a cache of their own.
"""

import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
import uuid
from collections.abc import Iterator
from contextlib import closing
from importlib.util import find_spec
from pathlib import Path

import pytest

from nas.ledger import Ledger, SearchConfig


def _postgres_program(name: str) -> Path | None:
    versions = sorted(Path("/usr/lib/postgresql").glob(f"*/bin/{name}"))
    found = str(versions[-1]) if versions else shutil.which(name)
    return None if found is None else Path(found).resolve()


def _free_port() -> int:
    with closing(socket.socket()) as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[str]:
    """The URL, without a database, of a PostgreSQL server on loopback that ends with the tests."""
    initdb, postgres = _postgres_program("initdb"), _postgres_program("postgres")
    if initdb is None or postgres is None:
        pytest.skip("PostgreSQL is not installed")
    if find_spec("psycopg") is None:
        pytest.skip("psycopg, the driver for PostgreSQL, is not installed")
    # PostgreSQL refuses to run as root, and another user cannot look into pytest's own folders.
    user = "nobody" if os.geteuid() == 0 else None
    home = Path(tempfile.mkdtemp(prefix="bitnas-postgres-"))
    if user is not None:
        shutil.chown(home, user)
    port = _free_port()
    data = ["-D", str(home / "data")]
    try:
        made = [str(initdb), *data, "-U", "bitnas", "--auth=trust", "--no-sync", "--encoding=UTF8"]
        subprocess.run(made, user=user, cwd=home, check=True, stdout=subprocess.DEVNULL)
        options = ["-F", "-p", str(port), "-c", "listen_addresses=127.0.0.1", "-k", str(home)]
        with (home.parent / f"{home.name}.log").open("wb") as log:
            command = [str(postgres), *data, *options]
            server = subprocess.Popen(command, user=user, cwd=home, stdout=log, stderr=log)
        try:
            _wait_for(port)
            yield f"postgresql+psycopg://bitnas@127.0.0.1:{port}"
        finally:
            # The "fast" shutdown: it does not wait for connections that a failed test left open.
            server.send_signal(signal.SIGINT)
            server.wait(30)
    finally:
        shutil.rmtree(home)
        (home.parent / f"{home.name}.log").unlink(missing_ok=True)


def _wait_for(port: int) -> None:
    import psycopg

    for _ in range(100):
        try:
            psycopg.connect(host="127.0.0.1", port=port, user="bitnas", dbname="postgres").close()
            return
        except psycopg.OperationalError:
            time.sleep(0.1)
    raise TimeoutError("PostgreSQL did not start within 10 s")


@pytest.fixture(params=["sqlite", "postgresql"])
def storage(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The URL of an empty database; a test that takes it runs once on each kind."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path}/nas.db"
    import psycopg

    server = request.getfixturevalue("postgres_server")
    name = f"test_{uuid.uuid4().hex}"
    url = server.replace("+psycopg", "")
    with closing(psycopg.connect(f"{url}/postgres", autocommit=True)) as connection:
        connection.execute(f'CREATE DATABASE "{name}"')
    return f"{server}/{name}"


@pytest.fixture
def ledger(storage: str) -> Iterator[Ledger]:
    """An empty ledger."""
    with Ledger.open(storage, create=True) as opened:
        yield opened


@pytest.fixture
def config() -> SearchConfig:
    """A search of four trials."""
    return SearchConfig(space="tiny", data="digits", device="local", trials=4, epochs=2)


@pytest.fixture
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Decoded images are kept here rather than in the user's cache."""
    monkeypatch.setenv("NAS_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture(scope="module")
def toys_are_known() -> Iterator[None]:
    """The spaces and evaluators of ``spaces.py``, for the tests of one file."""
    from spaces import known

    with known():
        yield
