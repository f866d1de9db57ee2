"""What pyproject says of the project: its dependencies, each with a reason, its types, its licence."""

import ast
import re
import sys
import tomllib
from importlib.metadata import packages_distributions
from pathlib import Path

ROOT = Path(__file__).parents[1]
TEXT = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
PROJECT = tomllib.loads(TEXT)["project"]
LISTED = ("dev", "rivals")
"""The extras of several distributions, a line each."""
ROOMS = ("search_spaces", "runtime", "latency", "nas", "dashboards")


def requirements():
    """Every line of pyproject that asks for a distribution: its name, and what the line says it is for."""
    line = re.compile(r'^    "([a-zA-Z0-9_-]+)(?:\[.*?\])?[><=].*?",\s*(?:# (.*))?$', re.MULTILINE)
    return line.findall(TEXT)


def extras():
    """What the extras say that they are for."""
    return re.findall(r"^\w+ = \[.*\] # (.*)$", TEXT, re.MULTILINE)


def imported():
    """The top-level modules of others that the rooms import."""
    for path in (path for room in ROOMS for path in (ROOT / room).rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                yield from (alias.name.split(".")[0] for alias in node.names)
            elif isinstance(node, ast.ImportFrom) and node.level == 0:
                yield node.module.split(".")[0]


def test_every_dependency_says_what_it_is_for():
    found = requirements()
    extra = PROJECT["optional-dependencies"]
    asked = [*PROJECT["dependencies"], *(each for name in LISTED for each in extra[name])]
    assert len(found) == len(asked)
    assert [name for name, reason in found if not reason] == []
    assert len(extras()) == len(extra) - len(LISTED), "all others, each with a reason"


def test_whatever_is_imported_is_asked_for():
    """By a line of its own, or by the line of the one that brings it."""
    here = packages_distributions()
    names = {name.lower() for name, _ in requirements()}
    reasons = " ".join([*(reason for _, reason in requirements()), *extras()])
    others = {module for module in imported() if module not in {*sys.stdlib_module_names, *ROOMS, "pictures"}}
    missing = {
        module
        for module in others
        if not names & {name.lower().replace("_", "-") for name in here.get(module, ())}
        and module not in reasons
    }
    assert missing == set()


def test_the_licence_is_there_and_every_room_is_typed():
    assert PROJECT["license"] == "Apache-2.0"
    licence = (ROOT / "LICENSE").read_text(encoding="utf-8")
    assert "Apache License" in licence and "END OF TERMS AND CONDITIONS" in licence
    assert [room for room in ROOMS if not (ROOT / room / "py.typed").is_file()] == []
