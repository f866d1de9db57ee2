"""Parts of a page of the docs, between marks, so that a command can write them anew."""

import re
from pathlib import Path


def write_block(page: Path, name: str, text: str) -> None:
    """Put text between the page's marks ``<!-- NAME -->`` and ``<!-- end of NAME -->``.

    Raises:
        ValueError: the page has no such marks.
    """
    before, _, after = _parts(page, name)
    page.write_text(f"{before}{text}\n{after}", encoding="utf-8")


def read_block(page: Path, name: str) -> str:
    """What is between the marks.

    Raises:
        ValueError: the page has no such marks.
    """
    return _parts(page, name)[1].removesuffix("\n")


def _parts(page: Path, name: str) -> tuple[str, str, str]:
    start, end = f"<!-- {name} -->", f"<!-- end of {name} -->"
    found = re.fullmatch(f"(.*{start}\n)(.*)({end}.*)", page.read_text(encoding="utf-8"), flags=re.DOTALL)
    if found is None:
        raise ValueError(f"{page} has no {start} and {end}")
    return found[1], found[2], found[3]
