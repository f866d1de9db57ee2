"""``python -m benchmarks.pages STORAGE FOLDER``: every page of the dashboard as pictures, light and dark."""

import io
import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click

from benchmarks.command import Command
from benchmarks.screenshot import ARGUMENTS, served
from dashboards.routes import (
    artifact_path,
    device_path,
    search_path,
    searches_compared_path,
    trial_path,
    trials_compared_path,
)
from nas.ledger import Ledger

WIDTH, HEIGHT = 1280, 900
TALLEST = 9_000  # pixels of a page that is drawn whole
COLOURS = 128  # of a picture in the docs: enough for figures, at half the bytes
SETTLE_MS = 2_500  # figures are drawn after the page's own requests have ended
VIEWS = ".bitnas-view, .mantine-Paper-root:has(> * h3)"
"""What has a heading of its own: the linked views, and the cards."""


@click.command(cls=Command)
@click.argument("storage")
@click.argument("folder", type=click.Path(file_okay=False, path_type=Path))
@click.option(
    "--named-in",
    "texts",
    multiple=True,
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="Only the pictures that this text names: heads of pages, and single views, light.",
)
def main(storage: str, folder: Path, texts: tuple[Path, ...]) -> None:
    """Serve the ledger at STORAGE, open each page, and write what is seen into FOLDER.

    Shown are the first search, its best trial, its front compared, and a device and an artifact, if any.
    """
    from playwright.sync_api import sync_playwright

    pages = dict(_pages(storage))
    docs = {name for text in texts for name in re.findall(r"([\w-]+)\.png", text.read_text(encoding="utf-8"))}
    folder.mkdir(parents=True, exist_ok=True)
    with served(storage) as address, sync_playwright() as tools:
        found = shutil.which("chromium")  # or the one that `playwright install` brings
        browser = tools.chromium.launch(executable_path=found, args=ARGUMENTS)
        for scheme in ("light",) if docs else ("light", "dark"):
            page = browser.new_page(viewport={"width": WIDTH, "height": HEIGHT}, color_scheme=scheme)
            for name, path in pages.items():
                page.goto(address.rstrip("/") + path, wait_until="networkidle")
                page.wait_for_timeout(SETTLE_MS)
                if name in docs:
                    _write(folder / f"{name}.png", page.screenshot())
                _unfold(page)
                if docs:
                    _draw_views(page, folder, name, docs)
                else:
                    page.screenshot(path=folder / f"{name}-{scheme}.png")
                page.set_viewport_size({"width": WIDTH, "height": HEIGHT})
        browser.close()


def _pages(storage: str) -> Iterator[tuple[str, str]]:
    """The path of each page, by its name."""
    with Ledger.open(storage) as ledger:
        searches = ledger.searches()
        yield "searches", "/"
        yield "devices", "/devices"
        yield "artifacts", "/artifacts"
        if not searches:
            return
        search = searches[0].name
        yield "search", search_path(search)
        front = [trial.number for trial in ledger.front(search)]
        if front:
            yield "trial", trial_path(search, front[0])
            yield "trials-compared", trials_compared_path(search, front[:4])
        if len(searches) > 1:
            yield "searches-compared", searches_compared_path([found.name for found in searches[:4]])
        if device := searches[0].config.device:
            yield "device", device_path(device)
        if ledger.artifacts(search):
            yield "artifact", artifact_path(1)


def _unfold(page: Any) -> None:
    """Make the window as tall as the page, so that what is drawn in sight alone is drawn."""
    height = page.evaluate("document.documentElement.scrollHeight")
    page.set_viewport_size({"width": WIDTH, "height": min(TALLEST, max(HEIGHT, height))})
    page.wait_for_timeout(SETTLE_MS)


def _draw_views(page: Any, folder: Path, of: str, wanted: set[str]) -> None:
    """The views of the page that are wanted, by their headings."""
    for view in page.locator(VIEWS).all():
        title = view.locator("h3").first.inner_text()
        name = f"{of}-{re.sub(r'[^a-z0-9]+', '-', title.lower()).strip('-')}"
        if name in wanted:
            _write(folder / f"{name}.png", view.screenshot())


def _write(file: Path, picture: bytes) -> None:
    """With fewer colours, which nobody sees in figures."""
    from PIL import Image

    with Image.open(io.BytesIO(picture)) as image:
        image.convert("RGB").quantize(COLOURS).save(file, optimize=True)


if __name__ == "__main__":
    main()
