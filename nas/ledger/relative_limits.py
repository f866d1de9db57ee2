"""Limits that are shares of what the median architecture of a space has, and how they become absolute."""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Self

from nas.objectives import is_known, objective
from search_spaces.errors import InvalidInput, Parameter

LATENCY = "latency"
"""The objective whose relative limit has a setting of its own."""


class RelativeLimits(ABC):
    """The part of a search's settings that is about relative limits; ``SearchConfig`` has the fields."""

    max_latency_share: float | None
    median_latency_ms: float | None
    limits: Mapping[str, float]
    limit_shares: Mapping[str, float]
    medians: Mapping[str, float]

    @property
    @abstractmethod
    def limited(self) -> dict[str, float]:
        """Every absolute limit, by its objective's name."""

    def check_shares(self) -> None:
        """InvalidInput where what is limited relatively has no median, or another limit, too."""
        if LATENCY in self.limit_shares:
            fix = "give ", Parameter("max_latency", python="max_latency_share")
            raise InvalidInput("limit_shares", f"'{LATENCY}' has a setting of its own", fix)
        for name in self.shares:
            parameter = "max_latency_share" if name == LATENCY else "limit_shares"
            if is_known(name) and not objective(name).is_known_before_training:
                instead = "give a limit of what architectures cost before training"
                raise InvalidInput(parameter, f"{name} is known only after training", instead)
            if name in self.limited and name not in self.known_medians:
                setting = objective(name).limit or "limits"
                of = "" if name == LATENCY else f" of '{name}'"
                problem = "it and ", Parameter(setting), f" limit the same{of}"
                raise InvalidInput(parameter, problem, "give one of the two")

    @property
    def shares(self) -> dict[str, float]:
        """Every relative limit, by its objective's name."""
        latency = {} if self.max_latency_share is None else {LATENCY: self.max_latency_share}
        return {**latency, **self.limit_shares}

    @property
    def known_medians(self) -> dict[str, float]:
        """What relative limits are shares of, by the objective's name, as far as it is known."""
        latency = {} if self.median_latency_ms is None else {LATENCY: self.median_latency_ms}
        return {**latency, **self.medians}

    @property
    def awaited(self) -> tuple[str, ...]:
        """The objectives whose limits are shares of a median that is not known yet, by name."""
        return tuple(name for name in self.shares if name not in self.known_medians)

    def with_median(self, name: str, median: float) -> Self:
        """The config with the relative limit of an objective that it awaits in the objective's unit."""
        limit = self.shares[name] * median
        setting = objective(name).limit
        fixed = {setting: limit} if setting else {"limits": {**self.limits, name: limit}}
        if name == LATENCY:
            return self._with(median_latency_ms=median, **fixed)
        return self._with(medians={**self.medians, name: median}, **fixed)

    def without_medians(self) -> Self:
        """As it was asked for: its relative limits are not resolved."""
        settings = {setting: None for name in self.known_medians if (setting := objective(name).limit)}
        limits = {name: limit for name, limit in self.limits.items() if name not in self.known_medians}
        return self._with(median_latency_ms=None, medians={}, limits=limits, **settings)

    def _with(self, **settings: Any) -> Self:
        return replace(self, **settings)  # type: ignore[type-var]  # it is the dataclass that has the fields
