"""Runs in MLflow's form: an experiment for a search, a run for a trial, in an SQLite file of MLflow's."""

import logging
import os
import shutil
import sqlite3
import tempfile
from collections import Counter
from collections.abc import Iterator
from contextlib import closing, contextmanager
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nas.export.runs import OnRun, Run, Runs, Written
from nas.export.runs_folder import LOCK, cannot_write, other_search, writing_into
from nas.ledger.records import TrialState
from search_spaces.errors import BitnasError, InvalidInput, Parameter

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Run as Existing

PARAMETER = "mlflow"
DATABASE = "mlflow.db"
INSTALL = "run pip install -c constraints.txt -e '.[mlflow]' in bitnas's repository"
SILENT = {"MLFLOW_DISABLE_TELEMETRY": "true", "DO_NOT_TRACK": "true"}
"""What keeps MLflow from telling its makers what is done with it."""
OURS, TRIAL, CONTENT, CREATED = "bitnas.", "bitnas.trial", "bitnas.content", "bitnas.search_created_at"
"""How our tags begin; the tag with a run's trial, with the digest of all in it, and an experiment's tag."""
STATUS = {
    TrialState.RUNNING: "RUNNING",
    TrialState.PAUSED: "SCHEDULED",
    TrialState.COMPLETE: "FINISHED",
    TrialState.PRUNED: "KILLED",
    TrialState.INFEASIBLE: "KILLED",
    TrialState.FAILED: "FAILED",
}
_AT_ONCE = 100
"""Params in one call, and metrics; MLflow limits them."""
_PAGE = 1000
"""Runs that are read together."""


def write_mlflow(runs: Runs, folder: Path, on_run: OnRun) -> Written:
    """Have MLflow's database in ``folder`` hold ``runs``: add the new, bring up to date what has changed.

    A run is RUNNING until all of it is written, so that nobody takes half of one for a whole.

    Raises:
        InvalidInput: the folder holds something else, or runs of another search of that name.
        BitnasError: MLflow is not installed, or cannot write there.
    """
    _load()
    with writing_into(folder, PARAMETER), _explained(folder), _open(folder) as client:
        experiment = _experiment(client, runs, folder)
        known = _known(client, experiment)
        done: Counter[str] = Counter()
        for count, run in enumerate(runs, start=1):
            done[_write(client, experiment, run, known.get(run.number))] += 1
            on_run(count, runs.count)
    return Written(done["added"], done["changed"], done["kept"])


def _load() -> None:
    """BitnasError where MLflow is not installed."""
    os.environ.update(SILENT)
    try:
        import mlflow  # noqa: F401 - only whether it is there
    except ImportError as error:
        raise BitnasError(f"mlflow: it is not installed ({error}); {INSTALL}") from error
    for name in ("mlflow", "alembic"):
        logging.getLogger(name).setLevel(logging.ERROR)  # they tell of every table that they make


@contextmanager
def _explained(folder: Path) -> Iterator[None]:
    """Turn what MLflow and the system raise into one line."""
    from mlflow.exceptions import MlflowException

    try:
        yield
    except MlflowException as error:
        why = " ".join(str(error).split())
        told = f": MLflow does not write into '{folder}' ({why}); choose another folder"
        raise BitnasError(Parameter(PARAMETER), told) from error
    except OSError as error:
        raise cannot_write(folder, PARAMETER, error) from error


@contextmanager
def _open(folder: Path) -> "Iterator[MlflowClient]":
    """A client of the folder's database, which is made if it is not there."""
    from mlflow import MlflowClient
    from sqlalchemy import Engine, event

    database = folder / DATABASE
    if database.exists():
        _check(database)
    elif any(path.name != LOCK and not path.name.startswith(f".{DATABASE}") for path in folder.iterdir()):
        fix = "give a new folder, an empty one, or one that this command has written"
        raise InvalidInput(PARAMETER, f"'{folder}' is not empty and has no {DATABASE}", fix)
    else:
        _create(database)
    with closing(sqlite3.connect(database)) as connection:
        connection.execute("PRAGMA journal_mode = WAL")  # who looks at runs meanwhile keeps nobody waiting
    event.listen(Engine, "connect", _write_fast)
    try:
        yield MlflowClient(tracking_uri=_uri(database))
    finally:
        event.remove(Engine, "connect", _write_fast)


def _write_fast(connection: object, _record: object) -> None:
    """Not wait for the disk with each of a run's five commits: in this mode nothing breaks by it."""
    if isinstance(connection, sqlite3.Connection):  # not the ledger's, which may be another database's
        connection.execute("PRAGMA synchronous = NORMAL")


def _check(database: Path) -> None:
    """InvalidInput where it is not MLflow's: it would add its tables to whatever it is."""
    try:
        with closing(sqlite3.connect(f"{database.resolve().as_uri()}?mode=ro", uri=True)) as connection:
            tables = {name for (name,) in connection.execute("SELECT name FROM sqlite_master")}
    except sqlite3.Error:
        tables = set()
    if not {"experiments", "runs"} <= tables:
        raise InvalidInput(PARAMETER, f"'{database}' is not a database of MLflow's", "choose another folder")


def _create(database: Path) -> None:
    """Make all tables aside, so that there is never a database with some of them."""
    from mlflow import MlflowClient

    aside = Path(tempfile.mkdtemp(dir=database.parent, prefix=f".{DATABASE}-"))
    try:
        MlflowClient(tracking_uri=_uri(aside / DATABASE)).search_experiments()
        (aside / DATABASE).rename(database)
    finally:
        shutil.rmtree(aside, ignore_errors=True)


def _uri(database: Path) -> str:
    return f"sqlite:///{database.resolve()}"


def _experiment(client: "MlflowClient", runs: Runs, folder: Path) -> str:
    """The id of the search's experiment, which is made if it is not there."""
    name, created = runs.search.name, runs.search.created_at.isoformat()
    found = client.get_experiment_by_name(name)
    if found is None:
        artifacts = (folder / "artifacts").resolve().as_uri()
        return str(client.create_experiment(name, artifacts, {CREATED: created}))
    if found.tags.get(CREATED) != created:
        raise other_search(folder, PARAMETER, name)
    if found.lifecycle_stage != "active":
        fix = "restore it in MLflow, or choose another folder"
        raise InvalidInput(PARAMETER, f"experiment '{name}' in '{folder}' was deleted", fix)
    return str(found.experiment_id)


def _known(client: "MlflowClient", experiment: str) -> dict[int, "Existing"]:
    """The runs that are there, by the trial's number."""
    found: dict[int, Existing] = {}
    token = None
    while True:
        page = client.search_runs([experiment], max_results=_PAGE, page_token=token)
        found |= {int(run.data.tags[TRIAL]): run for run in page if TRIAL in run.data.tags}
        token = page.token
        if not token:
            return found


def _write(client: "MlflowClient", experiment: str, run: Run, known: "Existing | None") -> str:
    """Write what is missing of a run; which of ``Written`` it is."""
    status = STATUS[run.state]
    if known is None:
        _add(client, experiment, run, {})
        return "added"
    if known.data.tags.get(CONTENT) == run.digest and known.info.status == status and run.state.finished:
        return "kept"
    if _fits(client, run, known):
        _bring_up_to_date(client, run, known)
    else:  # MLflow never changes a param, nor a value
        client.delete_run(known.info.run_id)
        _add(client, experiment, run, {k: v for k, v in known.data.tags.items() if not k.startswith(OURS)})
    return "changed"


def _add(client: "MlflowClient", experiment: str, run: Run, more_tags: dict[str, str]) -> None:
    tags = {**more_tags, **run.tags, CONTENT: run.digest}
    made = client.create_run(experiment, start_time=_ms(run.began), tags=tags, run_name=run.name)
    _log(client, made.info.run_id, {name: str(value) for name, value in run.params.items()}, _metrics(run))
    _end(client, made.info.run_id, run)


def _fits(client: "MlflowClient", run: Run, known: "Existing") -> bool:
    """Whether all that is there is in the run, too: else the trial was begun anew since."""
    params = {name: str(value) for name, value in run.params.items()}
    if not known.data.params.items() <= params.items() or known.info.start_time != _ms(run.began):
        return False
    return _logged(client, known) <= _metrics(run)


def _logged(client: "MlflowClient", known: "Existing") -> set[tuple[str, float, int, int]]:
    """As ``_metrics``."""
    history = (m for name in known.data.metrics for m in client.get_metric_history(known.info.run_id, name))
    return {(m.key, m.value, m.timestamp, m.step) for m in history}


def _bring_up_to_date(client: "MlflowClient", run: Run, known: "Existing") -> None:
    key, tags = known.info.run_id, known.data.tags
    params = {name: str(value) for name, value in run.params.items() if name not in known.data.params}
    _log(client, key, params, _metrics(run) - _logged(client, known))
    for name in tags:
        if name.startswith(OURS) and name not in {*run.tags, CONTENT}:
            client.delete_tag(key, name)
    for name, value in {**run.tags, CONTENT: run.digest}.items():  # the digest last: all else is there then
        if tags.get(name) != value:
            client.set_tag(key, name, value)
    _end(client, key, run)


def _log(
    client: "MlflowClient", key: str, params: dict[str, str], metrics: set[tuple[str, float, int, int]]
) -> None:
    from mlflow.entities import Metric, Param

    named = [Param(name, value) for name, value in params.items()]
    values: list[Any] = [Metric(*each) for each in sorted(metrics)]
    for at in range(0, max(len(named), len(values)), _AT_ONCE):
        client.log_batch(key, values[at : at + _AT_ONCE], named[at : at + _AT_ONCE])


def _metrics(run: Run) -> set[tuple[str, float, int, int]]:
    """Name, value, milliseconds since 1970 and step; results have the step 0."""
    curve = {(value.name, value.value, _ms(value.time), value.epoch) for value in run.curve}
    return curve | {(name, value, _ms(run.began), 0) for name, value in run.results.items()}


def _end(client: "MlflowClient", key: str, run: Run) -> None:
    """The last step: until then a run is RUNNING."""
    if run.state.finished:
        client.set_terminated(key, STATUS[run.state], None if run.ended is None else _ms(run.ended))
    else:
        client.update_run(key, STATUS[run.state])


def _ms(time: datetime) -> int:
    return round(time.timestamp() * 1000)
