"""Searches whose trainings start from trained weights: what is taken over, what is refused."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from benches import FEW
from safetensors.torch import save_file
from torch import nn

import search_spaces
from nas.data import load
from nas.evaluators.training import TrainingEvaluator
from nas.ledger import Ledger, SearchConfig
from nas.searching.creating import create, join
from nas.searching.pretrained import fit_of
from nas.training.checkpoint import write_tensors
from nas.training.job import ARCHITECTURE, MODEL, TrainJob
from nas.training.loop import save_weights, train_architecture
from nas.training.optimizers import parameter_groups
from nas.training.pretrained import read_pretrained
from nas.training.recipe import Recipe, schedules
from nas.trials.evaluating import Evaluation, Halt, Step, evaluate
from search_spaces import Architecture
from search_spaces.errors import BitnasError, InvalidInput
from search_spaces.layers import QuantConv2d
from search_spaces.search_space import TINY
from tests.thinning import each_nth

SPACE = TINY.fitted((1, 8, 8), 10)
CONFIG = SearchConfig("tiny", FEW, "local", trials=1, epochs=2)


def in_precision(architecture: Architecture, name: str) -> Architecture:
    """The same layers, all but the first and the last in another precision."""
    blocks = tuple(
        block.model_copy(update={"precisions": dict.fromkeys(block.precisions, name)})
        for block in architecture.blocks
    )
    return architecture.model_copy(update={"blocks": blocks})


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> tuple[Architecture, Path]:
    """An architecture in float, and the folder of its weights."""
    folder = tmp_path_factory.mktemp("trained")
    sampled = SPACE.sample(3)
    assert isinstance(sampled, Architecture)
    architecture = in_precision(sampled, "float")
    module, _ = train_architecture(architecture, load(FEW), epochs=8, seed=1)
    (folder / MODEL).write_bytes(save_weights(module))
    (folder / ARCHITECTURE).write_text(architecture.to_json())
    return architecture, folder


def at_once(step: Step) -> Halt | None:
    return None


def accuracy_from(pretrained: str, architecture: Architecture) -> float:
    evaluator = TrainingEvaluator(replace(CONFIG, pretrained=pretrained, epochs=1), load(FEW))
    found = evaluate(evaluator, Evaluation(architecture, 1, 5), at_once, lambda: None)
    return found.values["accuracy"]


def test_a_training_starts_where_the_weights_are(trained: tuple[Architecture, Path]) -> None:
    architecture, folder = trained
    anew, started = (accuracy_from(path, architecture) for path in ("", str(folder)))
    assert started > anew


def test_a_paused_training_does_not_start_again(trained: tuple[Architecture, Path]) -> None:
    architecture, folder = trained
    config = replace(CONFIG, pretrained=str(folder), pruner="halving", epochs=3)
    evaluator = TrainingEvaluator(config, load(FEW))

    def pausing(step: Step) -> Halt | None:
        return Halt("paused", is_pause=True) if step.number == 1 else None

    whole = evaluate(evaluator, Evaluation(architecture, 3, 5), at_once, lambda: None)
    paused = evaluate(evaluator, Evaluation(architecture, 3, 5), pausing, lambda: None)
    again = evaluate(evaluator, Evaluation(architecture, 3, 5, paused.kept), at_once, lambda: None)
    assert again.values == whole.values and again.weights == whole.weights


@pytest.mark.parametrize("precision", each_nth(3, ["int8", "ternary", "dithered", "binary"]))
def test_a_layer_of_another_code_starts_at_the_real_weights(
    trained: tuple[Architecture, Path], precision: str
) -> None:
    architecture, folder = trained
    weights, module = read_pretrained(folder), search_spaces.build(in_precision(architecture, precision))
    slow = weights.start(module)
    assert any(name.startswith("block") for name in slow) == (precision == "int8")
    assert any(name.startswith("stem.") for name in slow), "it has its code still"
    convolutions = 0
    for name, layer in module.named_modules():
        real = weights.tensors.get(f"{name}.weight")
        if isinstance(layer, QuantConv2d) and real is not None:
            torch.testing.assert_close(layer.weight.detach(), real * layer.weight_code.start)
            convolutions += 1
    assert convolutions > 2


def test_what_agrees_in_name_alone_stays(trained: tuple[Architecture, Path], tmp_path: Path) -> None:
    """Any safetensors file of a network in float will do; here, one of fewer classes and another prefix."""
    architecture, _ = trained
    other = search_spaces.build(architecture.model_copy(update={"classes": 7}))
    save_file({f"module.{name}": t for name, t in other.state_dict().items()}, tmp_path / "any.safetensors")
    weights, module = read_pretrained(tmp_path / "any.safetensors"), search_spaces.build(architecture)
    before = {name: p.clone() for name, p in module.named_parameters()}
    weights.start(module)
    stayed = [name for name, p in module.named_parameters() if p.ndim > 1 and torch.equal(p, before[name])]
    assert len(stayed) == 1 and before[stayed[0]].shape[0] == 10
    total = sum(p.numel() for p in before.values() if p.ndim > 1)
    assert weights.share(module) == pytest.approx(1 - before[stayed[0]].numel() / total)


def test_a_search_is_held_to_its_weights(trained: tuple[Architecture, Path], tmp_path: Path) -> None:
    architecture, folder = trained
    copy = tmp_path / "w.safetensors"
    copy.write_bytes((folder / MODEL).read_bytes())
    storage = f"sqlite:///{tmp_path}/nas.db"
    (tmp_path / "a.json").write_text(architecture.to_json())
    create(storage, "mine", replace(CONFIG, pretrained=str(copy)), first=[str(tmp_path / "a.json")])
    with Ledger.open(storage) as ledger:
        record = ledger.search("mine")
    assert record.config.pretrained == str(copy) and len(record.origin.pretrained) == 64
    assert join(storage, "mine").name == "mine"
    copy.write_bytes(save_weights(search_spaces.build(architecture)))
    with pytest.raises(InvalidInput, match="is not what 'mine' was made with"):
        join(storage, "mine")
    copy.unlink()
    with pytest.raises(InvalidInput, match="there is no file"):
        join(storage, "mine")


def test_weights_of_a_training_say_what_they_are(tmp_path: Path) -> None:
    job = TrainJob("resnet20-dw", "digits", 1, precision="ternary")
    state = search_spaces.network("resnet20-dw", "ternary").state_dict()
    write_tensors(tmp_path / "w.safetensors", dict(state), {"job": job.to_dict()})
    codes = read_pretrained(tmp_path / "w.safetensors").codes
    assert codes["blocks.0.conv1.0"].scales == ("positive", "negative")


@pytest.mark.parametrize(
    ("content", "told"),
    [(b"nothing", "is no safetensors file"), (None, "there is no file"), ("other", "no layer of")],
)
def test_what_no_training_could_start_from_is_refused(
    tmp_path: Path, content: bytes | str | None, told: str
) -> None:
    path = tmp_path / "w.safetensors"
    if content == "other":
        save_file(dict(nn.Linear(3, 5).state_dict()), path)
    elif isinstance(content, bytes):
        path.write_bytes(content)
    with pytest.raises(InvalidInput, match=told) as caught:
        fit_of(replace(CONFIG, pretrained=str(path)), SPACE)
    assert caught.value.parameter == "pretrained"


def test_another_evaluator_trains_in_its_own_way(trained: tuple[Architecture, Path]) -> None:
    with pytest.raises(InvalidInput, match="'mine' trains in its own way"):
        fit_of(replace(CONFIG, pretrained=str(trained[1]), evaluator="mine"), SPACE)


def test_damaged_files_beside_the_weights_are_told_of(
    trained: tuple[Architecture, Path], tmp_path: Path
) -> None:
    (tmp_path / MODEL).write_bytes((trained[1] / MODEL).read_bytes())
    (tmp_path / "network.json").write_text("{}")
    with pytest.raises(BitnasError, match="does not say what the weights are"):
        read_pretrained(tmp_path)


def test_what_was_trained_before_goes_on_at_a_tenth_of_the_rate() -> None:
    module, recipe = nn.Sequential(nn.Linear(3, 4), nn.Linear(4, 2)), Recipe(peak_rate=0.5)
    optimizer = torch.optim.AdamW(parameter_groups(module, recipe, {"0.weight", "0.bias"}))
    groups = optimizer.param_groups
    rates = {id(p): group["lr"] for group in groups for p in group["params"]}
    assert [rates[id(p)] for p in module.parameters()] == pytest.approx([0.05, 0.05, 0.5, 0.5])
    for name in ("one-cycle", "cosine", "step", "rungs"):
        schedule, most = schedules.get(name)(optimizer, replace(recipe, rungs=(1,)), 10), [0.0] * len(groups)
        for _ in range(10):
            most = [
                max(float(rate), before) for rate, before in zip(schedule.get_last_lr(), most, strict=True)
            ]
            optimizer.step()
            schedule.step()
        assert max(most) == pytest.approx(10 * min(most)), name
