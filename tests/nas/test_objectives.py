"""Objectives and limits: each keeps its contract, and a search trades off the ones it is told."""

import re
from dataclasses import replace
from pathlib import Path

import pytest
from benches import ArithmeticBench
from click.testing import CliRunner

from latency.model.workloads import activation_bytes
from nas.algorithms.base import Algorithm, Proposal, algorithms
from nas.algorithms.choosing import algorithm
from nas.cli.main import cli
from nas.cli.search import search
from nas.cli.settings import config_of
from nas.export.trials import candidates, limits_of, nothing_fits
from nas.figures.data import pareto_data
from nas.figures.search import pareto_figure, title_of
from nas.ledger import Ledger, SearchConfig, TrialState, Worker, front_of
from nas.ledger.claims import Claims
from nas.ledger.records import TrialRecord, config_from_dict
from nas.measuring.bench import Predicted
from nas.objectives import (
    ArchitectureCost,
    LatencyOn,
    Objective,
    ObjectiveValue,
    Reward,
    objective,
    objectives,
)
from nas.searching.creating import create
from nas.testing.algorithms import AlgorithmConformance
from nas.testing.objectives import ObjectiveConformance
from runtime import compile as compile_network
from search_spaces import Architecture, build, space
from search_spaces.errors import InvalidInput
from search_spaces.search_space import Option, SearchSpace
from tests.cli.filled_ledger import propose
from tests.nas.test_search_loop import CONFIG, _job, _work

TINY = space("tiny")


class Blocks(ArchitectureCost):
    """How many blocks: an objective as a plug-in would add it."""

    name, title, limit = "blocks", "blocks", ""

    def cost(self, architecture: Architecture) -> float:
        """Each counts one."""
        return float(len(architecture.blocks))


class Evolution(Algorithm):
    """Changes one choice of the best trial so far: an algorithm as a plug-in would add it."""

    def __init__(self, space: SearchSpace, config: SearchConfig) -> None:
        self.space, self.config = space, config

    def ask(self, number: int, history: list[TrialRecord], passed_over: object = ()) -> Proposal:  # type: ignore[override]  # a list will do
        """A tenth of the epochs for half of the trials."""
        import random

        draw = random.Random(f"{self.config.seed} {number}")
        done = [t for t in history if t.state is TrialState.COMPLETE and t.choices and t.accuracy]
        parents = sorted(done, key=lambda t: t.accuracy or 0.0)[-1:]
        parent = dict(parents[0].choices or {}) if parents else {}
        choices: dict[str, Option] = {}

        def choose(name: str, options: tuple[Option, ...]) -> Option:
            kept = parent.get(name)
            is_kept = kept in options and draw.random() > 0.3
            choices[name] = kept if is_kept and kept is not None else draw.choice(options)
            return choices[name]

        self.space.propose(choose)
        return Proposal(choices, budget=1 if number % 2 else None)


@pytest.mark.parametrize("name", [*objectives, "latency@pi", "mnasnet@3ms", "mnasnet-hard@0.4ms"])
class TestObjectives(ObjectiveConformance):
    """Every built-in one, and that of a further device."""

    @pytest.fixture(autouse=True)
    def _named(self, name: str) -> None:
        self.name = name

    def objective(self) -> Objective:
        """By its name."""
        return objective(self.name)


class TestBlocks(ObjectiveConformance):
    """A plug-in's."""

    def objective(self) -> Objective:
        """As it is registered."""
        return Blocks()


@pytest.mark.parametrize("sampler", ["tpe", "nsga2", "random"])
class TestSamplers(AlgorithmConformance):
    """Optuna's."""

    @pytest.fixture(autouse=True)
    def _named(self, sampler: str) -> None:
        self.sampler = sampler

    def algorithm(self, space: SearchSpace, config: SearchConfig) -> Algorithm:
        """By the sampler's name."""
        return algorithm(space, replace(config, sampler=self.sampler))


class TestEvolution(AlgorithmConformance):
    """A plug-in's."""

    def algorithm(self, space: SearchSpace, config: SearchConfig) -> Algorithm:
        """As it is registered."""
        return Evolution(space, config)


def test_memory_is_what_the_compiled_network_asks_for() -> None:
    for seed in (0, 3):
        architecture = TINY.sample(seed)
        network = compile_network(build(architecture).eval(), (1, *architecture.input_shape))
        assert activation_bytes(architecture) == network.info.workspace_bytes
        assert objectives.get("memory").cost(architecture) == network.info.workspace_bytes / 1000


def test_macs_are_those_of_the_layers() -> None:
    stem = TINY.sample(0).stem
    macs = objectives.get("macs").cost(TINY.sample(0))
    assert macs is not None and macs > stem.width * stem.kernel**2 * 8 * 8 / stem.stride**2


class OnTwoDevices(ArithmeticBench):
    """The second device takes twice as long, and estimates a kernel until it is measured."""

    def __init__(self, config: SearchConfig, ledger: Ledger, lock: object) -> None:
        super().__init__(config, ledger, lock)  # type: ignore[arg-type]  # objects, by their types
        self._factor = 2.0 if config.device == "pi" else 1.0

    def estimate(self, architecture: Architecture) -> Predicted:
        """Wide, on the second."""
        found = self.predict(architecture)
        if self._factor == 1.0:
            return found
        middle = found.milliseconds
        return found._replace(estimated=("block0",), low=0.9 * middle, high=1.1 * middle)

    def predict(self, architecture: Architecture) -> Predicted:
        """By its speed."""
        found = super().predict(architecture)
        return found._replace(milliseconds=self._factor * found.milliseconds)


SEVERAL = replace(
    CONFIG,
    sampler="random",
    objectives=("accuracy", "memory_kb", "latency@pi"),
    max_macs=600_000.0,
    trials=8,
)


@pytest.fixture(scope="module")
def searched(tmp_path_factory: pytest.TempPathFactory) -> tuple[SearchConfig, list[TrialRecord]]:
    """A search with two further objectives and a limit."""
    job = _job(tmp_path_factory.mktemp("objectives"), SEVERAL, bench=OnTwoDevices)
    trials = _work(job)
    with Ledger.open(job.storage) as ledger:
        return ledger.search("demo").config, trials


def test_a_search_keeps_what_its_objectives_say(
    searched: tuple[SearchConfig, list[TrialRecord]],
) -> None:
    config, trials = searched
    assert config.objectives == ("accuracy", "memory", "latency@pi")
    assert config.further_devices == ("pi",)
    for trial in trials:
        architecture = Architecture.from_json(str(trial.architecture))
        assert trial.costs["macs"].value == objective("macs").cost(architecture)
        assert trial.costs["memory"].value == activation_bytes(architecture) / 1000
        assert trial.costs["latency@pi"].value == pytest.approx(2 * (trial.latency_ms or 0))


def test_what_is_over_a_limit_is_not_trained(searched: tuple[SearchConfig, list[TrialRecord]]) -> None:
    _, trials = searched
    passed = [str(sample["why"]) for t in trials for sample in t.passed_samples if sample["why"]]
    assert passed and all(re.fullmatch(r"MACs of [\d,]+ is over the limit of 600,000", why) for why in passed)
    assert all(t.state is TrialState.COMPLETE and t.costs["macs"].value <= 600_000 for t in trials)


def test_the_front_is_of_the_objectives_and_measured_on_each_device(
    searched: tuple[SearchConfig, list[TrialRecord]],
) -> None:
    config, trials = searched
    front = front_of(trials, config)
    done = [t for t in trials if t.state is TrialState.COMPLETE]
    assert front and front[0].accuracy == max(t.accuracy or 0 for t in done)
    least = min(t.costs["memory"].value for t in done)
    assert least in {t.costs["memory"].value for t in front}
    assert not any(t.costs["latency@pi"].estimated for t in front)
    assert any(t.costs["latency@pi"].estimated for t in trials if t not in front)


def test_the_figure_draws_the_objectives(searched: tuple[SearchConfig, list[TrialRecord]]) -> None:
    config, trials = searched
    from datetime import UTC, datetime

    from nas.ledger.records import SearchRecord

    record = SearchRecord("demo", config, datetime.now(UTC), {})
    data = pareto_data(record, trials, front_of(trials, config))
    assert (data.x.name, data.y.name) == ("memory", "accuracy")
    assert data.colour is not None and data.colour.name == "latency@pi"
    assert title_of(data.x, data.y) == "accuracy against memory"
    figure = pareto_figure(data)
    assert figure.layout.xaxis.title.text == "Memory (kB)"
    assert "MACs 600" not in str(figure.layout)
    point = data.front[0]
    assert dict(point.figures)["Latency on pi"].endswith(" ms")


def test_one_objective_alone_has_a_front_of_its_best(
    searched: tuple[SearchConfig, list[TrialRecord]],
) -> None:
    config, trials = searched
    alone = replace(config, objectives=("accuracy",), max_macs=None)
    front = front_of(trials, alone)
    assert {t.accuracy for t in front} == {max(t.accuracy or 0 for t in trials)}


TRAINED = TrialRecord(
    "demo", 0, TrialState.COMPLETE, accuracy=0.8, latency_ms=4.0, latency_low_ms=1.0, latency_high_ms=8.0
)


def test_the_soft_reward_trades_accuracy_for_latency_on_both_sides_of_the_target() -> None:
    reward = objective("mnasnet@2ms:-0.5")
    found = reward.of(TRAINED)
    assert found == pytest.approx((0.8 * 2**-0.5, 0.8 * 4**-0.5, 0.8 * 2**0.5, 0))
    twice = objective("mnasnet@2ms").of(TRAINED)
    assert twice is not None and twice.value == pytest.approx(0.8 * 0.9526, abs=1e-4), "5 % less"
    assert reward.of(replace(TRAINED, accuracy=None)) is None
    assert reward.of(replace(TRAINED, latency_ms=None)) is None


def test_the_hard_reward_is_the_accuracy_within_the_target_and_falls_beyond() -> None:
    found = objective("mnasnet-hard@2ms").of(TRAINED)
    assert found == pytest.approx((0.8 / 2, 0.8 / 4, 0.8, 0))
    within = objective("mnasnet-hard@5ms").of(TRAINED)
    assert within is not None and within.value == 0.8


def test_rewards_are_kept_by_names_that_hold_their_parameters() -> None:
    config = replace(CONFIG, objectives=("mnasnet@3.0ms", "mnasnet@0.4ms:-0.1", "mnasnet-hard@3ms"))
    assert config.objectives == ("mnasnet@3ms:-0.07", "mnasnet@0.4ms:-0.1", "mnasnet-hard@3ms")
    assert config_from_dict(config.to_dict()) == config
    assert {"accuracy", "latency"} < set(config.watched), "of which it is computed"
    exact = 0.1 + 0.2
    kept = objective(Reward("mnasnet", exact).name)
    assert isinstance(kept, Reward) and kept.target_ms == exact


def test_a_search_for_a_reward_has_a_front_of_its_best(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/nas.db"
    with Ledger.open(url, create=True) as ledger:
        ledger.create_search("demo", replace(CONFIG, objectives=("mnasnet@0.2ms:-1",), trials=3))
        claims = Claims(ledger, "demo", Worker.this_process())
        for accuracy, latency in ((0.9, 0.3), (0.8, 0.2), (0.5, 0.18)):
            claim = claims.claim()
            assert claim is not None
            propose(claims, claim, latency, 10.0)
            claims.finish(claim, TrialState.COMPLETE, accuracy=accuracy)
        config = ledger.search("demo").config
        assert [t.number for t in ledger.front("demo")] == [1]
        assert [t.number for t in candidates(ledger, "demo", limits_of(config, {}), None)] == [1, 0, 2]
    shown = CliRunner().invoke(cli, ["trial", "demo", "1", "--storage", url]).stdout
    assert "reward     0.8000\n" in shown
    for command in ("trials", "pareto"):
        table = CliRunner().invoke(cli, [command, "demo", "--storage", url]).stdout
        assert "reward" in table and "0.8000" in table


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (("--reward", "mnasnet"), "--target-latency-ms: the reward mnasnet needs one"),
        (("--reward", "mnasnet", "--target-latency-ms", "-1"), "--target-latency-ms: -1 is no latency"),
        (
            ("--reward", "mnasnet", "--target-latency-ms", "3", "--w", "0.1"),
            "--w: an exponent of 0.1 is out of range; give one of -10 to below 0",
        ),
        (("--reward", "mnasnet", "--target-latency-ms", "3", "--w", "nan"), "--w: an exponent of nan is out"),
        (
            ("--reward", "mnasnet-hard", "--target-latency-ms", "3", "--w", "-0.1"),
            "--w: mnasnet-hard has exponents of its own",
        ),
        (("--w", "-0.1"), "--w: it belongs to a reward; give --reward, too"),
        (
            ("--reward", "mnasnet", "--target-latency-ms", "3", "--objective", "size"),
            "--objective: a reward is the one objective of a search; leave it out, or --reward",
        ),
    ],
)
def test_a_reward_with_wrong_parameters_is_refused_in_one_line(
    options: tuple[str, ...], says: str, tmp_path: Path
) -> None:
    storage = f"sqlite:///{tmp_path}/nas.db"
    ran = CliRunner().invoke(cli, ["search", "--name", "a", "--storage", storage, *options])
    assert (ran.exit_code, ran.stdout, ran.stderr.count("\n")) == (2, "", 1)
    assert ran.stderr.startswith(f"Error: {says}")


def test_a_reward_of_the_command_line_is_the_searchs_objective() -> None:
    line = ["--name", "a", "--reward", "mnasnet", "--target-latency-ms", "400us", "--w", "-0.1"]
    context = search.make_context("search", line)
    assert config_of(context, context.params).objectives == ("mnasnet@0.4ms:-0.1",)


def test_a_plug_ins_objective_is_one_file(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setitem(objectives._things, "blocks", Blocks())
    monkeypatch.setitem(algorithms._things, "evolution", Evolution)
    wanted = replace(
        CONFIG,
        sampler="evolution",
        objectives=("accuracy", "blocks"),
        trials=4,
        epochs=2,
        limits={"blocks": 99},
    )
    job = _job(tmp_path, wanted)
    trials = _work(job)
    assert all(t.costs["blocks"].value > 0 for t in trials)
    assert [t.budget for t in trials] == [None, 1, None, 1]
    with Ledger.open(job.storage) as ledger:
        assert [len(ledger.epochs("demo", t.number)) for t in trials] == [2, 1, 2, 1]


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ({"objectives": ("accuracy", "speed")}, "objectives: unknown name 'speed'"),
        ({"limits": {"speed": 3.0}}, "limits: unknown name 'speed'"),
        ({"limits": {"accuracy": 90.0}}, "limits: 90.0 is not a limit of accuracy; give a share"),
        ({"max_latency_ms": 1.0, "max_latency_share": 0.5}, "max_latency_share: it and max_latency_ms limit"),
        ({"max_latency_share": 0.0}, "max_latency_share: 0.0 is not a limit"),
        ({"objectives": ()}, "objectives: there is none"),
        ({"objectives": ("latency@",)}, "objectives: 'latency@' names no device"),
        ({"max_macs": -1.0}, "max_macs: -1.0 is not a limit"),
        ({"limit_shares": {"size": -1.0}}, "limit_shares: -1.0 is no share of the median of size"),
        ({"limit_shares": {"speed": 0.5}}, "limit_shares: unknown name 'speed'"),
        ({"limit_shares": {"latency": 0.5}}, "limit_shares: 'latency' has a setting of its own"),
        ({"limit_shares": {"mnasnet@3ms": 0.5}}, "limit_shares: mnasnet@3ms:-0.07 is known only after"),
        ({"limit_shares": {"size": 0.5}, "max_size_kb": 3.0}, "limit_shares: it and max_size_kb limit the"),
        ({"objectives": ("mnasnet@0ms",)}, "objectives: 'mnasnet@0ms': 0 is no latency"),
        ({"objectives": ("mnasnet@3",)}, "objectives: 'mnasnet@3' is no reward; give mnasnet@3ms"),
        ({"objectives": ("mnasnet@3ms:0.5",)}, "objectives: 'mnasnet@3ms:0.5': an exponent of 0.5 is out"),
        ({"objectives": ("mnasnet-hard@3ms:-1",)}, "objectives: 'mnasnet-hard@3ms:-1': mnasnet-hard has"),
        ({"max_memory_kb": float("nan")}, "max_memory_kb: nan is not a limit"),
        ({"limits": {"size": 3.0}}, "limits: 'size' has a setting of its own; give max_size_kb"),
        ({"limits": {"latency@pi": 0.0}}, "limits: 0.0 is not a limit of latency@pi"),
    ],
)
def test_wrong_settings_are_named(settings: dict[str, object], says: str) -> None:
    with pytest.raises(InvalidInput, match=says):
        replace(CONFIG, **settings)  # type: ignore[arg-type]  # of several types


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ({"objectives": ("accuracy", "latency@local")}, "objectives: 'latency@local' is of the search's own"),
        ({"limits": {"latency@nowhere": 3.0}}, "limits: unknown name 'nowhere'"),
        ({"limit_shares": {"latency@nowhere": 0.5}}, "limit_shares: unknown name 'nowhere'"),
    ],
)
def test_further_devices_are_others_that_are_known(
    settings: dict[str, object], says: str, tmp_path: Path
) -> None:
    config = replace(CONFIG, device="local", **settings)  # type: ignore[arg-type]  # of several types
    with pytest.raises(InvalidInput, match=says):
        create(f"sqlite:///{tmp_path}/nas.db", "demo", config)
    assert not list(tmp_path.iterdir())


def test_a_trial_of_before_an_objective_was_known_is_judged_by_its_architecture(
    searched: tuple[SearchConfig, list[TrialRecord]],
) -> None:
    _, trials = searched
    old = replace(trials[0], costs={})
    for name in ("memory", "macs"):
        assert objective(name).of(old) == objective(name).of(trials[0])
    assert objective("latency@pi").of(old) is None, "that would have to be measured"


def test_a_search_of_a_missing_plug_in_can_be_listed_and_names_what_is_missing(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    with monkeypatch.context() as loaded:
        loaded.setitem(objectives._things, "blocks", Blocks())
        job = _job(tmp_path, replace(CONFIG, objectives=("accuracy", "blocks")))
    with Ledger.open(job.storage) as ledger:
        (found,) = ledger.searches()
        assert found.config.objectives == ("accuracy", "blocks")
        with pytest.raises(InvalidInput, match="unknown name 'blocks'"):
            front_of([RECORD], found.config)


def test_what_an_export_may_cost_is_known_or_refused(tmp_path: Path) -> None:
    job = _job(tmp_path, replace(CONFIG, sampler="random"))
    _work(job)
    with Ledger.open(job.storage) as ledger:
        config = ledger.search("demo").config
        done = [t for t in ledger.trials("demo") if t.state is TrialState.COMPLETE]
        assert candidates(ledger, "demo", limits_of(config, {"max_memory_kb": 0.001}), None) == []
        assert candidates(ledger, "demo", limits_of(config, {"latency@pi": 9e9}), None) == []
        assert len(candidates(ledger, "demo", limits_of(config, {"accuracy": 0.01}), None)) == len(done)
        told = nothing_fits(ledger, "demo", limits_of(config, {"accuracy": 0.999}), done[0].number)
        assert "is under the limit of 99.9%; give another limit" in told
        told = nothing_fits(ledger, "demo", limits_of(config, {"accuracy": 0.999}), None)
        best = max(t.accuracy or 0.0 for t in done)
        assert f"the nearest it has: accuracy {best:.1%}" in told


def test_units_may_follow_names_and_old_settings_are_read() -> None:
    config = replace(CONFIG, objectives=("accuracy", "latency_ms", "size_kb"))
    assert config.objectives == ("accuracy", "latency", "size")
    old = {
        name: value for name, value in CONFIG.to_dict().items() if not name.startswith(("objec", "limits"))
    }
    assert config_from_dict(old) == CONFIG
    value = ObjectiveValue.exact(2.0)
    assert LatencyOn("pi").of(replace(RECORD, costs={"latency@pi": value})) == value


RECORD = TrialRecord("demo", 0, TrialState.COMPLETE)
