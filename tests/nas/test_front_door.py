"""The Python interface: a search from a script, what its result gives, and what it refuses."""

import inspect
import json
import subprocess
import sys
from dataclasses import MISSING, fields, replace
from pathlib import Path

import numpy as np
import plotly.graph_objects as go
import pytest
from benches import FEW, ArithmeticBench
from threads import ThreadExecutor

import nas
import nas.trials.job
from nas.ledger import Ledger, SearchConfig, TrialState, Worker
from nas.ledger.claims import Claims
from nas.ledger.entries import Cost
from nas.objectives import ObjectiveValue
from search_spaces.errors import BitnasError, InvalidInput, NothingFitsError
from search_spaces.search_space import spaces
from tests.environment import clean_environment

SCRIPT = """
import nas

result = nas.search(trials=2, epochs=1, max_size_kb=1000, storage={storage!r})
print(result.name)
print(result)
"""
"""No ``if __name__ == "__main__"``: were workers to run it, each would start a search."""


@pytest.fixture(scope="module")
def script(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, subprocess.CompletedProcess[str]]:
    """The ledger of a real search that a script has run, and what the script said."""
    folder = tmp_path_factory.mktemp("script")
    storage = f"sqlite:///{folder}/nas.db"
    (folder / "mine.py").write_text(SCRIPT.format(storage=storage))
    ran = subprocess.run(
        [sys.executable, "mine.py"],
        cwd=folder,
        env=clean_environment(PYTHONPATH=str(Path(__file__).parents[2])),
        capture_output=True,
        text=True,
        check=False,
    )
    return storage, ran


@pytest.fixture(scope="module")
def result(script: tuple[str, subprocess.CompletedProcess[str]]) -> nas.Result:
    """The same search, loaded here."""
    return nas.load(script[0], "tiny-digits-1")


def test_a_script_without_a_guard_searches_and_says_nothing_of_itself(
    script: tuple[str, subprocess.CompletedProcess[str]], result: nas.Result
) -> None:
    _, ran = script
    assert (ran.returncode, ran.stderr) == (0, ""), "no progress, as nobody looks on"
    assert ran.stdout == f"tiny-digits-1\n{result}\n", "it ran once, and its workers did not run the script"


def test_a_result_gives_trials_front_and_best(result: nas.Result) -> None:
    trials, front = result.trials(), result.front
    assert [trial.state for trial in trials] == [TrialState.COMPLETE] * 2
    assert result.trials("failed") == []
    assert result.trial(1) == trials[1]
    assert front
    assert all(trial.measured_latency_ms for trial in front)
    best = result.best()
    assert best.accuracy == max(trial.accuracy for trial in trials if trial.accuracy is not None)
    smaller = min(trials, key=lambda trial: trial.size_kb or 0.0)
    assert result.best(max_size_kb=smaller.size_kb) == smaller
    with pytest.raises(NothingFitsError, match="no complete trial is within the limits"):
        result.best(max_latency_ms=1e-9)
    with pytest.raises(InvalidInput, match=r"^max_sizekb: there is no such limit; give one of"):
        result.best(max_sizekb=3)  # type: ignore[call-arg]  # which is refused


def test_a_result_is_shown_as_text_as_a_table_and_as_data(result: nas.Result) -> None:
    headline, titles, *rows = repr(result).splitlines()
    assert headline.startswith("Search tiny-digits-1 (tiny on digits, local): 2 complete, ")
    assert titles.split()[:2] == ["trial", "accuracy"]
    assert [int(row.split()[0]) for row in rows] == [trial.number for trial in result.front]
    page = result._repr_html_()
    assert page.count("<tr>") == 1 + len(rows)
    assert f"<td>{result.front[0].number}</td>" in page
    data = json.loads(json.dumps(result.to_dict(), allow_nan=False))
    assert (data["name"], data["counts"]["complete"]) == ("tiny-digits-1", 2)
    assert [trial["number"] for trial in data["front"]] == [trial.number for trial in result.front]
    figure = result.figure()
    assert isinstance(figure, go.Figure)
    assert figure.layout.title.text == "tiny-digits-1: accuracy against latency"


def test_a_figure_is_titled_by_what_it_draws(result: nas.Result, tmp_path: Path) -> None:
    storage = f"sqlite:///{tmp_path}/nas.db"
    with Ledger.open(storage, create=True) as ledger:
        ledger.create_search("other", replace(result.config, trials=1, objectives=("size", "macs")))
        claims = Claims(ledger, "other", Worker.this_process())
        claim = claims.claim()
        assert claim is not None
        claims.record_cost(claim, Cost(0.1, 9.5, [], costs={"macs": ObjectiveValue.exact(1000.0)}))
    assert nas.load(storage, "other").figure().layout.title.text == "other: size against MACs"


def test_a_result_is_exported(result: nas.Result, tmp_path: Path) -> None:
    number = result.front[-1].number
    folder = result.export(tmp_path / "winner", trial=number)
    assert folder == tmp_path / "winner"
    assert json.loads((folder / "card.json").read_text())["trial"] == number
    with pytest.raises(NothingFitsError):
        result.export(tmp_path / "other", max_latency_ms=1e-9)


def test_what_a_result_refuses_is_named_as_its_methods_do(result: nas.Result, tmp_path: Path) -> None:
    (tmp_path / "taken").mkdir()
    (tmp_path / "taken" / "file").touch()
    for message, call in (
        ("folder: ", lambda: result.export(tmp_path / "taken")),
        ("folder: None ", lambda: result.export(None)),  # type: ignore[arg-type]  # which is refused
        ("trial: ", lambda: result.export(tmp_path / "new", 9)),
        ("trial: 'a' ", lambda: result.export(tmp_path / "new", "a")),  # type: ignore[arg-type]  # which is refused
        ("epochs: -1 is out of range", lambda: result.export(tmp_path / "new", epochs=-1)),
        (
            "c_source: .* what folder writes",
            lambda: result.export(tmp_path / "c" / "n", c_source=tmp_path / "c"),
        ),
        ("number: ", lambda: result.trial(2)),
        ("number: 1.5 ", lambda: result.trial(1.5)),  # type: ignore[arg-type]  # which is refused
        ("max_size_kb: '3' ", lambda: result.best(max_size_kb="3")),  # type: ignore[typeddict-item]  # which is refused
        ("state: 'done' is no state", lambda: result.trials("done")),
        ("name: there is no search 'zz'", lambda: nas.load(result.storage, "zz")),
        ("name: there is no search 'zz'", lambda: nas.resume(result.storage, "zz")),
        ("name: there is no search 'zz'", lambda: nas.Result(result.storage, "zz").best()),
        ("storage: None ", lambda: nas.load(None, "zz")),  # type: ignore[arg-type]  # which is refused
    ):
        with pytest.raises(InvalidInput, match=f"^{message}"):
            call()
    assert not (tmp_path / "new").exists()


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> dict[str, object]:
    """Settings of a search that takes no process and no compiler."""
    monkeypatch.setattr(
        nas.trials.job.Job.__init__, "__defaults__", (ArithmeticBench, 60.0, 0.1, 0.1, False, None)
    )
    assert ThreadExecutor
    where = {"storage": f"sqlite:///{tmp_path}/nas.db", "executor": "thread"}
    return {**where, "data": FEW, "trials": 1, "epochs": 1}


def test_progress_is_shown_when_asked_for_and_names_are_given(
    quick: dict[str, object], capsys: pytest.CaptureFixture[str]
) -> None:
    assert nas.search(**quick).name == "tiny-few-digits-1"  # type: ignore[arg-type]  # of several types
    assert capsys.readouterr().err == ""
    second = nas.search(**quick, progress=True)  # type: ignore[arg-type]  # of several types
    assert second.name == "tiny-few-digits-2"
    told = capsys.readouterr().err.splitlines()
    assert [line.split()[:3] for line in told if line.startswith("trial")] == [["trial", "0", "complete"]]
    assert told[-1].startswith("Training took")
    again = nas.resume(str(quick["storage"]), second.name, executor="thread", progress=True)
    assert again.trials() == second.trials()
    assert capsys.readouterr().err == "", "there was nothing left to do"
    with pytest.raises(InvalidInput, match="'tiny-few-digits-2' is taken"):
        nas.search(**quick, name=second.name)  # type: ignore[arg-type]  # of several types


def test_files_of_plugins_are_read_though_registries_were_before(
    quick: dict[str, object], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NAS_PLUGINS", "")
    monkeypatch.setattr("search_spaces.plugins._named", {})
    monkeypatch.setattr(spaces, "_things", {name: spaces.get(name) for name in spaces})
    plugin = tmp_path / "mine.py"
    plugin.write_text(
        "from search_spaces.search_space import spaces\nspaces.add('small', spaces.get('tiny'))\n"
    )
    found = nas.search(**{**quick, "space": "small"}, plugins=[plugin])  # type: ignore[arg-type]  # of several types
    assert (found.config.space, len(found.trials("complete"))) == ("small", 1)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"trials": 0}, "trials: 0 is out of range"),
        ({"workers": -1}, "workers: -1 is out of range"),
        ({"executor": "cloud"}, "executor: unknown name 'cloud'"),
        ({"space": "huge"}, "space: unknown name 'huge'"),
        ({"data": "mnist"}, "data: 'mnist' is neither"),
        ({"name": "../x"}, "name: '../x' is not a search name"),
        ({"max_size_kb": float("nan")}, "max_size_kb: nan is not a limit"),
        ({"max_macs": 10**400}, "max_macs: inf is not a limit"),
        ({"max_latency_share": -1}, "max_latency_share: -1.0 is not a limit"),
        ({"storage": "nonsense"}, "storage: not a database URL"),
        ({"plugins": ["absent.py"]}, "plugins: 'absent.py' is no Python file"),
        ({"plugins": "absent.py"}, "plugins: 'absent.py' is no Python file"),
        ({"plugins": Path("absent.py")}, "plugins: 'absent.py' is no Python file"),
        ({"objectives": "speed"}, "objectives: unknown name 'speed'"),
        ({"limits": {"speed": 1.0}}, "limits: unknown name 'speed'"),
        ({"limits": {"latency@": 1.0}}, "limits: 'latency@' names no device"),
        ({"limits": {"accuracy": -1}}, "limits: -1.0 is not a limit"),
    ],
)
def test_a_setting_that_breaks_its_rule_is_named_and_nothing_is_written(
    quick: dict[str, object], tmp_path: Path, settings: dict[str, object], message: str
) -> None:
    with pytest.raises(InvalidInput) as caught:
        nas.search(**{**quick, **settings})  # type: ignore[arg-type]  # of several types
    assert str(caught.value).startswith(message)
    assert caught.value.parameter == message.partition(":")[0]
    assert list(tmp_path.iterdir()) == []


def test_settings_are_kept_as_plain_values(quick: dict[str, object]) -> None:
    """One objective alone is a list of it, and numbers of NumPy are as good as Python's."""
    settings = {**quick, "trials": np.int64(1), "max_size_kb": np.float32(500), "objectives": "accuracy"}
    config = nas.search(**settings).config  # type: ignore[arg-type]  # of several types
    assert (config.trials, config.max_size_kb, config.objectives) == (1, 500.0, ("accuracy",))


def test_what_is_not_there_is_not_loaded(tmp_path: Path) -> None:
    with pytest.raises(BitnasError, match="there is no database"):
        nas.load(f"sqlite:///{tmp_path}/nas.db", "demo")


FOUND = {"median_latency_ms", "medians", "validation"}
"""What a search finds out, and nobody gives; the last of these is of a search that `nas adapt` makes."""


def test_every_setting_of_a_search_can_be_given_with_the_default_it_has() -> None:
    signature = inspect.signature(nas.search).parameters
    settings = {field.name: field for field in fields(SearchConfig) if field.name not in FOUND}
    assert set(settings) <= set(signature)
    for name, field in settings.items():
        assert f"        {name}: " in str(nas.search.__doc__)
        if field.default is not MISSING:
            assert signature[name].default == field.default
