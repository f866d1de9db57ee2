"""Searches that need a plug-in which is not loaded: what still works, and what the rest says."""

from dataclasses import replace
from pathlib import Path

import pytest
import spaces as toys
from click.testing import CliRunner, Result

import nas
from nas.cli.main import cli
from nas.ledger import Ledger, SearchConfig, TrialState, Worker
from nas.ledger.claims import Claims
from nas.objectives import ObjectiveValue
from search_spaces.errors import InvalidInput

CONFIG = SearchConfig("tiny", "digits", "local", trials=1, epochs=1)
OBJECTIVE = "'mine' was made with the objective 'work' of a plug-in, which is not loaded; give it by "
ALL = (
    "'mine' was made with the space 'toy', the evaluator 'toy' and the objective 'work' of a plug-in, "
    "which is not loaded; give it by nas --plugin FILE"
)


@pytest.fixture(scope="module")
def storage(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Searches of one complete trial: of a plug-in's space, evaluator and objective, or of some of these."""
    url = f"sqlite:///{tmp_path_factory.mktemp('ledger')}/nas.db"
    with toys.known():
        own = replace(
            CONFIG, space="toy", evaluator="toy", data="", device="", objectives=("accuracy", "work")
        )
        searches = {
            "mine": own,
            "plain": replace(own, objectives=("accuracy",)),
            "trained": replace(CONFIG, objectives=("accuracy", "work")),
            "limited": replace(CONFIG, limits={"work": 3.0}),
        }
        with Ledger.open(url, create=True) as ledger:
            for name, config in searches.items():
                ledger.create_search(name, config)
                _complete(Claims(ledger, name, Worker.this_process()))
    return url


def _complete(claims: Claims) -> None:
    claim = claims.claim()
    assert claim is not None
    network = toys.Toy((1, 2))
    claims.propose(claim, choices={"layer0": 1}, architecture=network.to_json(), digest=network.digest)
    values = {"work": ObjectiveValue.exact(3.0)}
    claims.finish(claim, TrialState.COMPLETE, accuracy=0.5, values=values)


def _nas(storage: str, *arguments: str) -> Result:
    return CliRunner().invoke(cli, [*arguments, "--storage", storage])


@pytest.mark.parametrize(
    "arguments",
    [
        ("trials", "mine"),
        ("trials", "mine", "--json"),
        ("pareto", "mine"),
        ("pareto", "mine", "--objective", "work"),
        ("latency", "verify", "mine"),
    ],
)
def test_what_compares_trials_names_the_objective_that_is_missing(
    storage: str, arguments: tuple[str, ...]
) -> None:
    result = _nas(storage, *arguments)
    assert (result.exit_code, result.stdout) == (2, "")
    assert result.stderr == f"Error: SEARCH: {OBJECTIVE}nas --plugin FILE\n"


@pytest.mark.parametrize("more", [(), ("--more", "3"), ("--dry-run",), ("--epochs", "1")])
def test_a_search_that_is_to_go_on_names_all_that_is_missing(storage: str, more: tuple[str, ...]) -> None:
    result = _nas(storage, "search", "--resume", "mine", *more)
    assert (result.exit_code, result.stderr) == (2, f"Error: --resume: {ALL}\n")


def test_what_an_export_needs_is_named(storage: str, tmp_path: Path) -> None:
    for name, trial in (("trained", ()), ("limited", ("--trial", "0"))):
        result = _nas(storage, "export", name, "-o", str(tmp_path / "out"), *trial)
        assert result.exit_code == 2
        assert result.stderr.startswith(
            f"Error: SEARCH: '{name}' was made with the objective 'work' of a plug"
        )


def test_what_is_stored_is_shown_and_moved_all_the_same(storage: str, tmp_path: Path) -> None:
    assert "mine" in _nas(storage, "searches").stdout
    told = _nas(storage, "trial", "mine", "0")
    assert "work" in told.stdout and "3" in told.stdout
    assert told.stderr == "No unit and no title of work: nas --plugin FILE trial ... has those\n"
    file, other = tmp_path / "mine.jsonl", f"sqlite:///{tmp_path}/other.db"
    for arguments in (
        ("trials", "plain"),
        ("pareto", "plain"),
        ("search", "show", "mine", "--toml"),
        ("searches", "export", "mine", "-o", str(file)),
        ("searches", "copy", "mine", "--to", other),
    ):
        result = _nas(storage, *arguments)
        assert result.exit_code == 0, result.output
    assert _nas(storage, "searches", "import", str(file), "--name", "again").exit_code == 0
    assert _nas(storage, "searches", "rename", "again", "once").exit_code == 0
    assert _nas(storage, "searches", "delete", "once", "--yes").exit_code == 0


def test_python_says_how_a_plug_in_is_added(storage: str) -> None:
    add = "search_spaces.add_plugin_file(FILE)"
    for ask in (lambda r: r.front, lambda r: r.pareto(), lambda r: r.hypervolume()):
        with pytest.raises(InvalidInput) as error:
            ask(nas.load(storage, "mine"))
        assert str(error.value) == f"name: {OBJECTIVE}{add}"
    with pytest.raises(InvalidInput) as error:
        nas.resume(storage, "mine")
    assert str(error.value) == f"name: {ALL.replace('nas --plugin FILE', add)}"
