"""Images as they are found: what a reader of a format gives, and how one becomes an array of bytes."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from search_spaces.errors import InvalidInput

if TYPE_CHECKING:
    from PIL.Image import Image

Item = tuple[Any, int | None]
"""An image, (H, W) or (H, W, C) in uint8 or one of PIL's, and its label; None where that is missing."""

GREY = ("1", "L", "LA")
DEEP = ("I", "F", "I;16", "I;16B", "I;16L")


@dataclass(frozen=True)
class Found:
    """One split as it is found: how many images, and what goes through them, decoding one after the other."""

    count: int
    items: Callable[[], Iterator[Item]]


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
        image: an array, or one of PIL's images.
        channels: 1 or 3; as many as the image has if not given.
        size: the side of the square that is cut from its middle, after it was made so small; None leaves it.
        where: what to call it in an error.

    Raises:
        InvalidInput: it has pixels of more than 8 bits.
        ColourError: it has colours, but one channel is asked for.
    """
    if isinstance(image, np.ndarray):
        if size is None and channels in (None, *image.shape[2:], 1 if image.ndim == 2 else 0):
            return image.reshape(*image.shape[:2], -1)
        image = _pil(image)
    return _from_pil(image, channels, size, where)


def _pil(array: NDArray[np.uint8]) -> "Image":
    from PIL import Image

    return Image.fromarray(array[..., 0] if array.ndim == 3 and array.shape[2] == 1 else array)


def _from_pil(image: "Image", channels: int | None, size: int | None, where: str) -> NDArray[np.uint8]:
    from PIL import ImageOps
    from PIL.Image import Resampling

    if image.mode in DEEP:
        problem = f"{where} has pixels of mode {image.mode}, of more than 8 bits"
        raise InvalidInput("--data", problem, "convert the images to 8 bits a channel")
    if channels == 1 and image.mode not in GREY:
        raise ColourError
    grey = image.mode in GREY and channels in (None, 1)
    upright = _on_white(ImageOps.exif_transpose(image)).convert("L" if grey else "RGB")
    if size is not None and upright.size != (size, size):
        upright = ImageOps.fit(upright, (size, size), Resampling.BICUBIC)
    array = np.asarray(upright, np.uint8)
    return array.reshape(*array.shape[:2], -1)


def _on_white(image: "Image") -> "Image":
    """As it looks on a white page: what is transparent is white, whatever colour lies beneath."""
    from PIL import Image

    if not image.has_transparency_data:
        return image
    seen = image.convert("RGBA")
    return Image.alpha_composite(Image.new("RGBA", seen.size, "white"), seen)
