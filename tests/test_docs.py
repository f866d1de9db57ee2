"""The README and the docs: links lead somewhere, code that they name is there, pictures are small."""

import pkgutil
import re
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", ROOT / "CHANGELOG.md", *sorted((ROOT / "docs").glob("*.md"))]
ROOMS = "nas|latency|runtime|search_spaces|dashboards|benchmarks"
MOST_BYTES = 150_000
"""Of a picture, which a reader's browser loads with the page."""


def links(text):
    return [found for found in re.findall(r"\]\(([^)\s]+)\)", text) if "://" not in found]


def anchors(page):
    """What GitHub makes of a page's headings."""
    text = re.sub(r"```.*?```", "", page.read_text(encoding="utf-8"), flags=re.DOTALL)
    titles = re.findall(r"^#+ (.+)$", text, flags=re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}


def there_is(dotted):
    """Whether a dotted name is a module, or something in one."""
    try:
        pkgutil.resolve_name(dotted)
    except (ImportError, AttributeError):
        return False
    return True


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_somewhere(page):
    for link in links(page.read_text(encoding="utf-8")):
        path, _, anchor = link.partition("#")
        found = (page.parent / path).resolve() if path else page
        assert found.is_file(), link
        assert not anchor or anchor in anchors(found), link


def test_code_that_is_named_is_there():
    text = "\n".join(page.read_text(encoding="utf-8") for page in PAGES if page.name != "CHANGELOG.md")
    paths = set(re.findall(rf"`((?:{ROOMS}|tests|examples)/[\w/]+\.\w+)`", text))
    names = set(re.findall(rf"`((?:{ROOMS})(?:\.\w+){{2,}})[`(]", text))
    imports = re.findall(rf"^ *from ((?:{ROOMS})\S*) import (.+)$", text, flags=re.MULTILINE)
    names |= {f"{module}.{name.strip()}" for module, names in imports for name in names.split(",")}
    assert min(len(paths), len(names)) > 5
    assert sorted(path for path in paths if not (ROOT / path).is_file()) == []
    assert sorted(name for name in names if not there_is(name)) == []


def test_the_readme_leads_to_every_page():
    linked = links((ROOT / "README.md").read_text(encoding="utf-8"))
    assert {f"docs/{page.name}" for page in (ROOT / "docs").glob("*.md")} <= set(linked)


def test_extras_are_installed_in_the_one_way_that_works_from_a_copy():
    told = "\n".join(file.read_text(encoding="utf-8") for file in [*PAGES, *ROOT.glob("nas/**/*.py")])
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"][
        "optional-dependencies"
    ]
    found = set(re.findall(r"pip install [^`\n]*\[[^`\n]*\]'", told))
    assert found == {f"pip install -c constraints.txt -e '.[{extra}]'" for extra in extras if extra != "dev"}


def test_pictures_are_small():
    pictures = [*(ROOT / "docs").rglob("*.svg"), *(ROOT / "docs").rglob("*.png")]
    assert {"front.svg", "search.png", "trial.png"} <= {picture.name for picture in pictures}
    assert [picture.name for picture in pictures if picture.stat().st_size > MOST_BYTES] == []
