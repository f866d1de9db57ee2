"""``python -m benchmarks.repeat``: a network measured in fresh processes; how far its times spread."""

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import click

import search_spaces
from benchmarks.command import Command

NAS = Path(sys.executable).with_name("nas")
BUSY = "import os\nos.sched_setaffinity(0, {core})\nwhile True: pass"


@contextmanager
def load(cores: list[int]) -> Iterator[None]:
    """Keep cores busy."""
    busy = [subprocess.Popen([sys.executable, "-c", BUSY.replace("core", str(c))]) for c in cores]
    try:
        yield
    finally:
        for process in busy:
            process.kill()
            process.wait()


@click.command(cls=Command)
@click.option("--space", default="tiny", show_default=True, help="The space of the networks.")
@click.option("--networks", default=3, show_default=True, help="How many networks.")
@click.option("--runs", default=10, show_default=True, help="How many processes measure each.")
@click.option("--loaded", is_flag=True, help="Keep all cores busy but the one that is measured on.")
def main(space: str, networks: int, runs: int, loaded: bool) -> None:
    """Measure networks, each in RUNS fresh processes by turns, and print by how much their times differ."""
    found: dict[int, list[float]] = {seed: [] for seed in range(networks)}
    cores = sorted(os.sched_getaffinity(0))[:-1] if loaded else []
    with tempfile.TemporaryDirectory() as folder:
        for seed in found:
            text = search_spaces.space(space).sample(seed).to_json()
            (Path(folder) / f"{seed}.json").write_text(text, encoding="utf-8")
        for run in range(-1, runs):  # the first one only fills the table
            for seed, times in found.items():
                path = Path(folder) / f"{seed}.json"
                storage = f"sqlite:///{folder}/nas.db"
                command = [NAS, "latency", "explain", path, "--whole", "--json", "--storage", storage]
                with load(cores if run >= 0 else []):
                    told = subprocess.run(command, check=True, capture_output=True, text=True)
                if run >= 0:
                    times.append(json.loads(told.stdout)["measured_ms"])
    for seed, times in found.items():
        spread = max(times) / min(times) - 1
        told = f"{min(times):.6f} to {max(times):.6f} ms in {runs} processes, spread {spread:.1%}"
        print(f"network {seed}: {told}")


if __name__ == "__main__":
    main()
