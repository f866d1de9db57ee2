"""Image files as pixels, by the same code in training and beside a compiled network; needs Pillow."""

import re
import struct
import warnings
import zlib
from io import BytesIO
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from PIL.Image import Image

FORMATS = ("PNG", "JPEG", "WEBP", "GIF", "BMP", "DIB", "TIFF", "PPM", "JPEG2000")
"""Those of Pillow whose depth their headers tell; of an animation, the first picture counts."""

_READ = "png apng jpg jpeg jpe jfif webp gif bmp dib tif tiff ppm pgm pbm pnm jp2 j2k jpc jpf jpx j2c"
_OTHERS = """heic heif avif jxl dng nef cr2 cr3 arw orf rw2 raf psd xcf exr hdr pfm qoi svg ico icns cur tga
    pcx dcx dds blp fit fits fli flc ftc ftu gbr im iim msp pcd pxr sgi rgb rgba bw ras icb vda vst wmf emf
    xbm xpm"""

SUFFIXES, UNREAD_SUFFIXES = (frozenset(f".{name}" for name in names.split()) for names in (_READ, _OTHERS))
"""Those of ``FORMATS``, and those of pictures that are not read."""

GREY_MODES = ("1", "L", "LA")
_DEEP = ("I", "F", "I;16", "I;16B", "I;16L", "I;16N")
_FAILURES = (
    OSError,
    SyntaxError,
    ValueError,
    TypeError,
    LookupError,
    EOFError,
    ArithmeticError,
    struct.error,
    zlib.error,
)
"""What Pillow raises on files that are broken."""

_NOTE = rb"#[^\r\n]*[\r\n]"
_NUMBER = rb"\d(?:\d|" + _NOTE + rb")*"
_GAP = rb"(?:\s|" + _NOTE + rb")*"
_PNM_COMMENT = re.compile(_NOTE)
_PNM_HEADER = re.compile(
    rb"(?:P[2356]\s|P0CMYK|PyRGBA|PyCMYK|PyP\s)"
    + (_GAP + _NUMBER + rb"\s") * 2
    + (_GAP + rb"(" + _NUMBER + rb")(?:\s|\Z)")
)


class PictureError(Exception):
    """A file is not used as a picture: ``problem`` says why, ``fix`` what to do."""

    def __init__(self, problem: str, fix: str) -> None:
        super().__init__(f"{problem}; {fix}")
        self.problem, self.fix = problem, fix


class NoPictureError(PictureError):
    """A file is no picture, or a broken one."""


def open_picture(data: bytes) -> "Image":
    """The picture in a file's bytes, decoded.

    Raises:
        PictureError: it is none, or broken, or has more than 8 bits a channel, by its header.
    """
    from PIL import Image

    with warnings.catch_warnings(action="ignore"):  # of what is broken, or large
        bits = depth(data)
        if bits > 8:
            raise deep(f"{bits} bits a channel")
        try:
            picture = Image.open(BytesIO(data), formats=FORMATS)
            picture.load()
        except Image.DecompressionBombError:
            raise PictureError("has too many pixels to be decoded", "make it smaller") from None
        except _FAILURES:
            problem = "cannot be read (it is a broken image, or none of a format that is read)"
            raise NoPictureError(problem, "mend it, or make it PNG or JPEG") from None
    if picture.mode in _DEEP:
        raise deep(f"pixels of mode {picture.mode}")
    return picture


def shown(name: object) -> str:
    """A name on one line, whatever characters are in it."""
    return "".join(c if c.isprintable() else ascii(c)[1:-1] for c in str(name))


def deep(what: str) -> PictureError:
    """That a picture would lose bits."""
    problem = f"has {what}, and pixels of more than 8 bits are not read"
    return PictureError(problem, "convert the images to 8 bits a channel")


def to_pixels(picture: "Image", channels: int | None, size: tuple[int, int] | None) -> Any:
    """A picture as it is seen upright on a white page, in uint8 (H, W, C).

    Args:
        picture: of 8 bits a channel.
        channels: 1 or 3; None is 1 of a grey picture and 3 of any other.
        size: width and height; what sticks out of that shape is cut off on both sides, then it is resampled
            (bicubic); None leaves it.

    Raises:
        PictureError: its colours cannot be told.
    """
    from PIL import ImageOps
    from PIL.Image import Resampling

    is_grey = channels == 1 or (channels is None and picture.mode in GREY_MODES)
    try:
        upright = _on_white(_upright(picture)).convert("L" if is_grey else "RGB")
    except _FAILURES:
        problem = f"has colours of the kind {picture.mode}, which cannot be told as red, green and blue"
        raise PictureError(problem, "convert the images to RGB") from None
    if size is not None and upright.size != size:
        upright = ImageOps.fit(upright, size, Resampling.BICUBIC)
    array = np.asarray(upright, np.uint8)
    return array.reshape(*array.shape[:2], -1)


def _upright(picture: "Image") -> "Image":
    """As its EXIF says; where that is broken, as it is."""
    from PIL import ImageOps

    with warnings.catch_warnings(action="ignore"):
        try:
            return ImageOps.exif_transpose(picture)
        except _FAILURES:
            return picture


def _on_white(picture: "Image") -> "Image":
    """As it looks on a white page: what is transparent is white, whatever colour lies beneath."""
    from PIL import Image

    if not picture.has_transparency_data:
        return picture
    seen = picture.convert("RGBA")
    return Image.alpha_composite(Image.new("RGBA", seen.size, "white"), seen)


def depth(data: bytes) -> int:
    """The most bits that a channel of a picture has, by the header of its file; 8 where that says nothing.

    Pillow cuts 16 bits of colour to 8 when it decodes, and its mode does not tell.
    """
    if data.startswith(b"\x89PNG\r\n\x1a\n") and len(data) > 24:
        return data[24]  # of the header's chunk, which comes first
    if data.startswith(b"\xff\xd8"):
        return _jpeg_depth(data)
    if data.startswith((b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")):
        return _tiff_depth(data)
    if data.startswith((b"\xff\x4f\xff\x51", b"\0\0\0\x0cjP  \r\n\x87\n")):
        return _jpeg2000_depth(data)
    return _pnm_depth(data)


def _jpeg_depth(data: bytes) -> int:
    """The precision in the header of the frame (ITU-T T.81, B.2.2), behind segments of other kinds."""
    at = 2
    while at + 4 < len(data) and data[at] == 0xFF:
        marker = data[at + 1]
        if 0xC0 <= marker <= 0xCF and marker not in (0xC4, 0xC8, 0xCC):
            return data[at + 4]
        is_alone = marker in (0x01, 0xFF) or 0xD0 <= marker <= 0xD9  # 0xFF fills, the others have no length
        at += (1 if marker == 0xFF else 2) if is_alone else 2 + int.from_bytes(data[at + 2 : at + 4])
    return 8


def _tiff_depth(data: bytes) -> int:
    """BitsPerSample of the first picture (TIFF 6.0, section 8)."""
    from PIL.TiffImagePlugin import BITSPERSAMPLE, ImageFileDirectory_v2

    try:
        directory = ImageFileDirectory_v2(data[: 16 if b"+" in data[:4] else 8])
        stream = BytesIO(data)
        stream.seek(directory.next)
        directory.load(stream)
        bits = directory.get(BITSPERSAMPLE, (1,))
        return max(map(int, bits if isinstance(bits, tuple) else (bits,)))
    except _FAILURES:
        return 8  # it is broken, as will be told


def _jpeg2000_depth(data: bytes) -> int:
    """Of the components (ITU-T T.800, A.5.1: SIZ) and of a palette (I.5.3.4: pclr)."""
    size, palette = data.find(b"\xff\x4f\xff\x51"), data.find(b"pclr")
    bits = [8]
    if size >= 0:
        components = int.from_bytes(data[size + 40 : size + 42])
        bits += [(code & 0x7F) + 1 for code in data[size + 42 : size + 42 + 3 * components : 3]]
    if 0 <= palette < max(size, 0):
        columns = data[palette + 6 : palette + 7]
        bits += [(code & 0x7F) + 1 for code in data[palette + 7 : palette + 7 + sum(columns)]]
    return max(bits)


def _pnm_depth(data: bytes) -> int:
    """Of the greatest value, the third number behind P2, P3, P5, P6 or Pillow's own kinds; Pf holds floats.

    A comment may be anywhere, even within a number: ``6#...`` and ``5535`` on the next line are 65535.
    """
    if re.match(rb"P[Ff]\s", data[:3]):
        return 32
    header = _PNM_HEADER.match(data)
    greatest = _PNM_COMMENT.sub(b"", header[1]) if header else b""
    return max(8, int(greatest).bit_length()) if 0 < len(greatest) <= 10 else 8  # Pillow reads no longer ones
