"""A search that begins with published networks: trained, costed, shown and moved as any other trial."""

import json
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from benches import FEW, ArithmeticBench
from click.testing import CliRunner
from pydantic import ValidationError

import nas
import runtime
import search_spaces
from latency.model.workloads import workloads_of
from nas.cli.main import cli
from nas.export.card import Card
from nas.export.identity import digest_and_kilobytes
from nas.export.trials import export
from nas.figures.data import notes
from nas.figures.layers import count_precisions
from nas.ledger import Ledger, SearchConfig, TrialState
from nas.measuring.bench import Predicted
from nas.searching.creating import create
from nas.searching.scaling import scalable
from nas.training.job import ARCHITECTURE
from nas.training.loop import load_weights, predict
from nas.trials.first import first_of
from nas.trials.job import Job
from nas.trials.setup import data_of, space_of
from nas.trials.worker import work
from search_spaces import Buildable, NamedNetwork, read_architecture
from search_spaces.errors import InvalidInput
from search_spaces.networks import Published, networks
from search_spaces.search_space import TINY
from tests.cli.small_network import small

ONE = {
    "stem.width": "16",
    "block": "separable",
    "stage1.width": "32",
    "stage2.width": "64",
    "kernel": "3",
    "stride": "2",
    "repeats": "1",
    "precision": "ternary",
}
"""Leaves one architecture of ``tiny``."""
NETWORKS = ("small", "small:precision=int8,classifier=float")
CONFIG = SearchConfig("tiny", FEW, "local", trials=5, epochs=1, fix=ONE)


class WorkloadBench(ArithmeticBench):
    """Each kernel takes a microsecond."""

    def predict(self, architecture: Buildable) -> Predicted:
        works = [(work.key, 0.001) for work in workloads_of(architecture)]
        return Predicted(sum(ms for _, ms in works), works)


@pytest.fixture(scope="module", autouse=True)
def small_is_published() -> Iterator[None]:
    """A network of few kernels beside the published ones, for this file."""
    before = {name: networks.get(name) for name in networks}
    networks.add("small", Published(small, (1, 8, 8), 10, "none"))
    yield
    networks._things = before


@pytest.fixture(scope="module")
def searched(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ledger]:
    """A search of one architecture that begins with a published network in two precisions."""
    storage = f"sqlite:///{tmp_path_factory.mktemp('published')}/nas.db"
    create(storage, "demo", CONFIG, first=(*NETWORKS, NETWORKS[0]))
    work(Job(storage, "demo", bench=WorkloadBench, poll_s=0.01), threading.Event())
    with Ledger.open(storage) as ledger:
        yield ledger


def test_it_is_trained_and_costed_as_it_is(searched: Ledger) -> None:
    first, second, third = searched.trials("demo")[:3]
    for trial, settings in ((first, ("float", 10)), (second, ("int8", 10, "float"))):
        module = search_spaces.network("small", *settings, channels=1)  # type: ignore[misc,arg-type]  # of several types
        kernels = runtime.workloads(module.eval(), (1, 1, 8, 8))
        assert trial.state is TrialState.COMPLETE and trial.choices is None
        assert trial.size_kb == search_spaces.size(module).kilobytes
        assert [key for key, _ in trial.latency_by_workload or []] == [work.key for work in kernels]
        load_weights(module, searched.weights("demo", trial.number) or b"")
        judged = data_of(CONFIG).validation  # type: ignore[union-attr]  # it has data
        assert trial.accuracy == pytest.approx((predict(module, judged) == judged.labels).mean())
    assert third.state is TrialState.COMPLETE and third.choices is not None
    assert {trial.number for trial in searched.front("demo")} <= {0, 1, 2} and len(searched.front("demo")) > 1
    assert all(trial.measured_latency_ms for trial in searched.front("demo"))


def test_it_is_no_architecture_of_the_space(searched: Ledger) -> None:
    record = searched.search("demo")
    assert record.counts[TrialState.COMPLETE] == 3, "one of the space, which then is exhausted"
    assert record.ended == "every architecture of the space has been tried"
    assert len(record.config.first) == 2, "what is named twice is trained once"
    with pytest.raises(InvalidInput, match="trial 0 is the published network 'small', which has no"):
        scalable(CONFIG, searched.trial("demo", 0))


def test_it_has_its_name(searched: Ledger) -> None:
    first, second, third = searched.trials("demo")[:3]
    assert notes(CONFIG, first) == "small in float"
    assert notes(CONFIG, second) == "small in int8, classifier in float"
    assert notes(CONFIG, third) == ""
    assert count_precisions(first.architecture or "") == "small in float"
    shown = [
        CliRunner().invoke(cli, [*command, "--storage", searched.url]).stdout
        for command in (["trials", "demo"], ["pareto", "demo"], ["trial", "demo", "0"])
    ]
    assert all("small in" in text for text in shown)
    assert "layers float" in shown[2]


def test_what_is_shown_of_it_begins_another_search(searched: Ledger, tmp_path: Path) -> None:
    shown = CliRunner().invoke(cli, ["trial", "demo", "1", "--json", "--storage", searched.url]).stdout
    (tmp_path / "trial.json").write_text(shown)
    (tmp_path / "architecture.json").write_text(json.dumps(json.loads(shown)["architecture"]))
    names = str(tmp_path / "trial.json"), str(tmp_path / "architecture.json"), "demo/1"
    again = first_of(names, TINY, searched)
    assert again == (searched.search("demo").config.first[1],)


def test_it_moves_with_its_search(searched: Ledger, tmp_path: Path) -> None:
    storage, file = f"sqlite:///{tmp_path}/other.db", tmp_path / "demo.jsonl"
    export = ["searches", "export", "demo", "-o", str(file), "--storage", searched.url]
    assert CliRunner().invoke(cli, export).exit_code == 0
    assert CliRunner().invoke(cli, ["searches", "import", str(file), "--storage", storage]).exit_code == 0
    with Ledger.open(storage) as other:
        assert [t.digest for t in other.trials("demo")] == [t.digest for t in searched.trials("demo")]
    damaged = file.read_text().replace('\\"small\\"', '\\"resnet20\\"')
    file.write_text(damaged)
    found = CliRunner().invoke(cli, ["searches", "import", str(file), "--name", "b", "--storage", storage])
    assert found.exit_code == 2 and "line 2: the digest is not the architecture's" in found.stderr


def test_it_is_exported_by_its_name(searched: Ledger, tmp_path: Path) -> None:
    trial = searched.trial("demo", 1)
    card = export(searched, "demo", tmp_path / "winner", limits={}, number=1)
    assert (card.title, card.digest) == (
        "small in int8, classifier in float, trial 1 of search demo",
        trial.digest,
    )
    assert digest_and_kilobytes(tmp_path / "winner" / ARCHITECTURE) == (trial.digest, trial.size_kb)
    read = Card.model_validate_json((tmp_path / "winner" / "card.json").read_text())
    assert read == card
    with pytest.raises(ValidationError, match="it names neither a search's trial nor a published network"):
        Card.model_validate({**card.model_dump(), "precision": None})


def test_one_over_a_limit_is_infeasible(tmp_path: Path) -> None:
    storage = f"sqlite:///{tmp_path}/nas.db"
    config = SearchConfig("tiny", FEW, "local", trials=1, epochs=1, max_size_kb=1)
    create(storage, "demo", config, first=NETWORKS[:1])
    work(Job(storage, "demo", bench=WorkloadBench, poll_s=0.01), threading.Event())
    with Ledger.open(storage) as ledger:
        (trial,) = ledger.trials("demo")
    assert trial.state is TrialState.INFEASIBLE
    assert (trial.error or "").endswith("kB is over the limit of 1.00 kB")


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("resnet2O", "first: there is no file 'resnet2O', and no published network 'resnet2O'; did you mean"),
        ("resnet20:", "first: '' is no option of 'resnet20'; "),
        (
            "resnet20:precison=int8",
            "first: 'precison=int8' is no option of 'resnet20'; did you mean 'precision'",
        ),
        (
            "resnet20:precision=int8,precision=float",
            "first: 'resnet20:precision=int8,precision=float' has precision twice; give each option once",
        ),
        ("resnet20:precision=int9", "first: unknown name 'int9'; did you mean 'int8'?"),
        ("resnet20:precision=INT8", "first: "),
        ("resnet20:precision=binary-case2", "first: the scales of 'binary-case2' are for images of 32x32"),
        (
            "squeezenet1.0",
            "first: 'squeezenet1.0' does not take 8x8 images of 1 channels; it is made for 224",
        ),
    ],
)
def test_what_it_cannot_be_is_told_in_one_line(name: str, told: str) -> None:
    with pytest.raises(InvalidInput) as error:
        first_of([name], TINY, None)
    assert str(error.value).startswith(told) and "\n" not in str(error.value)


def test_python_takes_the_same_names(tmp_path: Path) -> None:
    storage = f"sqlite:///{tmp_path}/nas.db"
    for first in ("small:precision=int9", ["small", "small:precision=int9"]):
        with pytest.raises(InvalidInput, match=r"^first: unknown name 'int9'"):
            nas.search(data=FEW, name="demo", storage=storage, first=first)


@pytest.mark.usefixtures("toys_are_known")
def test_what_is_not_bitnas_own_does_not_begin_with_it(tmp_path: Path) -> None:
    storage = f"sqlite:///{tmp_path}/nas.db"
    toy = SearchConfig("toy", "", "local", trials=2, epochs=1, evaluator="toy")
    with pytest.raises(
        InvalidInput, match=r"^first: 'resnet20' is no architecture of space 'toy', which has its"
    ):
        create(storage, "demo", toy, first=["resnet20"])
    with pytest.raises(
        InvalidInput, match=r"^first: 'resnet20' is a published network, which evaluator 'toy'"
    ):
        first_of(["resnet20"], space_of(CONFIG, data_of(CONFIG)), None, "toy")
    assert not (tmp_path / "nas.db").exists()


def test_its_json_is_read_as_what_it_is() -> None:
    found = NamedNetwork(network="resnet20", input_shape=(3, 32, 32), classes=10)
    assert read_architecture(found.to_json()) == found
    own = TINY.sample(0)
    assert read_architecture(own.to_json()) == own
    with pytest.raises(InvalidInput, match=r"^architecture\.blocks: "):
        read_architecture(found.to_json().replace('"classes"', '"blocks":[],"classes"'))
