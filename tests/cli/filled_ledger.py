"""A ledger on disk with one search in every state, filled as a worker fills it."""

import json
from pathlib import Path

from nas.ledger import EpochRecord, Ledger, SearchConfig, TrialState, Worker
from nas.ledger.claims import Claim, Claims
from nas.ledger.entries import Cost
from tests.measured import disturbed, timed

CONFIG = SearchConfig(
    space="tiny",
    data="digits",
    device="local",
    trials=26,
    epochs=3,
    sampler="tpe",
    seed=1,
    max_latency_ms=0.3,
)
# (accuracy, predicted ms, measured ms, kB) of the complete trials; None: not measured.
COMPLETE = [
    (0.912, 0.041, 0.044, 3.1),
    (0.934, 0.063, None, 6.0),
    (0.951, 0.058, 0.066, 4.4),
    (0.940, 0.112, None, 9.7),
    (0.963, 0.097, 0.105, 8.2),
    (0.958, 0.171, None, 12.9),
    (0.974, 0.152, 0.149, 11.3),
    (0.969, 0.204, None, 21.0),
    (0.981, 0.221, 0.237, 24.8),
    (0.977, 0.268, None, 33.5),
    (0.986, 0.284, 0.301, 41.2),
    (0.925, 0.088, None, 5.2),
    (0.967, 0.139, None, 17.6),
    (0.948, 0.235, None, 15.0),
]
FRONT = 6  # those that were measured
DISTURBED = 8  # the trial whose time is worthless
INFEASIBLE = [0.34, 0.41, 0.47, 0.38, 0.52, 0.33]
KINDS = {
    "separable": ("depthwise", "pointwise"),
    "shuffle": ("reduce", "depthwise", "expand"),
    "fire": ("squeeze", "expand1", "expand3"),
}
# (key, share of the latency) of a network's workloads.
WORKLOADS = [
    ("conv2d(batch=1,height=8,width=8,kernel=3,stride=1,padding=1,in_channels=1,out_channels=16,"
     "groups=1,weight=float,input=float,relu=False)", 0.5),
    ("bitserial_conv2d(batch=1,height=8,width=8,kernel=1,stride=1,padding=0,in_channels=16,"
     "out_channels=32,groups=1,weight=binary,relu=False)", 0.25),
    ("sign_pack(batch=1,height=8,width=8,channels=16,groups=1,threshold=channel)", 0.05),
    ("concat(batch=1,pixels=64,channels=(16, 32))", 0.15),
    ("sign_pack(batch=1,height=8,width=8,channels=16,groups=1,threshold=channel)", 0.05),
]  # fmt: skip
PRECISIONS = ("binary", "dithered", "ternary", "int8", "float")


def fill(path: Path) -> str:
    """Write the searches ``demo`` (in every state) and ``empty`` (all queued); give the URL."""
    url = f"sqlite:///{path}"
    with Ledger.open(url, create=True) as ledger:
        ledger.create_search("demo", CONFIG)
        claims = Claims(ledger, "demo", Worker.this_process())
        for row in COMPLETE:
            _complete(claims, row)
        for latency in INFEASIBLE:
            claim = claims.claim()
            assert claim is not None
            propose(claims, claim, latency, 50.0)
            claims.finish(claim, TrialState.INFEASIBLE)
        _end(claims, TrialState.PRUNED, 0.12)
        paused = claims.claim()
        assert paused is not None
        propose(claims, paused, 0.19, 10.0)
        claims.record_epoch(paused, EpochRecord(1, 2.1, 0.31, 2.0))
        claims.pause(paused, epoch=1, accuracy=0.31)
        _end(claims, TrialState.FAILED, 0.21, error="RuntimeError: [31mout of\nmemory[/bold]")
        running = claims.claim()
        assert running is not None
        propose(claims, running, 0.16, 10.0)
        claims.record_epoch(running, EpochRecord(1, 1.31, 0.71, 2.0))
        ledger.create_search("empty", SearchConfig("tiny", "digits", "local", trials=2, epochs=1))
    return url


def propose(claims: Claims, claim: Claim, latency: float, size: float) -> None:
    """Record an architecture that differs by the trial's number, and its cost."""
    number = claim.trial.number
    digest = f"{number:02d}" + "ab" * 31
    text = architecture_json(number)
    claims.propose(claim, choices={"stage1.block": "shuffle"}, architecture=text, digest=digest)
    by_workload = [(key, latency * share) for key, share in WORKLOADS]
    claims.record_cost(claim, Cost(latency, size, by_workload))


def architecture_json(number: int) -> str:
    """A valid architecture."""
    blocks = []
    for index in range(2 + number % 2):
        kind = list(KINDS)[(number + index) % 3]
        names = {role: PRECISIONS[(number + index + place) % 5] for place, role in enumerate(KINDS[kind])}
        blocks.append(
            {
                "kind": kind, "width": 16 << index, "kernel": 3 + 2 * (number % 2), "stride": 1 + index % 2,
                "groups": 4 if kind == "shuffle" else 1, "precisions": names,
            }
        )  # fmt: skip
    stem = {"width": 16, "kernel": 3, "stride": 1, "precision": "float"}
    return json.dumps(
        {
            "space": "tiny", "input_shape": [1, 8, 8], "classes": 10, "stem": stem, "blocks": blocks,
            "head": {"precision": "float"},
        }
    )  # fmt: skip


def _complete(claims: Claims, row: tuple[float, float, float | None, float]) -> None:
    accuracy, latency, measured, size = row
    claim = claims.claim()
    assert claim is not None
    propose(claims, claim, latency, size)
    for epoch in (1, 2, 3):
        reached = accuracy - 0.09 * (3 - epoch) ** 1.5 / 2
        claims.record_epoch(claim, EpochRecord(epoch, 1.2 / epoch, reached, 1.9))
    claims.finish(claim, TrialState.COMPLETE, accuracy=accuracy)
    if measured is not None:
        claim = claims.claim_measuring([claim.trial.number])
        assert claim is not None
        claims.record_measured(
            claim, measured=(disturbed if claim.trial.number == DISTURBED else timed)(measured)
        )


def _end(claims: Claims, state: TrialState, latency: float, error: str | None = None) -> None:
    claim = claims.claim()
    assert claim is not None
    propose(claims, claim, latency, 14.0)
    claims.record_epoch(claim, EpochRecord(1, 1.5, 0.55, 2.1))
    claims.finish(claim, state, error=error)
