"""Fixtures: a filled ledger, ``nas`` in a process of its own, plug-ins for it, a small network."""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.cli.filled_ledger import fill
from tests.environment import clean_environment, own_cache

ROOT = Path(__file__).parents[2]
Run = Callable[..., "subprocess.CompletedProcess[str]"]

PLUGIN = '''
import time
import click
import search_spaces.errors as errors

@click.command()
@click.argument("how")
def act(how):
    """Behave badly."""
    if how == "sleep":
        print("sleeping", flush=True)
        time.sleep(60)
    if how == "crash":
        1 / 0
    if how == "disk":
        raise errors.BitnasError("the disk\\nis full")
    if how == "input":
        raise errors.InvalidInput("how", "too bad", "be good")
    if how == "flood":
        for _ in range(100_000):
            click.echo("x" * 100)

number = 7
'''
ENTRY_POINTS = """[bitnas.commands]
act = bad_plugin:act
broken = bad_plugin.nowhere:act
number = bad_plugin:number
dashboard = dashboards.command:dashboard
"""


@pytest.fixture(scope="session")
def storage(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The URL of a ledger that tests only read."""
    return fill(tmp_path_factory.mktemp("ledger") / "nas.db")


@pytest.fixture(scope="session")
def environment(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """An environment in which a distribution with commands of its own is installed."""
    site = tmp_path_factory.mktemp("site")
    (site / "bad_plugin.py").write_text(PLUGIN)
    info = site / "badplugin-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: badplugin\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(ENTRY_POINTS)
    return clean_environment(PYTHONPATH=os.pathsep.join([str(ROOT), str(site)]))


@pytest.fixture
def nas(environment: dict[str, str], tmp_path: Path) -> Run:
    """Run ``nas`` with the given arguments in an empty folder."""

    def run(*arguments: str, **more: str) -> "subprocess.CompletedProcess[str]":
        command = [sys.executable, "-m", "nas.cli.main", *arguments]
        env = {**environment, **more}
        return subprocess.run(command, env=env, cwd=tmp_path, capture_output=True, text=True, timeout=60)

    return run


@pytest.fixture
def small_network(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    """A network called ``small`` beside the published ones, and a cache of our own."""
    from search_spaces.networks import networks
    from search_spaces.networks.published import Published
    from tests.cli.small_network import small

    monkeypatch.setenv("NAS_CACHE", own_cache(tmp_path_factory.mktemp("cache")))
    known = {**networks._things, "small": Published(small, (1, 8, 8), 10, "none")}
    monkeypatch.setattr(networks, "_things", known)
