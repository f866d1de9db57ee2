"""Fixtures: a filled ledger, a ledger of one's own, and a dashboard served on loopback."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from threading import Thread
from typing import Any

import pytest

from dashboards.app import create_app
from dashboards.guard import guard
from dashboards.server import address, bind, make
from nas.analysis.network_costs import network_costs
from tests.cli.filled_ledger import architecture_json, fill
from tests.dashboards.reader import Reader, a_browser

Serve = Callable[[str], str]


@pytest.fixture(scope="session")
def storage(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The URL of a ledger that tests only read."""
    return fill(tmp_path_factory.mktemp("ledger") / "nas.db")


@pytest.fixture
def own_storage(tmp_path: Path) -> str:
    """The URL of a ledger that the test may change."""
    return fill(tmp_path / "nas.db")


@pytest.fixture(scope="session")
def layers() -> None:
    """What tells the layers of networks is loaded: pages of trials do not change once it is."""
    network_costs(architecture_json(0))


@pytest.fixture(scope="session")
def address_of_all(storage: str) -> Iterator[str]:
    """Where the ledger that tests only read is served: a browser keeps the scripts that it got from there."""
    with served(storage) as address:
        yield address


@pytest.fixture
def serve(storage: str, address_of_all: str) -> Iterator[Serve]:
    """Serve a ledger; gives the address."""
    with ExitStack() as stack:
        yield lambda of: address_of_all if of == storage else stack.enter_context(served(of))


@contextmanager
def served(storage: str, token: str | None = None) -> Iterator[str]:
    """A dashboard on a free port of this machine, until the block ends."""
    app = create_app(storage)
    guard(app.server, token, app.csp_hashes())
    server = make(app.server, bind("127.0.0.1", 0))
    thread = Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield address(server)
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@pytest.fixture(scope="session")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """Debian's chromium, which all pages share."""
    with a_browser(tmp_path_factory.mktemp("profile")) as browser:
        yield browser


@pytest.fixture
def reader(browser: Any) -> Iterator[Reader]:
    """A page of its own."""
    page = browser.new_page()
    page.set_default_timeout(60_000)
    yield Reader(page)
    page.close()
