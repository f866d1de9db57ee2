"""A space, an evaluator and its objective of another distribution: found by their entry points."""

import json
import subprocess
import sys
from pathlib import Path

from tests.environment import clean_environment

ROOT = Path(__file__).parents[2]
MODULE = """
import hashlib, json, os
from dataclasses import dataclass

import nas
from nas.evaluators import Evaluator
from search_spaces.search_space import SearchSpace

@dataclass(frozen=True)
class Net:
    sizes: tuple

    def to_json(self):
        return json.dumps(self.sizes)

    @property
    def digest(self):
        return hashlib.sha256(self.to_json().encode()).hexdigest()

class Pairs(SearchSpace):
    name = "pairs"

    def propose(self, choose):
        return Net((choose("first", (1, 2)), choose("second", (1, 2))))

pairs = Pairs()
effort = nas.Objective("effort", unit="G", before_training=True)

class Sum(Evaluator):
    objectives = ("accuracy", "effort")

    def __init__(self, task):
        pass

    def costs(self, net):
        return {"effort": float(sum(net.sizes))}

    def evaluate(self, net, budget, report):
        print("printed")
        os.write(1, b"written")
        report(1, {"accuracy": 0.1 * sum(net.sizes)})
        return {"accuracy": 0.1 * sum(net.sizes)}
"""
ENTRY_POINTS = """
[bitnas.spaces]
pairs = theirs:pairs
[bitnas.objectives]
effort = theirs:effort
[bitnas.evaluators]
sum = theirs:Sum
"""


def test_a_search_by_what_another_distribution_has(tmp_path: Path) -> None:
    info = tmp_path / "site" / "theirs-1.0.dist-info"
    info.mkdir(parents=True)
    (tmp_path / "site" / "theirs.py").write_text(MODULE)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: theirs\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(ENTRY_POINTS)
    words = "search --name s --space pairs --evaluator sum --limit effort=3 --trials 8 --json"
    command = [sys.executable, "-m", "nas.cli.main", *words.split()]
    environment = clean_environment(PYTHONPATH=f"{tmp_path / 'site'}:{ROOT}")
    done = subprocess.run(
        command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=600, check=False
    )
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert found["counts"]["complete"] == 3
    assert found["ended"] == "all other architectures of the space were over a limit"
    assert "printed" in done.stderr and "written" in done.stderr
    assert {trial["accuracy"] for trial in found["front"]} == {0.2, 0.1 * 3}
