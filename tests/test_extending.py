"""Extending: every registry that there is has its group in the documentation."""

import re
from pathlib import Path
from textwrap import indent

ROOT = Path(__file__).parents[1]


def test_the_group_of_every_registry_is_documented():
    rooms = ("search_spaces", "runtime", "latency", "nas", "dashboards")
    sources = [path.read_text(encoding="utf-8") for room in rooms for path in (ROOT / room).rglob("*.py")]
    plurals = {name for text in sources for name in re.findall(r'= Registry\(\s*"\w+", "(\w+)"', text)}
    assert {"blocks", "networks", "optimizers", "schedules", "data_sets"} <= plurals
    documented = (ROOT / "docs" / "extending.md").read_text(encoding="utf-8")
    assert sorted(name for name in plurals if f"| `bitnas.{name}` | " not in documented) == []


def test_the_worker_that_is_documented_is_that_of_the_example():
    example = (ROOT / "examples" / "executor.py").read_text(encoding="utf-8")
    function = re.search(r"^def work\(.*?(?=\n\n\n)", example, re.MULTILINE | re.DOTALL)
    documented = (ROOT / "docs" / "extending.md").read_text(encoding="utf-8")
    assert indent(function[0], "    ") in documented
