"""``python -m benchmarks.screenshot STORAGE PATH PICTURE.png``: a page of the dashboard as a picture."""

import shutil
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import click

from benchmarks.command import Command
from nas.ledger import Ledger

ARGUMENTS = ["--no-sandbox", "--disable-gpu", "--enable-unsafe-swiftshader"]
"""Of Chromium; figures of many points, and of three objectives, need WebGL."""
WIDTH, HEIGHT = 1200, 900
SETTLE_MS = 1_500  # tables and figures are drawn after the page's own requests have ended


@click.command(cls=Command)
@click.argument("storage")
@click.argument("path")
@click.argument("picture", type=click.Path(dir_okay=False, path_type=Path))
def main(storage: str, path: str, picture: Path) -> None:
    """Serve the ledger at STORAGE, open PATH, such as /search/demo, and write what is seen to PICTURE."""
    from playwright.sync_api import sync_playwright

    with served(storage) as address, sync_playwright() as tools:
        found = shutil.which("chromium")  # or the one that `playwright install` brings
        browser = tools.chromium.launch(executable_path=found, args=ARGUMENTS)
        page = browser.new_page(viewport={"width": WIDTH, "height": HEIGHT})
        page.goto(address.rstrip("/") + path, wait_until="networkidle")
        page.locator(".js-plotly-plot .point").first.wait_for()
        page.wait_for_timeout(SETTLE_MS)
        page.screenshot(path=picture)
        browser.close()


@contextmanager
def served(storage: str) -> Iterator[str]:
    """The address of a dashboard of ``storage`` on a free port of this machine."""
    from dashboards import create_app, server
    from dashboards.guard import guard

    Ledger.open(storage).close()  # the dashboard would say on its page what is wrong with it
    app = create_app(storage)
    guard(app.server, None, app.csp_hashes())
    web = server.make(app.server, server.bind("127.0.0.1", 0))
    thread = threading.Thread(target=web.serve_forever)
    thread.start()
    try:
        yield server.address(web)
    finally:
        web.shutdown()
        thread.join()
        web.server_close()


if __name__ == "__main__":
    main()
