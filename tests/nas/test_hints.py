"""Commands that are told to be typed next: they find the same ledger and the same plugins."""

import ast
import re
from pathlib import Path

import pytest

from nas.cli.main import COMMANDS
from nas.hints import DEFAULT_STORAGE, STORAGE_VARIABLE, command
from search_spaces import plugins

ROOT = Path(__file__).parents[2]
OTHER = "sqlite:///my other.db"


@pytest.fixture(autouse=True)
def bare(monkeypatch):
    """No storage and no plugin but those of the test."""
    monkeypatch.delenv(STORAGE_VARIABLE, raising=False)
    monkeypatch.delenv(plugins.VARIABLE, raising=False)
    monkeypatch.setattr(plugins, "_named", {})


def test_a_storage_is_told_unless_it_is_the_usual_one(monkeypatch):
    assert command("trial", "demo", 3) == "nas trial demo 3"
    assert command("export", "demo", c_source="a b", debug=True) == "nas --debug export demo --c-source 'a b'"
    assert command("trials", "demo", storage=DEFAULT_STORAGE) == "nas trials demo"
    assert command("trials", "demo", storage=OTHER) == "nas trials demo --storage 'sqlite:///my other.db'"
    monkeypatch.setenv(STORAGE_VARIABLE, OTHER)
    assert command("trials", "demo", storage=OTHER) == "nas trials demo"
    assert (
        command("trials", "demo", storage=DEFAULT_STORAGE) == f"nas trials demo --storage {DEFAULT_STORAGE}"
    )


def test_plugins_are_told_where_they_were_named(tmp_path, monkeypatch):
    (tmp_path / "my own.py").write_text("")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv(plugins.VARIABLE, str(tmp_path / "of-the-environment.py"))
    plugins.add_plugin_file("my own.py")
    assert command("verify", Path("a b")) == "nas --plugin 'my own.py' verify 'a b'"


def test_every_hint_that_is_filled_in_is_made_here():
    """A text such as f"nas trials {name}" would forget the storage, the plugins, and to quote."""
    begun = re.compile(rf"\bnas (--\w+ )?({'|'.join(COMMANDS)})\b[^;]* ?$")
    found = []
    for path in (p for room in ("nas", "dashboards") for p in (ROOT / room).rglob("*.py")):
        for text in (n for n in ast.walk(ast.parse(path.read_text("utf-8"))) if isinstance(n, ast.JoinedStr)):
            words = [part.value for part in text.values[:-1] if isinstance(part, ast.Constant)]
            found += [f"{path}:{text.lineno}: {word}" for word in words if begun.search(str(word))]
    assert found == []
