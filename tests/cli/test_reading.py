"""The commands that read a ledger, on a real one: tables, JSON, what goes to which stream."""

import json
import os
import pty
import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from nas.cli.main import cli
from nas.cli.output import printable
from nas.ledger import Ledger, TrialState, Worker
from nas.ledger.claims import Claims
from tests.cli.filled_ledger import COMPLETE, CONFIG, INFEASIBLE, propose

SUMMARY = {"number", "state", "accuracy", "latency_ms", "measured_latency_ms", "size_kb", "digest"}


def run(storage: str, *arguments: str, code: int = 0) -> Result:
    """Run a reading command within this process."""
    result = CliRunner().invoke(cli, [*arguments, "--storage", storage])
    assert result.exit_code == code, result.output
    return result


def data(storage: str, *arguments: str) -> Any:
    """The JSON a command writes; stdout holds nothing else."""
    return json.loads(run(storage, *arguments, "--json").stdout)


def rows(text: str) -> list[list[str]]:
    """The cells of a plain table."""
    return [re.split(r" {2,}", line.strip()) for line in text.splitlines()]


def test_searches(storage: str) -> None:
    result = run(storage, "searches")
    head, demo, empty = rows(result.stdout)
    standing = ["state", "time left", "best", "trials"]
    states = [state.value for state in TrialState]
    assert head[:-1] == ["name", "space", "data", "device", "sampler", *standing, *states]
    assert demo[:5] == ["demo", "tiny", "digits", "local", "tpe"]
    assert demo[7:-1] == ["98.1%", "26", "2", "1", "1", "14", "6", "1", "1"], "the best within the limit"
    assert head[-1] == "started (UTC)"
    assert empty[0] == "empty"
    assert result.stderr == f"Next: nas trials empty --storage {storage}\n"


def test_searches_json(storage: str) -> None:
    demo, empty = data(storage, "searches")
    assert demo["config"] == CONFIG.to_dict()
    assert demo["counts"]["complete"] == len(COMPLETE)
    assert demo["best"] == {"of": "accuracy", "number": 8, "value": 0.981}
    assert (empty["state"], empty["best"], empty["workers"]) == ("not begun", None, [])
    assert empty["counts"]["queued"] == 2


def test_no_searches_yet(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'new.db'}"
    Ledger.open(url, create=True).close()
    result = run(url, "searches")
    assert result.stdout == ""
    assert "No searches" in result.stderr
    assert data(url, "searches") == []


def test_trials_json_agrees_with_the_ledger(storage: str) -> None:
    with Ledger.open(storage) as ledger:
        records = ledger.trials("demo")
    listed = data(storage, "trials", "demo")
    assert [trial["number"] for trial in listed] == list(range(CONFIG.trials))
    for trial, record in zip(listed, records, strict=True):
        assert trial.keys() >= SUMMARY
        assert {name: trial[name] for name in SUMMARY} == {name: getattr(record, name) for name in SUMMARY}


def test_trials_by_state(storage: str) -> None:
    for state in TrialState:
        listed = data(storage, "trials", "demo", "--state", state.value)
        assert listed
        assert {trial["state"] for trial in listed} == {state.value}
    result = run(storage, "trials", "empty", "--state", "failed")
    assert result.stdout == ""
    assert result.stderr == "No trial of 'empty' is failed (2 queued).\n"


def test_trials_table_tells_predicted_from_measured(storage: str) -> None:
    table = rows(run(storage, "trials", "demo").stdout)
    assert table[0] == [
        "trial",
        "state",
        "accuracy",
        "predicted ms",
        "measured ms",
        "size kB",
        "digest",
        "note",
    ]
    assert table[1] == ["0", "complete", "91.2%", "0.0410", "0.0440", "3.10", "00ababababab"]
    assert table[2][4] == "—"
    first_infeasible = table[1 + len(COMPLETE)]
    assert first_infeasible == ["14", "infeasible", "—", "0.340", "—", "50.00", "14ababababab"]
    assert table[-1] == ["25", "queued", "—", "—", "—", "—", "—"]


def test_who_breaks_the_limit_when_measured_is_marked(storage: str) -> None:
    for command in ("trials", "pareto"):
        marked = [row for row in rows(run(storage, command, "demo").stdout) if row[-1] == "over the limit"]
        assert [row[0] for row in marked] == ["10"]
        listed = json.loads(run(storage, command, "demo", "--json").stdout)
        listed = listed if command == "trials" else listed["front"]
        assert [trial["number"] for trial in listed if trial["is_over"]] == [10]
    assert "over the limit" in run(storage, "trial", "demo", "10").stdout
    assert "note" not in rows(run(storage, "trials", "demo", "--state", "pruned").stdout)[0]


def test_who_breaks_the_limit_by_its_measured_kernels_is_marked_and_off_the_front(tmp_path: Path) -> None:
    """It was trained by an estimate, which was lower."""
    url = f"sqlite:///{tmp_path / 'nas.db'}"
    limit = 0.3
    with Ledger.open(url, create=True) as ledger:
        ledger.create_search("demo", replace(CONFIG, trials=2, max_latency_ms=limit))
        claims = Claims(ledger, "demo", Worker.this_process())
        for latency, accuracy in ((0.9 * limit, 0.8), (1.1 * limit, 0.9)):
            claim = claims.claim()
            assert claim is not None
            propose(claims, claim, latency, 10.0)
            claims.finish(claim, TrialState.COMPLETE, accuracy=accuracy)
        assert [trial.number for trial in ledger.front("demo")] == [0]
    front = json.loads(run(url, "pareto", "demo", "--json").stdout)["front"]
    assert [trial["number"] for trial in front] == [0]
    listed = json.loads(run(url, "trials", "demo", "--json").stdout)
    assert [trial["is_over"] for trial in listed] == [False, True]
    assert "over the limit" in run(url, "trial", "demo", "1").stdout


def test_plain_table_is_aligned(storage: str) -> None:
    lines = run(storage, "trials", "demo", "--state", "infeasible").stdout.splitlines()
    assert len({line.rindex(row[-1]) for line, row in zip(lines, rows("\n".join(lines)), strict=True)}) == 1


def test_trial(storage: str) -> None:
    result = run(storage, "trial", "demo", "6")
    assert "0.152 ms" in result.stdout
    assert re.search(r"block 1 +separable +16 +3 +1 +1 +depthwise dithered, pointwise ternary", result.stdout)
    assert re.search(r"sign pack 16 @8.8 channel +2 +0\.0152", result.stdout)
    assert re.search(r"3 +0\.4000 +97\.4% +1\.9", result.stdout)
    assert result.stderr == f"Next: nas export demo --trial 6 -o winner/ --storage {storage}\n"


def test_trial_json(storage: str) -> None:
    trial = data(storage, "trial", "demo", "6")
    assert trial.keys() >= SUMMARY
    assert trial["architecture"]["blocks"][0]["kind"] == "separable"
    assert [epoch["epoch"] for epoch in trial["epochs"]] == [1, 2, 3]
    assert sum(ms for _, ms in trial["latency_by_workload"]) == pytest.approx(trial["latency_ms"])
    queued = data(storage, "trial", "demo", "25")
    assert queued["architecture"] is None
    assert queued["epochs"] == []


def test_trial_that_failed_says_why_and_cannot_drive_the_terminal(storage: str) -> None:
    result = run(storage, "trial", "demo", "22")
    assert "out of memory[/bold]" in result.stdout
    assert "\x1b" not in result.stdout
    assert result.stderr == ""


def test_printable_keeps_letters_and_drops_controls() -> None:
    assert printable("naïve → größer") == "naïve → größer"
    assert printable("a\x1b[31m\n\u202eb\u2028") == "a [31m  b "


def test_unknown_names(storage: str) -> None:
    for command in (["trials", "nope"], ["trial", "nope", "1"], ["pareto", "nope"]):
        result = run(storage, *command, code=2)
        assert result.stderr == "Error: SEARCH: there is no search 'nope'; the ledger holds: demo, empty\n"
    result = run(storage, "trial", "demo", "26", code=2)
    assert result.stderr == "Error: NUMBER: 'demo' has no trial 26; give a number in 0..25\n"


def test_pareto(storage: str) -> None:
    front = data(storage, "pareto", "demo")["front"]
    assert [trial["number"] for trial in front] == [0, 2, 4, 12, 6, 8, 10]
    latencies = [trial["latency_ms"] for trial in front]
    assert latencies == sorted(latencies)
    table = rows(run(storage, "pareto", "demo").stdout)
    assert [row[0] for row in table[1:]] == [str(trial["number"]) for trial in front]


def test_pareto_of_a_search_without_results(storage: str, tmp_path: Path) -> None:
    assert data(storage, "pareto", "empty")["front"] == []
    assert "No trial of 'empty' is complete yet (2 queued)" in run(storage, "pareto", "empty").stderr
    result = run(storage, "pareto", "empty", "--plot", str(tmp_path / "x.html"), code=1)
    assert "no trial of 'empty' has a latency yet" in result.stderr
    assert not (tmp_path / "x.html").exists()


def test_plot_is_one_page_that_fetches_nothing(storage: str, tmp_path: Path) -> None:
    target = tmp_path / "front.html"
    result = run(storage, "pareto", "demo", "--json", "--plot", str(target))
    assert json.loads(result.stdout)  # stdout holds the JSON alone
    assert f"Wrote {target}" in result.stderr
    page = target.read_text()
    assert "<title>demo: accuracy against latency</title>" in page
    assert not re.search(r"<(script|link|img)[^>]+(src|href)=", page)
    assert [path.name for path in tmp_path.iterdir()] == ["front.html"]
    assert target.stat().st_mode & 0o777 == 0o666 & ~current_umask()


def test_plot_replaces_the_file_behind_a_link(storage: str, tmp_path: Path) -> None:
    real, link = tmp_path / "real.html", tmp_path / "link.html"
    real.write_text("old")
    real.chmod(0o640)
    link.symlink_to(real)
    run(storage, "pareto", "demo", "--plot", str(link))
    assert link.is_symlink()
    assert "plotly" in real.read_text()
    assert real.stat().st_mode & 0o777 == 0o640


@pytest.mark.parametrize(
    ("target", "told", "code"),
    [
        ("{folder}", "is a directory", 2),
        ("{folder}/missing/front.html", "there is no folder", 2),
        ("/dev/null", "is not a regular file", 2),
        ("/proc/front.html", "cannot write '/proc/front.html'", 1),
    ],
)
def test_plot_that_cannot_be_written(storage: str, tmp_path: Path, target: str, told: str, code: int) -> None:
    result = run(storage, "pareto", "demo", "--plot", target.format(folder=tmp_path), code=code)
    assert result.stdout == ""
    assert result.stderr.startswith("Error: --plot: ")
    assert told in result.stderr
    assert list(tmp_path.iterdir()) == []


def test_storage_from_the_environment(storage: str) -> None:
    result = CliRunner().invoke(cli, ["searches", "--json"], env={"NAS_STORAGE": storage})
    assert [search["name"] for search in json.loads(result.stdout)] == ["demo", "empty"]


def test_a_terminal_gets_a_coloured_table(environment: dict[str, str], storage: str) -> None:
    leader, follower = pty.openpty()
    command = [sys.executable, "-m", "nas.cli.main", "trials", "demo", "--storage", storage]
    env = {**environment, "TERM": "xterm-256color", "COLUMNS": "100"}
    env.pop("NO_COLOR", None)
    with subprocess.Popen(command, env=env, stdout=follower, stderr=subprocess.DEVNULL) as process:
        os.close(follower)
        shown = read_all(leader)
    assert process.returncode == 0
    assert "\x1b[32mcomplete" in shown
    assert len([line for line in shown.splitlines() if "infeasible" in line]) == len(INFEASIBLE)


def read_all(descriptor: int) -> str:
    """All that a terminal shows until its last writer has gone."""
    parts = []
    while True:
        try:
            part = os.read(descriptor, 65536)
        except OSError:  # how Linux says that the other end is closed
            break
        if not part:
            break
        parts.append(part)
    os.close(descriptor)
    return b"".join(parts).decode()


def current_umask() -> int:
    """The process's umask, which can only be read by setting it."""
    mask = os.umask(0)
    os.umask(mask)
    return mask
