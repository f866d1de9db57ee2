"""Classifies image files with an exported network, of whichever form runs here."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from nas.data.data_set import Scaling
from nas.export.inspection import Inspected, inspect
from runtime.formats.pictures import SUFFIXES, UNREAD_SUFFIXES, PictureError, open_picture, shown, to_pixels
from search_spaces.errors import BitnasError, InvalidInput

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from nas.export.card import Card
    from nas.export.formats.base import ExportFormat, Run

PART = 64
"""Images that are decoded and run at a time."""


@dataclass(frozen=True)
class Prediction:
    """What a network makes of an image file.

    Attributes:
        path: of the file.
        form: of the network, which was run.
        label: the number of the class.
        name: of the class; its number where nobody has named it.
        probability: that the network gives the class, 0..1, by the softmax of its logits.
    """

    path: str
    form: str
    label: int
    name: str
    probability: float


def predict(
    folder: Path,
    images: Sequence[Path],
    form: str | None = None,
    warn: Callable[[str], None] = lambda _: None,
) -> Iterator[Prediction]:
    """Classify image files, brought to the network's size and scaled as in training.

    Args:
        folder: what ``nas export`` wrote.
        images: files, and folders of them, of which all image files below count but hidden ones.
        form: which form to run; the first that runs here if not given.
        warn: is told of images that seem to be scaled otherwise, and of forms that should run and do not.

    Raises:
        InvalidInput: the folder has no such form, or a file is no image that can be read.
        BitnasError: the folder is not what was exported, or no form of it runs here.
    """
    files = [path for given in images for path in _files_of(given)]
    inspected = inspect(folder)
    card = inspected.card
    if not card.mean or card.input_shape[0] not in (1, 3):
        raise BitnasError(f"{folder}: its card does not tell how to scale image files; give it arrays")
    name, run = _opened(inspected, form, warn)
    for start in range(0, len(files), PART):
        part = files[start : start + PART]
        pixels = np.stack([_pixels(path, card, warn) for path in part])
        logits = run(Scaling(tuple(card.mean), tuple(card.deviation)).floats(pixels))
        yield from (_prediction(path, name, row, card) for path, row in zip(part, logits, strict=True))


def runnable(inspected: Inspected) -> "list[ExportFormat]":
    """The forms of a folder that run here.

    Raises:
        BitnasError: there is none; the message says what each lacks.
    """
    folder = inspected.folder
    found = [form for form in inspected.forms if not form.missing(folder)]
    if not found:
        lacks = "; ".join(f"{form.name}: {form.missing(folder)}" for form in inspected.forms)
        raise BitnasError(f"{folder}: no form of it runs here ({lacks})")
    return found


def _opened(inspected: Inspected, name: str | None, warn: Callable[[str], None]) -> "tuple[str, Run]":
    """The form of that name, or the first that runs here, and what runs it."""
    if name is None:
        return _first_that_opens(inspected, warn)
    forms = {form.name: form for form in inspected.forms}
    if name not in forms:
        problem = f"'{inspected.folder}' has no form '{name}'"
        raise InvalidInput("form", problem, f"choose one of {', '.join(forms)}, or export it so")
    run = forms[name].opened(inspected.folder)
    if run is None:
        problem = f"'{name}' cannot be run here: {forms[name].missing(inspected.folder)}"
        raise InvalidInput("form", problem, "choose another form, or add what is missing")
    return name, run


def _first_that_opens(inspected: Inspected, warn: Callable[[str], None]) -> "tuple[str, Run]":
    """The first form that runs here; one that should and does not is told, and the next one is tried."""
    found = runnable(inspected)
    for form, after in zip(found, [*found[1:], None], strict=True):
        try:
            run = form.opened(inspected.folder)
        except BitnasError as error:
            if after is None:
                raise
            warn(f"{form.name} does not run here, so {after.name} is tried: {error}")
            continue
        if run is not None:
            return form.name, run
    raise BitnasError(f"{inspected.folder}: no form of it runs here")


def _files_of(given: Path) -> list[Path]:
    """A file, or the image files in a folder and below, in order."""
    if not given.exists():
        raise InvalidInput("images", f"there is no '{shown(given)}'", "name image files, or folders of them")
    if not given.is_dir():
        if given.suffix.lower() not in SUFFIXES:
            problem = f"'{shown(given)}' is of no format that is read, by its suffix"
            raise InvalidInput("images", problem, "give PNG, JPEG, WebP, TIFF or the like")
        return [given]
    inner = (p for p in given.rglob("*") if not any(n.startswith(".") for n in p.relative_to(given).parts))
    found = sorted(p for p in inner if p.suffix.lower() in SUFFIXES | UNREAD_SUFFIXES and p.is_file())
    if not found:
        raise InvalidInput("images", f"'{shown(given)}' holds no image file", "name another folder")
    return found


def _pixels(path: Path, card: "Card", warn: Callable[[str], None]) -> "NDArray[np.uint8]":
    """An image file in the size and the range of the data, (H, W, C)."""
    channels, height, width = card.input_shape
    try:
        pixels = to_pixels(open_picture(path.read_bytes()), channels, (width, height))
    except OSError as error:
        problem = f"'{shown(path)}' cannot be read ({error.strerror})"
        raise InvalidInput("images", problem, "check the file") from error
    except PictureError as error:
        raise InvalidInput("images", f"'{shown(path)}' {error.problem}", error.fix) from error
    if 0 < pixels.max() <= card.largest < 255:
        warn(
            f"{shown(path)}: its brightest pixel is {pixels.max()} of 255, and 255 counts as {card.largest} "
            "in training"
        )
    found: NDArray[np.uint8] = np.rint(pixels * (card.largest / 255)).astype(np.uint8)
    return found


def _prediction(path: Path, form: str, logits: "NDArray[Any]", card: "Card") -> Prediction:
    """The class of the greatest of a form's logits (classes,), and its softmax."""
    label = int(logits.argmax())
    shares = np.exp(logits.astype(np.float64) - logits.max())
    name = card.class_names[label] if label < len(card.class_names) else str(label)
    return Prediction(str(path), form, label, name, float(shares[label] / shares.sum()))
