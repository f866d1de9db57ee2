"""Settings from a file: what is typed wins over it in any spelling, and what clashes within it is refused."""

from dataclasses import replace
from pathlib import Path

import pytest
from click.testing import CliRunner

from nas.cli.config_file import typed_wins
from nas.cli.main import cli
from nas.cli.search import search
from nas.cli.settings import config_of, given_settings
from nas.ledger import SearchConfig

PLAIN = SearchConfig("tiny", "", "local", trials=24, epochs=3)
LIMITED = 'max-latency = "0.5x"\n[limit]\nmacs = 100\naccuracy = 0.5\n'
REWARDED = 'reward = "mnasnet"\ntarget-latency-ms = 3\nw = -0.1\n'
RESTRICTED = '[fix]\nprecision = "int8"\n[only]\n"stage1.width" = [32, 48]\n'


@pytest.mark.parametrize(
    ("text", "typed", "changes"),
    [
        (LIMITED, [], {"max_latency_share": 0.5, "max_macs": 100.0, "limits": {"accuracy": 0.5}}),
        (
            LIMITED,
            ["--max-latency-ms", "2"],
            {"max_latency_ms": 2.0, "max_macs": 100.0, "limits": {"accuracy": 0.5}},
        ),
        (
            LIMITED,
            ["--limit", "latency=2", "--max-macs", "7"],
            {"max_latency_ms": 2.0, "max_macs": 7.0},
        ),
        (
            LIMITED,
            ["--max-macs", "7"],
            {"max_latency_share": 0.5, "max_macs": 7.0, "limits": {"accuracy": 0.5}},
        ),
        ("max-latency-ms = 3", ["--max-latency", "1ms"], {"max_latency_ms": 1.0}),
        (REWARDED, [], {"objectives": ("mnasnet@3ms:-0.1",)}),
        (REWARDED, ["--w", "-0.2"], {"objectives": ("mnasnet@3ms:-0.2",)}),
        (REWARDED, ["--objective", "accuracy"], {"objectives": ("accuracy",)}),
        (
            'objective = ["accuracy", "size"]',
            ["--reward", "mnasnet-hard", "--target-latency-ms", "3"],
            {"objectives": ("mnasnet-hard@3ms",)},
        ),
        (RESTRICTED, [], {"fix": {"precision": "int8"}, "only": {"stage1.width": ("32", "48")}}),
        (RESTRICTED, ["--only", "precision=int8,binary"], {"only": {"precision": ("int8", "binary")}}),
        (RESTRICTED, ["--fix", "stage1.width=32"], {"fix": {"stage1.width": "32"}}),
    ],
)
def test_what_is_typed_wins_in_any_spelling(
    tmp_path: Path, text: str, typed: list[str], changes: dict[str, object]
) -> None:
    file = tmp_path / "search.toml"
    file.write_text(text)
    with search.make_context("search", ["--config", str(file), *typed]) as context:
        found = config_of(context, typed_wins(context, context.params))
        assert found == replace(PLAIN, **changes)  # type: ignore[arg-type]  # of several types
        if "--max-latency-ms" in typed:
            assert "max_latency" not in given_settings(context)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (
            'max-latency = "0.5x"\nmax-latency-ms = 3',
            "--config: '{}' has 'max-latency' and 'max-latency-ms', which are about the same; leave one of",
        ),
        ("max-macs = 3\n[limit]\nmacs = 3", "--config: '{}' has 'max-macs' and 'limit', which are about the"),
        (
            f'objective = "size"\n{REWARDED}',
            "--config: '{}' has 'objective' and 'reward', which are about the same; leave one of the two out",
        ),
        ("max-macs = 3\nmax_macs = 4", "--config: '{}' has 'max-macs' and 'max_macs', which are about the s"),
        ("epochs = 2.5", "--config: 'epochs' in '{}': '2.5' is not a valid integer; correct it"),
        ('reward = "good"', "--config: 'reward' in '{}': 'good' is not one of 'mnasnet', 'mnasnet-hard'; c"),
        ("max-size-kb = -1", "--config: 'max-size-kb' in '{}': '-1' is no limit; give kB, such as 32, 32kB"),
        ("epochs = 0", "'epochs' in '{}': 0 is out of range; give a whole number in 1..100000"),
        ("w = 3", "'w' in '{}': it belongs to a reward; give --reward, too"),
    ],
)
def test_what_is_wrong_in_a_file_names_the_file(tmp_path: Path, text: str, told: str) -> None:
    file = tmp_path / "search.toml"
    file.write_text(text)
    storage = f"sqlite:///{tmp_path}/nas.db"
    result = CliRunner().invoke(cli, ["search", "--config", str(file), "--name", "x", "--storage", storage])
    assert (result.exit_code, result.stdout) == (2, "")
    assert result.stderr.startswith(f"Error: {told.format(file)}"), result.stderr
    assert result.stderr.count("\n") == 1
    assert list(tmp_path.iterdir()) == [file]
