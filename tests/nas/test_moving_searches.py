"""Searches as a whole: renamed, deleted, given more trials, and written as JSON lines and read again."""

import io
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from nas.ledger import EpochRecord, Ledger, SearchConfig, TrialRecord, TrialState, Worker
from nas.ledger.changing import add_trials, remove, rename
from nas.ledger.claims import Claims
from nas.ledger.entries import Cost
from nas.ledger.lines import TrialLine
from nas.ledger.moving import read_file, search_line, trial_lines, write
from nas.ledger.tables import Trial
from nas.objectives import ObjectiveValue
from search_spaces.errors import BitnasError, InvalidInput
from search_spaces.search_space import space
from tests.measured import timed

COST = Cost(0.5, 12.0, [("conv", 0.5)], ["conv"], 0.4, 0.6, 0.1, {"macs": ObjectiveValue.exact(7.0)})
OF_THE_LEDGER = {"id", "search_id", "expires_at", "fence", "deaths", "revision"}
"""Columns of a trial that are about this ledger, not about the trial."""


@pytest.fixture
def filled(ledger: Ledger, config: SearchConfig) -> Ledger:
    """A search of four trials: complete and timed, over a limit, running, queued."""
    ledger.create_search("demo", replace(config, max_size_kb=50, fix={"width": "3"}))
    claims = Claims(ledger, "demo", Worker.this_process())
    for number in range(3):
        claim = claims.claim()
        assert claim is not None
        architecture = space("tiny").sample(number)
        claims.propose(
            claim,
            choices={"stage1.block": "fire", "stage1.width": number},
            architecture=architecture.to_json(),
            digest=architecture.digest,
            passed_over=3,
            passed_samples=[{"digest": "ab", "over": "size"}],
            cost=COST,
        )
        if number == 1:
            claims.finish(claim, TrialState.INFEASIBLE, error="too large")
            continue
        claims.record_epoch(claim, EpochRecord(1, 1.5, 0.5, 2.0, {"f1": 0.25}))
        if number == 0:
            claims.finish(
                claim,
                TrialState.COMPLETE,
                accuracy=0.75,
                accuracies=[0.7, 0.8],
                values=COST.costs,
                weights=b"w",
            )
            measuring = claims.claim_measuring([0])
            assert measuring is not None
            claims.record_measured(measuring, measured=timed(0.55))
    return ledger


def text_of(ledger: Ledger, name: str = "demo", weights: bool = True) -> str:
    lines = [search_line(ledger, name), *trial_lines(ledger, name, weights)]
    return "".join(f"{line.to_text()}\n" for line in lines)


def read_into(ledger: Ledger, text: str, name: str = "again") -> None:
    write(ledger, *read_file(io.BytesIO(text.encode())), name)


def as_it_ran(trial: TrialRecord) -> TrialRecord:
    """A trial as it comes out of a file: one that ran is queued, and keeps what was proposed."""
    if trial.state is not TrialState.RUNNING:
        return replace(trial, search="again")
    kept = ("number", "choices", "architecture", "digest", "passed_over", "passed_samples")
    return TrialRecord("again", state=TrialState.QUEUED, **{name: getattr(trial, name) for name in kept})


def test_every_column_of_a_trial_is_in_its_line() -> None:
    assert set(Trial.__table__.columns.keys()) - OF_THE_LEDGER <= set(TrialLine.model_fields)


def test_what_was_exported_is_imported_as_it_was(filled: Ledger, tmp_path: Path) -> None:
    text = text_of(filled)
    assert [json.loads(line)["state"] for line in text.splitlines()[1:]] == [
        "complete", "infeasible", "queued", "queued",
    ]  # fmt: skip
    with Ledger.open(f"sqlite:///{tmp_path}/other.db", create=True) as other:
        read_into(other, text)
        assert other.trials("again") == [as_it_ran(trial) for trial in filled.trials("demo")]
        assert other.epochs("again", 0) == filled.epochs("demo", 0) != []
        assert other.weights("again", 0) == b"w"
        found, before = other.search("again"), filled.search("demo")
        assert (found.config, found.created_at) == (before.config, before.created_at)
        assert text_of(other, "again").replace('"again"', '"demo"', 1) == text
        claim = Claims(other, "again", Worker.this_process()).claim()
        assert claim is not None
        assert claim.trial.number == 2
    assert '"weights"' not in text_of(filled, weights=False)


def edit(line: int, change: Callable[[dict], object]) -> Callable[[list[str]], list[str]]:
    def edited(lines: list[str]) -> list[str]:
        value = json.loads(lines[line - 1])
        change(value)
        return [*lines[: line - 1], json.dumps(value), *lines[line:]]

    return edited


DAMAGES: list[tuple[Callable[[list[str]], list[str]], str]] = [
    (lambda lines: [], "line 1: Invalid JSON"),
    (lambda lines: ["{}", *lines[1:]], "line 1: bitnas_search: Field required"),
    (edit(1, lambda v: v.update(bitnas_search=2)), "line 1: bitnas_search: "),
    (edit(1, lambda v: v["config"].update(epochs="3")), "line 1: config: "),
    (edit(1, lambda v: v["config"].update(colour="red")), "line 1: config: "),
    (edit(1, lambda v: v["config"].update(epochs=0)), "line 1: config: epochs: 0 is out of range"),
    (edit(3, lambda v: v.update(accuracy="high")), "line 3: accuracy: Input should be a valid number"),
    (edit(3, lambda v: v.update(colour="red")), "line 3: colour: Extra inputs"),
    (edit(2, lambda v: v.update(digest="0" * 64)), "line 2: the digest is not the architecture's"),
    (edit(2, lambda v: v.update(weights="?")), "line 2: weights: "),
    (edit(4, lambda v: v.update(state="running")), "line 4: a trial that runs is queued in a file"),
    (edit(4, lambda v: v.update(state="paused")), "line 4: a paused trial has a checkpoint"),
    (edit(5, lambda v: v.update(state="complete")), "line 5: a trial that is complete has an arch"),
    (lambda lines: [*lines[:3], lines[3][:-9], lines[4]], "line 4: Invalid JSON"),
    (lambda lines: [*lines[:2], *lines[3:]], "line 3: trial 2 stands where trial 1 is to be"),
    (lambda lines: lines[:4], "line 5: 3 trials are there, of 4"),
]  # fmt: skip
"""What is done to the lines, and what is said then."""


def test_a_damaged_line_is_named_and_nothing_is_written(filled: Ledger) -> None:
    lines = text_of(filled).splitlines()
    for damage, says in DAMAGES:
        with pytest.raises(InvalidInput) as caught:
            read_into(filled, "".join(f"{line}\n" for line in damage(lines)))
        assert str(caught.value).startswith(f"file: {says}")
        assert "\n" not in str(caught.value)
    assert [search.name for search in filled.searches()] == ["demo"]


def test_a_search_is_renamed_and_removed_unless_it_runs(filled: Ledger) -> None:
    for act in (lambda: rename(filled, "demo", "new"), lambda: remove(filled, "demo")):
        with pytest.raises(BitnasError, match=r"^search: .* works on 'demo'; stop that first$"):
            act()
    read_into(filled, text_of(filled).replace('"same_as":null', ""), "copy")
    with pytest.raises(InvalidInput, match=r"^new: 'copy' is taken"):
        rename(filled, "copy", "copy")
    with filled.writing() as session:
        session.query(Trial).filter_by(number=3).update({"same_as": "copy/1"})
    rename(filled, "copy", "other")
    assert filled.trial("other", 3).same_as == "other/1" == filled.trial("demo", 3).same_as
    remove(filled, "other")
    assert [search.name for search in filled.searches()] == ["demo"]
    assert filled.epochs("demo", 0) != []


def test_more_trials_are_queued_at_the_end(filled: Ledger) -> None:
    found = add_trials(filled, "demo", 2)
    assert found.config.trials == 6 == found.trials
    assert [t.number for t in filled.trials("demo")] == [*range(6)]
    with pytest.raises(InvalidInput, match=r"^more: 0 is out of range"):
        add_trials(filled, "demo", 0)
