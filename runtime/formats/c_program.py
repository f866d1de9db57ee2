"""The program around a network in C: it reads image files, scales them as in training, and names classes."""

from dataclasses import dataclass
from pathlib import Path

from runtime.formats.c_source import float_literal
from runtime.formats.pictures import shown
from search_spaces.errors import InvalidInput

IMAGES, MAIN, MAKEFILE = "images.h", "main.c", "Makefile"
_HERE = Path(__file__).parent


@dataclass(frozen=True)
class ImageInput:
    """How the images that a network was trained on become what it takes, and what its outputs are called.

    Attributes:
        mean: by channel, in 0..``largest``.
        deviation: likewise; a channel becomes (pixel - mean) / deviation.
        largest: the greatest value that a pixel of the data can have; 255 in a file counts as it.
        class_names: one for each output, in order; numbers where there are none.
    """

    mean: tuple[float, ...]
    deviation: tuple[float, ...]
    largest: int = 255
    class_names: tuple[str, ...] = ()


def program(images: ImageInput, input_shape: tuple[int, ...], outputs: int) -> dict[str, str]:
    """``images.h``, ``main.c`` and ``Makefile`` by name, for an image of one or three channels at a time.

    Args:
        images: how they are scaled.
        input_shape: (1, C, H, W).
        outputs: how many numbers the network gives.

    Raises:
        InvalidInput: image files do not hold such images, or there are other numbers of channels or names.
    """
    batch, channels, height, width = input_shape
    if batch != 1 or channels not in (1, 3):
        problem = f"{batch} images of {channels} channels are not what an image file holds"
        raise InvalidInput("input_shape", problem, "take one image of 1 or 3 channels, or write no program")
    if not len(images.mean) == len(images.deviation) == channels:
        problem = f"{len(images.mean)} means and {len(images.deviation)} deviations, {channels} channels"
        raise InvalidInput("images", problem, "give one of each for a channel")
    names = images.class_names or tuple(map(str, range(outputs)))
    if len(names) != outputs:
        problem = f"{len(names)} names of classes, {outputs} outputs"
        raise InvalidInput("images", problem, "name each output, or none")
    return {
        IMAGES: _images(images, (channels, height, width), names),
        MAIN: (_HERE / "main.c").read_text(encoding="utf-8"),
        MAKEFILE: (_HERE / "classify.mk").read_text(encoding="utf-8"),
    }


def _images(images: ImageInput, shape: tuple[int, ...], names: tuple[str, ...]) -> str:
    import numpy as np

    channels, height, width = shape
    mean, deviation = (
        ", ".join(float_literal(float(np.float32(number))) for number in row)
        for row in (images.mean, images.deviation)
    )
    classes = ",\n  ".join(_string(name) for name in names)
    return f"""\
/* What network.h takes: images by channel, row and column, each pixel 0..BITNAS_LARGEST as
   (pixel - bitnas_mean[channel]) / bitnas_deviation[channel]. And what its outputs are called. */
#ifndef BITNAS_IMAGES_H
#define BITNAS_IMAGES_H

#define BITNAS_CHANNELS {channels}
#define BITNAS_HEIGHT {height}
#define BITNAS_WIDTH {width}
#define BITNAS_LARGEST {images.largest}
/* Any image of 8 bits a channel as in training, by Pillow: upright on white, the middle of the network's
   shape, resampled (bicubic). */
#define BITNAS_CONVERT {_string(_convert(shape))}

static const float bitnas_mean[{channels}] = {{{mean}}};
static const float bitnas_deviation[{channels}] = {{{deviation}}};
static const char *const bitnas_classes[{len(names)}] = {{
  {classes}}};

#endif
"""


def _convert(shape: tuple[int, ...]) -> str:
    """A command that brings ``photo.png`` to the network's size, as ``pictures.to_pixels`` does."""
    channels, height, width = shape
    mode = "L" if channels == 1 else "RGB"
    seen = "p = o.exif_transpose(i.open('photo.png')).convert('RGBA')"
    white = f"p = i.alpha_composite(i.new('RGBA', p.size, 'white'), p).convert('{mode}')"
    fitted = f"o.fit(p, ({width}, {height}), i.BICUBIC).save('small.ppm')"
    return f'python3 -c "from PIL import Image as i, ImageOps as o; {seen}; {white}; {fitted}"'


def _string(text: str) -> str:
    """A text as C has it, on one line: bytes that are not plain in octal."""
    return f'"{"".join(map(_byte, shown(text).encode()))}"'


def _byte(byte: int) -> str:
    if chr(byte) in '"\\?':
        return f"\\{chr(byte)}"
    return chr(byte) if 32 <= byte < 127 else f"\\{byte:03o}"
