"""What the ledger holds of a trial beside its figures, and the command that exports its network."""

from datetime import datetime
from typing import Any

import dash_mantine_components as dmc

from dashboards.parts import card
from dashboards.trial_parts import command_to_copy
from nas.figures.data import notes
from nas.formatting import MISSING, counted, lasting, spread
from nas.hints import command, without_password
from nas.ledger import SearchConfig, TrialRecord
from nas.ledger.needs import unknown_objectives
from nas.ledger.records import TRAINING


def record(config: SearchConfig, trial: TrialRecord) -> Any:
    """The record as a card."""
    rows = [
        dmc.TableTr([dmc.TableTh(name, w=180), dmc.TableTd(dmc.Code(told) if name == "Digest" else told)])
        for name, told in facts(config, trial)
    ]
    table = dmc.Table(dmc.TableTbody(rows), withRowBorders=False, verticalSpacing=4)
    return card("Record", table, note="What the ledger holds of this trial beside its figures.")


def export(config: SearchConfig, trial: TrialRecord, storage: str) -> Any | None:
    """How to have the network as code; None where there is nothing to export."""
    is_trained = trial.state == "complete" and config.evaluator == TRAINING
    if not is_trained or unknown_objectives(config) or config.breaks_limit(trial):
        return None
    told = command(
        "export", trial.search, trial=trial.number, output="winner/", storage=without_password(storage)
    )
    return card("Have it as code", command_to_copy(told), note="Type this in a shell; it writes a folder.")


def facts(config: SearchConfig, trial: TrialRecord) -> list[tuple[str, str]]:
    """Each thing that the ledger holds, by its name."""
    done = "" if trial.epochs_done is None else f"{trial.epochs_done} of {trial.budget or config.epochs}"
    found = [
        ("Digest", trial.digest or MISSING),
        ("Worker", trial.worker or MISSING),
        ("Started (UTC)", _time(trial.started_at)),
        ("Finished (UTC)", _time(trial.finished_at)),
        ("Took", _took(trial)),
        ("Epochs", done),
        ("Trainings", spread(trial.accuracies) if len(trial.accuracies) > 1 else ""),
        ("Measuring", lasting(trial.measuring_s) if trial.measuring_s else ""),
        ("Result taken from", trial.same_as or ""),
        ("Passed over", _passed_over(trial)),
        ("Note", "" if unknown_objectives(config) else notes(config, trial)),
    ]
    return [(name, told) for name, told in found if told]


def _passed_over(trial: TrialRecord) -> str:
    if not trial.passed_over:
        return ""
    return f"{counted(trial.passed_over, 'architecture')} before it, known or over a limit"


def _took(trial: TrialRecord) -> str:
    if trial.started_at is None or trial.finished_at is None:
        return ""
    return lasting((trial.finished_at - trial.started_at).total_seconds())


def _time(moment: datetime | None) -> str:
    return MISSING if moment is None else f"{moment:%Y-%m-%d %H:%M:%S}"
