"""TVM without what is not used here: what is left out, where, and when not."""

import json
import subprocess
import sys

import pytest

from tests.environment import clean_environment

IMPORTED = (
    "import json, sys; import tvm; from tvm.base import _LOADED_LIBS as libraries; "
    "print(json.dumps([sys.modules.get('torch') is not None, 'tvm_runtime_extra' in libraries]))"
)


@pytest.mark.parametrize(
    ("first", "loaded"),
    [
        ("import runtime", [True, True]),  # as a library, bitnas leaves TVM as it is
        ("from runtime.light_tvm import *; without_backends()", [True, False]),
        ("from runtime.light_tvm import *; without_torch()", [False, False]),
        ("import torch; from runtime.light_tvm import *; without_torch()", [True, False]),
    ],
)
def test_what_is_imported(first: str, loaded: list[bool]) -> None:
    assert _run(f"{first}; {IMPORTED}") == loaded


def test_backends_can_be_asked_for() -> None:
    first = "from runtime.light_tvm import *; without_backends()"
    asked = clean_environment(TVM_DEVICE_BACKEND_AUTOLOAD="1")
    assert _run(f"{first}; {IMPORTED}", asked) == [True, True]


def test_lowering_imports_no_compiler_of_torchs() -> None:
    lower = "runtime.workloads(nn.Sequential(nn.Conv2d(3, 8, 3)), (1, 3, 8, 8))"
    asked = "print(json.dumps(['torch._dynamo' in sys.modules]))"  # two seconds of each process
    assert _run(f"import json, sys, runtime; from torch import nn; {lower}; {asked}") == [False]


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
