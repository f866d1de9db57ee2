"""The data of searches as pages ask for it: the last few are kept, packed, until they change."""

import gzip
import json
from collections.abc import Callable
from dataclasses import dataclass, field
from threading import Lock
from typing import Any

from nas.analysis.search_data import SearchData
from nas.ledger import Ledger
from search_spaces.errors import BitnasError

MOST = 8
"""Searches that are kept; the one that nobody has asked for longest goes first."""
FAST = 3
"""Of gzip's levels: the frame of 10,000 trials takes a tenth of a second."""
KINDS: dict[str, Callable[[SearchData], dict[str, Any]]] = {
    "frame": SearchData.frame,
    "history": SearchData.history,
    "curves": SearchData.curves,
}


@dataclass
class _Kept:
    """One search, and what was packed of it, by kind: the tag that it had, and the bytes."""

    ledger: Ledger
    data: SearchData
    packed: dict[str, tuple[str, bytes]] = field(default_factory=dict)


class Frames:
    """The searches of one ledger."""

    def __init__(self, storage: str) -> None:
        self._storage, self._lock = storage, Lock()
        self._kept: dict[str, _Kept] = {}

    def packed(self, name: str, kind: str) -> tuple[str, bytes]:
        """What a page needs of a search, one of ``KINDS``, as JSON packed by gzip, and its tag.

        Raises:
            BitnasError: there is no such search, or the ledger cannot be read.
        """
        kept = self._of(name)
        try:
            kept.data.frame()  # brings the tag up to date
            tag, body = kept.packed.get(kind, ("", b""))
            if tag != kept.data.tag:
                tag = kept.data.tag
                body = _packed(KINDS[kind](kept.data))
                kept.packed[kind] = tag, body
        except BitnasError:
            self._forget(name)  # what comes back may be another file
            raise
        return tag, body

    def _of(self, name: str) -> _Kept:
        with self._lock:
            kept = self._kept.pop(name, None)
            if kept is None:
                ledger = Ledger.open(self._storage, read_only=True)
                try:
                    kept = _Kept(ledger, SearchData(ledger, name))
                except BitnasError:
                    ledger.close()
                    raise
            self._kept[name] = kept  # the last is the one that was asked for last
            for oldest in list(self._kept)[:-MOST]:
                self._kept.pop(oldest).ledger.close()
            return kept

    def _forget(self, name: str) -> None:
        with self._lock:
            kept = self._kept.pop(name, None)
        if kept is not None:
            kept.ledger.close()


def _packed(told: dict[str, Any]) -> bytes:
    return gzip.compress(json.dumps(told, separators=(",", ":")).encode(), FAST)
