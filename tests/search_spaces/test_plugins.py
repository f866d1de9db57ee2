"""Plug-in files as modules: a new process can import what is defined in one, which it may be sent by name."""

import subprocess
import sys
from pathlib import Path

from tests.environment import clean_environment

SCRIPT = """
import multiprocessing, sys
from search_spaces.plugins import load_plugin_files

load_plugin_files()
modules = [module for name, module in sys.modules.items() if name.startswith("search_spaces.plugins.")]
for module in modules:
    process = multiprocessing.get_context("spawn").Process(target=module.work)
    process.start()
    process.join()
    print(process.exitcode)
"""
"""From the command line: a new process imports no main module, by which it would know the files."""


def test_functions_of_files_are_sent_to_new_processes_though_files_are_called_alike(tmp_path: Path) -> None:
    files = [tmp_path / "a" / "mine.py", tmp_path / "b" / "mine.py", tmp_path / "my-plug.in.py"]
    for number, file in enumerate(files):
        file.parent.mkdir(exist_ok=True)
        file.write_text(f"def work():\n    print('worker', {number}, flush=True)\n")
    ran = subprocess.run(
        [sys.executable, "-c", SCRIPT],
        env=clean_environment(
            PYTHONPATH=str(Path(__file__).parents[2]),
            NAS_PLUGINS=":".join(map(str, files)),
            PYTHONUNBUFFERED="1",
        ),
        capture_output=True,
        text=True,
        check=False,
    )
    assert ran.stdout.split("\n") == ["worker 0", "0", "worker 1", "0", "worker 2", "0", ""], ran.stderr
