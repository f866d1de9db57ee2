"""The errors that a user can cause; the command line turns each into one line and an exit code.

BitnasError            exit code 1: the machine, the storage or an artifact is not as it should be
  InvalidInput         exit code 2: a parameter breaks a rule (also a ValueError)
"""

from collections.abc import Iterable


class BitnasError(Exception):
    """Something outside the code is wrong; the message is one line with the cause and the fix."""


class InvalidInput(BitnasError, ValueError):  # noqa: N818 - it names the input, not the failure
    """A parameter breaks its rule; the message names the parameter, the rule and the fix."""

    def __init__(self, parameter: str, problem: str, fix: str) -> None:
        super().__init__(f"{parameter}: {problem}; {fix}")
        self.parameter, self.problem, self.fix = parameter, problem, fix


def nearest(name: str, known: Iterable[str]) -> str:
    """A question after the known name that is most like a mistyped one, and a space; or nothing."""
    from difflib import get_close_matches

    found = get_close_matches(name, known, 1)
    return f"did you mean '{found[0]}'? " if found else ""
