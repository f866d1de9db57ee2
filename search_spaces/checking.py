"""Checks a space of the user's own before a search begins: what its choices and its architectures must be."""

import json
from random import Random

from search_spaces.errors import InvalidInput
from search_spaces.search_space import Option, SearchSpace

WALKS = 64
"""Random ways through the choices; a fault that shows on fewer than one in so many is met later."""
LONGEST_DIGEST = 64


def check_space(space: SearchSpace) -> None:
    """InvalidInput where a space breaks its contract on one of many ways through its choices."""
    if isinstance(space, type):
        raise _broken(space, "it is a class, not a space", f"register an instance of it, {space.__name__}()")
    known: dict[str, tuple[Option, ...]] = {}
    random = Random(0)  # noqa: S311 - for sampling, not for secrets
    for _ in range(WALKS):
        _walk(space, random, known)
    if not known:
        raise _broken(space, "it asks for no choice", "have propose choose something")


def _walk(space: SearchSpace, random: Random, known: dict[str, tuple[Option, ...]]) -> None:
    def choose(name: str, options: tuple[Option, ...]) -> Option:
        if not options:
            raise _broken(space, f"choice '{name}' has no option", "give it some")
        if known.setdefault(name, options) != options:
            fix = "call choices that differ by other names"
            raise _broken(space, f"choice '{name}' has other options at times", fix)
        return options[int(random.random() * len(options))]

    try:
        found = space.propose(choose)
        digest, text = found.digest, found.to_json()
    except InvalidInput:
        raise
    except Exception as error:
        problem = f"it raises {type(error).__name__}: {' '.join(str(error).split())}"
        raise _broken(space, problem, "mend its propose") from error
    if not isinstance(digest, str) or not 0 < len(digest) <= LONGEST_DIGEST:
        fix = f"give a string of 1 to {LONGEST_DIGEST} characters"
        raise _broken(space, f"the digest of an architecture is {str(digest)[:80]!r}", fix)
    _check_json(space, text)


def _check_json(space: SearchSpace, text: object) -> None:
    try:
        if isinstance(text, str):
            json.loads(text)
            return
    except ValueError:
        pass
    raise _broken(space, f"to_json gives {str(text)[:40]!r}, which is no JSON", "give a string of JSON")


def _broken(space: SearchSpace, problem: str, fix: str) -> InvalidInput:
    name = getattr(space, "name", None) or getattr(space, "__name__", "")
    return InvalidInput("space", f"'{name}': {problem}", fix)
