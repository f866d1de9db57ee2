"""Plug-in files as modules: a new process can import what is defined in one, which it may be sent by name."""

import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor, wait
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from search_spaces.plugins import VARIABLE
from search_spaces.registry import Registry
from tests.environment import clean_environment

SLOW = """
import time
from pathlib import Path
from its_registry import things

things.add("early", 1)
folder = Path(__file__).parent
(folder / "begun").touch()
while not (folder / "go").exists():
    time.sleep(0.01)
things.add("late", list(things))
"""
"""A module that adds things, and asks for them, as it is imported; the second when it is let."""


@pytest.mark.parametrize("is_plugin", [True, False])
def test_threads_that_ask_at_once_get_everything(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, is_plugin: bool
) -> None:
    (tmp_path / "slow_home.py").write_text(SLOW)
    if is_plugin:
        monkeypatch.setenv(VARIABLE, str(tmp_path / "slow_home.py"))
    monkeypatch.syspath_prepend(tmp_path)
    module = ModuleType("its_registry")
    module.things = Registry[Any]("thing", "things", () if is_plugin else ("slow_home",))
    for name in ("its_registry", "slow_home"):
        monkeypatch.setitem(sys.modules, name, module)
    del sys.modules["slow_home"]
    with ThreadPoolExecutor() as pool:
        first = pool.submit(module.things.get, "late")
        while not (tmp_path / "begun").exists():
            time.sleep(0.01)
        others = [pool.submit(module.things.get, "late"), pool.submit(list, Registry("other", "others"))]
        done = wait(others, timeout=0.3).done
        (tmp_path / "go").touch()
        assert not done, "what is half read is given to nobody"
        assert first.result() == others[0].result() == ["early"]
        assert others[1].result() == []


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
