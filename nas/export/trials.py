"""Export: the most accurate trial within the limits, trained, compiled whole, timed, tested and written."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from nas.export.card import Card
from nas.export.finished import Finished, finish
from nas.export.formats.base import DEFAULT as DEFAULT_FORMS
from nas.export.formats.base import chosen
from nas.export.formats.c_form import images_of
from nas.export.outputs import check_outputs
from nas.export.writing import write_artifact
from nas.formatting import milliseconds
from nas.hints import command
from nas.ledger import Ledger, SearchConfig, TrialRecord, TrialState
from nas.ledger.needs import check_objectives
from nas.ledger.records import TRAINING, check_limits
from nas.measuring.devices import open_device
from nas.objectives import DEFAULT, LATENCY_AT, Objective, is_known, limits_by_name, objective, objectives
from nas.training.job import ARCHITECTURE
from search_spaces.errors import BitnasError, InvalidInput, NothingFitsError

if TYPE_CHECKING:
    from latency import Device, Measurement
    from nas.data import DataSet
    from search_spaces import Buildable

Say = Callable[[str], None]


Limits = Mapping[str, float]
"""What an exported network may cost, by the objective's name, in its unit."""


def limits_of(config: SearchConfig, given: Mapping[str, float | None]) -> Limits:
    """The limits of a search, with those that are given in their place.

    Args:
        config: the search's.
        given: by the name of a setting, such as ``max_size_kb``, or of an objective; None is not given.

    Raises:
        InvalidInput: there is no such limit, or it is not a finite number above zero.
    """
    check_limits({name: limit for name, limit in given.items() if name not in objectives})
    by_setting = {found.limit: found.name for found in map(objective, objectives) if found.limit}
    named = {by_setting.get(name, name): limit for name, limit in given.items() if limit is not None}
    return {**config.limited, **limits_by_name(named)}


@dataclass(frozen=True)
class Candidate:
    """A trial's network, trained for so many epochs in all, and compiled."""

    trial: TrialRecord
    architecture: "Buildable"
    finished: Finished
    epochs: int


def export(
    ledger: Ledger,
    search: str,
    output: Path,
    *,
    limits: Limits,
    number: int | None = None,
    epochs: int = 0,
    c_source: Path | None = None,
    forms: Sequence[str] = DEFAULT_FORMS,
    say: Say = lambda _: None,
) -> Card:
    """Write the best network of a search that keeps the limits when it is measured.

    Args:
        ledger: where the search is.
        search: its name.
        output: the folder to write, new or empty.
        limits: what the network may cost; its latency is that which is measured on the search's device.
        number: this trial and no other.
        epochs: how many more epochs to train, on top of the trial's own.
        c_source: a folder for the same network as C, new or empty.
        forms: the names of the forms to write into the folder.
        say: is told what is being done.

    Raises:
        InvalidInput: there is no such search, trial or form, ``epochs`` is negative, or the folder is taken.
        NothingFitsError: no complete trial keeps the limits.
        DisagreementError: the compiled network does not compute what torch does.
    """
    import runtime
    from nas.data import load

    config = ledger.search(search).config
    check_trained_here(search, config)
    check_limits(limits)
    _check_epochs(epochs)
    forms = chosen(forms)
    check_outputs(output, c_source)
    device = open_device(ledger, config.device)
    data = load(config.data, config.image_size, validation=config.validation)
    for trial in candidates(ledger, search, limits, number):
        more = f"training {epochs} more epochs, " if epochs else ""
        say(f"trial {trial.number}: {more}compiling, measuring")
        candidate = prepare(ledger, trial, config, data, device, epochs)
        if within(limits, candidate):
            card = _write(ledger, candidate, config, output, forms, say)
            if c_source is not None:
                finished = candidate.finished
                shape = finished.network.info.input_shape
                runtime.write_c(finished.module, shape, c_source, images_of(finished))
            return card
        say(f"trial {trial.number}: measured {_told(candidate.finished.measurement)}, over the limit")
    raise NothingFitsError(nothing_fits(ledger, search, limits, number))


def check_trained_here(search: str, config: SearchConfig) -> None:
    if config.evaluator != TRAINING:
        problem = f"'{search}' was evaluated by '{config.evaluator}', so bitnas has no trained network of it"
        raise InvalidInput("search", problem, "export a search that bitnas has trained")


def _check_epochs(epochs: int) -> None:
    if epochs < 0:
        raise InvalidInput("epochs", f"{epochs} is out of range", "give a whole number of 0 or more")


def candidates(ledger: Ledger, search: str, limits: Limits, number: int | None) -> list[TrialRecord]:
    """The complete trials that may fit by what is known so far, the most accurate first.

    Raises:
        InvalidInput: the trial asked for is not complete, or a plug-in with an objective is not loaded.
    """
    if number is None or not all(map(is_known, limits)):
        check_objectives(search, ledger.search(search).config)
    if number is not None:
        trial = ledger.trial(search, number)
        if trial.state is not TrialState.COMPLETE:
            raise InvalidInput("number", f"trial {number} is {trial.state}", "choose one that is complete")
        before = {name: limit for name, limit in limits.items() if name != "latency"}  # that is measured
        return [] if _broken(before, trial, known_latency(trial)) else [trial]
    complete = [t for t in ledger.trials(search) if t.state is TrialState.COMPLETE]
    fitting = [t for t in complete if not _broken(limits, t, known_latency(t))]
    config = ledger.search(search).config
    return sorted(fitting, key=lambda t: _losses(config, t))


def _losses(config: SearchConfig, trial: TrialRecord) -> tuple[float, ...]:
    """By the search's objectives in their order, then by accuracy, latency and size."""
    named = [objective(name) for name in dict.fromkeys((*config.objectives, *DEFAULT))]
    values = [(o, _value(o, trial, known_latency(trial))) for o in named]
    return tuple(o.loss(o.worst if value is None else value) for o, value in values)


def _value(of: Objective, trial: TrialRecord, latency_ms: float) -> float | None:
    """What a trial has, if that is known; its latency is ``latency_ms``."""
    found = of.of(trial)
    if of.name == "latency":
        return latency_ms
    return None if found is None else found.value


def known_latency(trial: TrialRecord) -> float:
    """The measured latency of a trial where there is one, else the predicted, in milliseconds."""
    known = trial.measured_latency_ms if trial.measured_latency_ms is not None else trial.latency_ms
    if known is None:
        raise BitnasError(f"trial {trial.number}: it is complete but has no latency; the ledger is damaged")
    return known


def within(limits: Limits, candidate: Candidate) -> bool:
    """Whether a compiled network keeps the limits."""
    return not _broken(limits, candidate.trial, candidate.finished.measurement.milliseconds)


def prepare(
    ledger: Ledger,
    trial: TrialRecord,
    config: SearchConfig,
    data: "DataSet",
    device: "Device",
    epochs: int,
) -> Candidate:
    """Take a trial's trained network, train it on for ``epochs``, compile and time it."""
    from latency import LatencyModel
    from nas.ledger.latencies import SqlLatencyTable
    from nas.seeds import training_seed
    from nas.training.loop import load_weights, train
    from nas.training.presets import recipe_for
    from search_spaces import build, read_architecture

    architecture = read_architecture(trial.architecture or "")
    weights = ledger.weights(trial.search, trial.number)
    if weights is None:
        raise BitnasError(f"trial {trial.number}: the ledger has no weights of it; run the search again")
    module = build(architecture)
    load_weights(module, weights)
    if epochs:
        # a trained network goes on at a tenth of the rate: the full one would first undo what it has learned
        usual = recipe_for(data)
        recipe = replace(usual, peak_rate=usual.peak_rate / 10)
        train(module, data, epochs=epochs, seed=training_seed(config.seed, trial.number), recipe=recipe)
    model = LatencyModel(device, SqlLatencyTable(ledger))
    return Candidate(
        trial, architecture, finish(model, module, data), (trial.epochs_done or config.epochs) + epochs
    )


def _write(
    ledger: Ledger,
    candidate: Candidate,
    config: SearchConfig,
    output: Path,
    forms: Sequence[str],
    say: Say,
) -> Card:
    from runtime.formats.artifact import COMPILED, MANIFEST, checksum

    trial, architecture = candidate.trial, candidate.architecture
    card = write_artifact(
        candidate.finished,
        output,
        (ARCHITECTURE, architecture.to_json()),
        forms=forms,
        say=say,
        search=trial.search,
        trial=trial.number,
        space=None if ledger.search(trial.search).origin.steps else config.space,
        **_name(architecture),
        digest=architecture.digest,
        data=config.data,
        image_size=config.image_size,
        epochs=candidate.epochs,
        seed=config.seed,
        repeated_accuracies=list(trial.accuracies),
        predicted_elsewhere_ms={
            name.removeprefix(LATENCY_AT): cost.value
            for name, cost in trial.costs.items()
            if name.startswith(LATENCY_AT)
        },
    )
    ledger.record_artifact(
        trial.search,
        trial.number,
        path=str(output.resolve()),
        target=candidate.finished.network.info.target if COMPILED in forms else ", ".join(forms),
        digest=checksum(output / MANIFEST),
    )
    return card


def _name(architecture: "Buildable") -> dict[str, str]:
    """How a card names a published network, and what its layers have; empty for others."""
    from search_spaces import NamedNetwork

    if not isinstance(architecture, NamedNetwork):
        return {}
    return {"network": architecture.network, "precision": architecture.told_precision}


def _told(measured: "Measurement") -> str:
    disturbed = f" on a disturbed machine ({measured.disturbed})" if measured.disturbed else ""
    return f"{milliseconds(measured.milliseconds)} ms{disturbed}"


def _broken(limits: Limits, trial: TrialRecord, latency_ms: float) -> list[str]:
    """The limits that a trial does not keep, in words; what is not known keeps none."""
    found = []
    for name, limit in limits.items():
        of = objective(name)
        value = _value(of, trial, latency_ms)
        if value is None:
            found.append(f"its {of.title} is not known")
        elif not of.keeps(value, limit):
            found.append(f"{of.title} of {of.told(value)} is {of.beyond} the limit of {of.told(limit)}")
    return found


def nothing_fits(ledger: Ledger, search: str, limits: Limits, number: int | None) -> str:
    """One line that says what the search has instead."""
    if number is not None:
        trial = ledger.trial(search, number)
        why = "; ".join(_broken(limits, trial, known_latency(trial))) or "it is over the limit when measured"
        return f"trial {number}: {why}; give another limit or choose another trial"
    complete = [t for t in ledger.trials(search) if t.state is TrialState.COMPLETE]
    if not complete:
        trials = command("trials", search, storage=ledger.url)
        return f"search '{search}': it has no complete trial; see: {trials}"
    ends = ", ".join(_nearest(objective(name), complete) for name in limits)
    told = f"; the nearest it has: {ends}" if ends else ""
    return f"search '{search}': no complete trial is within the limits{told}; give other limits"


def _nearest(of: Objective, trials: list[TrialRecord]) -> str:
    """The value of the trial that is nearest to keeping a limit, in words."""
    values = [v for t in trials if (v := _value(of, t, known_latency(t))) is not None]
    return f"{of.title} {of.told(min(values, key=of.loss, default=None))}"
