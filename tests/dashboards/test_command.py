"""``nas dashboard`` as a process: what it prints where, and how it ends."""

import os
import re
import signal
import socket
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from urllib.error import HTTPError
from urllib.request import Request, urlopen

import pytest

from tests.environment import clean_environment

ROOT = Path(__file__).parents[2]
TOKEN = "correct-horse-battery"
Process = subprocess.Popen[str]


@pytest.fixture(scope="module")
def environment(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """An environment in which the entry point of the command is installed, as pyproject.toml states it."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    target = project["entry-points"]["bitnas.commands"]["dashboard"]
    site = tmp_path_factory.mktemp("site")
    info = site / "entries-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: entries\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(f"[bitnas.commands]\ndashboard = {target}\n")
    return clean_environment(PYTHONPATH=os.pathsep.join([str(ROOT), str(site)]))


@contextmanager
def running(environment: dict[str, str], *arguments: str, **variables: str) -> Iterator[tuple[Process, str]]:
    """The command on a free port, and its address."""
    command = [sys.executable, "-m", "nas.cli.main", "dashboard", "--port", "0", *arguments]
    with subprocess.Popen(
        command, env={**environment, **variables}, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        try:
            assert process.stderr is not None
            line = process.stderr.readline()
            found = re.fullmatch(r"Dashboard on (http://\S+/) \(Ctrl-C stops it\)\n", line)
            assert found, line
            yield process, found[1]
        finally:
            process.kill()


def get(address: str, **headers: str) -> int:
    """The status of a request."""
    try:
        with urlopen(Request(address, headers=headers), timeout=60) as answer:
            return int(answer.status)
    except HTTPError as error:
        with error:
            return error.code


def test_serves_quietly_until_interrupted(environment: dict[str, str], storage: str) -> None:
    with running(environment, "--storage", storage) as (process, address):
        assert address.startswith("http://127.0.0.1:")
        assert get(address) == 200
        assert get(address, Host="evil.example") == 403
        process.send_signal(signal.SIGINT)
        stdout, stderr = process.communicate(timeout=60)
    assert process.returncode == 130
    assert stdout == ""
    assert stderr.split() == ["Stopped."]


def test_token_from_the_environment(environment: dict[str, str], storage: str) -> None:
    with running(environment, "--storage", storage, NAS_DASHBOARD_TOKEN=TOKEN) as (_, address):
        assert get(address) == 401
        assert get(address, Authorization=f"Bearer {TOKEN}") == 200


@pytest.mark.parametrize(
    ("arguments", "code", "told"),
    [
        (["--host", "0.0.0.0"], 2, "--host: '0.0.0.0' can be reached from other machines; give --token"),
        (["--token", "short"], 2, "--token: 5 characters can be guessed"),
        (["--port", "70000"], 2, "70000 is not in the range"),
        (["--storage", "sqlite:///none.db"], 1, "there is no database at none.db"),
    ],
)
def test_refusals(
    environment: dict[str, str], storage: str, arguments: list[str], code: int, told: str
) -> None:
    command = [sys.executable, "-m", "nas.cli.main", "dashboard", *arguments]
    env = {"NAS_STORAGE": storage, **environment}
    done = subprocess.run(command, env=env, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == code
    assert done.stdout == ""
    assert done.stderr.startswith("Error: ")
    assert told in done.stderr
    assert done.stderr.count("\n") == 1


def test_a_port_that_is_taken_is_one_line(environment: dict[str, str], storage: str) -> None:
    with closing(socket.create_server(("127.0.0.1", 0))) as other:
        port = str(other.getsockname()[1])
        command = [sys.executable, "-m", "nas.cli.main", "dashboard", "--storage", storage, "--port", port]
        done = subprocess.run(
            command, env=environment, capture_output=True, text=True, timeout=60, check=False
        )
    assert done.returncode == 1
    assert done.stderr.startswith(
        f"Error: --port: cannot listen on 127.0.0.1:{port} (Address already in use)"
    )
    assert done.stderr.count("\n") == 1
