"""``python -m benchmarks.picture PAGE.html PICTURE.svg``: the figure of a page as a picture."""

import shutil
import urllib.parse
from pathlib import Path

import click

WIDTH, HEIGHT = 720, 540
DRAW = """([width, height]) => Plotly.toImage(
    document.querySelector(".js-plotly-plot"), {format: "svg", width, height})"""


@click.command()
@click.argument("page", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.argument("picture", type=click.Path(dir_okay=False, path_type=Path))
def main(page: Path, picture: Path) -> None:
    """Draw the figure of PAGE, which a command wrote with --plot, into PICTURE."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as tools:
        found = shutil.which("chromium")  # or the one that `playwright install` brings
        browser = tools.chromium.launch(executable_path=found, args=["--no-sandbox"])
        opened = browser.new_page()
        opened.goto(page.resolve().as_uri())
        drawn = opened.evaluate(DRAW, [WIDTH, HEIGHT])
        browser.close()
    picture.write_text(urllib.parse.unquote(drawn.split(",", 1)[1]), encoding="utf-8")


if __name__ == "__main__":
    main()
