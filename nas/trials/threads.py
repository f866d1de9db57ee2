"""Has torch run on one thread once anything imports it, without importing it: that takes two seconds."""

import sys
from collections.abc import Sequence
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec
from importlib.util import find_spec
from types import ModuleType


def one_thread() -> None:
    """One thread for torch in this process, whether it is imported by now, later, or never."""
    if "torch" in sys.modules:
        _use_one(sys.modules["torch"])
    elif not any(isinstance(finder, _OneThread) for finder in sys.meta_path):
        sys.meta_path.insert(0, _OneThread())


def _use_one(torch: ModuleType) -> None:
    torch.set_num_threads(1)


class _OneThread(MetaPathFinder):
    """Finds torch as others do, once, and sets its threads when it has been imported."""

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if fullname != "torch":
            return None
        sys.meta_path.remove(self)
        found = find_spec("torch")
        loader: object = None if found is None else found.loader
        if loader is not None:
            execute = loader.exec_module  # type: ignore[attr-defined]  # every loader of today has one

            def exec_module(module: ModuleType) -> None:
                execute(module)
                _use_one(module)

            loader.exec_module = exec_module  # type: ignore[attr-defined]
        return found
