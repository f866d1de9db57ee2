"""``nas db check`` finds each damaged cell, and commands that meet one say which it is, in one line."""

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import numpy
import pytest
from click.testing import CliRunner
from make_schema import fill
from safetensors.numpy import save

from nas.cli.main import cli
from nas.ledger import Ledger

FIRST = "UPDATE trials SET {} WHERE number = 0"
DAMAGED = {
    "UPDATE searches SET origin = '['": "demo: column 'origin' is damaged (",
    "UPDATE searches SET created_at = 'zz'": "demo: column 'created_at' is damaged (",
    "UPDATE searches SET name = 'a b/../c'": "a b/../c: column 'name' is damaged (",
    "UPDATE searches SET revision = -1": "demo: column 'revision' is damaged (",
    "UPDATE workers SET owner = 'zz'": "demo: a row of 'workers': column 'owner' is damaged (",
    "UPDATE workers SET seen_at = 'zz'": "demo: a row of 'workers': column 'seen_at' is damaged (",
    "UPDATE epochs SET accuracy = 'x' WHERE trial_id = 1": "demo/0: a row of 'epochs': column 'accuracy' is",
    "UPDATE epochs SET accuracy = 5 WHERE trial_id = 1": "demo/0: a row of 'epochs': column 'accuracy' is",
    "UPDATE measurements SET date = '2999-01-01'": "the database: a row of 'measurements': column 'date' is",
    "UPDATE known_devices SET record = '{'": "the database: a row of 'known_devices': column 'record' is",
    "UPDATE predictions SET summary = '{}'": "demo/0: a row of 'predictions': column 'summary' is da",
    "UPDATE predictions SET summary = json_set(summary, '$.right', 9)": "demo/0: a row of 'predictions': col",
    "UPDATE artifacts SET verified_at = '2999-01-01 00:00:00'": "demo/0: a row of 'artifacts': column 'verif",
    "UPDATE weights SET tensors = x'00'": "demo/0: its weights are no safetensors file",
    "DELETE FROM epochs WHERE trial_id = 1": "demo/0: it went through 2 epochs, and has 0",
    FIRST.format("architecture = 'xx'"): "demo/0: its architecture cannot be read (",
    FIRST.format(f"digest = '{'0' * 64}'"): "demo/0: the digest is not the architecture's",
    FIRST.format("epochs_done = 99"): "demo/0: it went through 99 of 2 epochs",
    FIRST.format("parents = '[0]'"): "demo/0: its parent, trial 0, is no other trial",
    FIRST.format("parents = '[5]'"): "demo/0: its parent, trial 5, is no other trial",
    FIRST.format("same_as = 'demo/0'"): "demo/0: it has taken its result from itself",
    "UPDATE trials SET number = 77 WHERE number = 4": "demo: its 5 trials are not numbered from 0 to 4, but",
} | {
    FIRST.format(set_to): f"demo/0: column '{set_to.partition(' ')[0]}' is damaged ("
    for set_to in (
        "digest = ''",
        "fence = 'x'",
        "fence = -1",
        "doubt = 9",
        "losses = '[{}]'",
        "choices = '[1]'",
        "choices = '{'",
        "same_as = 99",
        "budget = -1",
        "costs = '[]'",
        "latency_ms = 'x'",
        "accuracy = 1.5",
        "started_at = '2999-01-01 00:00:00'",
        "owner = 'zz'",
        "estimated = '7'",
        "parents = '[-1]'",
    )
}
MET = {
    "UPDATE searches SET origin = '['": ("searches",),
    "UPDATE searches SET created_at = 'zz'": ("trials", "demo"),
    "UPDATE workers SET owner = 'zz'": ("workers", "demo"),
    "UPDATE workers SET seen_at = 'zz'": ("workers", "demo"),
    "UPDATE epochs SET accuracy = 'x' WHERE trial_id = 1": ("trial", "demo", "0"),
    FIRST.format("latency_ms = 'x'"): ("pareto", "demo"),
    FIRST.format("choices = '{'"): ("trial", "demo", "0"),
    FIRST.format("owner = 'zz'"): ("trials", "demo"),
}
"""Commands that read such a cell."""


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Iterator[bytes]:
    """A ledger in which all is well, as a file."""
    file = tmp_path_factory.mktemp("whole") / "nas.db"
    with Ledger.open(f"sqlite:///{file}", create=True) as ledger:
        fill(ledger)
    with closing(sqlite3.connect(file, isolation_level=None)) as connection:
        connection.execute("UPDATE weights SET tensors = ?", [save({"w": numpy.zeros(2)})])
        connection.execute("PRAGMA journal_mode = DELETE")
    run = CliRunner().invoke(cli, ["db", "check", "--storage", f"sqlite:///{file}"])
    assert (run.exit_code, run.stdout) == (0, ""), run.output
    yield file.read_bytes()


@pytest.mark.parametrize("damage", DAMAGED, ids=range(len(DAMAGED)))
def test_a_damaged_cell_is_found_and_named(damage: str, whole: bytes, tmp_path: Path) -> None:
    file = tmp_path / "nas.db"
    file.write_bytes(whole)
    with closing(sqlite3.connect(file, isolation_level=None)) as connection:
        assert connection.execute(damage).rowcount
    storage = f"sqlite:///{file}"
    told = CliRunner().invoke(cli, ["db", "check", "--storage", storage])
    lines = told.stdout.splitlines()
    assert told.exit_code == 1 and any(line.startswith(DAMAGED[damage]) for line in lines), told.output
    if damage in MET:
        met = CliRunner().invoke(cli, [*MET[damage], "--storage", storage])
        assert met.exit_code == 1, met.output
        assert met.stderr.startswith(f"Error: --storage: {storage}: {DAMAGED[damage]}"), met.stderr
        assert (
            met.stderr.endswith(f"; run nas db check --storage {storage}\n") and met.stderr.count("\n") == 1
        )
