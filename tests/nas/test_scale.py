"""``nas scale``: steps that double a latency, proposals within a limit, and the searches that train them."""

import json
from dataclasses import replace

import pytest
from benches import FEW, ArithmeticBench
from click.testing import CliRunner, Result
from threads import ThreadExecutor

import nas
import nas.cli.scale
import nas.trials.job
from nas.cli.main import cli
from nas.ledger import Ledger, SearchConfig, TrialRecord, TrialState, Worker
from nas.ledger.claims import Claims
from nas.ledger.entries import Cost
from nas.measuring.bench import Predicted
from nas.searching.scaling import (
    NEAREST,
    TOLERANCE,
    first_steps,
    is_resizable,
    proposals,
    scalable,
    searches_of,
)
from search_spaces import Architecture, space
from search_spaces.errors import InvalidInput, NothingFitsError
from search_spaces.scaling import Scale, scaled
from tests.latency.board import Board, plugged_in

CONFIG = SearchConfig(
    "tiny", "digits", "board", trials=2, epochs=3, max_size_kb=10.0, limit_shares={"macs": 0.5}
)
SAMPLED = space("tiny").sample(1)
assert isinstance(SAMPLED, Architecture)
FIRST = SAMPLED.blocks[0].model_copy(update={"stride": 1})
STAGES = [FIRST.model_copy(update={"width": width}) for width in (32, 64, 96) for _ in range(5)]
BASE = SAMPLED.model_copy(update={"blocks": tuple(STAGES)})
SMALL = SAMPLED.model_copy(update={"blocks": tuple(STAGES[3:5])})
PHIS = (1, 2, 3, 4)


def by_pixels(architecture: Architecture) -> Predicted:
    """As many operations as the blocks have weights, over the image."""
    _, height, width = architecture.input_shape
    return Predicted(1e-6 * height * width * sum(block.width**2 for block in architecture.blocks), [])


def constant(_: Architecture) -> Predicted:
    """A device that is busy with something else."""
    return Predicted(1.0, [])


def test_a_first_step_doubles_the_latency_and_is_even() -> None:
    for resizable in (True, False):
        steps = first_steps(BASE, by_pixels, resizable)
        assert len(steps) > 3
        uneven = [step.unevenness(resizable) for step in steps]
        assert uneven == sorted(uneven)
        larger = [scaled(BASE, step) for step in steps]
        assert len({found.digest for found in larger}) == len(steps), "each leads to another architecture"
        growths = [by_pixels(found).milliseconds / by_pixels(BASE).milliseconds for found in larger]
        assert all(2 * 2**-TOLERANCE <= growth <= 2 * 2**TOLERANCE for growth in growths)
        assert any(step.resolution > 1 for step in steps) == resizable
    assert len(first_steps(BASE, constant, False)) == NEAREST, "none doubles it"


def test_proposals_are_within_the_limit_and_grow_with_the_steps() -> None:
    steps = first_steps(BASE, by_pixels, False)
    every = proposals(BASE, steps, PHIS, by_pixels)
    assert [found.phi for found in every] == [1, 2, 3, 4]
    assert [found.latency.milliseconds for found in every] == sorted(f.latency.milliseconds for f in every)
    assert every[1].scale == steps[0].power(2)
    assert every[0].macs > 0 and every[0].kilobytes < every[-1].kilobytes
    limit = every[1].latency.milliseconds
    within = proposals(BASE, steps, PHIS, by_pixels, limit, each=3)
    assert {1, 2} <= {found.phi for found in within} < {1, 2, 3, 4}
    assert all(found.latency.milliseconds <= limit for found in within)
    assert [found.phi for found in within].count(1) == 3
    with pytest.raises(
        NothingFitsError, match=r"^max_latency_ms: the fastest scaled .* over the limit of 0\.00"
    ):
        proposals(BASE, steps, PHIS, by_pixels, 1e-3)
    with pytest.raises(NothingFitsError, match=r"^compound: every scaled architecture is larger than"):
        proposals(BASE, [Scale(width=1.4)], [20], by_pixels)


def test_searches_that_train_proposals_keep_data_and_goals_and_no_old_limits() -> None:
    resolved = replace(CONFIG, max_size_kb=None).with_median("macs", 1e6)
    config = replace(resolved, max_size_kb=3.0, limits={"latency@pi": 2.0}, objectives=("accuracy", "macs"))
    config = replace(config, pruner="halving", audit=4, trials=20)
    found = proposals(BASE, [Scale(1.2, 1.2)], PHIS, by_pixels)
    ((name, made),) = searches_of(config, "demo-scaled", found, epochs=7, max_latency_ms=5.0).items()
    assert (name, made.limited, made.shares, made.medians) == ("demo-scaled", {"latency": 5.0}, {}, {})
    assert (made.trials, made.epochs, made.data, made.objectives) == (4, 7, "digits", ("accuracy", "macs"))
    assert (made.pruner, made.audit) == ("none", 0), "all are trained to the end, once"
    assert made.first == tuple(proposal.architecture.to_json() for proposal in found)


def test_each_size_of_images_has_a_search_of_its_own() -> None:
    config = replace(CONFIG, image_size=8)
    assert is_resizable(config, BASE) and not is_resizable(CONFIG, BASE)
    found = proposals(BASE, [Scale(1.0, 1.2, 1.2), Scale(1.4, 1.2)], (1, 2), by_pixels, each=2)
    made = searches_of(config, "demo-scaled", found)
    assert {name: (each.image_size, each.trials) for name, each in made.items()} == {
        "demo-scaled-10": (10, 1),
        "demo-scaled": (8, 2),
        "demo-scaled-12": (12, 1),
    }
    for each in made.values():
        sides = {Architecture.from_json(text).input_shape[1] for text in each.first}
        assert sides == {each.image_size}


@pytest.mark.parametrize(
    ("settings", "trial", "says"),
    [
        ({"device": ""}, {}, "search: 'demo' has no device, by which its trials could be scaled"),
        ({"data": ""}, {}, "search: 'demo' has no data, by which"),
        ({}, {"architecture": None}, "number: trial 0 is queued and has no architecture yet"),
        ({}, {"architecture": '{"layers": 3}'}, "number: the architecture of trial 0 is none of bitnas's"),
    ],
)
def test_what_cannot_be_scaled_is_told(settings: dict[str, str], trial: dict[str, str], says: str) -> None:
    record = TrialRecord("demo", 0, TrialState.QUEUED, architecture=BASE.to_json())
    with pytest.raises(InvalidInput, match=f"^{says}"):
        scalable(replace(CONFIG, **settings), replace(record, **trial))  # type: ignore[arg-type]  # of several types


@pytest.fixture(scope="module")
def storage(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A ledger with a search on the simulated board, whose first trial has an architecture."""
    url = f"sqlite:///{tmp_path_factory.mktemp('scale')}/nas.db"
    config = replace(CONFIG, data=FEW, epochs=1, max_size_kb=None, limit_shares={})
    with Ledger.open(url, create=True) as ledger:
        ledger.create_search("demo", config)
        claims = Claims(ledger, "demo", Worker.this_process())
        claim = claims.claim()
        assert claim is not None
        claims.propose(claim, choices={}, architecture=SMALL.to_json(), digest=SMALL.digest)
        claims.record_cost(claim, Cost(0.1, 9.5, []))
        claims.finish(claim, TrialState.COMPLETE, accuracy=0.9)
    return url


def run(storage: str, *options: str, code: int = 0) -> Result:
    """``nas scale demo``."""
    with plugged_in(Board()):
        result = CliRunner().invoke(cli, ["scale", "demo", *options, "--storage", storage])
    assert result.exit_code == code, result.output
    return result


def test_the_command_lists_what_the_device_would_take(storage: str) -> None:
    shown = json.loads(run(storage, "0", "--compound", "1..3", "--json").stdout)
    assert [found["phi"] for found in shown["proposals"]] == [1, 2, 3]
    first, second, third = (found["latency_ms"] for found in shown["proposals"])
    assert 1.3 < second / first < 3 and 1.3 * second < third
    assert shown["searches"] == []
    step = shown["steps"][0]
    assert shown["proposals"][1]["depth"] == pytest.approx(step["depth"] ** 2)
    assert Architecture.from_json(json.dumps(shown["proposals"][0]["architecture"])).input_shape == (1, 8, 8)

    limit = str(1.05 * second)  # of an estimate, which measuring changes; three steps have cheaper ways, too
    told = run(storage, "0", "--compound", "1..3", "--max-latency-ms", limit, "--measure")
    rows = told.stdout.splitlines()[1:]
    assert [row.split()[0] for row in rows] == ["1", "2"]
    assert all("measured" in row for row in rows)
    assert "Over the limit: step 3" in told.stderr
    assert "Next: nas scale demo 0 --compound 2 --train --max-latency-ms" in told.stderr


@pytest.mark.parametrize(
    ("options", "says", "code"),
    [
        (("0", "--max-latency-ms", "0.00001"), "--max-latency-ms: the fastest scaled architecture takes", 1),
        (("1",), "NUMBER: trial 1 is queued and has no architecture yet", 2),
        (("0", "--epochs", "3"), "--epochs: it is about the training; give --train, too", 2),
        (("0", "--compound", "4..1"), "Invalid value for '--compound': '4..1' is no range of 1..8", 2),
        (("0", "--compound", "9"), "Invalid value for '--compound': '9' is no range of 1..8", 2),
        (("0", "--each", "0"), "Invalid value for '--each'", 2),
    ],
)
def test_the_command_refuses_in_one_line(
    storage: str, options: tuple[str, ...], says: str, code: int
) -> None:
    refused = run(storage, *options, code=code)
    assert refused.stdout == ""
    assert refused.stderr.startswith(f"Error: {says}")
    assert refused.stderr.count("\n") == 1


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (("--train", "--epochs", "0"), "--epochs: 0 is out of range; give a whole number in 1..100000"),
        (("--train", "--name", "a/b"), "--name: 'a/b' is not a search name; "),
        (("--train", "--name", "demo"), "--name: 'demo' is taken; choose another name"),
        (("--train", "--workers", "0"), "--workers: 0 is out of range; "),
        (("--train", "--executor", "clowd"), "--executor: unknown name 'clowd'; "),
        (("--workers", "2"), "--workers: it is about the training; give --train, too"),
    ],
)
def test_what_is_about_the_training_is_checked_before_anything_is_estimated(
    storage: str, monkeypatch: pytest.MonkeyPatch, options: tuple[str, ...], says: str
) -> None:
    def fail(*_: object) -> None:
        pytest.fail("it has begun to estimate")

    monkeypatch.setattr(nas.cli.scale, "_proposed", fail)
    refused = run(storage, "0", *options, code=2)
    assert refused.stderr.startswith(f"Error: {says}")


def test_what_is_proposed_is_trained_as_trials_of_a_search(
    storage: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, *others = nas.trials.job.Job.__init__.__defaults__ or ()
    monkeypatch.setattr(nas.trials.job.Job.__init__, "__defaults__", (ArithmeticBench, *others))
    assert ThreadExecutor
    wanted = ("0", "--compound", "1", "--each", "2")
    told = run(storage, *wanted, "--train", "--executor", "thread")
    assert "demo-scaled: 2 trials (2 complete)" in told.stdout
    found = nas.load(storage, "demo-scaled")
    assert [trial.choices for trial in found.trials("complete")] == [None, None]
    proposed = json.loads(run(storage, *wanted, "--json").stdout)["proposals"]
    assert [trial.digest for trial in found.trials()] == [each["digest"] for each in proposed]
    assert found.front and found.pareto().hypervolume is not None
    assert "--name: 'demo-scaled' is taken" in run(storage, *wanted, "--train", code=2).stderr
