"""Devices of plug-ins: found by name, shown, searched on, and reached again by their record."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

import latency
from latency import DeviceRecord
from nas.cli.main import cli
from nas.ledger import Ledger
from nas.measuring.devices import open_device
from tests.environment import clean_environment
from tests.latency.board import Board, plugged_in

ROOT = Path(__file__).parents[2]
BY_FILE = """
from latency import devices
from tests.latency.board import Board

devices.add("board", Board())
"""


def nas(*arguments: object, cwd: Path) -> subprocess.CompletedProcess[str]:
    """In a process that finds what ``cwd`` / ``site`` holds."""
    command = [sys.executable, "-m", "nas.cli.main", *map(str, arguments)]
    environment = clean_environment(PYTHONPATH=f"{cwd / 'site'}:{ROOT}")
    return subprocess.run(
        command, cwd=cwd, env=environment, capture_output=True, text=True, timeout=600, check=False
    )


def here(folder: Path, *arguments: object) -> Result:
    """In this process."""
    storage = f"sqlite:///{folder / 'nas.db'}"
    return CliRunner().invoke(cli, [*map(str, arguments), "--storage", storage])


def test_a_device_of_another_distribution_is_searched_on_and_shown(tmp_path: Path) -> None:
    info = tmp_path / "site" / "board-1.0.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: board\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[bitnas.devices]\nboard = tests.latency.board:Board\n")
    search = ("search", "--name", "b", "--device", "board", "--trials", 1, "--epochs", 1)
    done = nas(*search, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    with plugged_in(Board):
        (member,) = json.loads(here(tmp_path, "pareto", "b", "--json").stdout)["front"]
        assert member["measured_latency_ms"] > 0
        assert not member["estimated"]
        listed = json.loads(here(tmp_path, "device", "list", "--json").stdout)
        known = {entry["name"]: entry for entry in listed}
        assert list(known) == ["local", "board"]
        assert (known["board"]["reach"], known["board"]["description"]["cpu"]) == ("plugin", "simulated")
        assert "plug-in" in here(tmp_path, "device", "list").stdout
        measured = here(tmp_path, "latency", "measure", "--device", "board", "--networks", 1)
        assert measured.exit_code == 0, measured.output
    gone = here(tmp_path, "search", "--resume", "b")
    assert (gone.exit_code, "unknown name 'board'" in gone.stderr) == (2, True)


def test_a_device_of_a_file_is_asked_what_it_is(tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text(BY_FILE)
    done = nas("--plugin", "mine.py", "device", "probe", "board", "--json", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["description"]["cpu"] == "simulated"


@pytest.mark.parametrize("board", [Board, Board()])
def test_a_class_or_an_instance_is_reached_by_its_record(tmp_path: Path, board: Board) -> None:
    with plugged_in(board):
        found = latency.device("board")
        again = latency.connect(DeviceRecord("board", "plugin"))
        assert (found is again) == isinstance(board, Board), "a class makes a device each time"
        found.exclusive = open  # type: ignore[assignment]  # stands in for the real one
        with Ledger.open(f"sqlite:///{tmp_path}/nas.db", create=True) as ledger:
            opened = open_device(ledger, "board")
        assert opened.record == DeviceRecord("board", "plugin")
        assert opened.exclusive is not open, "no other's lock"


def test_a_device_is_called_what_it_is_registered_as() -> None:
    class Renamed(Board):
        def __init__(self) -> None:
            super().__init__()
            self.record = DeviceRecord("something", threads=2)

    with plugged_in(Renamed):
        assert latency.device("board").record == DeviceRecord("board", "plugin", threads=2)


def test_what_a_plugin_has_is_neither_added_nor_removed(tmp_path: Path) -> None:
    here(tmp_path, "device", "add", "two", "--threads", 2)
    with plugged_in(Board):
        for command in ("add", "remove"):
            found = here(tmp_path, "device", command, "board")
            assert (found.exit_code, found.stderr.count("\n")) == (2, 1)
            assert "'board' is the device of a plug-in" in found.stderr


def test_what_the_ledger_knows_counts_before_a_plugin(tmp_path: Path) -> None:
    here(tmp_path, "device", "add", "board", "--threads", 2)
    with plugged_in(Board), Ledger.open(f"sqlite:///{tmp_path}/nas.db") as ledger:
        assert open_device(ledger, "board").threads == 2
        assert here(tmp_path, "device", "probe", "board").exit_code == 0
        assert json.loads(here(tmp_path, "device", "show", "board", "--json").stdout)["probed_at"]
