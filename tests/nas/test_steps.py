"""Steps: each is decided once, goes on from its last epoch, and ends as if nothing had interrupted it."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import nn

from nas.data import DataSet, load
from nas.ledger import EpochRecord, Ledger, SearchConfig, TrialState, Worker
from nas.ledger.checkpoints import tensors_of
from nas.ledger.entries import Cost
from nas.ledger.leases import Claim
from nas.ledger.moving import search_line, trial_lines, write
from nas.ledger.predictions import predictions_of
from nas.ledger.roster import Roster, WorkerState
from nas.ledger.steps import Decision, StepClaims
from nas.searching.creating import join, resume
from nas.searching.differences import refuse_taken
from nas.steps.beginning import Command, begin
from nas.steps.networks import Decided
from nas.steps.steps import Steps
from nas.training.loop import Epoch, Training
from nas.training.recipe import Recipe
from search_spaces import build
from search_spaces.architecture import Architecture, Block, Head, Stem
from search_spaces.errors import (
    BitnasError,
    InfeasibleStepError,
    InvalidInput,
    NothingFitsError,
    StaleClaimError,
    TrainingError,
)
from tests.latency.board import measurement

CONFIG = SearchConfig("tiny", "digits", "local", trials=2, epochs=3)
COMMAND = Command("prune", {"run": "out", "rounds": 1, "rate": None}, network="ab", data="cd")
FLOAT = {"conv1": "float", "conv2": "float"}
ARCHITECTURE = Architecture(
    space="mine",
    input_shape=(1, 8, 8),
    classes=10,
    stem=Stem(width=8, kernel=3, stride=2, precision="float"),
    blocks=(Block(kind="residual", width=8, kernel=3, stride=2, precisions=FLOAT),),
    head=Head(precision="float"),
)
DECISION = Decision(ARCHITECTURE.to_json(), ARCHITECTURE.digest, Cost(0.5, 1.5), measurement(0.5), budget=3)


@pytest.fixture
def demo(ledger: Ledger) -> Ledger:
    begin(ledger, "demo", CONFIG, COMMAND)
    return ledger


def claims_of(ledger: Ledger, **worker: object) -> StepClaims:
    return StepClaims(ledger, "demo", replace(Worker.this_process(), **worker))  # type: ignore[arg-type]


def taken(claim: Claim | None) -> Claim:
    assert claim is not None
    return claim


def epoch(number: int) -> EpochRecord:
    return EpochRecord(number, 1.0, 0.5, 0.1)


@pytest.mark.parametrize("is_killed", [True, False])
def test_a_step_that_was_left_goes_on_from_its_last_epoch(demo: Ledger, is_killed: bool) -> None:
    first = claims_of(demo, started=1) if is_killed else claims_of(demo)
    claim = first.decide(taken(first.claim_step(1)), DECISION, b"begun")
    trial = demo.trial("demo", 1)
    assert (trial.state, trial.epochs_done, trial.budget) == (TrialState.RUNNING, 0, 3)
    assert (trial.measured_latency_ms, trial.size_kb) == (0.5, 1.5)
    assert tensors_of(demo, "demo", 1) == b"begun"
    first.record_step_epoch(claim, epoch(1), b"after 1")
    first.record_step_epoch(claim, epoch(2), b"after 2")
    if not is_killed:
        first.release(claim, "why")
        assert (demo.trial("demo", 1).state, demo.trial("demo", 1).error) == (TrialState.PAUSED, "why")
    again = claims_of(demo)
    claim = taken(again.claim_step(1))
    assert (claim.trial.epochs_done, demo.trial("demo", 1).error) == (2, None)
    assert tensors_of(demo, "demo", 1) == b"after 2"
    with pytest.raises(StaleClaimError):
        first.record_step_epoch(replace(claim, fence=1), epoch(3), b"late")
    again.record_step_epoch(claim, epoch(3), b"after 3")
    again.finish(claim, TrialState.COMPLETE, accuracy=0.5, weights=b"w")
    assert [e.epoch for e in demo.epochs("demo", 1)] == [1, 2, 3]
    assert tensors_of(demo, "demo", 1) is None, "what ended needs no checkpoint"
    assert again.claim_step(1) is None


def test_another_process_is_refused_while_one_is_at_a_step(demo: Ledger) -> None:
    claims = claims_of(demo)
    claim = taken(claims.claim_step(0))
    with pytest.raises(BitnasError, match=r"^name: another process \(.*\) is at trial 0 of 'demo'; wait"):
        claims_of(demo, pid=1).claim_step(0)
    claims.finish(claims.decide(claim, DECISION, None), TrialState.FAILED, error="it broke")
    with pytest.raises(BitnasError, match=r"^name: trial 0 of 'demo' has failed: it broke; choose another"):
        claims.claim_step(0)


def test_a_step_is_added_until_its_search_has_ended(demo: Ledger) -> None:
    claims = claims_of(demo)
    assert taken(claims.claim_step(2)).trial.number == 2
    assert (demo.search("demo").config.trials, demo.search("demo").trials) == (3, 3)
    claims.end_search("no channel is left")
    assert demo.search("demo").trials == 1, "what was queued is gone"
    with pytest.raises(InvalidInput, match=r"^name: 'demo' has ended: no channel is left; choose another"):
        claims.claim_step(3)


def test_only_the_same_command_goes_on(demo: Ledger) -> None:
    assert begin(demo, "demo", CONFIG, COMMAND).name == "demo"
    demo.create_search("other", CONFIG)
    for name, command, told in (
        (
            "demo",
            replace(COMMAND, settings={**COMMAND.settings, "rounds": 2}),
            r"^rounds: 'demo' was begun",
        ),
        ("demo", replace(COMMAND, settings={**COMMAND.settings, "rate": 0.1}), r"^rate: .* begun without it"),
        ("demo", replace(COMMAND, name="adapt"), r"^name: 'demo' is taken by a search of nas prune; choose"),
        ("demo", replace(COMMAND, network="xy"), r"^name: 'demo' was begun with another network than"),
        ("demo", replace(COMMAND, data="xy"), r"^name: 'demo' was begun with other data than"),
        (
            "demo",
            replace(COMMAND, data="xy", settings={**COMMAND.settings, "rounds": 2}),
            r"^name: 'demo' was begun with other data than",  # from which a setting may follow
        ),
        ("other", COMMAND, r"^name: 'other' is taken; choose another name"),
        ("of two", COMMAND, r"^name: 'of two' is not a search name"),
    ):
        with pytest.raises(BitnasError, match=told):
            begin(demo, name, CONFIG, command)
    for go_on in (join, resume):
        with pytest.raises(InvalidInput, match=r"^search: 'demo' is what nas prune makes, step by"):
            go_on(demo.url, "demo")
    with pytest.raises(InvalidInput, match=r"^name: 'demo' is taken by a search of nas prune; choose"):
        refuse_taken(demo.search("demo"), CONFIG, demo.url)


def test_a_copy_of_a_running_step_is_paused_at_its_checkpoint(demo: Ledger) -> None:
    claims = claims_of(demo)
    claim = claims.decide(taken(claims.claim_step(0)), DECISION, b"begun")
    claims.record_step_epoch(claim, epoch(1), b"after 1")
    for name, weights in (("whole", True), ("light", False)):
        write(demo, search_line(demo, "demo"), trial_lines(demo, "demo", weights=weights), name)
    assert demo.trial("whole", 0).state is TrialState.PAUSED
    assert demo.trial("light", 0).state is TrialState.QUEUED
    assert demo.search("whole").origin == demo.search("demo").origin
    copied = StepClaims(demo, "whole", Worker.this_process())
    assert taken(copied.claim_step(0)).trial.epochs_done == 1
    assert tensors_of(demo, "whole", 0) == b"after 1"


class Interrupted:
    """Raises after an epoch."""

    def __init__(self, after: int, error: BaseException) -> None:
        self.after, self.error = after, error

    def __call__(self, epoch: Epoch, of: int) -> None:
        if epoch.epoch == self.after:
            raise self.error


@pytest.fixture(scope="module")
def digits() -> DataSet:
    return load("digits")


@pytest.fixture
def steps(tmp_path: Path, digits: DataSet) -> Iterator[Callable[[str], Steps]]:
    """Makes the steps of a search by its name."""
    with Ledger.open(f"sqlite:///{tmp_path}/steps.db", create=True) as ledger:

        def of(name: str) -> Steps:
            begin(ledger, name, CONFIG, COMMAND)
            return Steps(ledger, name, digits)

        yield of


def as_it_was() -> Decided:
    torch.manual_seed(1)
    module = build(ARCHITECTURE).eval()
    return Decided(ARCHITECTURE, module, 0.1, Cost(0.5, 1.5), measurement(0.5), epochs=7, same_as="a/3")


def changed(decisions: list[int]) -> Decided:
    """Another network each time, so that nothing hides that it is decided again."""
    decisions.append(1)
    torch.manual_seed(len(decisions))
    return replace(as_it_was(), module=build(ARCHITECTURE).eval(), parents=(0,))


def train(data: DataSet) -> Callable[[nn.Module], Training]:
    recipe = Recipe(peak_rate=0.03, average=0.9)
    return lambda module: Training(module, data, 3, 5, recipe)


def test_a_step_that_was_interrupted_ends_with_the_same_bits(
    steps: Callable[[str], Steps], digits: DataSet
) -> None:
    whole, parts = steps("whole"), steps("parts")
    first = whole.run(0, as_it_was)
    assert (first.trial.same_as, first.trial.epochs_done, first.before_training) == ("a/3", 7, None)
    every: list[tuple[int, int]] = []
    expected = whole.run(1, lambda: changed([]), train(digits), lambda e, of: every.append((e.epoch, of)))
    assert every == [(1, 3), (2, 3), (3, 3)]
    decisions: list[int] = []
    told: list[tuple[int, int]] = []
    parts.run(0, as_it_was)
    with pytest.raises(KeyboardInterrupt):
        parts.run(1, lambda: changed(decisions), train(digits), Interrupted(1, KeyboardInterrupt()))
    with pytest.raises(ZeroDivisionError):
        parts.run(1, lambda: changed(decisions), train(digits), Interrupted(3, ZeroDivisionError("it")))
    assert [worker.state for worker in Roster(parts.ledger, "parts").workers()] == [WorkerState.LEFT]
    left = parts.ledger.trial("parts", 1)
    assert (left.state, left.epochs_done, left.error) == (TrialState.PAUSED, 3, "ZeroDivisionError: it")
    assert parts.complete(0) is not None and parts.complete(1) is None and parts.complete(2) is None
    found = parts.run(1, lambda: changed(decisions), train(digits), lambda e, of: told.append((e.epoch, of)))
    assert (len(decisions), told) == (1, []), "it was decided once, and every epoch was there"
    assert whole.ledger.weights("parts", 1) == whole.ledger.weights("whole", 1)
    assert [e.accuracy for e in found.history] == [e.accuracy for e in expected.history]
    assert found.before_training == expected.before_training == 0.1
    assert (found.number, found.accuracy, found.milliseconds) == (1, expected.accuracy, 0.5)
    assert found.trial.parents == (0,)
    judged = [predictions_of(whole.ledger, name, 1) for name in ("whole", "parts")]
    assert judged[0] == judged[1] is not None


def test_what_cannot_go_on_ends_its_search(steps: Callable[[str], Steps], digits: DataSet) -> None:
    def refused() -> Decided:
        raise NothingFitsError("nothing is as fast")

    fails = steps("fails")
    fails.run(0, as_it_was)
    with pytest.raises(NothingFitsError):
        fails.run(1, refused, train(digits))
    assert not fails.ledger.searches(), "nothing was trained"
    fails = steps("fails")
    fails.run(0, as_it_was)
    fails.run(1, lambda: changed([]), train(digits))
    with pytest.raises(NothingFitsError):
        fails.run(2, refused, train(digits))
    with pytest.raises(InvalidInput, match=r"^name: 'fails' has ended: nothing is as fast; choose another"):
        fails.run(2, as_it_was)


def test_a_training_that_fails_is_seen_in_the_ledger(steps: Callable[[str], Steps], digits: DataSet) -> None:
    fails = steps("fails")
    with pytest.raises(TrainingError):
        fails.run(0, as_it_was, train(digits), Interrupted(2, TrainingError("the loss became nan")))
    trial = fails.ledger.trial("fails", 0)
    assert (trial.state, trial.error) == (TrialState.FAILED, "the loss became nan")
    assert len(fails.ledger.epochs("fails", 0)) == 2
    with pytest.raises(
        BitnasError, match=r"^name: trial 0 of 'fails' has failed: the loss became nan; choose"
    ):
        fails.run(0, as_it_was, train(digits))


def test_a_step_that_cannot_be_made_is_infeasible_and_others_follow(demo: Ledger) -> None:
    steps, asked = Steps(demo, "demo", load("digits")), []

    def decide() -> Decided:
        asked.append(1)
        raise InfeasibleStepError("nothing is left")

    for _ in range(2):
        with pytest.raises(InfeasibleStepError, match=r"^nothing is left$"):
            steps.run(0, decide)
    assert len(asked) == 1, "it is told again, not decided again"
    assert (demo.trial("demo", 0).state, demo.trial("demo", 0).error) == (
        TrialState.INFEASIBLE,
        "nothing is left",
    )
    assert taken(claims_of(demo).claim_step(1)).trial.number == 1
