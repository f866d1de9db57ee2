"""Writes the dump of the newest schema for ``test_schemas.py``: run it once a migration is there.

The earlier ones were written so by the code of their time. None is written anew: that is what they are for.
"""

import sqlite3
import sys
import tempfile
from collections.abc import Sequence
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

from sqlalchemy import update

from latency import DeviceRecord, Measurement
from latency.model.table import NetworkMeasurement
from nas.ledger import EpochRecord, Ledger, SearchConfig, TrialState, Worker, migrate
from nas.ledger.claims import Claim, Claims
from nas.ledger.devices import DeviceBook
from nas.ledger.entries import Cost
from nas.ledger.latencies import SqlLatencyTable
from nas.ledger.mistakes import Mistake, Predictions
from nas.ledger.roster import Roster
from nas.ledger.tables import Artifact
from nas.objectives import ObjectiveValue
from search_spaces.search_space import Option, space

WORKER = Worker("lab", "boot-1/4026531836", 4242, 1000)
LONG_AGO = datetime(2026, 11, 20, tzinfo=UTC)
CPU = "cpu | 1 thread"
KERNELS = [("conv2d(a)", 1.0), ("dense(b)", 0.5)]
MACS = ObjectiveValue(1000.0, 1000.0, 1000.0)
PREDICTIONS = Predictions(2, 5, 4, ((0, 0, 3), (1, 0, 1), (1, 1, 1)), (Mistake(4, 1, 0, 0.75),))
COST = Cost(1.5, 12.0, KERNELS, ["dense(b)"], 1.25, 1.75, 0.5, {"macs": MACS})


def fill(ledger: Ledger) -> None:
    """A search with a trial in each state, and what is kept of devices."""
    config = SearchConfig("tiny", "digits", "local", trials=5, epochs=2, max_latency_ms=2.0)
    ledger.create_search("demo", config)
    claims = Claims(ledger, "demo", WORKER, clock=lambda: LONG_AGO)
    measured = Measurement(1.0, 0.1, 12, "2026-11-20T10:00:00+00:00", "0.27.0")
    claim = begun(claims, 1)
    claims.record_epoch(claim, EpochRecord(1, 2.0, 0.5, 0.25))
    claims.record_epoch(claim, EpochRecord(2, 1.0, 0.6000000000000001, 0.25))
    found = {"weights": b"\x08\x00tensors", "predictions": PREDICTIONS}
    claims.finish(claim, TrialState.COMPLETE, accuracy=0.6, **found)
    claim = claims.claim_measuring([0]) or sys.exit("it is not to be measured")
    claims.record_measured(claim, measured=measured)
    claim, why = begun(claims, 2, parents=[0]), "latency 3 ms is over the limit of 2 ms"
    claims.finish(claim, TrialState.INFEASIBLE, error=why)
    claim = begun(claims, 3)
    claims.record_epoch(claim, EpochRecord(1, 2.0, 0.5, 0.25))
    claims.pause(claim, epoch=1, accuracy=0.5, checkpoint=b"checkpoint")
    claims.record_epoch(begun(claims, 4), EpochRecord(1, 2.0, 0.5, 0.25))
    ledger.record_artifact("demo", 0, path="/work/demo.nas", target="x86-64-v3", digest="cd" * 32)
    with ledger.writing() as session:
        session.execute(update(Artifact).values(verified_at=LONG_AGO))
    table = SqlLatencyTable(ledger)
    table.put(CPU, "conv2d(a)", measured)
    table.register(CPU, target="llvm", description={"cpu": "model", "features": ["avx2"]})
    table.put_network(CPU, NetworkMeasurement(("conv2d(a)",), measured))
    DeviceBook(ledger).add(DeviceRecord("board"))
    Roster(ledger, "demo").join(WORKER, {"bitnas": "0.1.0"})


def begun(claims: Claims, seed: int, parents: Sequence[int] = ()) -> Claim:
    """A trial that has its architecture."""
    choices: dict[str, Option] = {}

    def choose(name: str, options: tuple[Option, ...]) -> Option:
        choices[name] = options[seed % len(options)]
        return choices[name]

    found = space("tiny").propose(choose)
    claim = claims.claim() or sys.exit("no trial is left")
    proposed = {"choices": choices, "parents": parents, "cost": COST}
    claims.propose(claim, architecture=found.to_json(), digest=found.digest, **proposed)
    return claim


def main() -> None:
    """Write ``schemas/rNNNN.sql``."""
    target = Path(__file__).with_name("schemas") / f"r{migrate.newest()}.sql"
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "nas.db"
        with Ledger.open(f"sqlite:///{file}", create=True) as ledger:
            fill(ledger)
        with closing(sqlite3.connect(file)) as connection:
            target.write_text("\n".join([*connection.iterdump(), ""]), encoding="utf-8")


if __name__ == "__main__":
    main()
