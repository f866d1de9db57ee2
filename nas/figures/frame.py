"""The trials of a search as columns, in plain data: what the views in a browser draw, link and filter."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any

from nas.figures.data import SHORT_DIGEST, axes_of, notes, shown_objectives
from nas.figures.style import STATE_COLOURS
from nas.hints import command, without_password
from nas.objectives import DEFAULT, Objective, is_known, objective

if TYPE_CHECKING:
    from nas.ledger import SearchConfig, SearchRecord, TrialRecord

MEASURED = "measured_latency"
"""The name of the column of whole networks' times, beside those of the objectives."""
NUMBER = "NUMBER"
"""Stands for a trial's number in the command that exports it."""
NO_OPTION = -1
"""Stands for the option of a choice that a trial did not come to."""
SUMMED = "block", "precision"
"""Kinds of choices that are made once for each stage or layer, by the ends of their names."""


def frame_of(
    search: "SearchRecord", trials: Sequence["TrialRecord"], front: Sequence[int], storage: str
) -> dict[str, Any]:
    """All that the linked views of a search need, ready for JSON.

    Args:
        search: whose trials they are.
        trials: by number, with their choices.
        front: the numbers of the trials that no other beats in the search's objectives.
        storage: the ledger that they lie in, for the command that exports one.

    Returns:
        ``search``, ``axes`` (name, title, unit and sense of each numeric column), ``columns`` (one list a
        column, one value a trial, null where there is none), ``choices`` (options, and the option's index of
        each trial), and what a view begins with.
    """
    config = search.config
    x, y, colour = axes_of(config)
    names = [name for name in shown_objectives(config) if is_known(name)]
    asked = {*config.objectives, *config.limited, "accuracy"}
    known = [name for name in names if name not in DEFAULT or config.device or name in asked]
    values = {name: [_value(objective(name), trial) for trial in trials] for name in known}
    values = {name: column for name, column in values.items() if any(v is not None for v in column)}
    measured = [trial.measured_latency_ms for trial in trials]
    axes = [_axis(objective(name), config) for name in values]
    if any(value is not None for value in measured):
        values[MEASURED] = measured
        axes = [*map(_predicted, axes), _measured_axis(config)]
    workers = list(dict.fromkeys(trial.worker for trial in trials if trial.worker))
    place_of = {worker: place for place, worker in enumerate(workers)}
    begun = min((trial.started_at for trial in trials if trial.started_at), default=None)
    return {
        "search": search.name,
        "begins": {"x": x.name, "y": y.name, "colour": colour.name if colour else "state"},
        "objectives": [name for name in config.objectives if name in values],
        "axes": axes,
        "states": STATE_COLOURS,
        "export": command(
            "export", search.name, trial=NUMBER, output="winner/", storage=without_password(storage)
        ),
        "front": list(front),
        "workers": workers,
        "columns": {
            "number": [trial.number for trial in trials],
            "state": [str(trial.state) for trial in trials],
            **values,
            "epochs": [trial.epochs_done for trial in trials],
            "began": [_since(begun, trial.started_at) for trial in trials],
            "worker": [place_of.get(trial.worker or "", NO_OPTION) for trial in trials],
            "ended": [_since(begun, trial.finished_at) for trial in trials],
            "over": [config.breaks_limit(trial) for trial in trials],
            "digest": [(trial.digest or "")[:SHORT_DIGEST] for trial in trials],
            "note": [notes(config, trial) for trial in trials],
        },
        "choices": _choices(trials),
    }


def _value(of: Objective, trial: "TrialRecord") -> float | None:
    found = of.of(trial)
    return None if found is None else found.value


def _axis(of: Objective, config: "SearchConfig") -> dict[str, Any]:
    return {
        "name": of.name,
        "title": of.title[0].upper() + of.title[1:],
        "unit": of.unit,
        "isShare": of.name == "accuracy",
        "isMaximized": of.is_maximized,
        "isKnownBefore": of.is_known_before_training,
        "limit": config.limited.get(of.name),
    }


def _predicted(axis: dict[str, Any]) -> dict[str, Any]:
    """Told apart from what was measured, where there is both."""
    return {**axis, "title": "Predicted latency"} if axis["name"] == "latency" else axis


def _measured_axis(config: "SearchConfig") -> dict[str, Any]:
    return {
        **_axis(objective("latency"), config),
        "name": MEASURED,
        "title": "Measured latency",
        "isKnownBefore": False,
    }


def _since(begun: datetime | None, time: datetime | None) -> float | None:
    """Seconds."""
    return None if begun is None or time is None else round((time - begun).total_seconds(), 1)


def _choices(trials: Sequence["TrialRecord"]) -> list[dict[str, Any]]:
    """Each choice with its options, and which one a trial has; first, what is chosen most often of a kind."""
    names = dict.fromkeys(name for trial in trials for name in trial.choices or ())
    made = [trial.choices or {} for trial in trials]
    found = []
    for kind in SUMMED:
        of_kind = [name for name in names if name.endswith(f".{kind}")]
        if len(of_kind) > 1:
            found.append(_choice(f"most frequent {kind}", [_most(of_kind, choices) for choices in made]))
    return [*found, *(_choice(name, [choices.get(name) for choices in made]) for name in names)]


def _most(names: Sequence[str], choices: Mapping[str, str | int]) -> str | int | None:
    """The option that most of a trial's choices of one kind have come to, the first of those that tie."""
    taken = [choices[name] for name in names if name in choices]
    return max(taken, key=taken.count, default=None)


def _choice(name: str, taken: Sequence[str | int | None]) -> dict[str, Any]:
    options = sorted({option for option in taken if option is not None}, key=_order)
    places: Mapping[Any, int] = {option: place for place, option in enumerate(options)}
    return {
        "name": name,
        "options": [str(option) for option in options],
        "taken": [NO_OPTION if option is None else places[option] for option in taken],
    }


def _order(option: str | int) -> tuple[bool, int, str]:
    """Numbers by size, then texts by the alphabet."""
    return isinstance(option, str), 0 if isinstance(option, str) else option, str(option)
