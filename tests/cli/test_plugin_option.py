"""``nas --plugin FILE``: a block, a space and a precision from outside the package, through to an export."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.environment import clean_environment

EXAMPLES = Path(__file__).parents[2] / "examples"
FEW = """
from dataclasses import replace

from search_spaces import spaces

small = dict(stages=((32,),), stem_widths=(16,), kernels=(3,), strides=(2,), repeats=(1,))
spaces.add("few", replace(spaces.get("{space}"), name="few", kinds=("{kind}",), **small))
"""
"""Of an example's space, architectures of one block and few kernels."""


def nas(*arguments: object, cwd: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "nas.cli.main", *map(str, arguments)]
    root = str(Path(__file__).parents[2])
    return subprocess.run(
        command,
        cwd=cwd,
        env=clean_environment(PYTHONPATH=root),
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )


def searched(example: str, space: str, kind: str, cwd: Path) -> tuple[object, ...]:
    """The options that name an example and few of its space's architectures, which were searched as "g"."""
    (cwd / "few.py").write_text(FEW.format(space=space, kind=kind))
    plugin = "--plugin", EXAMPLES / example, "--plugin", "few.py"
    done = nas(*plugin, "search", "--name", "g", "--space", "few", "--trials", 1, "--epochs", 1, cwd=cwd)
    assert done.returncode == 0, done.stderr
    assert "1 complete" in done.stderr + done.stdout
    return plugin


def test_a_block_and_a_space_of_a_plugin_are_searched(tmp_path: Path) -> None:
    searched("plugin.py", "ghost", "ghost", tmp_path)
    done = nas("search", "--resume", "g", cwd=tmp_path)
    assert (done.returncode, "'g' was made with the space 'few' of a plug-in" in done.stderr) == (2, True)


@pytest.mark.slow
def test_a_kernel_of_a_plugin_is_searched_exported_and_verified(tmp_path: Path) -> None:
    plugin = searched("kernel.py", "squared", "squared", tmp_path)
    done = nas(*plugin, "export", "g", "-o", "out", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "squared_relu" in (tmp_path / "out" / "manifest.json").read_text()
    done = nas(*plugin, "verify", "out", "--latency-tolerance", 50, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    done = nas("verify", "out", cwd=tmp_path)
    assert (done.returncode, "no kernels of a family 'squared_relu' are known" in done.stderr) == (1, True)


def test_precisions_of_a_plugin_serve_published_networks(tmp_path: Path) -> None:
    done = nas("--plugin", EXAMPLES / "plugin.py", "size", "resnet20", "--precision", "mine", cwd=tmp_path)
    assert done.returncode == 0
    assert "weights               68.704 kB" in done.stdout


@pytest.mark.parametrize(
    ("text", "code", "message"),
    [
        (None, 2, "--plugin: 'mine.py' is no Python file"),
        ("1 / 0", 1, "mine.py': ZeroDivisionError: division by zero; mend it"),
        ("import nothing_like_it", 1, "ModuleNotFoundError: No module named 'nothing_like_it'; mend it"),
        ("def", 1, "SyntaxError"),
        (
            "from search_spaces import spaces\nspaces.add('tiny', None)",
            1,
            "mine.py': space: 'tiny' is already",
        ),
        ("raise SystemExit(0)", 1, "mine.py': SystemExit: 0; mend it"),
    ],
)
def test_a_plugin_that_does_not_serve(tmp_path: Path, text: Any, code: int, message: str) -> None:
    if text is not None:
        (tmp_path / "mine.py").write_text(text)
    done = nas("--plugin", "mine.py", "size", "resnet20", cwd=tmp_path)
    assert done.returncode == code
    assert message in done.stderr
    assert done.stderr.count("\n") == 1
