"""What a search tells in a pipe: a line for each trial and each stage, and how disturbed the device was."""

import io
import sys
from dataclasses import replace
from types import ModuleType

import pytest
from rich.console import Console

from nas.bars import show_progress
from nas.ledger import EpochRecord, Ledger, SearchConfig, TrialState, Worker
from nas.ledger.claims import Claims
from nas.ledger.entries import Cost
from nas.ledger.roster import FOR_OTHERS
from nas.searching.progress import Watcher, disturbance, watcher
from nas.searching.supervision import Progress

COST = Cost(latency_ms=0.0015, size_kb=12.0, latency_by_workload=[("conv", 0.0015)])
ENDS = (
    (COST, TrialState.INFEASIBLE, None),
    (replace(COST, estimated=["conv"]), TrialState.COMPLETE, 0.875),
    (None, TrialState.FAILED, None),
    (Cost(0.003, 14.0, [("conv", 0.003)]), TrialState.COMPLETE, 0.9),
)
"""The cost, the state and the accuracy of each trial."""


def test_what_takes_turns_is_told_now_and_then(capsys: pytest.CaptureFixture[str]) -> None:
    with show_progress() as show:
        for done in range(3):
            show("pruning", done, 3)
            show("measuring kernels", 0, 4 + done)
            show("measuring kernels", 4, 4)
    assert capsys.readouterr().err.splitlines() == ["pruning: 0 of 3", "measuring kernels: 0 of 4"]


def test_a_line_for_each_trial_and_each_stage(ledger: Ledger, config: SearchConfig) -> None:
    record = ledger.create_search("demo", config)
    claims, out = Claims(ledger, "demo", Worker.this_process()), io.StringIO()
    watcher = Watcher(ledger, record, Console(file=out, width=200))
    for done in range(2):
        watcher.progress(record, Progress("profiling the device", done, 60))
        for pid in (7, 8):
            watcher.progress(record, Progress(f"{FOR_OTHERS} on this machine (process {pid})"))
        watcher.progress(record, Progress())
    for cost, state, accuracy in ENDS:
        claim = claims.claim()
        assert claim is not None
        if cost is not None:
            digest = f"{claim.trial.number}" * 64
            claims.propose(claim, choices={}, architecture='{"space":"tiny"}', digest=digest)
            claims.record_cost(claim, cost)
        error = "it was [not] to be" if state is TrialState.FAILED else None
        claims.finish(claim, state, accuracy=accuracy, error=error)
        watcher.trials(ledger.search("demo"))
    told = [" ".join(line.split()) for line in out.getvalue().splitlines()]
    assert told[:2] == [
        "profiling the device (60)",
        "waiting for another bitnas process on this machine (process 7), which trains or measures: "
        "this search goes on after it",
    ], "each once"
    assert [line.split(", about")[0] for line in told[2:]] == [
        "trial 0 infeasible accuracy — latency 0.00150 ms size 12.00 kB 1/4",
        "trial 1 complete accuracy 87.5% latency about 0.00150 ms size 12.00 kB "
        "2/4, best 87.5%, 1 on the front",
        "trial 2 failed accuracy — latency — size — it was [not] to be 3/4, best 87.5%, 1 on the front",
        # a box of 1.1 ranges a side; the first covers 0.1 x 1.1 x 1.1, the last 1.1 x 0.1 x 0.1, both 0.1^3
        "trial 3 complete accuracy 90.0% latency 0.00300 ms size 14.00 kB 4/4, best 90.0%, 2 on the front, "
        f"hypervolume {(0.1 * 1.1**2 + 1.1 * 0.1**2 - 0.1**3) / 1.1**3:.3f}",
    ]
    assert ["left" in line for line in told[2:-1]] == [False, True, True], "the first says nothing of others"


def test_where_trials_are_paused_the_time_left_is_that_of_all_epochs(
    ledger: Ledger, config: SearchConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Four trials of nine epochs: two at first, a second for each of two more, so 32 more at most."""
    record = ledger.create_search("demo", replace(config, epochs=9, pruner="halving"))
    claims, out, now = Claims(ledger, "demo", Worker.this_process()), io.StringIO(), [100.0]
    monkeypatch.setattr("time.monotonic", lambda: now[0])
    watcher = Watcher(ledger, record, Console(file=out, width=200))
    for number in range(2):
        claim = claims.claim()
        assert claim is not None
        claims.propose(claim, choices={}, architecture="{}", digest=str(number))
        assert watcher.left() == ""
        for epoch in (1, 2):
            claims.record_epoch(claim, EpochRecord(epoch, 1.0, 0.5, 1.0))
        claims.pause(claim, epoch=2, accuracy=0.5)
        now[0] += 2.0
        watcher.trials(ledger.search("demo"))
    assert watcher.left() == "at most 32 s left"
    goes_on = claims.claim_paused([0])
    assert goes_on is not None
    claims.finish(goes_on, TrialState.PRUNED)
    watcher.trials(ledger.search("demo"))
    assert watcher.left() == "at most 25 s left", "seven fewer"


def test_progress_is_shown_to_who_looks_on(
    ledger: Ledger, config: SearchConfig, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """In a notebook and when asked for, but not in a pipe. Jupyter is not installed, so a stand-in shows."""
    record, shown = ledger.create_search("demo", config), list[str]()

    def show_stage(progress: bool | None) -> None:
        with watcher(ledger, record, progress) as found:
            found.progress(record, Progress("profiling the device", 0, 60))

    show_stage(None)
    show_stage(False)
    assert capsys.readouterr().err == ""
    show_stage(True)
    assert capsys.readouterr().err == "profiling the device (60)\n"

    shell = type("ZMQInteractiveShell", (), {})
    monkeypatch.setattr("builtins.get_ipython", shell, raising=False)
    display = ModuleType("IPython.display")
    display.display = lambda told: shown.append(told.text)  # type: ignore[attr-defined]  # stands in for the real one
    monkeypatch.setitem(sys.modules, "IPython", ModuleType("IPython"))
    monkeypatch.setitem(sys.modules, "IPython.display", display)
    show_stage(False)
    assert shown == []
    show_stage(None)
    assert shown == ["profiling the device (60)\n"]


@pytest.mark.parametrize(
    ("drifts", "says"),
    [
        ([], None),
        ([0.0, 0.1], None),
        ([0.0, 0.3], "disturbed in 1 of 2 batches of measurements: 30% slower than usual"),
        ([0.2, 0.3, 0.0], "disturbed in 2 of 3 batches of measurements: up to 30% slower than usual"),
    ],
)
def test_a_disturbed_device_is_told_of_in_one_sentence(drifts: list[float], says: str | None) -> None:
    told = disturbance(drifts)
    assert (told or "").find(says or "") >= 0
    assert (told is None) == (says is None)
