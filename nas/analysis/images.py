"""The validation images of a search, as far as this machine holds them: to look at what is misjudged."""

from collections.abc import Sequence
from functools import lru_cache
from io import BytesIO
from typing import TYPE_CHECKING

from nas.ledger.mistakes import Mistake
from nas.ledger.records import SearchRecord
from search_spaces.errors import InvalidInput

if TYPE_CHECKING:
    from nas.data import DataSet

_CHANNELS = (1, 3)
"""Of images that are shown: grey ones, and coloured ones."""
_MOST_OPEN = 4
"""Data sets that are kept open: cutting their splits takes a tenth of a second."""


def class_names(search: SearchRecord) -> Sequence[str]:
    """The names of the classes of a search's data, in order; none where nobody has named them.

    Raises:
        InvalidInput: the data is not on this machine.
    """
    return _data_of(search).class_names


def png_of(search: SearchRecord, mistake: Mistake) -> bytes:
    """The image of a mistake, as a PNG file.

    Raises:
        InvalidInput: the data is not on this machine, is another than the search was made with, or its images
            are none that can be shown.
    """
    from PIL import Image

    data = _data_of(search)
    split = data.validation
    if mistake.image >= len(split) or split.labels[mistake.image] != mistake.true:
        problem = f"image {mistake.image} of '{data.name}' is not of class {mistake.true} here"
        raise InvalidInput("data", problem, "show the search where it ran")
    import numpy as np

    pixels = split.take(np.array([mistake.image]))[0]
    if pixels.shape[2] not in _CHANNELS:
        problem = f"images of '{data.name}' have {pixels.shape[2]} channels"
        raise InvalidInput("data", problem, "such with 1 or 3 can be shown")
    scaled = (pixels.astype(np.float32) * (255 / data.largest)).round().astype(np.uint8)
    file = BytesIO()
    Image.fromarray(scaled[:, :, 0] if scaled.shape[2] == 1 else scaled).save(file, "PNG")
    return file.getvalue()


def _data_of(search: SearchRecord) -> "DataSet":
    config = search.config
    return _opened(config.data, search.origin.data, config.image_size, config.validation)


@lru_cache(_MOST_OPEN)
def _opened(name: str, digest: str, image_size: int | None, validation: float | None) -> "DataSet":
    """The data set; InvalidInput, which is not kept, where it is not here."""
    from nas.data.opening import decoded

    if (found := decoded(name, digest, image_size, validation)) is not None:
        return found
    if digest:
        raise InvalidInput("data", f"'{name}' is not on this machine", "show the search where it ran")
    problem = f"'{name}' is of the hub or of a plug-in, and neither is asked to look at images"
    raise InvalidInput("data", problem, "name a folder that holds it")
