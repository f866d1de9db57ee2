"""Trials that take their workers down with them: each death is told of, and who is to blame decides."""

import os
import re
import subprocess
import sys
from pathlib import Path

from nas.ledger import Ledger, TrialState

PLUGIN = Path(__file__).with_name("deadly_plugin.py")


def test_a_worker_that_dies_is_told_of_with_its_trial_and_how(tmp_path: Path) -> None:
    storage = f"sqlite:///{tmp_path}/nas.db"
    options = ["--space", "pair", "--evaluator", "deadly", "--objective", "accuracy", "--trials", "2"]
    more = ["--name", "demo", "--sampler", "grid", "--epochs", "1", "--storage", storage]
    words = [sys.executable, "-m", "nas.cli.main", "--plugin", str(PLUGIN), "search", *options, *more]
    env = {**os.environ, "DEADLY_FILE": str(tmp_path / "seen")}
    ran = subprocess.run(words, capture_output=True, text=True, env=env, check=True)
    with Ledger.open(storage) as ledger:
        trials = {trial.digest: trial for trial in ledger.trials("demo")}
    assert trials["0"].state is TrialState.COMPLETE
    assert trials["1"].state is TrialState.FAILED
    begin = f"trial {trials['1'].number}: its worker died"
    assert [line for line in ran.stderr.splitlines() if "worker died (" in line] == [
        f"{begin} (exit code 77); it is tried again by another",
        f"{begin} (killed by SIGKILL); it is tried again by another",
        f"{begin} (killed by SIGTERM); it is tried again by another",
        f"{begin} (killed by SIGSEGV); it is tried again by another",
        f"{begin} (killed by SIGSEGV); it is given up",
    ], ran.stderr
    assert trials["1"].error == (
        "its worker died 5 times in this trial: exit code 77, killed by SIGKILL, killed by SIGTERM, "
        "killed by SIGSEGV (2 times)"
    )
    assert re.search(r"trial +\d+ +failed .*its worker died 5 times in this trial", ran.stderr)
