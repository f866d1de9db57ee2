"""Every form of an exported network computes what torch does, is on the card, and is used by its name."""

import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from click.testing import CliRunner
from image_files import png

import latency
import nas
import runtime
import search_spaces
from nas.cli.main import cli
from nas.data import load
from nas.export import finished, timing, writing
from nas.export.card import Card, read_card
from nas.export.formats import base
from nas.export.inspection import inspect
from nas.export.predicting import predict
from nas.export.readme import readme
from nas.export.verify import verify
from nas.export.wilson import wilson
from nas.training.loop import train
from runtime.formats.artifact import MANIFEST
from runtime.formats.saving import vouch_again
from search_spaces.errors import BitnasError, DisagreementError, InvalidInput

FORMS = ("tvm", "c", "safetensors") if shutil.which("cc") else ("tvm", "safetensors")
ORIGIN: dict[str, Any] = {"search": "demo", "trial": 3, "data": "digits", "epochs": 1, "seed": 0}
CODES = ["float", "int8", "ternary", "binary", "dithered"]


@pytest.fixture(scope="module")
def made() -> finished.Finished:
    """A network of five precisions that has learned a little."""
    data, torch_seed = load("digits"), torch.manual_seed(0)
    assert torch_seed
    module = search_spaces.build(search_spaces.space("tiny").sample(3))
    train(module, data, epochs=1, seed=0)
    network = runtime.compile(module.eval(), (1, *data.input_shape))
    time = latency.Measurement(0.1, 0.0, 12, "2026-01-01T00:00:00+00:00", "0")
    return finished.Finished(module, network, time, latency.device("local"), data, 0.1, None)


def write(made: finished.Finished, folder: Path, *forms: str, **more: Any) -> Card:
    architecture = search_spaces.space("tiny").sample(3)
    identity = "architecture.json", architecture.to_json()
    origin = ORIGIN | {"digest": architecture.digest}
    return writing.write_artifact(made, folder, identity, forms=forms, **origin, **more)


@pytest.fixture(scope="module")
def folder(made: finished.Finished, tmp_path_factory: pytest.TempPathFactory) -> Path:
    said: list[str] = []
    home = tmp_path_factory.mktemp("forms") / "winner"
    write(made, home, *FORMS, say=said.append)
    assert len(said) == len(FORMS)
    assert said[-1].startswith("safetensors: classes all as torch, tvm")
    return home


def test_every_form_gives_the_logits_of_torch(made: finished.Finished, folder: Path) -> None:
    images = made.data.test.images
    with torch.inference_mode():
        expected = made.module(torch.from_numpy(images)).numpy()
    for name in FORMS:
        logits = base.formats.get(name).predict(folder, images)
        np.testing.assert_allclose(logits, expected, rtol=1e-4, atol=1e-4, err_msg=name)


def test_the_card_tells_of_each_form_and_class(made: finished.Finished, folder: Path) -> None:
    card, labels = read_card(folder), made.data.test.labels
    assert [form.name for form in card.forms] == [*FORMS]
    files = [name for form in card.forms for name in form.files]
    assert sorted(files) == sorted(set(files)), "no file is of two forms"
    for form in card.forms:
        assert form.kilobytes * 1000 == sum((folder / name).stat().st_size for name in form.files)
        assert form.differing == dict.fromkeys(({"torch", *FORMS} - {form.name}), 0) | form.differing
        assert form.right == card.right
    assert card.class_images == np.bincount(labels).tolist()
    assert sum(card.class_right) == card.right == round(card.test_accuracy * 360)
    assert 0 < sum(card.kb_by_code.values()) < card.size_kb
    assert set(card.versions) == {"python", "bitnas", "torch", "apache-tvm"}


def test_the_readme_is_a_model_card_that_the_hub_reads(folder: Path) -> None:
    cards = pytest.importorskip("huggingface_hub").ModelCard
    card = read_card(folder)
    data = cards((folder / "README.md").read_text()).data
    assert (data.library_name, data.pipeline_tag, data.metrics) == (
        "bitnas", "image-classification", ["accuracy"]
    )  # fmt: skip
    (result,) = data.eval_results
    assert (result.dataset_name, result.metric_value) == ("digits", card.test_accuracy)
    assert {*FORMS, "bitnas"} <= set(data.tags)


def test_the_readme_says_all_that_somebody_asks(folder: Path) -> None:
    card, text = read_card(folder), (folder / "README.md").read_text()
    low, high = wilson(card.right, 360)
    assert f"95 % interval {low:.1%} to {high:.1%} (Wilson)" in text
    for code, kilobytes in card.kb_by_code.items():
        assert f"| {code} weights | {kilobytes:.3f} kB |" in text
    assert all(f"(`{name}`)" in text for name in FORMS)
    for number, (images, right) in enumerate(zip(card.class_images, card.class_right, strict=True)):
        assert f"| {number} | {images} | {right} | {right / images:.1%} |" in text
    told = ("search | demo", "trial | 3", "seed | 0", card.digest, card.versions["torch"], "## Limits")
    assert all(each in text for each in told)


def test_names_of_classes_have_no_effect_in_the_readme(folder: Path) -> None:
    evil = ["<script>|a", "`b`\n# c", "[d](e)"]
    card = read_card(folder).model_copy(update={"class_names": evil, "search": "---\nx: y"})
    text = readme(card)
    assert r"\<script\>\|a" in text
    assert "\n# c" not in text
    assert "\nx: y" not in text


@pytest.mark.parametrize(
    ("right", "total", "low", "high"),
    [(10, 10, 0.7225, 1.0), (0, 10, 0.0, 0.2775), (81, 263, 0.2553, 0.3662), (15, 148, 0.0624, 0.1605)],
)
def test_wilson(right: int, total: int, low: float, high: float) -> None:
    """The last two are of Newcombe (1998), table I, method 3."""
    assert wilson(right, total) == pytest.approx((low, high), abs=1e-4)


def test_a_form_that_computes_something_else_is_not_written(
    made: finished.Finished, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    weights = base.formats.get("safetensors")
    wrong = np.eye(10, dtype=np.float32)[np.zeros(360, int)]
    monkeypatch.setattr(weights, "opened", lambda folder: lambda images: wrong[: len(images)])
    with pytest.raises(DisagreementError, match=r"safetensors: \d+ of 360 images are classed otherwise"):
        write(made, tmp_path / "out", "tvm", "safetensors")
    assert not list(tmp_path.iterdir())


def test_a_form_that_does_not_run_here_is_written_and_said(
    made: finished.Finished, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    weights = base.formats.get("safetensors")
    monkeypatch.setattr(weights, "opened", lambda folder: None)
    monkeypatch.setattr(weights, "missing", lambda folder: "torch is away")
    said: list[str] = []
    card = write(made, tmp_path / "out", "safetensors", say=said.append)
    assert said == ["safetensors: not compared, as it cannot be run here: torch is away"]
    assert (card.forms[0].right, card.forms[0].not_run) == (None, "torch is away")
    assert card.right > 36, "that of the compiled network"
    with pytest.raises(BitnasError, match=r"no form of it runs here \(safetensors: torch is away\)"):
        next(predict(tmp_path / "out", [folder_of_images(tmp_path)]))


def test_without_a_library_there_is_no_code_and_all_is_verified(
    made: finished.Finished, tmp_path: Path
) -> None:
    card = write(made, tmp_path / "out", "safetensors")
    assert (card.artifact_kb, card.judged) == (None, "safetensors")
    inspected = inspect(tmp_path / "out")
    assert inspected.code == ()
    assert not {"predict.py", "network.so"} & {path.name for path in (tmp_path / "out").iterdir()}
    checks = {check.name: check.holds for check in verify(tmp_path / "out")}
    assert set(checks) == {"same class as torch", "test accuracy", "architecture", "size"}
    assert all(checks.values())
    with pytest.raises(BitnasError, match="holds no compiled library but safetensors"):
        runtime.load(tmp_path / "out")


def test_verify_checks_every_form(folder: Path, tmp_path: Path) -> None:
    copy = shutil.copytree(folder, tmp_path / "copy")
    card = read_card(copy)
    false = [form.model_copy(update={"right": 1}) for form in card.forms]
    (copy / "card.json").write_text(card.model_copy(update={"forms": false}).to_json())
    from runtime.formats.saving import vouch_again

    vouch_again(copy)
    checks = {check.name: check.holds for check in verify(copy, latency_tolerance=1e9)}
    others = [name for name in FORMS if name != "tvm"]
    assert all(checks.pop(f"{name}: test accuracy") is False for name in others)
    assert checks.pop("test accuracy") is False
    assert {f"{name}: same class as tvm" for name in others} <= set(checks)
    assert all(held is not False for held in checks.values())


def test_the_weights_load_into_torch(made: finished.Finished, folder: Path, tmp_path: Path) -> None:
    module = nas.load_network(folder)
    assert not module.training
    for name, tensor in made.module.state_dict().items():
        assert torch.equal(module.state_dict()[name], tensor), name
    with pytest.raises(BitnasError, match="holds no weights for torch"):
        nas.load_network(tmp_path)
    copy = shutil.copytree(folder, tmp_path / "copy")
    (copy / "model.safetensors").write_bytes(b"junk")
    with pytest.raises(BitnasError, match=r"model\.safetensors: it does not hold the network"):
        nas.load_network(copy)


@pytest.mark.parametrize(
    ("names", "says"),
    [
        (["tvm", "exe"], "formats: unknown name 'exe'"),
        (["c", "c"], "formats: 'c' is given twice"),
        ([], "formats: there is none"),
    ],
)
def test_forms_are_asked_for_by_name(names: list[str], says: str) -> None:
    with pytest.raises(InvalidInput, match=says):
        base.chosen(names)


def folder_of_images(home: Path) -> Path:
    """The first test images as files, white as 255."""
    folder = home / "images"
    folder.mkdir(exist_ok=True)
    for index, pixels in enumerate(load("digits").test.take(np.arange(12))):
        (folder / f"{index:02}.png").write_bytes(png(np.round(pixels[..., 0] * (255 / 16)).astype(np.uint8)))
    return folder


def test_image_files_are_classified_as_in_training(
    made: finished.Finished, folder: Path, tmp_path: Path
) -> None:
    images = folder_of_images(tmp_path)
    with torch.inference_mode():
        shares = made.module(torch.from_numpy(made.data.test.images[:12])).softmax(1)
    for form in (None, *FORMS):
        found = [*predict(folder, [images], form)]
        assert [each.label for each in found] == shares.argmax(1).tolist()
        np.testing.assert_allclose([each.probability for each in found], shares.max(1).values, atol=1e-3)
    assert [Path(each.path).name for each in found] == sorted(path.name for path in images.iterdir())


def run(*arguments: object) -> Any:
    return CliRunner().invoke(cli, list(map(str, arguments)))


def test_the_predict_command(folder: Path, tmp_path: Path) -> None:
    images = folder_of_images(tmp_path)
    found = run("predict", folder, images / "00.png", "--json")
    assert found.exit_code == 0, found.stderr
    (each,) = json.loads(found.stdout)
    assert set(each) == {"path", "form", "label", "name", "probability"}
    table = run("predict", folder, images)
    assert table.stdout.splitlines()[0].split() == ["path", "class", "probability"]
    assert len(table.stdout.splitlines()) == 13
    assert table.stderr == "Run in the form tvm.\n"
    damaged = shutil.copytree(folder, tmp_path / "damaged")
    (damaged / "network.so").write_bytes(b"no library")
    vouch_again(damaged)
    told = run("predict", damaged, images / "00.png")
    assert told.stdout.splitlines()[1].split()[1:] == table.stdout.splitlines()[1].split()[1:]
    assert told.stderr.startswith(f"Warning: tvm does not run here, so {FORMS[1]} is tried: network.so: it")
    assert told.stderr.endswith(f"\nRun in the form {FORMS[1]}.\n")
    alone = run("predict", damaged, images / "00.png", "--format", "tvm")
    assert alone.exit_code == 1 and alone.stderr.startswith("Error: network.so: it is not a library")
    (images / "dark.png").write_bytes(png(np.full((8, 8), 9, np.uint8)))
    assert "its brightest pixel is 9 of 255" in run("predict", folder, images / "dark.png").stderr


@pytest.mark.parametrize(
    ("arguments", "code", "says"),
    [
        (("absent.png",), 2, "IMAGES: there is no "),
        (("text.txt",), 2, "is of no format that is read"),
        (("broken.png",), 2, "cannot be read (it is a broken image"),
        (("empty",), 2, "holds no image file"),
        (("good.png", "--format", "onnx"), 2, "--format: "),
    ],
)
def test_what_is_no_image_is_one_line(
    folder: Path, tmp_path: Path, arguments: tuple[str, ...], code: int, says: str
) -> None:
    (tmp_path / "text.txt").write_text("a")
    (tmp_path / "broken.png").write_bytes(png(np.zeros((8, 8), np.uint8))[:40])
    (tmp_path / "good.png").write_bytes(png(np.zeros((8, 8), np.uint8)))
    (tmp_path / "empty").mkdir()
    found = run("predict", folder, tmp_path / arguments[0], *arguments[1:])
    assert (found.exit_code, found.stdout) == (code, ""), found.stderr
    assert says in found.stderr
    assert found.stderr.count("\n") == 1


def test_benchmark_times_the_forms_in_turns(folder: Path) -> None:
    found = run("benchmark", folder, "--seconds", 0.2, "--json")
    assert found.exit_code == 0, found.stderr
    times = json.loads(found.stdout)["times"]
    assert [each["name"] for each in times] == [*FORMS]
    assert times[0]["ratio"] == [1.0, 1.0, 1.0]
    for each in times:
        assert 0 < each["milliseconds"][0] <= each["milliseconds"][1] <= each["milliseconds"][2]
        assert each["rounds"] >= 3
    assert "the folder has no network.onnx" in found.stderr
    assert run("benchmark", folder, "--seconds", "nan").exit_code == 2


def test_ratios_are_of_the_same_round() -> None:
    """Calls are counted, so that the second function is twice the first, whatever the machine does."""
    clock = 0.0

    def taking(seconds: float) -> Any:
        def call() -> None:
            nonlocal clock
            clock += seconds

        return call

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(timing.time, "perf_counter", lambda: clock)
        rounds = timing.in_turns({"a": taking(0.001), "b": taking(0.002)}, 1.0)
    assert timing._time("b", rounds["b"], rounds["a"]).ratio == pytest.approx((2, 2, 2))
    assert len(rounds["a"]) == pytest.approx(1 / 0.003, abs=2), "a call of each, for a second"


def test_verify_says_what_is_code_before_it_runs(folder: Path, tmp_path: Path) -> None:
    both = run("verify", folder, "--files-only", "--latency-tolerance", "0.5")
    assert (both.exit_code, both.stdout) == (2, "")
    assert both.stderr.startswith(
        "Error: --latency-tolerance: nothing is timed where files alone are checked"
    )
    found = run("verify", folder, "--files-only")
    assert found.exit_code == 0
    assert "nothing of them was run" in found.stderr
    assert "It holds code (" in found.stderr
    assert "trust who made it" in found.stderr
    (shutil.copytree(folder, tmp_path / "copy") / "sitecustomize.py").touch()
    found = run("verify", tmp_path / "copy", "--files-only")
    assert (found.exit_code, found.stdout) == (1, "")
    assert found.stderr.startswith("Error: ")
    assert found.stderr.count("\n") == 1
    assert (folder / MANIFEST).exists()


def test_a_network_for_another_machine_is_judged_by_its_twin(made: finished.Finished, tmp_path: Path) -> None:
    info = replace(made.network.info, architecture="vax")
    other = runtime.CompiledNetwork(info, made.network.constants, made.network.library, made.network)
    card = write(replace(made, network=other), tmp_path / "out", "tvm")
    assert (card.forms[0].right, card.right > 36) == (None, True)
    assert card.forms[0].not_run.startswith("it is for vax, this machine is")
