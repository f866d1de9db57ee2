"""What went wrong in a trial, in one line."""

from search_spaces.errors import BitnasError

_LENGTH = 500


def one_line(error: Exception | SystemExit) -> str:
    """What went wrong, in one line; our own errors explain themselves, others come with their kind."""
    text = " ".join(str(error).split())
    if not isinstance(error, BitnasError):
        text = f"{type(error).__name__}: {text}" if text else type(error).__name__
    return text[:_LENGTH]
