"""What libpq reads of the environment: a ledger that is open goes on without it, so that others get none."""

import os

import pytest
from postgres import PostgresServer
from sqlalchemy import create_engine, make_url, text

from nas.ledger import Ledger, SearchConfig
from nas.ledger.libpq import hide, settings_of_environment
from search_spaces.errors import StorageError


def test_a_ledger_that_is_open_needs_the_environment_no_more(
    postgres_server: PostgresServer, config: SearchConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = make_url(postgres_server.database())
    said = {"PGHOST": url.host, "PGPORT": str(url.port), "PGUSER": url.username, "PGPASSWORD": "secret"}
    for name, value in said.items():
        monkeypatch.setenv(name, str(value))
    monkeypatch.setenv("PGSERVICEFILE", "/no/such/file")
    with Ledger.open(f"postgresql+psycopg:///{url.database}", create=True) as ledger:
        ledger.create_search("demo", config)
        hide()
        ledger.close()  # what is asked next makes a connection
        assert [search.name for search in ledger.searches()] == ["demo"]
    assert [name for name in os.environ if name.startswith("PG")] == ["PGSERVICEFILE"]


def test_a_right_that_is_missing_is_asked_for(postgres_server: PostgresServer, config: SearchConfig) -> None:
    url = make_url(postgres_server.database())
    with Ledger.open(url.render_as_string(False), create=True) as ledger:
        ledger.create_search("demo", config)
    engine = create_engine(url)
    with engine.begin() as connection:
        connection.execute(text("CREATE ROLE nobody_here LOGIN"))
    engine.dispose()
    with pytest.raises(StorageError, match=r"permission denied.*; grant its user the right"):
        Ledger.open(url.set(username="nobody_here").render_as_string(False))


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("", {"password": "env", "host": "there", "sslmode": "require"}),
        ("?sslmode=verify-full", {"password": "env", "host": "there"}),
        ("?service=big", {"password": "env"}),
    ],
)
def test_what_the_url_says_is_said(query: str, found: object, monkeypatch: pytest.MonkeyPatch) -> None:
    hide()
    for name, value in {"PGPASSWORD": "env", "PGHOST": "there", "PGSSLMODE": "require"}.items():
        monkeypatch.setenv(name, value)
    assert settings_of_environment(make_url(f"postgresql+psycopg:///x{query}")) == found
