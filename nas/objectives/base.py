"""The contract of an objective: a figure of networks that a search makes better, or keeps within a limit."""

import math
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import TYPE_CHECKING, NamedTuple, Protocol

from nas.formatting import MISSING
from search_spaces.errors import BitnasError

if TYPE_CHECKING:
    from search_spaces import Buildable


class ObjectiveValue(NamedTuple):
    """A figure of a trial, and the interval it lies in; an exact one has an interval of no width.

    ``estimated`` is how many of its parts were never measured.
    """

    value: float
    low: float
    high: float
    estimated: int = 0

    @classmethod
    def exact(cls, value: float) -> "ObjectiveValue":
        """A figure that is known."""
        return cls(value, value, value)


class Figures(Protocol):
    """What an objective may look at of a trial; ``nas.ledger.TrialRecord`` is one."""

    @property
    def accuracy(self) -> float | None: ...
    @property
    def latency_ms(self) -> float | None: ...
    @property
    def latency_low_ms(self) -> float | None: ...
    @property
    def latency_high_ms(self) -> float | None: ...
    @property
    def estimated(self) -> Sequence[str]: ...
    @property
    def size_kb(self) -> float | None: ...
    @property
    def costs(self) -> Mapping[str, ObjectiveValue]: ...
    @property
    def architecture(self) -> str | None: ...


class Objective(ABC):
    """A figure of merit or of cost, such as accuracy, latency or memory.

    Objectives hold no state: any number of workers and threads ask one. Each is found by its name in
    ``nas.objectives.objectives``, and by plug-ins' through the entry points ``bitnas.objectives``.
    ``nas.testing.ObjectiveConformance`` holds what is promised here.

    Attributes:
        name: what users type; lower-case letters, digits and underscores.
        title: what tables and axes call it.
        unit: of its values; empty for shares and counts.
        is_maximized: whether more is better.
        limit: the setting of a search that limits it, such as ``max_size_kb``; empty where only the general
            one (``limits``) does.
        is_predicted: whether its values are predictions, of what may be measured later.
        parts: the names of the objectives that it is computed from, if it is.
        worst: what stands for a trial that never got a value, such as one that was not trained.
    """

    name: str
    title: str
    unit: str = ""
    is_maximized: bool = False
    limit: str = ""
    is_predicted: bool = False
    parts: tuple[str, ...] = ()
    worst: float = 0.0

    @property
    def is_known_before_training(self) -> bool:
        """Whether ``of`` gives a value for a trial that was not trained yet."""
        return True

    @property
    def heading(self) -> str:
        """Title and unit, for a column or an axis."""
        return f"{self.title} ({self.unit})" if self.unit else self.title

    @abstractmethod
    def of(self, trial: Figures) -> ObjectiveValue | None:
        """What a trial has; None where it is not known (yet)."""

    def cost(self, architecture: "Buildable") -> float | None:
        """What an architecture has, from itself alone; None where that cannot be told.

        A finite number is kept with the trial, under this objective's name (``TrialRecord.costs``). It is
        called once a trial, before training, in a worker.

        Raises:
            BitnasError: the architecture cannot be built; the trial fails with the message.
        """
        return None

    def show(self, value: float | None) -> str:
        """A value without its unit."""
        return MISSING if value is None else f"{value:.4g}"

    def told(self, value: float | None) -> str:
        """A value with its unit."""
        return f"{self.show(value)} {self.unit}".rstrip() if value is not None else MISSING

    def over(self, value: ObjectiveValue, limit: float) -> str:
        """In words, that a value breaks a limit; an estimate tells its interval."""
        shown = self.told(value.value), self.told(limit)
        if shown[0] == shown[1]:  # rounded alike, though one is over the other
            shown = f"{value.value:.6g} {self.unit}".rstrip(), f"{limit:.6g} {self.unit}".rstrip()
        how = "estimated " if value.estimated else "predicted " if self.is_predicted else ""
        interval = f" ({self.show(value.low)} to {self.show(value.high)})" if value.estimated else ""
        return f"{how}{self.title} of {shown[0]}{interval} is {self.beyond} the limit of {shown[1]}"

    @property
    def beyond(self) -> str:
        """Where a value is that breaks a limit: under it if more is better."""
        return "under" if self.is_maximized else "over"

    def check_limit(self, limit: float) -> str | None:
        """How to mend a limit that makes no sense, in words; None where it does."""
        return None if math.isfinite(limit) and limit > 0 else "give a finite number above 0, or omit it"

    def keeps(self, value: float | None, limit: float) -> bool:
        """Whether a value, if there is one, is within a limit: no less if more is better, else no more."""
        return value is None or self.loss(value) <= self.loss(limit)

    def loss(self, value: float) -> float:
        """The value so that less is better."""
        return -value if self.is_maximized else value


class ArchitectureCost(Objective):
    """An objective that ``cost`` computes from the architecture, kept under its name with each trial."""

    def of(self, trial: Figures) -> ObjectiveValue | None:
        """What was computed before the training; now, for a trial of before this was an objective."""
        if self.name in trial.costs or trial.architecture is None:
            return trial.costs.get(self.name)
        return _computed(self, trial.architecture)

    @abstractmethod
    def cost(self, architecture: "Buildable") -> float:
        """What an architecture has."""


@lru_cache(maxsize=4096)
def _computed(objective: ArchitectureCost, architecture: str) -> ObjectiveValue | None:
    """The cost of an architecture, from its JSON; None where it no longer builds."""
    from search_spaces import read_architecture

    try:
        return ObjectiveValue.exact(objective.cost(read_architecture(architecture)))
    except BitnasError:
        return None
