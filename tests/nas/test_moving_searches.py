"""Searches as a whole: renamed, deleted, given more trials, and written as JSON lines and read again."""

import io
import json
import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from random import Random

import pytest
import spaces as toys
from click.testing import CliRunner, Result

from nas.cli.main import cli
from nas.ledger import EpochRecord, Ledger, SearchConfig, TrialRecord, TrialState, Worker
from nas.ledger.changing import add_trials, remove, rename
from nas.ledger.claims import Claims
from nas.ledger.entries import Cost
from nas.ledger.lines import TrialLine
from nas.ledger.mistakes import Mistake, Predictions
from nas.ledger.moving import read_file, search_line, trial_lines, write
from nas.ledger.predictions import predictions_of
from nas.ledger.tables import Trial
from nas.objectives import ObjectiveValue
from search_spaces.errors import BitnasError, InvalidInput
from search_spaces.search_space import Candidate, space
from tests.measured import timed

COST = Cost(0.5, 12.0, [("conv", 0.5)], ["conv"], 0.4, 0.6, 0.1, {"macs": ObjectiveValue.exact(7.0)})
PREDICTIONS = Predictions(2, 3, 2, ((0, 0, 2), (1, 0, 1)), (Mistake(2, 1, 0, 0.5),))
OF_THE_LEDGER = {"id", "search_id", "expires_at", "fence", "losses", "doubt", "revision"}
"""Columns of a trial that are about this ledger, not about the trial."""


def drawn(seed: int) -> tuple[Candidate, dict[str, str | int]]:
    """An architecture of the space ``tiny``, and the choices that lead there."""
    choices, random = dict[str, str | int](), Random(seed)
    found = space("tiny").propose(lambda name, options: choices.setdefault(name, random.choice(options)))
    return found, choices


@pytest.fixture
def filled(ledger: Ledger, config: SearchConfig) -> Ledger:
    """A search of four trials: complete and timed, over a limit, running, queued."""
    ledger.create_search("demo", replace(config, max_size_kb=50, fix={"width": "3"}))
    claims = Claims(ledger, "demo", Worker.this_process())
    for number in range(3):
        claim = claims.claim()
        assert claim is not None
        architecture, choices = drawn(number)
        claims.propose(
            claim,
            choices=choices,
            architecture=architecture.to_json(),
            digest=architecture.digest,
            parents=range(number),
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
                predictions=PREDICTIONS,
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
    kept = ("number", "choices", "parents", "architecture", "digest", "passed_over", "passed_samples")
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
        assert other.trial("again", 2).parents == (0, 1)
        assert predictions_of(other, "again", 0) == predictions_of(filled, "demo", 0) == PREDICTIONS
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
    (edit(2, lambda v: v.update(accuracy=7.5)), "line 2: accuracy: Input should be less than or equal to 1"),
    (edit(2, lambda v: v.update(accuracies=[0.7, -1])), "line 2: accuracies.1: Input should be greater than"),
    (edit(2, lambda v: v.update(latency_ms=-1)), "line 2: latency_ms: Input should be greater"),
    (edit(2, lambda v: v.update(latency_ms=9)), "line 2: latency_ms: 9 is not within 0.4 to 0.6"),
    (edit(2, lambda v: v["latency_by_workload"].append(["k", -1])), "line 2: latency_by_workload.1.1: "),
    (edit(2, lambda v: v["epochs"][0].update(seconds=-1)), "line 2: epochs.0.seconds: Input should "),
    (edit(2, lambda v: v["costs"]["macs"].update(value=8)), "line 2: costs.macs: 8 is not within 7 to 7"),
    (edit(2, lambda v: v["costs"]["macs"].update(low=-1)), "line 2: costs.macs: -1 is below 0"),
    (edit(2, lambda v: v["costs"]["macs"].update(high=math.inf)), "line 2: costs.macs.high: Input should be"),
    (edit(2, lambda v: v.update(epochs_done=77)), "line 2: epochs_done: 77 of 2 epochs are too many"),
    (edit(2, lambda v: v["epochs"][0].update(epoch=4)), "line 2: epochs_done: 4 of 2 epochs are too many"),
    (edit(2, lambda v: v.pop("accuracy")), "line 2: accuracy: a complete trial has a value of it, which"),
    (edit(1, lambda v: v["config"].update(objectives=["latency@pi"])), "line 2: costs.latency@pi: a com"),
    (edit(4, lambda v: v.update(choices={"stem.width": 7})), "line 4: its choices are none of the space 'ti"),
    (edit(2, lambda v: v.update(digest="0" * 64)), "line 2: the digest is not the architecture's"),
    (edit(2, lambda v: v.update(digest="")), "line 2: digest: String should have at least 1 character"),
    (edit(2, lambda v: v.update(architecture="{")), "line 2: the architecture is no JSON: "),
    (edit(4, lambda v: v.pop("architecture")), "line 4: it has choices or a digest, and no architecture"),
    (edit(2, lambda v: v.update(weights="?")), "line 2: weights: "),
    (edit(2, lambda v: v.update(parents=[0])), "line 2: parents: trial 0 is no other trial of the search"),
    (edit(4, lambda v: v.update(parents=[4])), "line 4: parents: trial 4 is no other trial of the search"),
    (edit(2, lambda v: v["predictions"].update(right=3)), "line 2: predictions: Value error, counts"),
    (edit(2, lambda v: v["predictions"]["worst"][0].update(image=3)), "line 2: predictions: Value error, im"),
    (edit(2, lambda v: v["predictions"]["worst"][0].update(predicted=2)), "line 2: predictions: Value error"),
    (edit(2, lambda v: v.update(state="pruned")), "line 2: predictions are of a trial that is complete"),
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


def test_architectures_of_your_own_are_checked_where_their_space_is_known(
    ledger: Ledger, config: SearchConfig
) -> None:
    own = replace(config, space="toy", evaluator="toy", data="", device="", objectives=("accuracy",))
    told: list[tuple[int, str]] = []

    def read(text: str, name: str) -> None:
        write(ledger, *read_file(io.BytesIO(text.encode()), lambda *of: told.append(of)), name)

    with toys.known():
        ledger.create_search("demo", own)
        claims = Claims(ledger, "demo", Worker.this_process())
        for layers in ((1, 2), (2, 3)):
            claim, network = claims.claim(), toys.Toy(layers)
            assert claim is not None
            choices = {"depth": "shallow", "layer0": layers[0], "layer1": layers[1]}
            stored = {"architecture": network.to_json(), "digest": network.digest}
            claims.propose(claim, choices=choices, **stored)
            claims.finish(claim, TrialState.COMPLETE, accuracy=0.5)
        text = text_of(ledger)
        lines = text.splitlines()
        for damage, says in (
            (lambda v: v.update(digest="0" * 64), "line 3: the digest is not the architecture's"),
            (lambda v: v.update(architecture="[1, 2]"), "line 3: its choices lead to another architecture"),
            (lambda v: v["choices"].update(layer0=1), "line 3: its choices lead to another architecture"),
            (
                lambda v: v["choices"].update(layer0=7),
                "line 3: its choices are none of the space 'toy' here",
            ),
        ):
            with pytest.raises(InvalidInput, match=f"^file: {says}"):
                read("".join(f"{line}\n" for line in edit(3, damage)(lines)), "again")
        read(text, "again")
        assert not told
        below = edit(
            2, lambda v: v.update(costs={"mine": {"value": -1, "low": -1, "high": -1, "estimated": 0}})
        )
        read("".join(f"{line}\n" for line in below(lines)), "below")
        assert not told
    read(text, "elsewhere")
    assert told == [(2, "toy")]


def test_choices_of_a_known_space_lead_to_the_architecture(ledger: Ledger, config: SearchConfig) -> None:
    ledger.create_search("demo", config)
    claims = Claims(ledger, "demo", Worker.this_process())
    for seed in (1, 2):
        claim, (found, choices) = claims.claim(), drawn(seed)
        assert claim is not None
        claims.propose(claim, choices=choices, architecture=found.to_json(), digest=found.digest)
    text = text_of(ledger)
    read_into(ledger, text)
    other = json.loads(text.splitlines()[2])["choices"]
    damaged = edit(2, lambda v: v.update(choices=other))(text.splitlines())
    with pytest.raises(InvalidInput, match=r"^file: line 2: its choices lead to another architecture"):
        read_into(ledger, "".join(f"{line}\n" for line in damaged), "damaged")


def nas(ledger: Ledger, *arguments: str, answer: str | None = None) -> Result:
    return CliRunner().invoke(cli, [*arguments, "--storage", ledger.url], input=answer)


def test_what_commands_refuse_they_name_as_it_is_typed(filled: Ledger, tmp_path: Path) -> None:
    file, other = tmp_path / "demo.jsonl", f"sqlite:///{tmp_path}/other.db"
    assert nas(filled, "searches", "export", "demo", "-o", str(file)).exit_code == 0
    assert nas(filled, "searches", "copy", "demo", "--to", other).exit_code == 0
    before = file.read_text()
    damaged = tmp_path / "damaged.jsonl"
    damaged.write_text("{}\n")
    none = tmp_path / "none"
    for arguments, told in (
        (("copy", "demo", "--to", other), "NEW: 'demo' is taken; choose another name"),
        (("copy", "demo", "a/b"), "NEW: 'a/b' is not a search name; "),
        (("copy", "demo", "x", "--to", "there"), "--to: not a database URL; "),
        (("copy", "demo", "--to", f"sqlite:///{none}/x.db"), f"--to: there is no folder {none}"),
        (("copy", "none", "x"), "SEARCH: there is no search 'none'; "),
        (("rename", "demo", "new"), "SEARCH: "),
        (("delete", "demo", "--yes"), "SEARCH: "),
        (
            ("export", "demo", "-o", str(file)),
            f"--output: '{file}' is there already; name another file, or gi",
        ),
        (("import", str(none)), f"FILE: cannot read '{none}' (No such file or directory)"),
        (("import", str(damaged)), "FILE: line 1: bitnas_search: Field required; "),
        (("import", str(file)), "--name: 'demo' is taken; choose another name"),
    ):
        result = nas(filled, "searches", *arguments)
        assert result.exit_code in (1, 2) and not result.stdout
        assert result.stderr.startswith(f"Error: {told}"), result.stderr
    assert nas(filled, "searches", "export", "demo", "-o", str(file), "--overwrite").exit_code == 0
    assert file.read_text() == before
    both = nas(filled, "search", "show", "demo", "--toml", "--json")
    assert (both.exit_code, both.stdout) == (2, "")
    assert both.stderr == "Error: --toml: it and --json are two forms; give one of the two\n"


def test_who_says_no_deletes_nothing(ledger: Ledger, config: SearchConfig) -> None:
    ledger.create_search("demo", config)
    declined = nas(ledger, "searches", "delete", "demo", answer="n\n")
    assert declined.exit_code == 1
    assert declined.stderr.endswith("\nNothing was deleted.\n")
    unasked = nas(ledger, "searches", "delete", "demo", answer="")
    told = "Error: --yes: it is missing where nobody can be asked; give it, and nothing is asked"
    assert (unasked.exit_code, unasked.stderr.splitlines()[1:]) == (2, [told])
    assert nas(ledger, "searches", "delete", "demo", answer="y\n").exit_code == 0
    assert ledger.searches() == []
