"""The benchmark in its short form: rows come out, wrong results end it; times are nobody's business here."""

import json
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from click.testing import CliRunner

import search_spaces
from benchmarks import (
    augmentation,
    channels,
    integers,
    ledger,
    networks,
    predictions,
    products,
    quantized,
    reproduce,
    rivals,
    rows,
    targets,
    torchvision,
    training,
)
from benchmarks.__main__ import main
from benchmarks.race import Effort, race
from nas.training.job import WEIGHTS

QUICK = Effort(rounds=1, sample_ms=0.2)


def test_rows_come_out(tmp_path):
    path = tmp_path / "rows.json"
    result = CliRunner().invoke(main, ["--quick", "--only", "binary product", "--json", str(path)])
    assert result.exit_code == 0, result.output
    found = json.loads(path.read_text())
    assert {"onnxruntime", "apache-tvm"} <= set(found["machine"]["versions"])
    assert found["machine"]["target"] == "native"
    assert found["date"] >= "2026"
    assert len(found["rows"]) == 1
    assert all(row["found"] > 0 and row["name"] in " ".join(result.stdout.split()) for row in found["rows"])


def test_augmentation_is_timed_on_one_thread():
    told = CliRunner().invoke(augmentation.main, ["--images", "50", "--batch", "10", "--rounds", "3"])
    assert told.exit_code == 0, told.output
    assert "crop 4, flip, cutout 16, 3 epochs of 50 images" in told.stdout
    best, middle = re.search(
        r"images a second: best ([\d,]+), median ([\d,]+)$", told.stdout.strip()
    ).groups()
    assert int(best.replace(",", "")) >= int(middle.replace(",", "")) > 0
    threads = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        found = augmentation.speeds(augmentation.random_images(50), 10, 2)
        assert next(found) > 0
        assert torch.get_num_threads() == 1
        assert len(list(found)) == 1
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(threads)


def test_a_step_of_training_is_timed_beside_a_plain_network(tmp_path, monkeypatch):
    path = tmp_path / "steps.json"
    once = ["--only", "shuffle", "--width", "8", "--precision", "int8", "--rounds", "1", "--json", str(path)]
    monkeypatch.setattr(training, "MOST", 1e9)
    told = CliRunner().invoke(training.main, once)
    assert told.exit_code == 0, told.output
    (row,) = json.loads(path.read_text())["rows"]
    assert f"{row['ratio']:.2f}" == told.stdout.split()[-1]
    assert row["seconds"] / row["plain_seconds"] == pytest.approx(row["ratio"])
    monkeypatch.setattr(training, "MOST", 0)
    told = CliRunner().invoke(training.main, once)
    assert (told.exit_code, "Over 0 times: shuffle 8 int8" in told.stderr) == (1, True)


@pytest.mark.parametrize("kind", ["separable", "inverted+squeeze", "conv"])
def test_a_plain_network_has_as_many_operations(kind):
    convs = training.convolutions(training.architecture(kind, 32, "float", 5))
    macs, sides = sum(layer.macs for layer in convs), training.output_sides(convs)
    plain = training.plain_network(sides, training.equal_width(sides, macs))
    found = [layer.macs for layer in training.layers(plain, training.SHAPE)][:-1]
    assert len(found) == len(convs)
    assert sum(found) == pytest.approx(macs, rel=0.1)


def test_bytes_are_timed_beside_floats_for_every_target():
    told = CliRunner().invoke(targets.main, ["--rounds", "1"])
    assert told.exit_code == 0, told.output
    lines = told.stdout.splitlines()
    assert [line.partition(":")[0] for line in lines] == ["native", *targets.OLDER]
    dense = [rf"dense {name} [\d.]+ us \([\d.]+[\w;, ]*\)" for name in targets.CONVOLUTIONS]
    depthwise = [rf"depthwise {name} [\d.]+ us \([\d.]+[\w;, ]*\)" for name in targets.DEPTHWISE_ONES]
    assert re.fullmatch("native: " + ", ".join([*dense, *depthwise]), lines[0])


@pytest.mark.skipif(not targets.OLDER, reason="targets of x86")
@pytest.mark.parametrize(("target", "multiplies_bytes"), [("x86-64-v3", False), ("alderlake", True)])
def test_rows_of_bytes_are_those_of_a_targets_instructions(target, multiplies_bytes, monkeypatch):
    works = []
    monkeypatch.setattr(rows.ours, "kernel", lambda work, target: works.append(work))
    for rival in ("float_convolutions", "int8_convolutions", "torch_convolution"):
        monkeypatch.setattr(rows.rivals, rival, lambda *shape: None)
    monkeypatch.setattr(rows, "race", lambda contenders, effort: dict.fromkeys(contenders, 1.0))
    wanted = replace(QUICK, target=target)
    asked = {row.name: row.required for row in rows.ternary_bytes(wanted)}
    assert asked == {
        "ternary weights x int8, our int8 kernel": 0.95,
        "ternary weights x int8 1x1, our int8 kernel": 0.95 if multiplies_bytes else 1.5,
    }
    assert {(work.window.taps[0], work.weight) for work in works[8:]} == {(1, "int8"), (1, "ternary")}
    found = {row.name: row.required for row in rows.float_and_int8(wanted)}
    assert found["int8 convolution 1x1, onnxruntime int8"] == 1
    assert found.get("int8-7 convolution 1x1, onnxruntime int8") == (None if multiplies_bytes else 1)
    assert (works[-1].input == "uint7") is not multiplies_bytes


def test_a_wrong_result_ends_it(monkeypatch):
    def wrong(*arguments, **options):
        raise rivals.WrongResultError("our binary resnet20: 3.0% of the numbers agree, not 100%")

    monkeypatch.setattr(rivals, "same", wrong)
    result = CliRunner().invoke(main, ["--quick", "--only", "binary product"])
    assert result.exit_code == 1
    assert "wrong result: our binary resnet20" in result.output
    assert "Traceback" not in result.output


def test_what_differs_is_wrong():
    numbers = np.arange(10.0)
    rivals.same("the same", numbers, numbers)
    with pytest.raises(rivals.WrongResultError, match=r"another: 90\.0% of the numbers agree, not 100%"):
        rivals.same("another", np.where(numbers == 3, 4, numbers), numbers)


def test_an_unknown_group_is_one_line():
    result = CliRunner().invoke(main, ["--only", "abacus"])
    assert result.exit_code == 2
    assert "no group holds 'abacus'; choose from binary convolution" in result.output


@pytest.mark.parametrize(
    ("command", "given", "told"),
    [
        (main, ["--json", "/absent/a.json"], "'--json': There is no folder '/absent'; make it, or"),
        (ledger.main, ["--json", "/absent/a.json"], "'--json': There is no folder '/absent'; make it, or"),
        (main, ["--remark", "quiet"], "--remark: it is kept with the rows of a table; give --record, too"),
        (main, ["--engines", "/absent/python"], "--engines: there is no program '/absent/python'; name the"),
        (channels.main, ["--part", "count"], "'--part': 'count' is not one of 'counts', 'rows', 'groups'"),
        (torchvision.main, ["--side", "8"], "'--side': 8 is not in the range x>=64"),
    ],
)
def test_nothing_is_measured_for_what_is_given_wrongly(command, given, told):
    found = CliRunner().invoke(command, given)
    assert (found.exit_code, found.stdout) == (2, "")
    assert told in " ".join(found.stderr.split())


@pytest.mark.parametrize(
    ("command", "given", "code", "told"),
    [
        (ledger, ["--storage", "nonsense"], 2, "--storage: not a database URL; "),
        (ledger, ["--storage", "sqlite:////absent/nas.db"], 1, "--storage: there is no folder /absent; "),
        (predictions, ["--storage", "nonsense"], 2, "--storage: not a database URL; "),
        (predictions, ["--storage", "sqlite:////absent/nas.db"], 1, "--storage: there is no database at "),
        (networks, ["--only", "nonsense"], 2, "network: unknown name 'nonsense'; "),
    ],
)
def test_what_is_given_wrongly_is_one_line(command, given, code, told):
    found = CliRunner().invoke(command.main, given)
    assert (found.exit_code, found.stdout, found.stderr.count("\n")) == (code, "", 1)
    assert found.stderr.startswith(f"Error: {told}")


def test_contenders_take_turns():
    order = []

    def contender(name, seconds):
        def run(repeats):
            order.append(name)
            return seconds

        return run

    times = race({"a": contender("a", 1e-3), "b": contender("b", 2e-3)}, Effort(rounds=3))
    assert times == {"a": 1.0, "b": 2.0}
    assert order[-6:] == ["a", "b"] * 3
    taken = iter([0.0, 0.0, 5e-3, 1e-3, 2e-3])  # two to warm up
    assert race({"a": lambda repeats: next(taken)}, Effort(rounds=3, least=True)) == {"a": 1.0}


def test_what_is_asked_is_compared():
    row = rows.Row("x", 1.0, 0.9)
    assert row.is_met
    assert not replace(row, required=1.1).is_met
    assert replace(row, required=1.1, at_most=True).is_met
    assert QUICK.rounds == 1


@pytest.mark.slow
def test_networks_of_the_reproduction_are_there():
    for row in reproduce.ROWS:
        with torch.device("meta"):
            search_spaces.network(row.network, row.precision)


def test_rows_of_the_reproduction_are_trainings(tmp_path):
    names = [row.name for row in reproduce.ROWS]
    assert len(set(names)) == len(names)
    first = reproduce.ROWS[0]
    begun = reproduce.command(first, tmp_path / "new", "digits")
    assert begun[:3] == [first.network, "--precision", first.precision]
    for index, row in enumerate(reproduce.ROWS):
        assert {row.start, row.teacher} <= {None, *names[:index]}
    on = next(row for row in reproduce.ROWS if row.start == first.name)
    weights = tmp_path / first.name / "weights.safetensors"
    assert ["--from", str(weights)] == reproduce.command(on, tmp_path / on.name, "digits")[-8:-6]
    taught = next(row for row in reproduce.ROWS if row.teacher)
    arguments = reproduce.command(taught, tmp_path / taught.name, "digits")
    assert arguments[arguments.index("--teacher") + 1] == str(tmp_path / taught.teacher / WEIGHTS)
    (tmp_path / "checkpoint.safetensors").touch()
    assert reproduce.command(first, tmp_path, "digits") == ["--resume", str(tmp_path)]
    assert "not run" in reproduce.line(first, tmp_path / "result.json")


def test_products_of_matrices_are_timed():
    ran = CliRunner().invoke(products.main, ["--size", "16", "--size", "33", "--rounds", "1"])
    assert ran.exit_code == 0, ran.output
    assert [line.split("|")[1].strip() for line in ran.stdout.splitlines()[2:]] == ["16", "33"]


@pytest.mark.slow
def test_networks_of_the_figures_are_there():
    for figure in quantized.FIGURES.values():
        for precision in figure.precisions:
            with torch.device("meta"):
                search_spaces.network(figure.network, precision, figure.classes)


@pytest.mark.slow
def test_networks_are_told_by_their_bits():
    ran = CliRunner().invoke(quantized.main, ["--precision", "dorefa1", "--rounds", "1"])
    assert ran.exit_code == 0, ran.output
    assert "| `dorefa1` | 59.4 | " in ran.stdout


def test_results_tell_of_every_row():
    told = (Path(__file__).parents[1] / "docs" / "results.md").read_text(encoding="utf-8")
    assert [row.name for row in reproduce.ROWS if f"`{row.name}`" not in told] == []


def test_networks_are_compared_with_torch():
    ran = CliRunner().invoke(networks.main, ["--only", "mobilenet-0.25", "--precision", "binary-case2"])
    assert ran.exit_code == 0
    assert "mobilenet-0.25 binary-case2: skipped" in ran.stdout
    ran = CliRunner().invoke(networks.main, ["--only", "mobilenet-0.25", "--precision", "int8"])
    assert ran.exit_code == 0, ran.output
    assert "mobilenet-0.25 int8: agrees" in ran.stdout


@pytest.mark.slow
def test_int8_networks_are_timed_both_ways():
    ran = CliRunner().invoke(integers.main, ["--rounds", "1", "--runs", "1"])
    assert ran.exit_code == 0, ran.output
    assert [line.split(":")[0] for line in ran.stdout.splitlines()] == list(integers.NETWORKS)
    module = search_spaces.network("mobilenet-0.25", "int8", 10).eval()
    kinds = [integers.compiled(module, 32, way).info.workloads for way in (True, False)]
    used = [{getattr(each, "arithmetic", "float") for each in own} for own in kinds]
    assert used == [{"integer", "float"}, {"float"}]
