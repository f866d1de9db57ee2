"""TVM without what is not used here: what is left out, where, and when not."""

import json
import subprocess
import sys

import pytest

from tests.environment import clean_environment

IMPORTED = (
    "import json, os, sys; import tvm; loaded = {name for name, module in sys.modules.items() if module}; "
    "print(json.dumps([name in loaded for name in ('torch', 'tvm.runtime.disco', 'tvm.backend.cuda')]))"
)


@pytest.mark.parametrize(
    ("first", "loaded"),
    [
        ("import runtime", [True, True, True]),  # as a library, bitnas leaves TVM as it is
        ("from runtime.light_tvm import *; without_backends()", [True, False, False]),
        ("from runtime.light_tvm import *; without_torch()", [False, False, False]),
        ("import torch; from runtime.light_tvm import *; without_torch()", [True, False, False]),
    ],
)
def test_what_is_imported(first: str, loaded: list[bool]) -> None:
    assert _run(f"{first}; {IMPORTED}") == loaded


def test_backends_can_be_asked_for() -> None:
    first = "from runtime.light_tvm import *; without_backends()"
    asked = clean_environment(TVM_DEVICE_BACKEND_AUTOLOAD="1")
    assert _run(f"{first}; {IMPORTED}", asked)[2]


def _run(code: str, environment: dict[str, str] | None = None) -> list[bool]:
    done = subprocess.run(
        [sys.executable, "-c", code],
        env=environment or clean_environment(),
        capture_output=True,
        text=True,
        check=True,
    )
    found: list[bool] = json.loads(done.stdout)
    return found
