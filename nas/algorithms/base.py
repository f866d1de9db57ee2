"""The contract of an algorithm: what a search tries next."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from search_spaces.registry import Registry
from search_spaces.search_space import Option, SearchSpace

if TYPE_CHECKING:
    from nas.ledger.records import SearchConfig, TrialRecord

Choices = dict[str, Option]
"""What was chosen, by the name of the choice."""


@dataclass(frozen=True)
class Proposal:
    """What a trial is to try.

    Attributes:
        choices: an option for every choice that the space asks for when it builds with them, and no other.
        budget: how many epochs to train; None is all that the search has.
        parents: the numbers of the trials of the history that it was bred from, by mutation or crossing, each
            once; none where it was not bred, or nobody knows from what. They are kept with the trial and
            shown; nothing depends on them.
    """

    choices: Choices
    budget: int | None = None
    parents: tuple[int, ...] = ()


@dataclass(frozen=True)
class Screened:
    """What is known of an architecture before it is trained.

    Attributes:
        digest: its identity.
        values: of every objective and limit of the search that is known by now, by its name.
        over: which limits it is over, in words; None where it is within all.
    """

    digest: str
    values: Mapping[str, float] = field(default_factory=dict)
    over: str | None = None


Screen = Callable[[Choices], Screened]
"""Tells what choices lead to; it measures nothing, and takes from microseconds to tens of milliseconds."""


class Algorithm(ABC):
    """Proposes the trials of one search.

    Every worker has an instance of its own and calls it from one thread, so it need not be safe for
    threads; workers do not share its state. What they share is the history: the trials as the ledger holds
    them, which is all that an algorithm may rely on, since a worker may start in the middle of a search,
    die, and be replaced. So a proposal is a function of the search's settings, the trial's number and the
    history: a worker that starts over proposes the same, and workers that ask at once, with other numbers,
    propose differently.

    Order of calls: ``ask`` for each trial that this worker claims, and again while what it proposes is over a
    limit or known already; ``tell`` once for each trial that this worker ends, before the next ``ask``.
    Whatever either raises fails the trial with that message; ``ExhaustedError`` ends the search.

    ``nas.testing.AlgorithmConformance`` holds what is promised here.

    Attributes:
        screen: tells what choices would cost; whoever makes the algorithm sets it before the first ``ask``.
    """

    screen: Screen

    @abstractmethod
    def ask(
        self,
        number: int,
        history: "Sequence[TrialRecord]",
        passed_over: "Sequence[TrialRecord]" = (),
    ) -> Proposal:
        """What trial ``number`` is to try.

        Args:
            number: the trial's.
            history: the search's trials that have a proposal, by number: queued, running and ended ones,
                without the times of their kernels, the samples of what was passed over, and their parents.
                Ended ones are the same objects as in the last call: what is derived from them may be kept.
            passed_over: what was proposed for this trial so far and passed over: INFEASIBLE where it is over
                a limit, COMPLETE where another trial has had it.
        """

    def tell(self, trial: "TrialRecord") -> None:  # noqa: B027 - most learn from the history alone
        """A trial of this worker has ended, as it is in the ledger now."""


AlgorithmFactory = Callable[[SearchSpace, "SearchConfig"], Algorithm]
algorithms: Registry[AlgorithmFactory] = Registry(
    "algorithm",
    "algorithms",
    homes=(
        "nas.algorithms.auto",
        "nas.algorithms.mutation",
        "nas.algorithms.optuna_samplers",
        "nas.algorithms.tpe",
        "nas.algorithms.uniform",
    ),
)
"""Makes the algorithm of a search, by the name that ``nas search --sampler`` takes."""


def replay(space: SearchSpace, choices: Choices) -> dict[str, tuple[Option, tuple[Option, ...]]] | None:
    """Stored choices, each with the options there were; None when the space no longer offers them."""
    found: dict[str, tuple[Option, tuple[Option, ...]]] = {}

    def choose(name: str, options: tuple[Option, ...]) -> Option:
        chosen = choices[name]
        if chosen not in options:
            raise KeyError(name)
        found[name] = (chosen, options)
        return chosen

    try:
        space.propose(choose)
    except KeyError:
        return None
    return found
