"""Counts, front and hypervolume of a search, from what has changed: the same as from all of its trials."""

from random import Random

import pytest

from nas.analysis.pareto import pareto_of
from nas.analysis.standing import Standing
from nas.ledger import Ledger, SearchConfig, TrialState, Worker
from nas.ledger.claims import Claims
from nas.ledger.entries import Cost
from nas.ledger.history import History
from nas.ledger.tally import Tally

TRIALS = 40
COMPLETE, FAILED = TrialState.COMPLETE, TrialState.FAILED


def cost(generator: Random) -> Cost:
    """Few different values, so that some trials are equal and some measured ones change places."""
    latency = generator.randint(1, 8) / 10
    return Cost(latency, float(generator.randint(1, 8)), [("conv", latency)], estimated=["conv"])


def end(claims: Claims, generator: Random) -> None:
    """Run a trial as a worker does, to one of the ends there are."""
    claim = claims.claim()
    assert claim is not None
    claims.propose(claim, choices={}, architecture="{}", digest=f"{claim.trial.number:064d}")
    claims.record_cost(claim, cost(generator))
    if generator.random() < 0.2:
        claims.finish(claim, FAILED, error="no")
    else:
        claims.finish(claim, COMPLETE, accuracy=generator.randint(1, 8) / 10)


def settle(claims: Claims, number: int, generator: Random) -> None:
    """Measure what was estimated of a trial: its cost is another then."""
    if (claim := claims.claim_measuring([number])) is not None:
        claims.record_cost(claim, cost(generator))
        claims.release(claim)


def test_what_has_changed_leads_to_the_same_as_all_trials(ledger: Ledger) -> None:
    config = SearchConfig("tiny", "digits", "local", trials=TRIALS, epochs=1, max_size_kb=7)
    ledger.create_search("demo", config)
    claims, generator = Claims(ledger, "demo", Worker.this_process()), Random(1)
    tally, history, standing = Tally(ledger, "demo"), History(ledger, "demo"), Standing(config)

    def refresh() -> set[int]:
        changed = history.refresh()
        standing.take_all(changed)
        return {trial.number for trial in changed}

    for number in range(TRIALS):
        assert tally.refresh() == ledger.search("demo")
        assert refresh() == ({number - 1} if number else set())
        assert standing.front.keys() == {t.number for t in ledger.front("demo")}
        end(claims, generator)
    for number in list(standing.front):
        settle(claims, number, generator)
    refresh()
    front = ledger.front("demo")
    assert standing.front.keys() == {t.number for t in front}
    assert standing.best == max(t.accuracy or 0 for t in front)

    anew = Standing(config)
    anew.take_all(ledger.outlines("demo"))
    assert (anew.front, anew.hypervolume) == (standing.front, standing.hypervolume)

    whole = pareto_of(ledger.trials("demo"), config).hypervolume
    assert whole is not None
    assert standing.hypervolume == pytest.approx(whole.share)


def test_nothing_is_counted_where_nothing_has_changed(ledger: Ledger, config: SearchConfig) -> None:
    ledger.create_search("demo", config)
    tally, claims = Tally(ledger, "demo"), Claims(ledger, "demo", Worker.this_process())
    before = tally.refresh()
    assert tally.refresh() is before
    claim = claims.claim()
    assert claim is not None
    assert tally.refresh().counts[TrialState.RUNNING] == 1
    claims.release(claim)
    assert tally.refresh() == before == ledger.search("demo")
