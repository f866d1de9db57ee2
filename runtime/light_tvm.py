"""Importing TVM without the parts of it that nobody here uses, which takes most of the time that it needs.

For processes of our own, before anything imports TVM; who imports bitnas as a library gets TVM as it is.
A lookup of what this build of TVM lacks ends in an error that it catches, after reading the symbols of
every library that is loaded, torch's among them: the better part of a second each.
"""

import os
import sys
from typing import Any

AUTOLOAD = "TVM_DEVICE_BACKEND_AUTOLOAD"
"""TVM's variable: whether its backends for GPUs and accelerators are loaded when it is imported."""

_modules: dict[str, Any] = sys.modules  # a module that is None there cannot be imported


def without_backends() -> None:
    """No backends of accelerators, unless the variable asks for them, and no distributed runtime."""
    os.environ.setdefault(AUTOLOAD, "0")
    _modules.setdefault("tvm.runtime.disco", None)


def without_torch() -> None:
    """Nor torch, which TVM imports where it can; for processes that only call what is compiled."""
    without_backends()
    _modules.setdefault("torch", None)
