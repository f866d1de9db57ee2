"""A ledger's file on a disk that is full, or where nothing can be written: one line, and nothing is lost."""

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from search_process import nas_command, started, steady_search, wait_until

from nas.ledger import Ledger, SearchConfig, TrialState
from nas.ledger.inspecting import check
from search_spaces.errors import StorageError

DISK = "12m"


def _mount(*words: str) -> None:
    subprocess.run(["mount", *words], check=True, capture_output=True)


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """A small disk of its own."""
    if os.geteuid() != 0:
        pytest.skip("only root may mount")
    folder = tmp_path / "disk"
    folder.mkdir()
    try:
        _mount("-t", "tmpfs", "-o", f"size={DISK}", "tmpfs", str(folder))
    except subprocess.CalledProcessError as error:
        pytest.skip(f"nothing can be mounted here: {error.stderr.decode().strip()}")
    yield folder
    subprocess.run(["umount", str(folder)], check=True)


def _refused(*words: str) -> str:
    """What a command says that fails: one line."""
    ran = subprocess.run(nas_command(*words), capture_output=True, text=True, timeout=120)
    assert ran.returncode == 1, ran.stderr
    assert ran.stderr.count("\n") == 1 and ran.stderr.startswith("Error: "), ran.stderr
    return ran.stderr


def test_a_full_disk_ends_a_search_with_one_line(disk: Path) -> None:
    storage = f"sqlite:///{disk}/nas.db"
    with steady_search(storage, 300, "--workers", "2") as searching:
        wait_until(lambda: (disk / "nas.db").exists() and _complete(storage) >= 4)
        before = _complete(storage)
        filler = disk / "filler"
        with pytest.raises(OSError, match="No space left"), filler.open("wb", buffering=0) as file:
            while True:
                file.write(bytes(4096))
        _, told = searching.communicate(timeout=120)
    assert searching.returncode == 1
    *_, last = told.splitlines()
    assert last.startswith("Error: ") and "disk is full); make room" in last, told
    assert "Traceback" not in told
    filler.unlink()
    with started("search", "--resume", "demo", "--storage", storage):
        wait_until(lambda: _complete(storage) > before)
    with Ledger.open(storage) as ledger:
        # the second search was killed: what it was at may be running still
        found = [trial for trial in ledger.trials("demo") if trial.state.finished]
        assert all(trial.state is TrialState.COMPLETE for trial in found) and len(found) > before
        assert all([e.epoch for e in ledger.epochs("demo", t.number)] == [1, 2, 3] for t in found)
    assert check(storage) == []


def _complete(storage: str) -> int:
    with Ledger.open(storage, create=True) as ledger:
        return sum(search.counts[TrialState.COMPLETE] for search in ledger.searches())


def test_where_nothing_can_be_written_a_search_says_so(disk: Path) -> None:
    storage = f"sqlite:///{disk}/nas.db"
    with steady_search(storage, 4) as searching:
        assert searching.wait(120) == 0
    _mount("-o", "remount,ro", str(disk))
    more = "search", "--resume", "demo", "--more", "2", "--storage", storage
    try:
        new = "search", "--space", "numbers", "--evaluator", "steady", "--name", "new"
        new = *new, "--objective", "accuracy", "--storage", storage
        for words in (more, new, ("trials", "demo", "--storage", storage)):
            assert _refused(*words).endswith("; the file and its folder must be writable\n")
    finally:
        _mount("-o", f"remount,rw,size={DISK}", str(disk))
    with started(*more) as again:
        assert again.wait(120) == 0
    assert _complete(storage) == 6 and check(storage) == []


@pytest.mark.parametrize("happens", ["deleted", "replaced"])
def test_a_search_whose_file_is_gone_stops_within_a_trial(happens: str, tmp_path: Path) -> None:
    file, other = tmp_path / "nas.db", tmp_path / "other.db"
    storage = f"sqlite:///{file}"
    with Ledger.open(f"sqlite:///{other}", create=True) as ledger:
        ledger.create_search("mine", SearchConfig("tiny", "digits", "local", trials=2, epochs=1))
    with Ledger.open(storage, create=True) as held:  # a reader that has it open all the time
        with steady_search(storage, 300) as searching:
            wait_until(lambda: _complete(storage) >= 2)
            for end in ("-wal", "-shm") if happens == "deleted" else ():
                file.with_name(f"nas.db{end}").unlink()
            file.unlink() if happens == "deleted" else other.rename(file)
            _, told = searching.communicate(timeout=60)
        assert searching.returncode == 1
        with pytest.raises(StorageError, match="moved, deleted or replaced while in use"):
            held.searches()
    *_, last = told.splitlines()
    assert last.startswith("Error: --storage") and "moved, deleted or replaced while in use" in last, told
    assert "Traceback" not in told and "does not answer" not in told
    if happens == "replaced":
        for end in ("-wal", "-shm"):
            file.with_name(f"nas.db{end}").unlink(missing_ok=True)
        with Ledger.open(storage) as ledger:
            assert [search.name for search in ledger.searches()] == ["mine"]
        assert check(storage) == []
