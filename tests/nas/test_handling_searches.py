"""Searches as they are handled by commands: settings in files, plans, contradictions, more trials, an end."""

import json
from collections.abc import Collection
from contextlib import nullcontext
from dataclasses import fields, replace
from pathlib import Path

import pytest
import torch
from benches import FEW, ArithmeticBench
from click.testing import CliRunner, Result

import nas
import nas.bars
import nas.searching.plan
import nas.trials.job
from nas.cli.main import cli
from nas.cli.search import search
from nas.cli.search_report import next_step
from nas.ledger import Ledger, SearchConfig, TrialState, Worker
from nas.ledger.claims import Claims
from nas.ledger.entries import Cost
from nas.objectives import ObjectiveValue
from nas.searching.checking import check_pruner
from nas.searching.creating import resume
from nas.searching.plan import plan_of
from nas.trials import costing
from search_spaces import Architecture
from search_spaces.errors import InvalidInput
from search_spaces.search_space import space
from tests.small_space import SMALL_SPACE

CONFIG = SearchConfig(
    space=SMALL_SPACE.name,
    data=FEW,
    device="local",
    trials=2,
    epochs=2,
    seed=3,
    max_latency_share=0.5,
    max_size_kb=30.5,
    batch_size=32,
    objectives=("accuracy", "size"),
    limits={"latency@pi": 3.0},
    limit_shares={"macs": 0.5},
    fix={"stage1.depthwise.precision": "float"},
    only={"pointwise.precision": ("float", "ternary")},
)
PLAIN = replace(CONFIG, limits={})
NOT_OPTIONS = {"median_latency_ms", "medians", "max_latency_share", "limit_shares", "validation"}
"""Of what is stored, what is derived, typed otherwise, or of other commands that make searches."""


@pytest.fixture
def storage(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """Where the command keeps its ledger; its workers take no compiler."""
    monkeypatch.delenv("NAS_STORAGE", raising=False)
    defaults = (ArithmeticBench, 60.0, 0.1, 0.1, False, None)
    monkeypatch.setattr(nas.trials.job.Job.__init__, "__defaults__", defaults)
    return f"sqlite:///{tmp_path}/nas.db"


def _nas(*arguments: str) -> Result:
    return CliRunner().invoke(cli, arguments)


def _made(storage: str, config: SearchConfig, name: str = "demo") -> None:
    with Ledger.open(storage, create=True) as ledger:
        ledger.create_search(name, config)


def _finish(storage: str, name: str = "demo") -> None:
    with Ledger.open(storage) as ledger:
        claims = Claims(ledger, name, Worker.this_process())
        while (claim := claims.claim()) is not None:
            found = space("tiny").sample(claim.trial.number)
            cost = Cost(0.1, 3.0)
            claims.propose(claim, choices=None, architecture=found.to_json(), digest=found.digest, cost=cost)
            claims.finish(claim, TrialState.INFEASIBLE, error="too slow")


def _refused(*arguments: str) -> str:
    result = _nas(*arguments)
    assert (result.exit_code, result.stdout) == (2, ""), result.output
    assert result.stderr.count("\n") == 1
    return result.stderr.removeprefix("Error: ").strip()


def test_every_setting_is_an_option() -> None:
    names = {str(option.name) for option in search.params}
    assert {f.name for f in fields(SearchConfig)} - names <= NOT_OPTIONS


def test_settings_come_back_as_a_file_that_makes_the_same_search(storage: str, tmp_path: Path) -> None:
    """A device that is not there is left out; a limit of it needs one."""
    _made(storage, CONFIG)
    shown = _nas("search", "show", "demo", "--toml", "--storage", storage)
    assert 'max-latency = "0.5x"\n' in shown.stdout
    assert '\n[limit]\n"latency@pi" = 3.0\n' in shown.stdout
    file = tmp_path / "search.toml"
    file.write_text(shown.stdout.replace('\n[limit]\n"latency@pi" = 3.0\n', ""))
    told = _nas("search", "--config", str(file), "--dry-run", "--json", "--storage", storage, "--trials", "5")
    plan = json.loads(told.stdout)
    assert plan["config"] == json.loads(json.dumps(replace(PLAIN, trials=5).to_dict()))
    assert (plan["trials"], plan["architectures"], plan["architectures_exact"]) == (5, 8, True)
    assert plan["seconds"] > 0
    assert plan["seconds_by"].startswith("one epoch")
    assert "trials       2\n" in _nas("search", "show", "demo", "--storage", storage).stdout

    with Ledger.open(storage) as ledger:
        assert len(ledger.searches()) == 1
    for text, message in (
        ("epoch = 3", "--config: no setting is called 'epoch'; did you mean 'epochs'?"),
        ("epochs = [3]", "--config: 'epochs' is a list; give one value"),
        ("epochs = 2.5", f"--config: 'epochs' in '{file}': '2.5' is not a valid integer; correct it"),
        ("epochs =", f"--config: '{file}' is not TOML: Invalid value"),
    ):
        file.write_text(text)
        assert _refused("search", "--config", str(file), "--name", "new").startswith(message)


def test_a_plan_needs_no_ledger_and_makes_none(
    storage: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It says what it does, and computes what limits need and no more, by one thread."""
    stages, asked = list[str](), set[tuple[frozenset[str], int]]()

    def costs_of(architecture: Architecture, names: Collection[str]) -> dict[str, ObjectiveValue]:
        asked.add((frozenset(names), torch.get_num_threads()))
        return costing.costs_of(architecture, names)

    shown = nullcontext(lambda what, *_: stages.append(what))
    monkeypatch.setattr(nas.bars, "show_on_terminal", lambda: shown)
    monkeypatch.setattr(nas.searching.plan, "costs_of", costs_of)
    arguments = ("--space", SMALL_SPACE.name, "--data", FEW, "--max-size-kb", "1", "--fix", "precision=float")
    told = _nas("search", "--dry-run", *arguments, "--storage", storage)
    assert told.exit_code == 0, told.output
    lines = dict(line.split(maxsplit=1) for line in told.stdout.splitlines()[:3])
    assert lines["space"] == f"{SMALL_SPACE.name}: 1 architecture"
    assert "local, not profiled yet" in told.stdout
    assert "within limits  0% of the architectures" in told.stdout
    assert asked == {(frozenset({"size"}), 1)}
    assert list(dict.fromkeys(stages)) == [
        "looking at architectures",
        "training one architecture for one epoch",
    ]
    assert list(tmp_path.iterdir()) == []


def test_what_contradicts_a_search_is_named(storage: str) -> None:
    _made(storage, CONFIG)
    go_on = ("search", "--resume", "demo", "--storage", storage)
    for option, value, message in (
        ("--epochs", "5", "--epochs: 'demo' was made with 2; leave it out, or make a new search"),
        ("--trials", "5", "--trials: 'demo' has 2; leave it out, and give 3 for --more"),
        ("--max-latency", "0.6x", "--max-latency: 'demo' was made with 0.5x; leave"),
        ("--max-macs", "5", "--max-macs: 'demo' was made with 0.5x; leave"),
        ("--fix", "x=1", "--fix: 'demo' was made with stage1.depthwise.precision=float; leave"),
        ("--name", "new", "--name: 'demo' goes on; leave it out, or rename it: nas searches rename demo new"),
    ):
        assert _refused(*go_on, option, value).startswith(message)
    _made(storage, PLAIN, "plain")
    fix = ("--fix", "stage1.depthwise.precision=float")
    same = ("--resume", "plain", "--name", "plain", "--epochs", "2", "--max-latency", "0.5x", *fix)
    assert _nas("search", *same, "--dry-run", "--storage", storage).exit_code == 0


def test_a_name_that_is_taken_says_by_what(storage: str) -> None:
    plain = SearchConfig(space=SMALL_SPACE.name, data=FEW, device="local", trials=2, epochs=1)
    _made(storage, plain)
    again = ("search", "--name", "demo", "--space", SMALL_SPACE.name, "--data", FEW, "--trials", "2")
    stored = ("--storage", storage)
    assert (
        "'demo' is taken: it has these settings, and is not finished; go on with it: nas search"
        in _refused(*again, "--epochs", "1", *stored)
    )
    told = _refused(*again, "--epochs", "3", "--seed", "4", *stored)
    assert "--name: 'demo' is taken by a search with --epochs 1, not 3 and --seed 0, not 4; choose" in told
    told = _refused(*again, "--epochs", "1", *stored, "--first", "resnet20")
    assert "'demo' is taken by a search with --first of 0 networks, not 1; choose another name" in told
    _finish(storage)
    told = _refused(*again, "--epochs", "1", *stored)
    assert "and is finished; see it: nas pareto demo" in told
    assert "or try more: nas search --resume demo --more 2" in told


def test_a_search_ends_in_time_and_is_given_more_trials(storage: str) -> None:
    stored, soon = ("--storage", storage), ("--minutes", "0.0001")
    _made(storage, SearchConfig("tiny", FEW, "local", trials=2, epochs=1))
    ended = _nas("search", "--resume", "demo", "--more", "2", *soon, *stored)
    assert ended.exit_code == 0, ended.output
    assert ended.stdout.startswith("demo: 4 trials (4 queued), 0 on the front")
    assert "Not begun: 4 trials; go on with: nas search --resume demo" in ended.stderr
    assert _refused("search", "--resume", "demo", "--more", "-1", *stored).startswith("--more: -1 is out")
    assert _refused("search", "--resume", "demo", "--minutes", "0", *stored).startswith("--minutes: 0 is no")
    assert _refused("search", "--name", "x", "--more", "1", *stored).startswith("--more: it is for a search")


def test_searches_are_moved_by_commands(storage: str, tmp_path: Path) -> None:
    _made(storage, CONFIG)
    _finish(storage)
    stored, other, file = ("--storage", storage), f"sqlite:///{tmp_path}/other.db", tmp_path / "demo.jsonl"
    assert _nas("searches", "rename", "demo", "new", *stored).exit_code == 0
    assert "needs another name" in _refused("searches", "copy", "new", *stored)
    assert _nas("searches", "copy", "new", "twin", *stored).exit_code == 0
    assert _nas("searches", "copy", "new", "--to", other, *stored).exit_code == 0
    assert _nas("searches", "export", "new", "-o", str(file), *stored).exit_code == 0
    assert _nas("searches", "export", "new", *stored).stdout == file.read_text()
    refused = CliRunner().invoke(cli, ["searches", "delete", "new", *stored], input="n\n")
    assert refused.exit_code == 1
    assert _nas("searches", "delete", "new", "--yes", *stored).exit_code == 0
    assert _nas("searches", "import", str(file), "--name", "third", "--storage", storage).exit_code == 0
    names = [found["name"] for found in json.loads(_nas("searches", "--json", *stored).stdout)]
    assert names == ["twin", "third"]
    with Ledger.open(other) as copied, Ledger.open(storage) as ledger:
        trials = copied.trials("new")
        assert [replace(t, search="third") for t in trials] == ledger.trials("third")
        assert ledger.search("third").counts[TrialState.INFEASIBLE] == 2
    assert "did you mean rename" in _refused("searches", "renam", "twin", "x")
    assert "stands before 'delete'" in _refused("searches", *stored, "delete", "twin")
    assert _refused("searches", "import", str(tmp_path / "nas.db"), *stored).startswith("FILE: line 1: ")


def test_python_names_what_is_wrong_as_it_does(storage: str) -> None:
    with pytest.raises(InvalidInput, match=r"^fix: no choice is called 'blok'; did you mean 'block'\?"):
        nas.search(space="tiny", data=FEW, storage=storage, fix={"blok": "fire"})
    with pytest.raises(InvalidInput, match=r"^only: 'stage1.width' has no option '33'; choose among 32, 48"):
        nas.search(space="tiny", data=FEW, storage=storage, only={"stage1.width": [33, 48]})
    with pytest.raises(InvalidInput, match=r"^only: \{'width': 3.5\} \(dict\) is not a dict of choices and"):
        nas.search(only={"width": 3.5})  # type: ignore[dict-item]  # which is refused
    _made(storage, replace(PLAIN, max_latency_share=None))
    with pytest.raises(InvalidInput, match=r"^more: -1 is out of range"):
        nas.resume(storage, "demo", more=-1)
    with pytest.raises(InvalidInput, match=r"^minutes: nan is no time"):
        nas.resume(storage, "demo", minutes=float("nan"))


@pytest.mark.parametrize("pruner", ["halving", "hyperband", "median"])
def test_a_pruner_that_has_nothing_to_stop_is_refused(storage: str, tmp_path: Path, pruner: str) -> None:
    new = (
        "search",
        "--name",
        "new",
        "--data",
        FEW,
        "--pruner",
        pruner,
        "--epochs",
        "1",
        "--storage",
        storage,
    )
    told = f"'{pruner}' has nothing to stop in 1 epoch of training; give more --epochs, or leave it out"
    assert _refused(*new) == _refused(*new, "--dry-run") == f"--pruner: {told}"
    assert list(tmp_path.iterdir()) == []
    config = SearchConfig(SMALL_SPACE.name, FEW, "local", trials=1, epochs=1, pruner=pruner)
    _made(storage, config, "old")
    assert resume(storage, "old").config == config, "what was made before goes on"
    check_pruner(replace(config, epochs=2))
    check_pruner(replace(config, pruner="none"))


def test_an_objective_that_is_given_twice_is_refused(storage: str) -> None:
    twice = ("--objective", "size", "--objective", "size_kb")
    told = _refused("search", "--name", "new", *twice, "--storage", storage)
    assert told == "--objective: 'size' is given twice; give it once"


def test_what_to_type_next_makes_sense(storage: str) -> None:
    """The front is shown where there is one."""
    _made(storage, PLAIN)
    with Ledger.open(storage) as ledger:
        record = ledger.search("demo")

    def told(**counts: int) -> str:
        known = {state: counts.get(state, 0) for state in TrialState}
        return next_step(replace(record, counts=known), [], [], storage)

    see = f"nas trials demo --storage {storage}"
    assert told(pruned=2, failed=1) == f"No trial is complete; see why: {see}"
    assert told(infeasible=2) == f"Nothing was within the limits; see by how much: {see}"
    assert told(queued=2) == f"Not begun: 2 trials; go on with: nas search --resume demo --storage {storage}"
    assert told(complete=2) == f"Next: nas pareto demo --storage {storage}"


@pytest.mark.usefixtures("toys_are_known")
def test_the_time_of_a_plan_is_that_of_such_trials(storage: str) -> None:
    """Trials that waited would tell another time; no more is trained than there is."""
    halved = SearchConfig(
        space="two", data="", device="", trials=4, epochs=3, evaluator="toy", pruner="halving"
    )
    plain = replace(halved, pruner="none")
    for name, config in (("halved", halved), ("plain", plain)):
        with Ledger.open(storage, create=True) as ledger:
            ledger.create_search(name, config)
            claims = Claims(ledger, name, Worker.this_process())
            claim = claims.claim()
            assert claim is not None
            choices = {"first": 1, "second": 1} if name == "plain" else {"first": 2, "second": 2}
            claims.propose(claim, choices=choices, architecture="[1, 1]", digest="a" * 64)
            claims.finish(claim, TrialState.COMPLETE, accuracy=0.5)
        plan = plan_of(storage, plain)
        assert (plan.trial_s is None) == (name == "halved")
    new = ("search", "--space", "two", "--evaluator", "toy", "--objective", "accuracy", "--epochs", "3")
    many = ("--pruner", "halving", "--trials", "40")
    told = _nas(*new, *many, "--dry-run", "--storage", storage).stdout
    assert (
        "trials         40, 3 epochs each, 1 worker; the space has 4, so the search ends after these" in told
    )
    assert "at most" in told
    assert "measuring" not in told, "there is no device"


def test_a_plan_is_refused_where_its_search_would_be(storage: str) -> None:
    _made(storage, PLAIN, "plain")
    for source, message in (
        ("nix", "there is no search 'nix'"),
        ("plain", "'plain' has space 'small-space'"),
    ):
        new = ("search", "--space", "tiny", "--trials", "3", "--warm-start", source, "--storage", storage)
        assert message in _refused(*new, "--dry-run")
