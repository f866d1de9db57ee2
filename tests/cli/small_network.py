"""A network for the digits that trains in a second, how ``nas`` comes to know it, and trainings of it."""

import json
import signal
import subprocess
import time
from pathlib import Path

from click.testing import CliRunner, Result
from torch import nn

from nas.cli.main import cli
from search_spaces.layers import QuantConv2d, QuantLinear
from search_spaces.plan import Plan
from tests.environment import clean_environment, own_cache

ROOT = Path(__file__).parents[2]
PLUGIN = Path(__file__).parent / "small_plugin.py"
MOST_S = 300
"""That a command in a process of its own may take."""


def small(plan: Plan, classes: int) -> nn.Module:
    """One convolution on the image, one of 1x1, a classifier."""
    return nn.Sequential(
        nn.Conv2d(1, 16, 3, padding=1, bias=False),
        nn.BatchNorm2d(16),
        QuantConv2d(16, 16, 1, plan.pointwise),
        nn.BatchNorm2d(16),
        nn.MaxPool2d(2),
        nn.Flatten(),
        QuantLinear(256, classes, plan.classifier, relu=True),
    )


def environment(cache: Path) -> dict[str, str]:
    """For ``nas`` in a process of its own that knows the network and keeps what it decodes in ``cache``."""
    return clean_environment(PYTHONPATH=str(ROOT), NAS_PLUGINS=str(PLUGIN), NAS_CACHE=own_cache(cache))


def run(*arguments: str) -> Result:
    """``nas`` in this process."""
    return CliRunner().invoke(cli, [str(a) for a in arguments])


def trained(folder: Path, *more: str) -> dict[str, object]:
    """The result of a training of ``small`` on digits, three epochs unless told."""
    options = ["--data", "digits", "--epochs", "3", "--json", "-o", folder, *more]
    done = run("train", "small", *map(str, options))
    assert done.exit_code == 0, done.stderr
    result: dict[str, object] = json.loads(done.stdout)
    return result


def killed_after_a_checkpoint(folder: Path, arguments: list[str], home: Path) -> None:
    """Run a command until a checkpoint lies in ``folder``, and end it then and there."""
    with subprocess.Popen(
        arguments, env=environment(home / "cache"), cwd=home, stderr=subprocess.PIPE, text=True
    ) as process:
        latest = time.monotonic() + MOST_S
        while not (folder / "checkpoint.safetensors").exists():
            assert process.poll() is None, process.communicate()[1]
            assert time.monotonic() < latest
            time.sleep(0.001)  # a file has no event to wait for
        process.kill()
        assert process.wait() == -signal.SIGKILL
