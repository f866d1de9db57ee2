"""``nas space``: what the architectures of a space take on a device."""

import json

import pytest

from tests.cli.small_network import run

FEW = 20
"""Kernels to know this machine by: enough to estimate from, and soon measured."""


@pytest.fixture(scope="module")
def storage(tmp_path_factory):
    return f"sqlite:///{tmp_path_factory.mktemp('space') / 'nas.db'}"


@pytest.fixture(autouse=True)
def few_kernels(monkeypatch):
    monkeypatch.setattr("latency.model.profiling.PROFILED_KERNELS", FEW)


def test_quantiles_in_a_table_and_as_data(storage):
    shown = run("space", "tiny", "--storage", storage)
    assert shown.exit_code == 0, shown.output
    lines = shown.output.splitlines()
    (half,) = (line for line in lines if line.startswith("50% take at most"))
    assert f"Estimated for 100 architectures on local; {FEW} kernels were measured now." in shown.output
    assert f"--max-latency 0.5x --storage {storage}" in lines[-1]
    again = json.loads(run("space", "tiny", "--json", "--storage", storage).stdout)
    assert again["kernels_measured_now"] == 0, "the device is known"
    for unit in ("latency_ms", "size_kb"):
        found = list(again[unit].values())
        assert found == sorted(found)
        assert found[0] > 0
    assert float(half.split()[-2]) == pytest.approx(again["latency_ms"]["0.5"], rel=0.01)


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (
            ["tiny", "--image-size", "32"],
            "--image-size: it is for images, and there are none; give --data, too",
        ),
        (["small"], "SPACE: unknown"),
        (["tiny", "--device", "pi"], "device"),
    ],
)
def test_what_is_refused(storage, arguments, says):
    refused = run("space", *arguments, "--storage", storage)
    assert refused.exit_code == 2
    assert says in refused.output
