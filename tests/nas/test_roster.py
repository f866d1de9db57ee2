"""Who works on a search, as ``nas workers`` tells it: at work, idle, waiting, silent, dead, left."""

import json
import shutil
import subprocess
import sys
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from click.testing import CliRunner
from image_files import idx_folder
from sqlalchemy import select, update

from nas.cli.main import cli
from nas.ledger import Ledger, SearchConfig, Worker
from nas.ledger.changing import remove
from nas.ledger.claims import Claims
from nas.ledger.entries import EpochRecord
from nas.ledger.origin import Origin
from nas.ledger.records import TrialState
from nas.ledger.roster import KEPT, HeldTrial, Roster, WorkerState
from nas.ledger.settling import settle_device
from nas.ledger.tables import WorkerRow
from nas.searching.creating import create, join
from nas.trials.presence import Presence
from nas.trials.worker import Told
from search_spaces.errors import InvalidInput

VERSIONS = {"bitnas": "0.1.0", "torch": "2.13.0"}
HERE = Worker.this_process()
THERE = replace(HERE, host="other", machine="elsewhere/1")


@pytest.fixture
def roster(ledger: Ledger, config: SearchConfig) -> Roster:
    ledger.create_search("demo", config)
    return Roster(ledger, "demo")


def test_a_worker_is_shown_with_what_it_is_at(ledger: Ledger, roster: Roster) -> None:
    roster.join(HERE, VERSIONS)
    (worker,) = roster.workers()
    assert (worker.label, worker.state, worker.stage) == (HERE.label, WorkerState.WORKING, "starting")
    assert worker.versions == VERSIONS and abs(worker.joined_at - datetime.now(UTC)) < timedelta(minutes=5)
    roster.note(HERE, "")
    assert roster.workers()[0].state is WorkerState.IDLE
    claims = Claims(ledger, "demo", HERE)
    claim = claims.claim()
    assert claim is not None
    claims.record_epoch(claim, EpochRecord(1, 0.5, 0.5, 1.0))
    (worker,) = roster.workers()
    assert (worker.state, worker.trials) == (WorkerState.WORKING, (HeldTrial(0, 1, 2),))
    assert claims.claim() is not None
    assert roster.workers()[0].trials == (HeldTrial(0, 1, 2), HeldTrial(1, None, 2)), "as a driver of Ray has"
    roster.note(HERE, "waiting for the device")
    assert roster.workers()[0].state is WorkerState.WAITING
    roster.leave(HERE)
    (worker,) = roster.workers()
    assert (worker.state, worker.trials, worker.stage) == (WorkerState.LEFT, (), "")
    roster.join(HERE, VERSIONS)
    assert [worker.state for worker in roster.workers()] == [WorkerState.WORKING], "one row a worker"


def test_who_gives_no_sign_of_life_is_told_from_who_works(ledger: Ledger, roster: Roster) -> None:
    gone = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    dead = replace(HERE, pid=gone.pid, started=0)
    for worker in (THERE, dead):
        roster.join(worker, VERSIONS)
    gone.communicate()
    found = {worker.label: worker for worker in roster.workers()}
    assert found[THERE.label].state is WorkerState.WORKING
    assert found[dead.label].state is WorkerState.DEAD
    with ledger.writing() as session:
        session.execute(update(WorkerRow).values(seen_at=datetime.now(UTC) - timedelta(minutes=2)))
    (silent,) = (worker for worker in roster.workers() if worker.label == THERE.label)
    assert silent.state is WorkerState.SILENT and 100 < silent.silent_s < 1000 and not silent.is_gone
    roster.note(THERE, "profiling the device")
    assert roster.workers()[0].state is WorkerState.WORKING, "it was only late"


def test_the_table_does_not_grow_without_end(ledger: Ledger, roster: Roster) -> None:
    for pid in range(KEPT + 20):
        worker = replace(THERE, pid=pid)
        roster.join(worker, VERSIONS)
        if pid:
            roster.leave(worker)
    found = roster.workers()
    assert len(found) <= KEPT + 2 and found[0].pid == 0, "one that works is kept"
    remove(ledger, "demo")
    with ledger.reading() as session:
        assert session.scalars(select(WorkerRow)).all() == []


def test_a_presence_gives_signs_of_life_and_says_when_it_ends(ledger: Ledger, roster: Roster) -> None:
    told: list[Told] = []
    with Presence(roster, HERE, told.append, lease_s=0.2) as presence:
        first = roster.workers()[0].seen_at
        presence.tell(Told(stage="profiling the device"))
        presence.tell(Told(stage=""))
        presence.tell(Told(stage=""))
        while not (roster.workers()[0].seen_at > first and roster.workers()[0].state is WorkerState.IDLE):
            pass
    assert roster.workers()[0].state is WorkerState.LEFT
    assert [each.stage for each in told] == ["profiling the device", ""]


def test_the_command_shows_workers_or_one_line(ledger: Ledger, storage: str, roster: Roster) -> None:
    words = ["workers", "demo", "--storage", storage]
    nobody = CliRunner().invoke(cli, words)
    assert (nobody.exit_code, nobody.stdout) == (0, "")
    assert nobody.stderr == f"Nobody works on 'demo'. Next: nas worker demo --storage {storage}\n"
    roster.join(THERE, VERSIONS)
    roster.join(HERE, VERSIONS)
    roster.leave(HERE)
    shown = CliRunner().invoke(cli, words).stdout.splitlines()
    assert len(shown) == 2 and shown[1].split()[:3] == [THERE.label, "working", "starting"]
    found = json.loads(CliRunner().invoke(cli, [*words, "--all", "--json"]).stdout)
    assert [(worker["host"], worker["state"]) for worker in found] == [
        ("other", "working"),
        (HERE.host, "left"),
    ]
    missing = CliRunner().invoke(cli, ["workers", "dmeo", "--storage", storage])
    assert missing.exit_code == 2


def test_of_a_finished_search_the_dead_are_not_shown(ledger: Ledger, storage: str, roster: Roster) -> None:
    words, claims = ["workers", "demo", "--storage", storage], Claims(ledger, "demo", HERE)
    roster.join(replace(HERE, started=0), VERSIONS)
    assert CliRunner().invoke(cli, words).stdout.splitlines()[1].split()[1] == "dead"
    while claim := claims.claim():
        claims.finish(claim, TrialState.FAILED, error="no")
    found = CliRunner().invoke(cli, words)
    assert (found.stdout, found.stderr.startswith("Nobody works on 'demo': it is finished")) == ("", True)
    assert CliRunner().invoke(cli, [*words, "--all"]).stdout.count("dead") == 1


def test_whoever_is_to_join_is_told_of_the_plugin(ledger: Ledger, config: SearchConfig, storage: str) -> None:
    ledger.create_search("demo", replace(config, evaluator="of a plugin"))
    found = CliRunner().invoke(cli, ["workers", "demo", "--storage", storage])
    assert found.stderr.endswith(f"Next: nas --plugin FILE worker demo --storage {storage}\n")


def test_whoever_joins_has_the_data_that_the_search_was_made_with(storage: str, tmp_path: Path) -> None:
    folder = tmp_path / "mnist"
    idx_folder(folder)
    config = SearchConfig(space="tiny", data=str(folder), device="local", trials=1, epochs=1)
    made = create(storage, "demo", config).origin
    assert len(made.data) == 64 and made.versions["bitnas"] and made.devices == {}
    assert join(storage, "demo").origin == made
    labels = folder / "train-labels-idx1-ubyte"
    data = labels.read_bytes()
    labels.write_bytes(data[:-1] + bytes([(data[-1] + 1) % 3]))
    with pytest.raises(InvalidInput, match=f"^data: '{folder}' of this machine is not what 'demo' was made"):
        join(storage, "demo")
    shutil.rmtree(folder)
    with pytest.raises(InvalidInput, match=f"^data: '{folder}' is neither a data set here"):
        join(storage, "demo")


def test_other_versions_are_told_in_a_line(ledger: Ledger, config: SearchConfig) -> None:
    record = ledger.create_search("demo", config, origin=Origin({"torch": "2.12.0", "bitnas": "0.1.0"}))
    assert record.told_versions({"torch": "2.12.0", "bitnas": "0.1.0", "apache-tvm": "0.27"}) == []
    assert record.told_versions({"torch": "2.13.0", "bitnas": "0.1.0"}) == [
        "versions: 'demo' was made with torch 2.12.0, not 2.13.0; results may differ"
    ]


def test_a_search_that_takes_trials_over_keeps_to_their_machine(ledger: Ledger, config: SearchConfig) -> None:
    keys = [f"local | {cpu} | znver3 | tvm 1 | kernels 9 | protocol 2" for cpu in ("one", "one", "two")]
    for name, key in zip("abc", [*keys[:1], keys[1].replace("tvm 1", "tvm 2"), keys[2]], strict=True):
        ledger.create_search(name, config)
        assert settle_device(ledger, name, "local", key) == key
    assert settle_device(ledger, "a", "local", keys[2]) == keys[0], "another machine was first"
    assert create(ledger.url, "next", config, warm_start=("a", "b")).origin.devices == {"local": keys[0]}
    with pytest.raises(InvalidInput, match=r"^warm_start: 'c' has times of another machine called 'local'"):
        create(ledger.url, "other", config, warm_start=("a", "c"))
