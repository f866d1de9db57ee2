"""Workers that are lost in a trial: who is to blame decides what becomes of it."""

import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from nas.executors.endings import COULD_NOT_WORK, MemoryWatch, ending
from nas.ledger import Ledger, SearchConfig, TrialState, Worker
from nas.ledger.claims import Claims
from nas.ledger.losses import LAST_AFTER, MAX_OWN, MAX_UNKNOWN, Cause, Doubt, Loss, doubt, told

MEMORY = Path("/sys/fs/cgroup/memory")


@pytest.fixture
def demo(ledger: Ledger, config: SearchConfig) -> Iterator[Ledger]:
    ledger.create_search("demo", replace(config, trials=3))
    yield ledger


def killed(pid: int) -> Worker:
    """A process of this machine that does not run any more."""
    return replace(Worker.this_process(), pid=pid, started=1)


def claims_of(ledger: Ledger, pid: int | None = None) -> Claims:
    return Claims(ledger, "demo", Worker.this_process() if pid is None else killed(pid))


def claimed_by(ledger: Ledger, pid: int) -> int:
    claim = claims_of(ledger, pid).claim()
    assert claim is not None
    return claim.trial.number


def losses(count: int, cause: Cause, point: int | None = 0) -> list[Loss]:
    return [Loss(killed(pid).to_text(), point, cause, "killed") for pid in range(count)]


def test_who_is_to_blame_decides() -> None:
    assert doubt([]) is doubt(losses(100, Cause.OUTSIDE)) is Doubt.NONE
    assert doubt(losses(MAX_OWN - 1, Cause.OWN)) is Doubt.NONE
    assert doubt(losses(MAX_OWN, Cause.OWN)) is Doubt.GIVEN_UP
    for count, found in [
        (LAST_AFTER - 1, Doubt.NONE),
        (LAST_AFTER, Doubt.LAST),
        (MAX_UNKNOWN, Doubt.GIVEN_UP),
    ]:
        assert doubt(losses(count, Cause.UNKNOWN)) is found
    elsewhere = [loss for point in range(9) for loss in losses(LAST_AFTER - 1, Cause.UNKNOWN, point)]
    assert doubt(elsewhere) is Doubt.NONE, "each time at another point"
    assert doubt([*losses(1, Cause.UNKNOWN)] * 99) is Doubt.NONE, "one and the same worker"


def test_a_trial_at_which_workers_vanish_is_tried_last_and_at_last_given_up(demo: Ledger) -> None:
    found = [claimed_by(demo, pid) for pid in range(1, LAST_AFTER + 2)]
    assert found == [0] * LAST_AFTER + [1], "the others are not held up"
    claims_of(demo).release_dead()
    for number in (1, 2):
        claims = claims_of(demo)
        claim = claims.claim()
        assert claim is not None
        assert claim.trial.number == number
        claims.finish(claim, TrialState.PRUNED)
    for pid in range(LAST_AFTER, MAX_UNKNOWN):
        assert claimed_by(demo, 100 + pid) == 0
    assert claims_of(demo).claim() is None
    trial = demo.trial("demo", 0)
    times = f"{MAX_UNKNOWN} times"
    assert (trial.state, trial.error) == (
        TrialState.FAILED, f"its worker died {times} in this trial: it is gone ({times})"
    )  # fmt: skip


def test_a_loss_is_told_by_who_saw_it_also_when_another_was_faster(demo: Ledger) -> None:
    watch = claims_of(demo)
    claimed_by(demo, 1)
    assert watch.lose(1, Cause.OWN, "killed by SIGSEGV") == (0, Doubt.NONE)
    assert demo.trial("demo", 0).state is TrialState.QUEUED, "at once"
    assert watch.lose(1, Cause.OWN, "killed by SIGSEGV") is None
    claimed_by(demo, 2)
    claimed_by(demo, 3)
    assert watch.lose(2, Cause.OWN, "exit code 9") == (0, Doubt.NONE)
    assert watch.lose(3, Cause.OWN, "exit code 9") == (0, Doubt.GIVEN_UP)
    trial = demo.trial("demo", 0)
    assert trial.state is TrialState.FAILED
    assert trial.error == "its worker died 3 times in this trial: killed by SIGSEGV, exit code 9 (2 times)"
    assert trial.worker == killed(3).label


def test_what_came_from_outside_is_never_held_against_a_trial(demo: Ledger) -> None:
    for pid in range(1, 2 * MAX_UNKNOWN):
        assert claimed_by(demo, pid) == 0
        assert claims_of(demo).lose(pid, Cause.OUTSIDE, "killed by SIGTERM") == (0, Doubt.NONE)


def test_a_trial_that_got_somewhere_is_not_doubted_any_more(demo: Ledger) -> None:
    for pid in range(1, MAX_OWN):
        claimed_by(demo, pid)
        claims_of(demo).lose(pid, Cause.OWN, "exit code 9")
    claims = claims_of(demo)
    claim = claims.claim()
    assert claim is not None
    claims.finish(claim, TrialState.COMPLETE, accuracy=0.5)
    for pid in range(1, MAX_OWN + 1):
        measuring = claims_of(demo, pid).claim_measuring([0])
        assert measuring is not None, "it may be timed, too"
        last = claims_of(demo).lose(pid, Cause.OWN, "exit code 9")
    assert last == (0, Doubt.GIVEN_UP)
    assert claims_of(demo).claim_measuring([0]) is None
    trial = demo.trial("demo", 0)
    assert (trial.state, trial.error) == (
        TrialState.COMPLETE, "its worker died 3 times in this trial: exit code 9 (3 times)"
    )  # fmt: skip
    assert trial.worker is None, "who died in measuring did not evaluate it"


@pytest.mark.parametrize(
    ("code", "how", "cause"),
    [
        ("os._exit(1)", "exit code 1", Cause.OWN),
        (f"os._exit({COULD_NOT_WORK})", "it could not work", Cause.OUTSIDE),
        ("os.kill(os.getpid(), signal.SIGSEGV)", "killed by SIGSEGV", Cause.OWN),
        ("os.abort()", "killed by SIGABRT", Cause.OWN),
        ("os.kill(os.getpid(), signal.SIGTERM)", "killed by SIGTERM", Cause.OUTSIDE),
        ("os.kill(os.getpid(), signal.SIGHUP)", "killed by SIGHUP", Cause.OUTSIDE),
        ("os.kill(os.getpid(), signal.SIGKILL)", "killed by SIGKILL", Cause.UNKNOWN),
    ],
)
def test_how_a_process_ended_is_read_from_its_code(code: str, how: str, cause: Cause) -> None:
    watch = MemoryWatch()
    with subprocess.Popen([sys.executable, "-c", f"import os, signal; {code}"]) as process:
        found = ending(process.wait(60))
    assert (found.how, found.cause) == (how, cause)
    assert not watch.has_killed(process.pid)


@pytest.mark.skipif(
    os.geteuid() != 0 or not os.access(MEMORY, os.W_OK), reason="needs a control group of its own"
)
def test_out_of_memory_is_told_apart() -> None:
    group = MEMORY / f"bitnas-test-{os.getpid()}"
    group.mkdir()
    code = f"""
import os, signal, subprocess, sys
from pathlib import Path
from nas.executors.endings import MemoryWatch, ending
(Path({str(group)!r}) / "cgroup.procs").write_text(str(os.getpid()))
watch = MemoryWatch()
eater = subprocess.Popen([sys.executable, "-c", "found = bytearray(1 << 28)"])
code = eater.wait()
print(ending(code, watch.has_killed(eater.pid)), watch.has_killed(1))
"""
    try:
        (group / "memory.limit_in_bytes").write_text(str(1 << 27))
        ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    finally:
        group.rmdir()
    assert ran.stdout.strip() == "Ending(how='out of memory', cause=<Cause.OWN: 'own'>) False", ran.stderr


def test_the_error_says_how_each_ended() -> None:
    found = [*losses(2, Cause.OUTSIDE), Loss(killed(1).to_text(), 0, Cause.OWN, "exit code 3")]
    assert told(found) == "its worker died 3 times in this trial: killed (2 times), exit code 3"
