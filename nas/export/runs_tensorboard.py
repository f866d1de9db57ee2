"""Runs in TensorBoard's form: a folder a trial, with its curve, its results, and a row of the HPARAMS tab."""

import json
from collections import Counter
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nas.export.runs import OnRun, Run, Runs, Written
from nas.export.runs_folder import cannot_write, other_search, writing_into
from nas.ledger.records import TrialState
from search_spaces.errors import BitnasError

if TYPE_CHECKING:
    from tensorboardX.proto.event_pb2 import Event
    from tensorboardX.proto.summary_pb2 import Summary

PARAMETER = "tensorboard"
INSTALL = "run pip install -c constraints.txt -e '.[tensorboard]' in bitnas's repository"
MARK = "bitnas-search.json"
"""A file beside the trials' folders that says which search they are of."""
EVENTS = "events.out.tfevents.{began}.bitnas"
"""The one file of a trial's folder; TensorBoard reads what has such a name."""
ASIDE = ".bitnas-aside"
"""What a file is called while it is written: TensorBoard passes it over."""
STATUS = {
    TrialState.COMPLETE: "STATUS_SUCCESS",
    TrialState.PRUNED: "STATUS_SUCCESS",
    TrialState.INFEASIBLE: "STATUS_SUCCESS",
    TrialState.FAILED: "STATUS_FAILURE",
}
"""Of those that are over; the HPARAMS tab has no word for one that was stopped."""
IN_TABLE = ("state", "on_front")
"""Tags that the HPARAMS tab can filter by, beside the params."""


def write_tensorboard(runs: Runs, folder: Path, on_run: OnRun) -> Written:
    """Have ``folder`` hold ``runs``, those of each search in a folder of its own.

    Each trial's file is written aside and renamed, and only where it says something new: nothing else in the
    folder is touched, and a reader never sees half a run.

    Raises:
        InvalidInput: the folder is a file, or holds runs of another search of that name.
        BitnasError: tensorboardX is not installed, or nothing can be written there.
    """
    _check_installed()
    with writing_into(folder, PARAMETER):
        try:
            inside = _folder_of(runs, folder)
            done: Counter[str] = Counter()
            for count, run in enumerate(runs, start=1):
                done[_write(run, inside)] += 1
                on_run(count, runs.count)
        except OSError as error:
            raise cannot_write(folder, PARAMETER, error) from error
    return Written(done["added"], done["changed"], done["kept"])


def _check_installed() -> None:
    """BitnasError where it is not."""
    try:
        import tensorboardX  # noqa: F401 - only whether it is there
    except ImportError as error:
        told = f"tensorboard: tensorboardX is not installed ({error})"
        raise BitnasError(f"{told}; {INSTALL}") from error


def _folder_of(runs: Runs, folder: Path) -> Path:
    """The search's folder."""
    name, inside = runs.search.name, folder / runs.search.name
    mark = json.dumps({"search": name, "created_at": runs.search.created_at.isoformat()}) + "\n"
    inside.mkdir(exist_ok=True)
    if not (inside / MARK).exists() and not any(inside.glob("trial-*")):
        _replace(inside / MARK, mark.encode())
    if not (inside / MARK).is_file() or (inside / MARK).read_text(encoding="utf-8") != mark:
        raise other_search(folder, PARAMETER, name)
    return inside


def _write(run: Run, inside: Path) -> str:
    """Write a run, unless it is there; which of ``Written`` it is."""
    content = b"".join(map(_record, _events(run)))
    there = inside / run.name
    there.mkdir(exist_ok=True)
    file = there / EVENTS.format(began=f"{run.began.timestamp():.0f}")
    known = sorted(there.glob(EVENTS.format(began="*")))
    if known == [file] and file.read_bytes() == content:
        return "kept"
    _replace(file, content)
    for other in known:
        if other != file:
            other.unlink()  # of a trial that was begun anew
    return "changed" if known else "added"


def _replace(file: Path, content: bytes) -> None:
    aside = file.with_name(ASIDE)
    aside.write_bytes(content)
    aside.replace(file)


def _events(run: Run) -> Iterator["Event"]:
    """In the order of their times; the same run always gives the same ones."""
    from tensorboardX.proto.event_pb2 import Event

    began = run.began.timestamp()
    yield Event(wall_time=began, file_version="brain.Event:2")
    yield Event(wall_time=began, summary=_hparams("session_start_info", _start(run)))
    yield Event(wall_time=began, summary=_about(run))
    for name, result in run.results.items():
        yield Event(wall_time=began, summary=_scalar(name, result))
    for value in run.curve:
        yield Event(
            wall_time=value.time.timestamp(), step=value.epoch, summary=_scalar(value.name, value.value)
        )
    if run.state in STATUS:
        ended = run.ended or run.began
        yield Event(wall_time=ended.timestamp(), summary=_hparams("session_end_info", _end(run, ended)))


def _scalar(name: str, value: float) -> "Summary":
    from tensorboardX.proto.summary_pb2 import Summary

    return Summary(value=[Summary.Value(tag=name, simple_value=value)])


def _about(run: Run) -> "Summary":
    """The tags, for the TEXT tab."""
    from tensorboardX.summary import text

    lines = [f"    {name.removeprefix('bitnas.')}: {value}" for name, value in run.tags.items()]
    return text("about", "\n".join(lines))  # indented: as it is, not as Markdown


def _start(run: Run) -> Any:
    from tensorboardX.proto.plugin_hparams_pb2 import SessionStartInfo

    info = SessionStartInfo(start_time_secs=run.began.timestamp())
    tags = {name: run.tags[f"bitnas.{name}"] for name in IN_TABLE if f"bitnas.{name}" in run.tags}
    for name, value in {**run.params, **tags}.items():
        if isinstance(value, str):
            info.hparams[name].string_value = value
        else:
            info.hparams[name].number_value = value
    return info


def _end(run: Run, ended: datetime) -> Any:
    from tensorboardX.proto.api_pb2 import Status
    from tensorboardX.proto.plugin_hparams_pb2 import SessionEndInfo

    return SessionEndInfo(status=Status.Value(STATUS[run.state]), end_time_secs=ended.timestamp())


def _hparams(name: str, info: Any) -> "Summary":
    """What TensorBoard's plug-in for hyperparameters reads, under its name for it."""
    from tensorboardX.proto.plugin_hparams_pb2 import HParamsPluginData
    from tensorboardX.proto.summary_pb2 import Summary, SummaryMetadata

    content = HParamsPluginData(version=0, **{name: info}).SerializeToString(deterministic=True)
    data = SummaryMetadata.PluginData(plugin_name="hparams", content=content)
    return Summary(value=[Summary.Value(tag=f"_hparams_/{name}", metadata=SummaryMetadata(plugin_data=data))])


def _record(event: "Event") -> bytes:
    """As TensorFlow's record files have it: the length and the content, each with its checksum."""
    from tensorboardX.record_writer import masked_crc32c

    content: bytes = event.SerializeToString(deterministic=True)
    length = len(content).to_bytes(8, "little")
    sums = [int(masked_crc32c(part)).to_bytes(4, "little") for part in (length, content)]
    return length + sums[0] + content + sums[1]
