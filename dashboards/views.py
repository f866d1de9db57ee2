"""Views: a step that computes, a check whether there is something to show yet, a step that draws."""

import logging
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from dashboards.parts import card, notice
from search_spaces.errors import BitnasError

D = TypeVar("D")
log = logging.getLogger("bitnas.dashboard")


@dataclass(frozen=True)
class View(Generic[D]):
    """One card of a page. ``why_not`` gives the reason when the data cannot be shown yet, else None."""

    title: str
    compute: Callable[[], D]
    why_not: Callable[[D], str | None]
    draw: Callable[[D], Any]
    note: str = ""

    def show(self) -> Any:
        """The card: drawn, or saying why it cannot be."""
        try:
            data = self.compute()
            reason = self.why_not(data)
            body = notice(reason) if reason else self.draw(data)
        except Exception as error:
            body = notice(explain(error), failed=True)
        return card(self.title, body, self.note)


def explain(error: Exception) -> str:
    """One line for the page; what nobody foresaw goes to the log in full."""
    if isinstance(error, BitnasError):
        return str(error)
    log.error("a view failed", exc_info=error)
    return f"This cannot be shown: {type(error).__name__}: {error}"
