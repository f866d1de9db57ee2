"""Databases for the ledger's tests: a SQLite file, and a real PostgreSQL server where one is installed.

For tests of data, a cache of their own.
"""

from collections.abc import Iterator
from pathlib import Path

import pytest
from postgres import PostgresServer, why_absent

from nas.ledger import Ledger, SearchConfig


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[PostgresServer]:
    """A PostgreSQL server on loopback that ends with the tests; who stops it, makes one of its own."""
    if why := why_absent():
        pytest.skip(why)
    with PostgresServer() as server:
        yield server


@pytest.fixture
def own_postgres() -> Iterator[PostgresServer]:
    """A PostgreSQL server for one test, which may stop and start it."""
    if why := why_absent():
        pytest.skip(why)
    with PostgresServer() as server:
        yield server


@pytest.fixture(params=["sqlite", "postgresql"])
def storage(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The URL of an empty database; a test that takes it runs once on each kind."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path}/nas.db"
    server: PostgresServer = request.getfixturevalue("postgres_server")
    return server.database()


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
