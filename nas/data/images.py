"""Images as they are found: what a reader of a format gives, and how one becomes an array of bytes."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from runtime.formats.pictures import GREY_MODES, PictureError, open_picture, to_pixels
from search_spaces.errors import InvalidInput

if TYPE_CHECKING:
    from PIL.Image import Image

Item = tuple[Any, int | None]
"""An image, (H, W) or (H, W, C) in uint8 or one of PIL's, and its label; None where that is missing."""


@dataclass(frozen=True)
class Found:
    """One split as it is found.

    Attributes:
        count: how many images.
        items: goes through them, decoding one after the other.
        title: what to call an image by its place, where it is a file of its own.
    """

    count: int
    items: Callable[[], Iterator[Item]]
    title: Callable[[int], str] | None = None


@dataclass(frozen=True)
class Collection:
    """The splits of a data set, ``train`` among them, and the names of its classes, if they have any."""

    splits: Mapping[str, Found]
    class_names: Sequence[str] = ()


class ColourError(Exception):
    """An image has colours where those before it were grey."""


def to_array(image: Any, channels: int | None, size: int | None, where: str) -> NDArray[np.uint8]:
    """An image as (H, W, C).

    Args:
        image: an array, or one of PIL's images, of 8 bits a channel.
        channels: 1 or 3; as many as the image has if not given.
        size: the side of the square that is cut from its middle, after it was made so small; None leaves it.
        where: what to call it in an error.

    Raises:
        InvalidInput: its colours cannot be told.
        ColourError: it has colours, but one channel is asked for.
    """
    if isinstance(image, np.ndarray):
        if size is None and channels in (None, *image.shape[2:], 1 if image.ndim == 2 else 0):
            return image.reshape(*image.shape[:2], -1)
        image = _pil(image)
    if channels == 1 and image.mode not in GREY_MODES:
        raise ColourError
    try:
        pixels: NDArray[np.uint8] = to_pixels(image, channels, None if size is None else (size, size))
    except PictureError as error:
        raise InvalidInput("data", f"{where} {error.problem}", error.fix) from error
    return pixels


def decoded(data: bytes, where: str) -> "Image":
    """The picture in a file's bytes; ``where`` is what to call it in an error.

    Raises:
        InvalidInput: it is none, or broken, or has more than 8 bits a channel.
    """
    try:
        return open_picture(data)
    except PictureError as error:
        raise InvalidInput("data", f"{where} {error.problem}", error.fix) from error


def _pil(array: NDArray[np.uint8]) -> "Image":
    from PIL import Image

    return Image.fromarray(array[..., 0] if array.ndim == 3 and array.shape[2] == 1 else array)
