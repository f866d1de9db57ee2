"""Commands for a person to type next, such that they find what this one found: the ledger and the plugins."""

import os
import shlex
from collections.abc import Iterable
from urllib.parse import urlsplit

from search_spaces.plugins import named_plugin_files

DEFAULT_STORAGE = "sqlite:///nas.db"
STORAGE_VARIABLE = "NAS_STORAGE"


def command(
    *words: object,
    storage: str | None = None,
    debug: bool = False,
    lacks_plugin: bool = False,
    **options: object,
) -> str:
    """``nas`` and these words as a shell takes them, with ``--plugin`` and ``--storage`` where needed.

    Args:
        words: the command and its arguments; a number is one, too.
        storage: the ledger that the command is to open; None where it opens none.
        debug: whether it is to show where an error comes from.
        lacks_plugin: whether it needs a plug-in file besides those of this process; nobody knows its name.
        options: further ones, by the names of their parameters.
    """
    before: list[tuple[str, object]] = [("debug", None)] if debug else []
    before += [("plugin", file) for file in named_plugin_files()]
    before += [("plugin", "FILE")] if lacks_plugin else []
    usual = os.environ.get(STORAGE_VARIABLE, DEFAULT_STORAGE)
    after = dict(options) if storage in (None, usual) else {**options, "storage": storage}
    return shlex.join(["nas", *_typed(before), *map(str, words), *_typed(after.items())])


def _typed(options: Iterable[tuple[str, object]]) -> list[str]:
    """Options as they are typed; one whose value is None is a flag."""
    found = []
    for name, value in options:
        found += [f"--{name.replace('_', '-')}"] + ([] if value is None else [str(value)])
    return found


def typed_again(name: str) -> str:
    """How to go on with a search whose trials the command of that name makes, step by step."""
    return f"to go on with it, type that {command(name)} again"


def without_password(storage: str) -> str | None:
    """A ledger's URL as a page may show it in a command; None, for that of NAS_STORAGE, where it has one."""
    return None if urlsplit(storage).password else storage
