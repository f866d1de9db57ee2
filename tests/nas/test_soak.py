"""The soak, for a short while: processes of searches are killed at random, and nothing is lost."""

import json
from importlib.util import find_spec
from pathlib import Path

import pytest

from benchmarks.soak.__main__ import main
from benchmarks.soak.oracle import Found, check
from nas.ledger import Ledger, SearchConfig, TrialState, Worker
from nas.ledger.claims import Claims
from tests.nas.postgres import why_absent

HAS_POSTGRESQL = pytest.mark.skipif(why_absent() is not None, reason=why_absent() or "it is there")


@pytest.mark.parametrize(
    "options",
    [
        "--database sqlite --kills 4 --workers 2 --trials 16",
        pytest.param("--database sqlite --kills 15 --workers 2 --trials 60", marks=pytest.mark.slow),
        pytest.param(
            "--database postgresql --kills 3 --server-kills 1 --workers 2 --trials 20", marks=HAS_POSTGRESQL
        ),
        pytest.param(
            "--database postgresql --kills 8 --server-kills 2 --workers 2 --trials 60",
            marks=[HAS_POSTGRESQL, pytest.mark.slow],
        ),
        pytest.param(
            "--database ray --kills 2 --workers 2 --trials 12 --seed 6",
            marks=[
                pytest.mark.slow,  # test_ray has parts of a cluster die once
                pytest.mark.skipif(find_spec("ray") is None, reason="Ray is not installed"),
            ],
        ),
    ],
)
def test_nothing_is_lost_doubled_or_stuck(options: str, tmp_path: Path) -> None:
    file = tmp_path / "found.json"
    slow = ["--outlives-s", "30"]  # a machine may be busy
    assert main([*options.split(), *slow, "--json", str(file)]) == 0
    found = json.loads(file.read_text())
    kills = int(options.split()[3])
    assert sum(found["kills"].values()) == kills
    assert found["acknowledged"] >= kills, "trials ended all the while"
    assert found["lost"] == found["doubled"] == found["stuck"] == found["failed"] == found["outlived"] == []


def test_the_oracle_sees_what_is_wrong(tmp_path: Path) -> None:
    storage = f"sqlite:///{tmp_path}/nas.db"
    config = SearchConfig("tiny", "digits", "local", trials=3, epochs=1)
    with Ledger.open(storage, create=True) as ledger:
        ledger.create_search("demo", config)
        claims = Claims(ledger, "demo", Worker.this_process())
        for _ in range(2):
            claim = claims.claim()
            assert claim is not None
            claims.finish(claim, TrialState.COMPLETE, accuracy=0.5)
        claim = claims.claim()

    def acknowledged(number: int, value: float) -> dict[str, object]:
        fields = {"search": "demo", "number": number, "state": "complete", "value": value}
        return {"event": "acknowledged", **fields}

    found = Found()
    events = [acknowledged(0, 0.5), acknowledged(1, 0.5)]
    check(found, storage, "demo", events, is_over=False)
    assert not any(found.wrong.values())
    check(found, storage, "demo", [*events[:1], acknowledged(1, 0.25), acknowledged(7, 0.5)], is_over=True)
    assert (found.lost, found.stuck, found.doubled) == ({"demo/1", "demo/7"}, {"demo/2"}, set())
    check(found, storage, "demo", [*events, *events[:1]], is_over=True)
    assert found.doubled == {"demo/0"}
