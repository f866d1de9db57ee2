"""A page in a real browser, and where the marks of trials are on it."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

CHROMIUM = Path("/usr/bin/chromium")
ARGUMENTS = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
FRONT = "front-plot"
POINTS = f"#{FRONT} .scatterlayer .trace .points path"
# Centre on the screen of the point of the Pareto figure whose customdata is the given number.
WHERE = """number => {
  const plot = document.querySelector('#front-plot');
  for (const trace of plot._fullData) {
    const i = (trace.customdata || []).indexOf(number);
    if (i < 0) continue;
    const x = plot._fullLayout.xaxis, y = plot._fullLayout[trace.yaxis === 'y2' ? 'yaxis2' : 'yaxis'];
    const box = plot.getBoundingClientRect();
    return [box.x + x._offset + x.d2p(trace.x[i]), box.y + y._offset + y.d2p(trace.y[i])];
  }
}"""


def why_absent() -> str | None:
    """Why there can be no browser here; None where there can."""
    return None if CHROMIUM.exists() else f"no browser at {CHROMIUM}"


@contextmanager
def a_browser(profile: Path) -> Iterator[Any]:
    """Debian's chromium. In ``profile`` it keeps the scripts that it has compiled: most of a page's time."""
    sync_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    if why := why_absent():
        pytest.skip(why)
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch_persistent_context(
            profile, executable_path=str(CHROMIUM), args=ARGUMENTS, viewport={"width": 1280, "height": 900}
        )
        yield browser
        browser.close()


class Reader:
    """A page that remembers what it was told and what it asked for."""

    def __init__(self, page: Any) -> None:
        self.page = page
        self.told: list[str] = []
        self.asked: list[str] = []
        page.on("console", lambda message: self._note(message.text))
        page.on("pageerror", lambda error: self.told.append(str(error)))
        page.on("request", lambda request: self.asked.append(request.url))

    def _note(self, text: str) -> None:
        """What WebGL says of its speed without a graphics card is nobody's fault."""
        if "GL Driver Message" not in text and "Canvas2D" not in text:
            self.told.append(text)

    def point(self, number: int) -> tuple[float, float]:
        """Where trial ``number`` is on the screen."""
        self.page.wait_for_selector(POINTS)
        self.page.locator("#view-front").scroll_into_view_if_needed()
        x, y = self.page.evaluate(WHERE, number)
        return x, y

    def click_point(self, number: int) -> None:
        """Click the point of trial ``number``."""
        x, y = self.point(number)
        self.page.mouse.move(x, y)
        self.page.mouse.click(x, y)

    def drag(self, begin: tuple[float, float], end: tuple[float, float]) -> None:
        """From one place on the screen to another."""
        self.page.mouse.move(*begin)
        self.page.mouse.down()
        self.page.mouse.move(*end, steps=8)
        self.page.mouse.up()
