"""How what is asked for differs from what a search was made with, and what to say of it."""

from collections.abc import Collection, Iterator
from dataclasses import fields, replace
from typing import Any, NamedTuple

from nas.hints import command
from nas.ledger.records import SearchConfig, SearchRecord
from search_spaces.errors import InvalidInput, Parameter

MOST = 3
"""Differences that are told of."""


class Difference(NamedTuple):
    """A setting, what the search was made with, and what is asked for now."""

    name: str
    stored: Any
    given: Any


def asked(config: SearchConfig) -> SearchConfig:
    """What was asked for: a relative limit as such, not in the milliseconds that it came to be."""
    if config.median_latency_ms is None:
        return config
    return replace(config, median_latency_ms=None, max_latency_ms=None)


def differences(
    stored: SearchConfig, given: SearchConfig, names: Collection[str] | None = None
) -> Iterator[Difference]:
    """What differs of the settings with these names; of all where there are none."""
    stored = asked(stored)
    for name in (f.name for f in fields(SearchConfig)):
        before, now = getattr(stored, name), getattr(given, name)
        if before != now and (names is None or name in names):
            yield Difference(name, before, now)


def refuse_changes(record: SearchRecord, given: SearchConfig, names: Collection[str]) -> None:
    """InvalidInput where a setting is given with which a search was not made that is to go on."""
    for name, stored, now in differences(record.config, given, names):
        if name == "trials":
            more = now - record.config.trials
            fix = "leave it out" if more < 0 else (f"leave it out, and give {more} for ", Parameter("more"))
            raise InvalidInput(name, f"'{record.name}' has {stored}", fix)
        problem = f"'{record.name}' was made {_with(stored)}"
        raise InvalidInput(name, problem, "leave it out, or make a new search")


def refuse_taken(record: SearchRecord, given: SearchConfig, storage: str) -> None:
    """InvalidInput: a new search was to have the name of this one; the message tells how they differ."""
    go_on = command("search", resume=record.name, storage=storage)
    found = list(differences(record.config, given))
    if found:
        told: list[str | Parameter] = [f"'{record.name}' is taken by a search "]
        for index, (name, stored, now) in enumerate(found[:MOST]):
            told += [" and " if index else "with ", Parameter(name), f" {_shown(stored)}, not {_shown(now)}"]
        told += [f" and {len(found) - MOST} more that differ"] if len(found) > MOST else []
        fix = f"choose another name, or go on with it as it is: {go_on}"
        raise InvalidInput("name", tuple(told), fix)
    if record.finished:
        more = command("search", resume=record.name, more=record.config.trials, storage=storage)
        see = command("pareto", record.name, storage=storage)
        problem = f"'{record.name}' is taken: it has these settings, and is finished"
        raise InvalidInput("name", problem, f"see it: {see}, or try more: {more}")
    problem = f"'{record.name}' is taken: it has these settings, and is not finished"
    raise InvalidInput("name", problem, f"go on with it: {go_on}")


def _with(value: Any) -> str:
    return "without it" if value in (None, (), {}, "") else f"with {_shown(value)}"


def _shown(value: Any) -> str:
    """A setting as it is typed, more or less."""
    if isinstance(value, dict):
        return ", ".join(f"{name}={_shown(option)}" for name, option in value.items()) or "none"
    if isinstance(value, tuple):
        return ",".join(map(str, value)) or "none"
    if isinstance(value, float):
        return f"{value:g}"
    return "none" if value in (None, "") else str(value)
