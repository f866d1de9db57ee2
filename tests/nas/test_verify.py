"""A card's latency against one measured now: held, slower, faster, or not judged where noise decides."""

import json

import pytest
from click.testing import CliRunner

from nas.cli.main import cli
from nas.export.card import Card
from nas.export.verify import PAUSES, judge_latency, judge_repeatedly
from tests.measured import disturbed, timed

CARD = Card(
    search="demo", trial=3, digest="0" * 64, data="digits", data_digest="0", epochs=3, seed=0,
    validation_accuracy=0.9, test_accuracy=0.9, test_images=360, size_kb=1.0, artifact_kb=1.0,
    predicted_ms=2.0, measured_ms=2.0, measured_iqr_ms=0.02, measured_at="now", measured_low_ms=1.9,
    measured_high_ms=2.1, measured_reference_ms=0.01, batch=1, device={}, precisions={},
)  # fmt: skip

SLOWER_MACHINE = "its reference takes 50% longer than when the network was exported"


@pytest.mark.parametrize(
    ("found", "holds", "note"),
    [
        (timed(2.0), True, ""),
        (timed(2.12), True, ""),  # its own interval reaches into the card's
        (timed(2.5), False, "slower than the card states"),
        (timed(2.3, repeats_ms=[2.3, 2.6]), True, ""),
        (timed(1.5), True, "faster than the card states"),
        (disturbed(4.85), None, "most samples were disturbed, and they differ by 70%"),
        (disturbed(2.12), None, "most samples were disturbed, and they differ by 70%"),
        (disturbed(2.05), True, ""),  # noise only adds time
        (disturbed(1.0), True, ""),
        (
            timed(3.0, usual_ms=0.015),
            None,
            "its reference takes 50% longer than when the network was exported",
        ),
        (timed(2.0, usual_ms=0.015), True, ""),
        (timed(3.0, usual_ms=0.01), False, "slower than the card states"),
    ],
)
def test_a_latency_is_judged_by_the_repeats(found, holds, note):
    check = judge_latency(CARD, found)
    assert (check.holds, check.note) == (holds, note)
    assert check.stated == "2.00 ms (1.90 to 2.10 by repeats)"


def test_a_tolerance_stands_in_for_the_interval():
    assert judge_latency(CARD, timed(2.8), 0.5).holds is True
    assert judge_latency(CARD, timed(3.2), 0.5).holds is False
    assert judge_latency(CARD, disturbed(3.2), 0.5).holds is None
    assert judge_latency(CARD, timed(2.8), 0.5).stated == "2.00 ms (+50% at most)"


@pytest.mark.parametrize(
    ("times", "holds"), [([2.5, 2.0], True), ([2.5, 2.6, 2.4, 2.5], False), ([2.0], True)]
)
def test_a_network_that_seems_slower_is_timed_again(times, holds, monkeypatch):
    pauses = []
    monkeypatch.setenv("NAS_PATIENCE", "20")
    monkeypatch.setattr("nas.export.verify.time.sleep", pauses.append)
    left = [timed(each) for each in times]
    check = judge_repeatedly(CARD, lambda: left.pop(0))
    assert check.holds is holds and not left
    assert pauses == list(PAUSES[: len(times) - 1])
    monkeypatch.setenv("NAS_PATIENCE", "0")
    assert judge_repeatedly(CARD, lambda: timed(2.5)).holds is False


def test_a_network_that_is_slower_than_a_worthless_time_is_slower():
    card = CARD.model_copy(update={"measured_disturbed": "others had the core 50% of the time"})
    assert judge_latency(card, timed(2.5)).holds is False


@pytest.mark.parametrize(
    ("found", "code", "column", "says"),
    [
        (timed(2.0), 0, "yes", "Verified.\nNext: nas predict w photo.png\n"),
        (
            disturbed(4.85),
            0,
            "not judged",
            "they differ by 70%); again: nas verify w\nNext: nas predict w",
        ),
        (timed(4.85), 1, "NO, slower than the card states", "though nothing disturbs the machine"),
        (timed(1.0), 0, "yes, faster than the card states", "Verified.\n"),
    ],
)
def test_what_verify_prints_and_exits_with(monkeypatch, found, code, column, says):
    monkeypatch.setattr(
        "nas.export.verify.verify", lambda folder, tolerance, tell: [judge_latency(CARD, found, tolerance)]
    )
    result = CliRunner().invoke(cli, ["verify", "w"])
    assert (result.exit_code, result.stdout.rstrip().endswith(column)) == (code, True), result.stdout
    assert says in result.stderr
    assert ("export it again" in result.stderr) == (code == 1)
    listed = json.loads(CliRunner().invoke(cli, ["verify", "w", "--json"]).stdout)
    assert listed[0]["holds"] == {"y": True, "N": False, "n": None}[column[0]]
