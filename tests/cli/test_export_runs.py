"""``nas export-runs`` on a real ledger: what MLflow's own client, and a reader of event files, find there."""

import fcntl
import json
import os
import sqlite3
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from nas.cli.main import cli
from nas.ledger import EpochRecord, Ledger, SearchConfig, TrialState, Worker
from nas.ledger.claims import Claims
from tests.cli.filled_ledger import COMPLETE, CONFIG, DISTURBED, fill, propose

BEGUN = 24
"""Trials of the search that are not queued any more."""
RUNNING = 23


@pytest.fixture
def storage(tmp_path: Path) -> str:
    """A ledger of this test's own: some write."""
    return fill(tmp_path / "nas.db")


def export(storage: str, *arguments: object, search: str = "demo") -> str:
    """What the command says on stderr."""
    result = CliRunner().invoke(cli, ["export-runs", search, *map(str, arguments), "--storage", storage])
    assert result.exit_code == 0, result.output
    assert result.stdout == ""
    return result.stderr


def refused(storage: str, *arguments: object) -> str:
    """The error, in one line."""
    result = CliRunner().invoke(cli, ["export-runs", "demo", *map(str, arguments), "--storage", storage])
    assert result.exit_code in (1, 2), result.output
    return result.stderr


def go_on(storage: str) -> None:
    """Finish what runs: the queued trials are claimed, one of them ends, and the other begins."""
    with Ledger.open(storage) as ledger:
        claims = Claims(ledger, "demo", Worker.this_process())
        claim = claims.claim()
        assert claim is not None
        propose(claims, claim, 0.1, 5.0)
        claims.record_epoch(claim, EpochRecord(1, 0.5, 0.99, 2.0, {"f1 @ top": 0.5}))
        claims.finish(claim, TrialState.COMPLETE, accuracy=0.99)


def events(folder: Path) -> Iterator[Any]:
    """The events of a trial's folder; checksums and lengths fit."""
    from tensorboardX.proto.event_pb2 import Event
    from tensorboardX.record_writer import masked_crc32c

    (file,) = [path for path in folder.iterdir() if "tfevents" in path.name]
    rest = file.read_bytes()
    while rest:
        size = int.from_bytes(rest[:8], "little")
        content, sums = rest[12 : 12 + size], (rest[8:12], rest[12 + size : 16 + size])
        assert sums == tuple(masked_crc32c(part).to_bytes(4, "little") for part in (rest[:8], content))
        rest = rest[16 + size :]
        yield Event.FromString(content)


def scalars(folder: Path) -> dict[str, list[tuple[int, float]]]:
    found: dict[str, list[tuple[int, float]]] = {}
    for event in events(folder):
        for value in event.summary.value:
            if value.HasField("simple_value"):
                found.setdefault(value.tag, []).append((event.step, value.simple_value))
    return found


def session(folder: Path, which: str) -> Any:
    """What the HPARAMS tab reads."""
    from tensorboardX.proto.plugin_hparams_pb2 import HParamsPluginData

    values = [value for event in events(folder) for value in event.summary.value]
    (found,) = [value for value in values if value.tag == f"_hparams_/{which}"]
    data = found.metadata.plugin_data
    assert data.plugin_name == "hparams"
    return getattr(HParamsPluginData.FromString(data.content), which)


def test_tensorboard_has_each_trial_with_its_curve_its_results_and_its_choices(
    storage: str, tmp_path: Path
) -> None:
    folder = tmp_path / "runs"
    said = export(storage, "--tensorboard", folder)
    assert f"{folder}: {BEGUN} runs added, 0 changed, 0 as they were" in said
    assert said.endswith(f"Next: tensorboard --logdir {folder}\n")
    with Ledger.open(storage) as ledger:
        trials = {trial.number: trial for trial in ledger.trials("demo")}
    assert len(list((folder / "demo").glob("trial-*"))) == BEGUN

    first = folder / "demo" / "trial-00000"
    accuracy, latency, measured, size = COMPLETE[0]
    found = scalars(first)
    assert found["accuracy"] == [(0, pytest.approx(accuracy))]
    assert found["predicted_latency_ms"] == [(0, pytest.approx(latency))]
    assert found["measured_latency_ms"] == [(0, pytest.approx(measured))]
    assert found["size_kb"] == [(0, pytest.approx(size))]
    assert [step for step, _ in found["epoch/accuracy"]] == [1, 2, 3]
    assert found["epoch/train_loss"][1] == (2, pytest.approx(0.6))
    began = trials[0].started_at
    assert began is not None
    times = [event.wall_time for event in events(first)][1:]
    assert times[0] == began.timestamp() and began.timestamp() + 1.9 in [pytest.approx(t) for t in times]
    start, end = session(first, "session_start_info"), session(first, "session_end_info")
    assert start.start_time_secs == began.timestamp() and end.status == 1  # success
    assert start.hparams["stage1.block"].string_value == "shuffle"
    assert start.hparams["search.epochs"].number_value == CONFIG.epochs
    assert start.hparams["on_front"].string_value == "yes"
    about = b"".join(event.SerializeToString() for event in events(first)).decode(errors="replace")
    assert f"export: nas export demo --trial 0 --output winner/ --storage {storage}" in about

    disturbed = scalars(folder / "demo" / f"trial-{DISTURBED:05d}")
    assert "measured_latency_ms" not in disturbed, "it is worthless"
    (failed,) = [trial.number for trial in trials.values() if trial.state is TrialState.FAILED]
    assert session(folder / "demo" / f"trial-{failed:05d}", "session_end_info").status == 2


def test_a_second_call_writes_what_is_new_or_has_changed_and_nothing_else(
    storage: str, tmp_path: Path
) -> None:
    folder = tmp_path / "runs"
    (folder / "mine").mkdir(parents=True)
    (folder / "mine" / "notes.txt").write_text("kept")
    export(storage, "--tensorboard", folder)
    files = {path: (path.stat().st_ino, path.read_bytes()) for path in folder.rglob("*tfevents*")}
    aside = next(iter(files)).with_name(".bitnas-aside")
    aside.write_bytes(b"of a call that was killed")
    damaged = sorted(files)[3]
    damaged.write_bytes(files[damaged][1][:-9])
    assert f"0 runs added, 1 changed, {BEGUN - 1} as they were" in export(storage, "--tensorboard", folder)
    assert damaged.read_bytes() == files[damaged][1]

    go_on(storage)
    said = export(storage, "--tensorboard", folder)
    assert "1 run added" in said
    changed = {path for path in files if path.stat().st_ino != files[path][0]} - {damaged}
    assert len(changed) < len(COMPLETE), "of the front alone, whom the new one may have beaten"
    assert scalars(folder / "demo" / "trial-00024")["epoch/f1 _ top"] == [(1, 0.5)]
    assert (folder / "mine" / "notes.txt").read_text() == "kept"


def test_what_cannot_be_written_is_refused_in_one_line(
    storage: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert refused(storage) == "Error: --mlflow: no folder is given; give it, or --tensorboard DIR\n"
    file = tmp_path / "file"
    file.write_text("mine")
    assert (
        "--tensorboard: " in (said := refused(storage, "--tensorboard", file)) and "is not a folder" in said
    )
    assert "there is no folder" in refused(storage, "--tensorboard", tmp_path / "no" / "where")
    assert file.read_text() == "mine"

    folder = tmp_path / "runs"
    export(storage, "--tensorboard", folder)
    with (folder / ".bitnas-export").open() as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        assert "another process writes runs" in refused(storage, "--tensorboard", folder)
    mark = folder / "demo" / "bitnas-search.json"
    mark.write_text(json.dumps({"search": "demo", "created_at": "2020-01-01T00:00:00+00:00"}))
    said = refused(storage, "--tensorboard", folder)
    assert said.endswith("has runs of another search called 'demo'; choose another folder\n")

    for module, option in (("tensorboardX", "tensorboard"), ("mlflow", "mlflow")):
        monkeypatch.setitem(sys.modules, module, None)  # as if it was not installed
        said = refused(storage, f"--{option}", tmp_path / "other")
        assert said.startswith(f"Error: {option}: ") and said.count("\n") == 1
        assert said.endswith(f"run pip install -c constraints.txt -e '.[{option}]' in bitnas's repository\n")
        assert not (tmp_path / "other").exists()


@pytest.mark.filterwarnings("default")  # MLflow's own are not ours
def test_mlflow_has_each_trial_once_however_often_and_whenever_it_is_called(
    storage: str, tmp_path: Path
) -> None:
    pytest.importorskip("mlflow", reason="MLflow is not installed: pip install -e '.[mlflow]' brings it")
    folder = tmp_path / "ml"
    said = export(storage, "--mlflow", folder)
    assert f"{folder}: {BEGUN} runs added, 0 changed, 0 as they were" in said
    assert f"Next: mlflow ui --backend-store-uri sqlite:///{folder}/mlflow.db\n" in said
    assert os.environ["MLFLOW_DISABLE_TELEMETRY"] == "true"
    from mlflow import MlflowClient

    client = MlflowClient(tracking_uri=f"sqlite:///{folder}/mlflow.db")
    experiment = client.get_experiment_by_name("demo").experiment_id

    def runs() -> dict[int, Any]:
        found = client.search_runs([experiment], max_results=1000)
        assert len({run.info.run_name for run in found}) == len(found)
        return {int(run.data.tags["bitnas.trial"]): run for run in found}

    found = runs()
    assert len(found) == BEGUN
    with Ledger.open(storage) as ledger:
        trials = {trial.number: trial for trial in ledger.trials("demo")}
    first, trial = found[0], trials[0]
    assert first.data.metrics["accuracy"] == COMPLETE[0][0]
    assert first.data.metrics["measured_latency_ms"] == COMPLETE[0][2]
    assert first.data.params["stage1.block"] == "shuffle" and first.data.params["search.seed"] == "1"
    tags = {name: first.data.tags[f"bitnas.{name}"] for name in ("state", "digest", "device", "on_front")}
    assert tags == {"state": "complete", "digest": trial.digest, "device": "local", "on_front": "yes"}
    assert first.data.tags["bitnas.export"].startswith("nas export demo --trial 0 ")
    assert trial.started_at is not None and trial.finished_at is not None
    times = [round(time.timestamp() * 1000) for time in (trial.started_at, trial.finished_at)]
    assert [first.info.start_time, first.info.end_time] == times
    curve = client.get_metric_history(first.info.run_id, "epoch/accuracy")
    assert [point.step for point in curve] == [1, 2, 3] and curve[0].timestamp == times[0] + 1900
    states = {number: run.info.status for number, run in found.items()}
    assert states[RUNNING] == "RUNNING" and states[0] == "FINISHED"
    assert sorted(set(states.values())) == ["FAILED", "FINISHED", "KILLED", "RUNNING", "SCHEDULED"]

    # One run is as a call leaves it that was killed in it, and one was begun anew since.
    client.delete_run(found[5].info.run_id)
    half = {"bitnas.trial": "5", "bitnas.content": found[5].data.tags["bitnas.content"]}
    client.create_run(experiment, found[5].info.start_time, half, "trial-00005")
    client.set_tag(found[6].info.run_id, "bitnas.content", "of what it was before")
    client.log_metric(found[6].info.run_id, "epoch/accuracy", 0.1, step=9)
    client.set_tag(found[6].info.run_id, "mlflow.note.content", "mine")
    go_on(storage)
    assert "1 run added" in export(storage, "--mlflow", folder)
    again = runs()
    assert len(again) == BEGUN + 1 and again[24].data.metrics["epoch/f1 _ top"] == 0.5
    assert again[5].data.metrics == found[5].data.metrics and again[5].info.status == "FINISHED"
    assert again[6].data.metrics == found[6].data.metrics
    assert again[6].data.tags["mlflow.note.content"] == "mine"
    assert "0 runs added, 2 changed" in export(storage, "--mlflow", folder), "those that run or are paused"
    assert len(runs()) == len(again)

    _refused_by_mlflow(storage, tmp_path, client, experiment)


def _refused_by_mlflow(storage: str, tmp_path: Path, client: Any, experiment: str) -> None:
    other = tmp_path / "other"
    other.mkdir()
    (other / "thesis.txt").write_text("mine")
    assert "is not empty and has no mlflow.db" in refused(storage, "--mlflow", other)
    (other / "thesis.txt").unlink()
    sqlite3.connect(other / "mlflow.db").execute("CREATE TABLE mine (x)").close()
    assert "is not a database of MLflow's" in refused(storage, "--mlflow", other)
    with Ledger.open(f"sqlite:///{other}/nas.db", create=True) as ledger:
        ledger.create_search("demo", SearchConfig("tiny", "digits", "local", trials=1, epochs=1))
    said = refused(f"sqlite:///{other}/nas.db", "--mlflow", tmp_path / "ml")
    assert "has runs of another search called 'demo'" in said
    client.delete_experiment(experiment)
    assert "was deleted; restore it" in refused(storage, "--mlflow", tmp_path / "ml")
