"""Writing a file that a command was asked for: whole or not at all, never over something that is no file."""

import os
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from search_spaces.errors import BitnasError, InvalidInput, Parameter

if TYPE_CHECKING:
    import plotly.graph_objects as go


def write_figure(parameter: str, path: Path, figure: "go.Figure", title: str) -> None:
    """Write ``figure`` as one page that needs nothing else, no network either.

    Raises:
        InvalidInput: ``path`` cannot be a file; ``parameter`` is what gave it.
        BitnasError: the file cannot be written.
    """
    write_figures(parameter, path, [figure], title)


def write_figures(parameter: str, path: Path, figures: "Sequence[go.Figure]", title: str) -> None:
    """Write one figure or more, one below the other, as ``write_figure`` does."""
    from html import escape

    config = {"displaylogo": False, "responsive": True, "showSendToCloud": False}
    first, *others = figures
    page = first.to_html(include_plotlyjs=True, full_html=True, config=config)
    below = "".join(other.to_html(include_plotlyjs=False, full_html=False, config=config) for other in others)
    head = f'<head><meta name="viewport" content="width=device-width"><title>{escape(title)}</title>'
    page = page.replace("<html>", '<html lang="en">', 1).replace("<head>", head, 1)
    write_text(parameter, path, f"{below}</body>".join(page.rsplit("</body>", 1)))


def write_text(parameter: str, path: Path, text: str) -> None:
    """Write ``text`` beside ``path`` and rename it there, so that nobody ever reads half a file.

    Raises:
        InvalidInput: ``path`` cannot be a file; ``parameter`` is what gave it.
        BitnasError: the file cannot be written.
    """
    check_target(parameter, path)
    path = path.resolve()  # through a link to the file behind it, which is what is replaced
    try:
        handle, aside = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name[:100]}.")
    except OSError as error:
        raise _cannot_write(parameter, path, error) from error
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.write(text)
            os.fchmod(file.fileno(), _mode(path))
        Path(aside).replace(path)
    except BaseException as error:
        Path(aside).unlink(missing_ok=True)
        if isinstance(error, OSError):
            raise _cannot_write(parameter, path, error) from error
        raise


def check_target(parameter: str, path: Path) -> None:
    """Refuse what cannot be a file, before work is done for it.

    Raises:
        InvalidInput: ``path`` cannot be a file; ``parameter`` is what gave it.
    """
    if path.is_dir():
        raise InvalidInput(parameter, f"'{path}' is a directory", "give the name of a file in it")
    if path.exists() and not path.is_file():
        raise InvalidInput(parameter, f"'{path}' is not a regular file", "give the name of a file")
    if not path.resolve().parent.is_dir():
        raise InvalidInput(
            parameter, f"there is no folder '{path.parent}'", "make it first or choose another"
        )


def _mode(path: Path) -> int:
    """The permissions of the file that is replaced, or those that any new file gets."""
    if path.exists():
        return path.stat().st_mode & 0o777
    mask = os.umask(0)
    os.umask(mask)
    return 0o666 & ~mask


def _cannot_write(parameter: str, path: Path, error: OSError) -> BitnasError:
    return BitnasError(
        Parameter(parameter), f": cannot write '{path}' ({error.strerror}); choose another place"
    )
