"""The command line as a process: what it imports, its exit codes, its one-line errors."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import click
import pytest

from nas.cli.main import COMMANDS, cli
from tests.cli.conftest import Run

HEAVY = {
    "torch",
    "tvm",
    "optuna",
    "sqlalchemy",
    "alembic",
    "plotly",
    "dash",
    "pydantic",
    "rich",
    "numpy",
    "sklearn",
}


def imported(arguments: list[str], environment: dict[str, str], cwd: Path) -> set[str]:
    """The top-level modules that a ``nas`` command imports."""
    command = [sys.executable, "-X", "importtime", "-m", "nas.cli.main", *arguments]
    done = subprocess.run(command, env=environment, cwd=cwd, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    lines = [line for line in done.stderr.splitlines() if line.startswith("import time:")]
    return {line.rpartition("|")[2].strip().split(".")[0] for line in lines}


@pytest.mark.parametrize(
    "arguments", [["--help"], ["--version"], ["trials", "--help"], ["dashboard", "--help"]]
)
def test_help_imports_nothing_heavy(
    arguments: list[str], environment: dict[str, str], tmp_path: Path
) -> None:
    modules = imported(arguments, environment, tmp_path)
    assert "click" in modules
    assert not modules & HEAVY


def test_help_lists_every_command_in_order(nas: Run) -> None:
    done = nas("--help")
    assert done.returncode == 0
    listed = done.stdout.partition("Commands:")[2].splitlines()
    names = [line.split()[0] for line in listed if line.startswith("  ") and line[2] != " "]
    assert names == [*COMMANDS, "act", "broken", "number"]
    assert "(added by badplugin)" in done.stdout


@pytest.mark.parametrize("name", [name for name, command in COMMANDS.items() if command.target])
def test_every_command_loads_and_documents_its_options(name: str) -> None:
    context = click.Context(cli)
    command = cli.get_command(context, name)
    assert command is not None
    assert command.help
    undocumented = [p.name for p in command.params if isinstance(p, click.Option) and not p.help]
    assert not undocumented


def test_version(nas: Run) -> None:
    done = nas("--version")
    assert done.returncode == 0
    assert done.stdout.startswith("nas ")


@pytest.mark.parametrize(
    ("arguments", "code", "told"),
    [
        (["--json", "searches"], 2, "before the command; did you mean 'nas searches --json'?"),
        (["latency", "--space", "tiny", "measure"], 2, "did you mean 'nas latency measure --space tiny'?"),
        (["latency", "evalute"], 2, "No such command 'evalute'; did you mean evaluate?"),
        (["--jsn", "tril"], 2, "No such option '--jsn'."),
        (["tril"], 2, "No such command 'tril'; did you mean trial or trials or train?"),
        (["xyz"], 2, "choose one of search, searches"),
        (["--nonsense"], 2, "No such option"),
        (["trials"], 2, "Missing argument 'SEARCH'. Try 'nas trials --help'."),
        (["trial", "demo", "seven"], 2, "'seven' is not a valid integer"),
        (["trials", "demo", "--state", "lost"], 2, "'lost' is not one of"),
        (["trials", "demo"], 1, "there is no database at nas.db"),
        (["trials", "demo", "--storage", "nonsense"], 2, "--storage: not a database URL"),
        (["act", "crash"], 1, "ZeroDivisionError: division by zero"),
        (["act", "disk"], 1, "the disk is full"),
        (["act", "input"], 2, "HOW: too bad; be good"),
        (["broken"], 1, "command 'broken' of badplugin does not load (ModuleNotFoundError"),
        (["number"], 1, "command 'number' of badplugin is not a click command"),
    ],
)
def test_an_error_is_one_line_and_an_exit_code(nas: Run, arguments: list[str], code: int, told: str) -> None:
    done = nas(*arguments)
    assert done.returncode == code
    assert done.stdout == ""
    assert done.stderr.startswith("Error: ")
    assert told in done.stderr
    assert done.stderr.count("\n") == 1


def test_a_failed_command_leaves_nothing_behind(nas: Run, tmp_path: Path) -> None:
    nas("trials", "demo")
    nas("pareto", "demo", "--plot", "front.html")
    assert list(tmp_path.iterdir()) == []


def test_traceback_only_for_debugging(nas: Run) -> None:
    assert "Traceback" not in nas("act", "crash").stderr
    assert "Traceback" not in nas("act", "crash", NAS_DEBUG="0").stderr
    for done in (nas("--debug", "act", "crash"), nas("act", "crash", NAS_DEBUG="1")):
        assert done.returncode == 1
        assert "Traceback" in done.stderr
        assert done.stderr.splitlines()[-1].startswith("Error: ZeroDivisionError")


@pytest.mark.parametrize("trap", ["", "trap '' INT; "])
def test_interrupt(environment: dict[str, str], trap: str) -> None:
    """Also where a shell has had it ignored, as it does in a script for what it starts with ``&``."""
    command = ["sh", "-c", f'{trap}exec "$@"', "sh", sys.executable, "-m", "nas.cli.main", "act", "sleep"]
    with subprocess.Popen(
        command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "sleeping\n"
        process.send_signal(signal.SIGINT)
        _, stderr = process.communicate(timeout=60)
    assert process.returncode == 130
    assert stderr.strip() == "Stopped."


@pytest.mark.parametrize("arguments", ["act flood", "trials demo --json --storage {storage}", "--help"])
def test_a_reader_that_leaves_is_no_error(
    environment: dict[str, str], storage: str, arguments: str, tmp_path: Path
) -> None:
    read, write = os.pipe()
    os.close(read)  # the reader has left before the first byte
    command = [sys.executable, "-m", "nas.cli.main", *arguments.format(storage=storage).split()]
    try:
        done = subprocess.run(
            command, env=environment, stdout=write, stderr=subprocess.PIPE, text=True, timeout=60, check=False
        )
    finally:
        os.close(write)
    assert "Error" not in done.stderr
    assert "Exception" not in done.stderr
    assert "Traceback" not in done.stderr
    assert done.returncode != 0


def test_a_full_disk_is_an_error(environment: dict[str, str], storage: str) -> None:
    command = [sys.executable, "-m", "nas.cli.main", "trials", "demo", "--json", "--storage", storage]
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(
            command, env=environment, stdout=full, stderr=subprocess.PIPE, text=True, timeout=60
        )
    assert done.returncode == 1
    assert "No space left on device" in done.stderr
    assert "Traceback" not in done.stderr
    assert "Exception ignored" not in done.stderr


def test_a_latin_terminal_gets_a_replacement(nas: Run, storage: str) -> None:
    done = nas("trials", "demo", "--storage", storage, PYTHONIOENCODING="latin-1")
    assert done.returncode == 0
    assert "?" in done.stdout
