"""Rounds of kills: the processes of a search are killed until it has ended all the same, and is checked."""

import time
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import Protocol

from benchmarks.soak.oracle import Found, SideLog, check
from benchmarks.soak.processes import (
    Search,
    descendants_of,
    kill,
    new_search,
    outliving,
    runs,
    same_search,
)
from nas.ledger import Ledger

PATIENCE_S = 120.0
"""So long nothing may happen, with nobody killed meanwhile."""
PAUSE_S = 0.5
"""A kill comes up to so long after a worker has claimed a trial."""
WORKER, PARENT, ALL, SERVER = "worker", "parent", "parent and workers", "server"
ACTOR, DRIVER, NODE = "actor", "driver", "node"
HALVING = ("--pruner", "halving", "--epochs", "8")
"""Settings of every other search: trials are paused, and some go on."""
EVENTS = "events"
"""The side log, in the soak's folder."""
SHARES = {WORKER: 0.7, PARENT: 0.15, ALL: 0.15}
RAY_SHARES = {ACTOR: 0.8, DRIVER: 0.1, PARENT: 0.1}


class Server(Protocol):
    """Something that a search needs and that can be killed: a database server, a node of a cluster."""

    def stop(self) -> None:
        """At once, as by ``pg_ctl stop -m immediate``, or as if it had lost its power."""

    def start(self) -> None:
        """Start it, and wait until it answers."""


@dataclass
class Soak:
    """One database, and how it is treated.

    Attributes:
        folder: for the side log and what the searches write.
        storage: the ledger's URL.
        kills: how many, of these ``server_kills`` of the server, which are counted as ``server_name``.
        shares: of the kinds of the other kills.
        trials: of each search; with fewer, more searches are made.
        outlives_s: how long a process may outlive its parent.
        options: further ones of ``nas search``.
        tell: is given a line for each search.
    """

    folder: Path
    storage: str
    kills: int
    seed: int = 0
    workers: int = 3
    trials: int = 100
    server: Server | None = None
    server_kills: int = 0
    server_name: str = SERVER
    shares: Mapping[str, float] = field(default_factory=lambda: SHARES)
    outlives_s: float = 2.0
    options: tuple[str, ...] = ()
    tell: Callable[[str], None] = print
    found: Found = field(default_factory=Found)
    killed: Counter[str] = field(default_factory=Counter)
    gave_up: list[tuple[int, str]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._random = Random(self.seed)
        self._log = SideLog(self.folder / EVENTS)

    def run(self) -> Found:
        """Kill so many, and let the last search end."""
        number = 0
        while self.killed.total() < self.kills:
            number += 1
            more = HALVING if number % 2 == 0 else ()
            self._round(f"soak-{self.seed}-{number}", *more)
        return self.found

    def _round(self, name: str, *more: str) -> None:
        """One search, from its beginning to its end; ``more`` are settings of it."""
        started, before = time.monotonic(), self.killed.total()
        search = self._started(new_search(name, self.trials, self.workers, *self.options, *more))
        try:
            while search.process.poll() != 0:
                if search.process.poll() is not None:
                    search = self._again(search, name, *more)
                elif self.killed.total() >= self.kills:
                    self._wait(search, lambda: False)
                elif self._wait(search, self._claim_to_come()):
                    time.sleep(self._random.uniform(0, PAUSE_S))
                    self._kill(search)
                    check(self.found, self.storage, name, self._log.events, is_over=False)
        finally:
            leaving = descendants_of(search.process.pid)
            search.kill()
            self.found.outlived |= {f"{name}: process {each}" for each in outliving(leaving, self.outlives_s)}
        check(self.found, self.storage, name, self._log.events, is_over=True)
        seconds = time.monotonic() - started
        wrong = ", ".join(f"{count} {what}" for what, count in self.found.wrong.items() if count)
        kills = self.killed.total() - before
        self.tell(f"{name}: {self.trials} trials, {kills} kills, {seconds:.0f} s: {wrong or 'all is well'}")

    def _started(self, words: list[str]) -> Search:
        return Search(self.folder, self.storage, self._log.path, *words)

    def _again(self, search: Search, name: str, *more: str) -> Search:
        """Go on with a search that was killed, or has ended with an error before it was over."""
        code, kills = search.process.returncode, self.killed.total()
        if code >= 0:
            last = (search.told.strip().splitlines() or [f"exit code {code}"])[-1]
            if self.gave_up and self.gave_up[-1] == (kills, last):
                raise RuntimeError(f"a search fails by itself: {last}")
            self.gave_up.append((kills, last))
        if self._is_there(name):
            return self._started(same_search(name, self.workers, *self.options))
        return self._started(new_search(name, self.trials, self.workers, *self.options, *more))

    def _is_there(self, name: str) -> bool:
        """Whether a search was written before it was killed."""
        if any(event.get("search") == name for event in self._log.events):
            return True
        with Ledger.open(self.storage, create=True) as ledger:
            return name in {search.name for search in ledger.searches()}

    def _claim_to_come(self) -> Callable[[], bool]:
        """Whether a worker has claimed a trial since now."""
        before = self._claims()
        return lambda: self._claims() > before

    def _claims(self) -> int:
        return sum(event["event"] == "claimed" for event in self._log.events)

    def _wait(self, search: Search, condition: Callable[[], bool]) -> bool:
        """Wait for something, or for the search's end; whether it was the former.

        Raises:
            TimeoutError: neither has happened for so long that the search must hang.
        """
        deadline = time.monotonic() + PATIENCE_S
        while not condition():
            if search.process.poll() is not None:
                return False
            if time.monotonic() > deadline:
                raise TimeoutError(f"nothing happens any more; the search said: {search.told[-2000:]}")
            time.sleep(0.02)
        return True

    def _kill(self, search: Search) -> None:
        """Kill something of a search that runs."""
        kind = self._kind()
        if kind == self.server_name and self.server is not None:
            self.server.stop()
            time.sleep(self._random.uniform(0, 2 * PAUSE_S))
            self.server.start()
        elif kind in (PARENT, ALL):
            others, workers = descendants_of(search.process.pid), search.workers()
            for each in [search.process.pid, *(workers if kind == ALL else ())]:
                kill(each)
            search.process.wait()
            self.found.outlived |= {f"{kind}: process {each}" for each in outliving(others, self.outlives_s)}
        else:
            victims = self._actors() if kind == ACTOR else search.workers()
            if not victims:  # the last one has just ended
                return
            kill(self._random.choice(victims))
        self.killed[kind] += 1

    def _actors(self) -> list[int]:
        """The processes that have begun to evaluate a trial lately, and that run."""
        begun = [event["pid"] for event in self._log.events if event["event"] == "begun"]
        return [each for each in set(begun[-2 * self.workers :]) if runs(each)]

    def _kind(self) -> str:
        left = self.kills - self.killed.total()
        if self._random.random() < (self.server_kills - self.killed[self.server_name]) / left:
            return self.server_name
        (kind,) = self._random.choices(list(self.shares), weights=list(self.shares.values()))
        return kind
