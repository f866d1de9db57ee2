"""Many processes that do nothing but claim trials: each gets some, and none gets another's."""

import json
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_every_process_gets_trials_and_none_twice(storage: str, tmp_path: Path) -> None:
    figures = tmp_path / "figures.json"
    words = ["--storage", storage, "--processes", "8", "--each", "12", "--json", str(figures)]
    command = [sys.executable, "-m", "benchmarks.ledger", *words]
    ran = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=300)
    assert ran.returncode == 0, ran.stdout + ran.stderr
    found = json.loads(figures.read_text(encoding="utf-8"))
    assert (found["trials"], found["double_claims"], found["errors"]) == (96, 0, [])
    shares = found["trials_per_process"]
    assert shares["min"] >= 3, "by itself SQLite gives nothing to half of them"
    assert shares["max"] <= 36
