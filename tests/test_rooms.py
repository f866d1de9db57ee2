"""The house: who may import whom, and that entering a room loads nothing heavy."""

import ast
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
MAY_IMPORT = {
    "search_spaces": set(),
    "runtime": {"search_spaces"},
    "latency": {"search_spaces", "runtime"},
    "nas": {"search_spaces", "runtime", "latency"},
    "dashboards": {"nas", "search_spaces"},  # of the latter only the errors
}
HEAVY = {"torch", "tvm", "optuna", "sqlalchemy", "plotly", "dash", "sklearn", "ray", "pydantic"}


def imported(path):
    """The top-level packages that a file imports, anywhere in it."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name.split(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.level == 0:
            yield node.module.split(".")[0]


@pytest.mark.parametrize("room", MAY_IMPORT)
def test_arrows_go_one_way(room):
    forbidden = set(MAY_IMPORT) - MAY_IMPORT[room] - {room}
    wrong = {
        f"{path.relative_to(ROOT)} imports {name}"
        for path in (ROOT / room).rglob("*.py")
        for name in imported(path)
        if name in forbidden
    }
    assert not wrong


@pytest.mark.parametrize("room", MAY_IMPORT)
def test_entering_a_room_loads_nothing_heavy(room):
    code = f"import sys, {room}; print(*sys.modules)"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)
    assert not HEAVY & set(found.stdout.split())


def test_every_package_is_installed():
    """pyproject lists packages one by one: one left out would be missing from every installation but ours."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    found = {
        ".".join(path.parent.relative_to(ROOT).parts)
        for room in MAY_IMPORT
        for path in (ROOT / room).rglob("__init__.py")
    }
    assert set(project["tool"]["setuptools"]["packages"]) == found
