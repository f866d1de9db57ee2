"""The proof by random networks: what fails, what is at an edge, what dies, and that outcomes are kept."""

import json

import numpy as np
import pytest
import torch
from click.testing import CliRunner
from torch import nn

from benchmarks.proof import __main__ as proof
from benchmarks.proof import judging
from benchmarks.proof.drawn import KINDS, Drawn, drawn, named
from search_spaces import precisions
from search_spaces.layers import QuantConv2d


@pytest.mark.slow
def test_networks_are_judged_once(tmp_path, monkeypatch):
    """And what ends its process is a failure."""
    monkeypatch.setattr(proof, "why_not", lambda _: "")
    log = str(tmp_path / "log.jsonl")
    once = ["--networks", "1", "--first", "3", "--target", "native", "--target", "no-such-cpu", "--log", log]
    told = CliRunner().invoke(proof.main, once)
    assert told.exit_code == 1, told.output
    assert "| `native` | 1 | 0 |" in told.stdout
    assert "| `no-such-cpu` | 1 | 1 |" in told.stdout
    assert "its process ended with code 1; python -m benchmarks.proof" in told.stdout
    assert "2 judged now" in told.stdout
    monkeypatch.setattr(proof, "outcomes", lambda jobs, _: iter(jobs))  # nothing is left to judge
    assert "0 judged now" in CliRunner().invoke(proof.main, once).stdout


def test_a_target_that_does_not_run_is_one_line():
    told = CliRunner().invoke(proof.main, ["--target", "aarch64/cortex-a53"])
    assert (told.exit_code, told.stderr.count("\n")) == (2, 1)
    assert "'aarch64/cortex-a53' does not run here: no emulator is known for it" in told.stderr


def test_a_failure_tells_how_to_see_it_again(tmp_path, monkeypatch):
    failed = judging.Outcome(7, "native", "stack", failure="1 of 6 images differ")
    monkeypatch.setattr(proof, "outcomes", lambda jobs, _: iter([failed]))
    given = ["--networks", "8", "--target", "native", "--log", str(tmp_path / "log")]
    told = CliRunner().invoke(proof.main, given)
    assert told.exit_code == 1
    assert "--networks 1 --first 7 --target native" in told.stdout


def test_networks_of_a_precision_have_it_in_every_layer(tmp_path, monkeypatch):
    def judged(jobs, _):
        return (judging.Outcome(number, target, "") for number, targets in jobs for target in targets)

    monkeypatch.setattr(proof, "outcomes", judged)
    given = ["--precision", "lq2", "--networks", "8", "--target", "native", "--log", str(tmp_path / "log")]
    assert CliRunner().invoke(proof.main, given).exit_code == 0
    numbers = [json.loads(line)["number"] for line in (tmp_path / "log").read_text().splitlines()]
    found = [drawn(number) for number in numbers]
    assert len(found) == 8 and {each.told.split()[0] for each in found} > {"stack"}
    own = [m for each in found for m in each.module.modules() if isinstance(m, QuantConv2d)]
    assert {m.precision.name for m in own} == {"float", "lq2"}  # the first layer of a stack is of floats


def test_every_kind_and_precision_is_drawn():
    assert {"stack", "tiny", "cifar", "mobile"} <= {*KINDS}
    found = {named(number) for number in range(500)}
    assert found >= {(kind, precision) for kind in ("stack", "tiny", "cifar") for precision in precisions}


def test_what_differs_from_torch_fails():
    network = drawn(0)
    images = torch.randn(2, *network.shape[1:])
    with torch.no_grad():
        expected = network.module(images).numpy()
    assert judging.compared(network, images, expected)["failure"] == ""
    wrong = expected.copy()
    wrong[1] += 1e-3 * max(1.0, np.abs(expected[1]).max())
    found = judging.compared(network, images, wrong)
    assert (found["worst"], found["flipped"]) == (0, 0)
    assert found["failure"].startswith("1 of 2 images differ")
    assert judging.compared(network, images, expected * np.nan)["failure"].startswith("2 of 2")
    assert judging.compared(network, images, expected[:1])["failure"].startswith("shape")


@pytest.mark.parametrize("pixel", [1.0, 2.0])
def test_an_image_at_an_edge_may_fall_to_either_side(pixel):
    module = nn.Sequential(
        nn.Conv2d(3, 3, 1, bias=False, groups=3),
        nn.BatchNorm2d(3),
        QuantConv2d(3, 4, 1, precisions.get("binary")),
    ).eval()
    nn.init.ones_(module[0].weight)
    nn.init.ones_(module[1].running_mean)  # so that a sum of one is a sign's threshold
    images = torch.full((1, 3, 2, 2), pixel)
    with torch.no_grad():
        expected = module(images).numpy()
    found = judging.compared(Drawn("at an edge", module, (1, 3, 2, 2)), images, -expected)
    assert (found["flipped"], bool(found["failure"])) == ((1, False) if pixel == 1 else (0, True))


def test_a_float_network_may_be_as_coarse_as_torch():
    """A small difference of great numbers: float32 keeps four digits of it."""
    module = nn.Conv2d(64, 1, 1, bias=False).eval()
    nn.init.ones_(module.weight)
    images = 3e4 * torch.randn(2, 64, 1, 1, generator=torch.Generator().manual_seed(0))
    images[:, 0] = 2.0 - images[:, 1:].sum(1)
    network = Drawn("coarse", module, (1, 64, 1, 1))
    with torch.no_grad():
        expected = module(images).numpy()
    own = judging.own_errors(module, images, expected)
    assert (own > judging.CLOSE).all(), own
    exact = module.double()(images.double()).detach().numpy()
    module.float()
    as_coarse = (exact + 1.5 * (exact - expected)).astype(np.float32)
    found = judging.compared(network, images, as_coarse)
    assert (found["coarse"], found["worst"], found["failure"]) == (2, 0, "")
    coarser = (exact + 2.5 * (exact - expected)).astype(np.float32)
    assert judging.compared(network, images, coarser)["failure"].startswith("2 of 2")
