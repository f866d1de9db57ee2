"""Commands for a person to type next, such that they find what this one found: the ledger and the plugins."""

import os
import shlex

from search_spaces.plugins import named_plugin_files

DEFAULT_STORAGE = "sqlite:///nas.db"
STORAGE_VARIABLE = "NAS_STORAGE"


def command(*words: object, storage: str | None = None) -> str:
    """``nas`` and these words as a shell takes them, with ``--plugin`` and ``--storage`` where needed.

    Args:
        words: the command and its arguments; a number is one, too.
        storage: the ledger that the command is to open; None where it opens none.
    """
    plugins = [word for file in named_plugin_files() for word in ("--plugin", file)]
    usual = os.environ.get(STORAGE_VARIABLE, DEFAULT_STORAGE)
    where = [] if storage in (None, usual) else ["--storage", str(storage)]
    return shlex.join(["nas", *plugins, *map(str, words), *where])
