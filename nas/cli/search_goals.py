"""From options of ``nas search`` about its goals to settings: limits, relative or not, and rewards."""

from dataclasses import fields
from typing import Any

import click
from click.core import ParameterSource

from nas.cli.options import Limit
from nas.ledger.records import SearchConfig
from nas.objectives import Reward, objective, objectives
from search_spaces.errors import InvalidInput, Parameter

OPTIONS_OF_REWARD = ("target_latency_ms", "w")


def goals_of(context: click.Context, options: dict[str, Any]) -> dict[str, Any]:
    """The settings of a search that the options about objectives and limits stand for, by name."""
    given = _limits(options)
    values = {name: limit.value for name, (_, limit) in given.items() if limit.value is not None}
    shares = {name: limit.share for name, (_, limit) in given.items() if limit.share is not None}
    settings = _settings()
    return {
        "max_latency_share": shares.pop("latency", None),
        **{setting: values.pop(name, None) for name, setting in settings.items()},
        "limits": values,
        "limit_shares": shares,
        "objectives": _objectives(context, options),
    }


def limited_by() -> dict[str, str]:
    """The objectives by the parameters of options that limit them."""
    return {"max_latency": "latency", **{setting: name for name, setting in _settings().items()}}


def _settings() -> dict[str, str]:
    """The settings of a search that are limits, by the names of their objectives."""
    known = {field.name for field in fields(SearchConfig)}
    return {name: objective(name).limit for name in objectives if objective(name).limit in known}


def _limits(options: dict[str, Any]) -> dict[str, tuple[str, Limit]]:
    """Every limit by the name of its objective, with the parameter that gave it.

    Raises:
        InvalidInput: two of them are of the same objective.
    """
    named = [(name, setting, options[setting]) for setting, name in limited_by().items()]
    named += [(name, "limits", limit) for name, limit in options["limits"]]
    found: dict[str, tuple[str, Limit]] = {}
    for name, parameter, limit in named:
        if limit is None:
            continue
        if name in found:
            problem = Parameter(found[name][0]), " limits the same"
            raise InvalidInput(parameter, problem, "give one of the two")
        found[name] = parameter, limit if isinstance(limit, Limit) else Limit(limit, None)
    return found


def _objectives(context: click.Context, options: dict[str, Any]) -> tuple[str, ...]:
    """As named, or the reward that is asked for.

    Raises:
        InvalidInput: the reward's parameters are missing, out of range, or without a reward.
    """
    kind, target = options["reward"], options["target_latency_ms"]
    if kind is None:
        for name in OPTIONS_OF_REWARD:
            if options[name] is not None:
                raise InvalidInput(name, "it belongs to a reward", ("give ", Parameter("reward"), ", too"))
        return tuple(options["objectives"])
    if context.get_parameter_source("objectives") is ParameterSource.COMMANDLINE:
        fix = "leave it out, or ", Parameter("reward")
        raise InvalidInput("objectives", "a reward is the one objective of a search", fix)
    if target is None:
        raise InvalidInput(
            "target_latency_ms", f"the reward {kind} needs one", "give milliseconds, such as 3"
        )
    return (Reward(kind, target, options["w"]).name,)
