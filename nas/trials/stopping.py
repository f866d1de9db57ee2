"""Which trials of a search go on, by its pruner and by what the ledger holds now."""

import math
from collections.abc import Iterator
from dataclasses import replace
from enum import Enum

from nas.algorithms.pruners import Pruner, Standing, pruners
from nas.ledger.checkpoints import end_paused, running_epochs
from nas.ledger.claims import Claim, Claims
from nas.ledger.curves import Curves, Values
from nas.ledger.history import History
from nas.ledger.records import SearchConfig, TrialRecord, TrialState
from nas.ledger.store import Ledger
from nas.objectives import Objective, ObjectiveValue, objective

Losses = tuple[float, ...]


class Decision(Enum):
    """What becomes of a trial after one of its epochs."""

    GO = "go on"
    PAUSE = "pause"
    STOP = "stop for good"


class Stopping:
    """Asks the pruner of a search for one worker; what it knows is the ledger's.

    Attributes:
        pruner: of the search.
        pauses: whether trials are paused, and may go on.
    """

    def __init__(self, ledger: Ledger, history: History, search: str, config: SearchConfig) -> None:
        self._ledger, self._history, self._search = ledger, history, search
        self.pruner: Pruner = pruners.get(config.pruner)(config)
        self.pauses = self.pruner.pauses
        numbers = range(config.trials) if self.pauses else range(1)
        self._curves = Curves(ledger, search, {rung for n in numbers for rung in self.pruner.rungs(n)})
        self._objectives = [objective(name) for name in config.objectives]
        self._learned = [o.name for o in self._objectives if not o.is_known_before_training]
        self._judged: dict[tuple[int, bool], tuple[list[tuple[int, Losses]], set[int]]] = {}
        self._known: dict[tuple[int, int], tuple[TrialRecord, Values, Standing | None]] = {}

    def decide(self, number: int, epoch: int, *, gone_on_from: int = 0) -> Decision:
        """What becomes of a running trial after ``epoch``, which is recorded and is not its last.

        Where it was paused before, it has gone on from there and is not judged again until it is past that.
        """
        if epoch <= gone_on_from or epoch not in self.pruner.rungs(number):
            return Decision.GO
        self._refresh()
        if self._is_unknown(number, epoch) or self._going_on(epoch, {number}, closing=False):
            return Decision.GO
        return Decision.PAUSE if self.pauses else Decision.STOP

    def promotable(self) -> list[int]:
        """The paused trials that go on now, of the highest rung where there are any."""
        if not self.pauses:
            return []
        self._refresh()
        for rung, numbers in sorted(self._paused().items(), reverse=True):
            if found := self._going_on(rung, numbers, closing=False):
                return sorted(found)
        return []

    def last(self) -> list[int]:
        """The paused trials that go on when none is queued any more, of the lowest rung where there are any.

        Nobody comes to a rung once no trial below it runs or goes on, so each is closed after those below it.
        """
        running = running_epochs(self._ledger, self._search)  # first: who runs then, may come yet
        self._refresh()
        for rung, numbers in sorted(self._paused().items()):
            if any(done < rung for done in running):
                return []
            if found := self._going_on(rung, numbers, closing=True):
                return sorted(found)
        return []

    def are_all_begun(self) -> bool:
        """Whether no trial is queued."""
        return not self._ledger.search(self._search).counts[TrialState.QUEUED]

    def end(self) -> bool:
        """Prune the trials that are paused for good; False where it is too early to tell."""
        if self.last():
            return False
        return end_paused(self._ledger, self._search, self._history.revision)

    def _refresh(self) -> None:
        self._history.refresh()  # first: what has changed since is noticed by its revision
        self._curves.refresh()

    def _paused(self) -> dict[int, set[int]]:
        """The numbers of the paused trials by the epoch after which they are."""
        found: dict[int, set[int]] = {}
        for trial in self._history.trials:
            if trial.state is TrialState.PAUSED:
                found.setdefault(trial.epochs_done or 0, set()).add(trial.number)
        return found

    def _is_unknown(self, number: int, epoch: int) -> bool:
        """Whether nothing was reported that a trial could be judged by."""
        return all(standing.number != number for standing in self._standings(epoch))

    def _going_on(self, epoch: int, numbers: set[int], *, closing: bool) -> set[int]:
        seen = _comparable(list(self._standings(epoch)))
        if not seen or not seen[0].learned:
            return set()
        if not self.pauses:
            asked = [standing for standing in seen if standing.number in numbers]
            return self.pruner.go_on(asked, seen, closing=closing)
        by = [(standing.number, standing.losses) for standing in seen]
        if (known := self._judged.get((epoch, closing))) is None or known[0] != by:
            known = self._judged[epoch, closing] = by, self.pruner.go_on(seen, seen, closing=closing)
        return known[1] & numbers

    def _standings(self, epoch: int) -> Iterator[Standing]:
        reported = self._curves.at(epoch)
        for trial in self._history.trials:
            if (values := reported.get(trial.number)) is None:
                continue
            known = self._known.get((trial.number, epoch))
            if known is None or known[0] is not trial or known[1] is not values:
                known = trial, values, self._standing(trial, values)
                self._known[trial.number, epoch] = known
            if known[2] is not None:
                yield known[2]

    def _standing(self, trial: TrialRecord, values: Values) -> Standing | None:
        """A trial as it stood when it reported those values; NaN stands for what was not known then.

        None where it failed, lacks what was to be known before, or reported no objective.
        """
        costs = {name: cost for name, cost in trial.costs.items() if name not in self._learned}
        reported = {name: ObjectiveValue.exact(value) for name, value in values.items()}
        then = replace(trial, accuracy=values.get("accuracy"), costs={**costs, **reported})
        losses = {o.name: _loss(o, then) for o in self._objectives}
        learned = tuple(losses.pop(name) for name in self._learned)
        before = tuple(losses.values())
        if trial.state is TrialState.FAILED or any(map(math.isnan, before)) or all(map(math.isnan, learned)):
            return None
        return Standing(trial.number, before, learned, trial.state is TrialState.COMPLETE)


def next_claim(claims: Claims, stopping: Stopping) -> Claim | None:
    """What a worker is to train: a paused trial that goes on now, before another is begun.

    What an owner has left comes first of all. When all were begun, those that go on all the same; when none
    does, the paused trials end.
    """
    if not stopping.pauses:
        return claims.claim()
    found = claims.claim_abandoned() or claims.claim_paused(stopping.promotable()) or claims.claim()
    if found is None and stopping.are_all_begun():
        found = claims.claim_paused(stopping.last())
        if found is None:
            stopping.end()
    return found


def _loss(named: Objective, trial: TrialRecord) -> float:
    value = named.of(trial)
    return math.nan if value is None else named.loss(value.value)


def _comparable(seen: list[Standing]) -> list[Standing]:
    """Without the objectives that are not known of all, such as those that only a training's end tells."""
    gaps = {place for trial in seen for place, loss in enumerate(trial.learned) if math.isnan(loss)}
    return [_without(trial, gaps) for trial in seen] if gaps else seen


def _without(trial: Standing, gaps: set[int]) -> Standing:
    left = (loss for place, loss in enumerate(trial.learned) if place not in gaps)
    return replace(trial, learned=tuple(left))
