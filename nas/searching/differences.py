"""How what is asked for differs from what a search was made with, and what to say of it."""

from collections.abc import Collection, Iterator
from dataclasses import fields
from typing import Any, NamedTuple

from nas.analysis.settings import LIMITS, limits_asked
from nas.formatting import counted, told_setting
from nas.hints import command
from nas.ledger.records import SearchConfig, SearchRecord
from nas.objectives import is_known, objective
from search_spaces.errors import InvalidInput, Parameter

MOST = 3
"""Differences that are told of."""


class Difference(NamedTuple):
    """A setting, what the search was made with, and what is asked for now."""

    name: Parameter
    stored: Any
    given: Any


def differences(stored: SearchConfig, given: SearchConfig, names: Collection[str]) -> Iterator[Difference]:
    """What differs of the settings with these names."""
    for name in (f.name for f in fields(SearchConfig) if f.name in names and f.name not in LIMITS):
        before, now = getattr(stored, name), getattr(given, name)
        if before != now:
            yield Difference(Parameter(name), before, now)


def limits_that_differ(stored: SearchConfig, given: SearchConfig, is_all: bool) -> Iterator[Difference]:
    """The limits that differ; of those given alone, unless ``is_all``."""
    before, now = limits_asked(stored), limits_asked(given)
    for name in {**now, **before} if is_all else now:
        if before.get(name) != now.get(name):
            yield Difference(_setting(name, now.get(name, before.get(name))), before.get(name), now.get(name))


def _setting(name: str, limit: float | str | None) -> Parameter:
    """The setting that limits an objective."""
    if name == "latency" and isinstance(limit, str):
        return Parameter("max_latency", python="max_latency_share")
    return Parameter((objective(name).limit if is_known(name) else "") or "limits")


def refuse_changes(record: SearchRecord, given: SearchConfig, names: Collection[str]) -> None:
    """InvalidInput where a setting is given with which a search was not made that is to go on."""
    if "trials" in names and given.trials != record.config.trials:
        more = given.trials - record.config.trials
        fix = ("leave it out",) if more < 0 else (f"leave it out, and give {more} for ", Parameter("more"))
        raise InvalidInput("trials", f"'{record.name}' has {record.config.trials}", fix)
    found = [
        *differences(record.config, given, names),
        *limits_that_differ(record.config, given, is_all=False),
    ]
    for name, stored, _ in found:
        problem = f"'{record.name}' was made {_with(stored)}"
        raise InvalidInput(name.name, problem, "leave it out, or make a new search")


def refuse_taken(record: SearchRecord, given: SearchConfig, storage: str) -> None:
    """InvalidInput: a new search was to have the name of this one; the message tells how they differ."""
    if record.origin.steps:
        by = command(record.origin.steps["command"])
        raise InvalidInput("name", f"'{record.name}' is taken by a search of {by}", "choose another name")
    go_on = command("search", resume=record.name, storage=storage)
    everything = {f.name for f in fields(SearchConfig)}
    found = [
        *differences(record.config, given, everything),
        *limits_that_differ(record.config, given, is_all=True),
    ]
    if found:
        told: list[str | Parameter] = [f"'{record.name}' is taken by a search "]
        for index, (name, stored, now) in enumerate(found[:MOST]):
            told += [" and " if index else "with ", name, _how(name.name, stored, now)]
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


def _how(name: str, stored: Any, now: Any) -> str:
    """How two values of a setting differ; whole architectures are too long to be told."""
    if name != "first":
        return f" {told_setting(stored)}, not {told_setting(now)}"
    if len(stored) == len(now):
        return " of other networks"
    return f" of {counted(len(stored), 'network')}, not {len(now)}"


def _with(value: Any) -> str:
    return "without it" if value in (None, (), {}, "") else f"with {told_setting(value)}"
