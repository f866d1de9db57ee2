"""A training that is killed goes on with ``nas train --resume`` to the very bits of one that was not."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.cli.small_network import MOST_S, environment, killed_after_a_checkpoint

SETTINGS = ("--precision", "ternary", "--average", "0.9999", "--crop", "1", "--flip", "--epochs", "8")
"""What a resumed training could get wrong: scales, an average, random shifts, a rate that changes."""
CHECKPOINT, WEIGHTS, RESULT = "checkpoint.safetensors", "weights.safetensors", "result.json"


def command(*arguments: str) -> list[str]:
    return [sys.executable, "-m", "nas.cli.main", "train", *arguments]


@pytest.mark.slow
def test_a_killed_training_ends_with_the_same_bits(tmp_path: Path) -> None:
    options = ("small", "--data", "digits", *SETTINGS)

    def finish(*arguments: str) -> None:
        env = environment(tmp_path / "cache")
        done = subprocess.run(
            command(*arguments), env=env, cwd=tmp_path, capture_output=True, text=True, timeout=MOST_S
        )
        assert done.returncode == 0, done.stderr

    finish(*options, "-o", "whole")
    folder = tmp_path / "killed"
    killed_after_a_checkpoint(folder, command(*options, "-o", "killed"), tmp_path)
    visible = {path.name for path in folder.iterdir() if not path.name.startswith(".")}
    assert visible == {CHECKPOINT}, "nothing else is written before the end"
    half = (folder / CHECKPOINT).read_bytes()[:1000]
    for name in (CHECKPOINT, WEIGHTS, RESULT):  # what is there where the kill comes while one is written
        (folder / f".{name}-aside").write_bytes(half)
    finish("--resume", "killed")
    assert {path.name for path in folder.iterdir()} == {CHECKPOINT, WEIGHTS, RESULT}, "no halves are left"
    assert (folder / WEIGHTS).read_bytes() == (tmp_path / "whole" / WEIGHTS).read_bytes()
