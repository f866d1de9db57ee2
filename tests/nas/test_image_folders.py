"""Folders of images: every name and place is read as docs/data.md says, or refused by its true reason."""

import io
import os
import struct
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from image_files import found, packed, parquet, pictures, png, refused
from PIL import Image

from nas.data import load
from runtime.formats.pictures import depth

pytestmark = pytest.mark.usefixtures("own_cache")


def fill(folder: Path, *names: str) -> None:
    """A small picture for each of the paths, of another colour each."""
    for number, name in enumerate(names):
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (4, 4), (number % 256, number // 256, 0)).save(path, "PNG")


def classes(folder: Path, *names: str, each: int = 2) -> None:
    """A folder with some pictures for each class."""
    fill(folder, *(f"{name}/{number}.png" for name in names for number in range(each)))


def others(folder: Path, *names: str) -> None:
    """A file that is no image for each of the paths."""
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(b"none")


ODD_NAMES = [
    "run[1]",
    "[a-z]",
    "a*b",
    "what?",
    "{x,y}",
    "two words",
    " lead",
    "-x",
    "--data",
    "ünï-图",
    "a::b",
    "#1",
]
ODD_NAMES += [
    "a%20b",
    "~x",
    "$HOME",
    "a;b",
    "'q'",
    '"q"',
    "back\\slash",
    "new\nline",
    "train",
    "zip:",
    "e\u0301",
    "test[0-9].parquet",
]


@pytest.mark.parametrize("name", ODD_NAMES, ids=ascii)
def test_names_of_every_kind(tmp_path: Path, name: str) -> None:
    """Of the folder, of a class in it, and of a file in that."""
    folder = tmp_path / name
    fill(folder, *(f"{label}/{file}.png" for label in (f"{name} 1", "b") for file in (f"{name} 2", "c")))
    data = load(str(folder))
    assert data.class_names == tuple(sorted(["b", f"{name} 1"]))
    assert len(data.read().train) == 4
    names = [int(pixel) for pixel in data.read().train.pixels[:, 0, 0, 0]]
    assert [data.class_names[label] for label in data.read().train.labels] == [
        [f"{name} 1", "b"][number // 2] for number in names
    ]


@pytest.mark.parametrize("name", ODD_NAMES, ids=ascii)
def test_tables_in_folders_of_every_name(tmp_path: Path, name: str) -> None:
    images, labels = pictures(6, 4, 4, 3)
    file = tmp_path / name / "train.parquet"
    parquet(file, {"img": packed(images), "label": labels})
    for given in (file, tmp_path / name):
        np.testing.assert_array_equal(found(load(str(given)))[0], images)


@pytest.mark.parametrize(
    "file",
    [
        "test_0",
        "train",
        "val-3",
        "dev",
        "validation",
        "eval_1",
        "train-00000-of-00001",
        "metadata",
        "label",
        "__x",
    ],
)
@pytest.mark.parametrize("suffix", [".png", ".PNG", ".jpg", ".jpeg"])
def test_names_of_files_tell_nothing(tmp_path: Path, file: str, suffix: str) -> None:
    fill(tmp_path / "p", "a/1.png", f"a/{file}{suffix}", f"b/{file}{suffix}", "b/2.png")
    data = load(str(tmp_path / "p")).read()
    assert (len(data.train), data.validation, data.test) == (4, None, None)


@pytest.mark.parametrize(
    "names",
    [
        ("train", "car"),
        ("test", "exam"),
        ("validation", "x"),
        ("val", "x"),
        ("data", "x"),
        ("train", "test", "car"),
        ("Dev", "Ops"),
        ("parquet", "csv"),
        ("0", "1", "10"),
    ],
    ids=str,
)
@pytest.mark.parametrize("around", ["", "data", "a/b", "train"])
def test_classes_may_have_the_names_of_splits(tmp_path: Path, names: tuple[str, ...], around: str) -> None:
    classes(tmp_path / "p" / around, *names)
    data = load(str(tmp_path / "p"))
    assert data.class_names == tuple(sorted(names))
    assert len(data.read().train) == 2 * len(names)


@pytest.mark.parametrize(
    "names", ["train validation test", "Training VALID Testing", "train dev eval", "train val"]
)
@pytest.mark.parametrize("around", ["", "data", "data/images"])
def test_splits(tmp_path: Path, names: str, around: str) -> None:
    for count, name in enumerate(names.split(), 1):
        classes(tmp_path / "p" / around / name, "train", "test", each=count)
    data = load(str(tmp_path / "p")).read()
    lengths = [None if split is None else len(split) for split in (data.train, data.validation, data.test)]
    assert lengths == [2, 4, 6 if len(names.split()) == 3 else None]


def test_what_lies_beside_folders_of_classes_is_left_out(tmp_path: Path) -> None:
    classes(tmp_path / "p", "a", "b")
    classes(tmp_path / "q" / "train", "a", "b")
    classes(tmp_path / "r" / "data", "a", "b")
    for folder in ("p", "q", "q/train", "r"):
        fill(tmp_path / folder, "loose.png", ".hidden.png", ".git/x.png", "__MACOSX/a/x.png")
        (tmp_path / folder / "notes.txt").touch()
    for folder in "pqr":
        assert len(load(str(tmp_path / folder)).read().train) == 4


def test_links_to_files_are_followed(tmp_path: Path) -> None:
    classes(tmp_path / "p", "a", "b")
    (tmp_path / "p" / "a" / "more.png").symlink_to(tmp_path / "p" / "b" / "0.png")
    assert len(load(str(tmp_path / "p")).read().train) == 5
    (tmp_path / "q").symlink_to(tmp_path / "p")
    assert len(load(str(tmp_path / "q")).read().train) == 5
    (tmp_path / "p" / "a" / "gone.png").symlink_to(tmp_path / "nothing")
    with pytest.raises(
        ValueError, match=r"a/gone\.png is a link to nothing, or no file; put the image there"
    ):
        load(str(tmp_path / "p"))


@pytest.mark.parametrize(
    ("files", "says"),
    [
        (
            ("a/0.png", "a/1.png", "b/0.png", "b/sub/1.png"),
            "b/sub/1.png lies 2 folders deep, but most images 1",
        ),
        (("a/x/0.png", "a/x/1.png", "a/0.png"), "a/0.png lies 1 folder deep, but most images 2 folders; put"),
        (("a.png", "b.png"), "a.png is in no folder of a class; put the images of each class into a folder"),
        (("only/a.png", "only/b.png"), "it has images of one class only, only; put those of each class"),
        (("train/a.png", "train/b.png"), "train/a.png is in no folder of a class, as train is the name of a"),
        (
            ("train/a.png", "Test/b.png"),
            "Test/b.png is in no folder of a class, as Test is the name of a split",
        ),
        (("train/a/0.png", "train/b/0.png", "test/0.png"), "test/0.png is in no folder of a class, as test"),
        (("train/a/0.png", "train/b/0.png", "more/a/0.png"), "more/a/0.png is in no split, but train beside"),
        (("test/a/0.png", "test/b/0.png"), "it has no split called train, but test; name one so"),
        (("a/0.png", "b/0.png", "b/1.heic"), r"b/1.heic is not read, as its format \(.heic\) is not known"),
        (
            ("a/0.heic", "b/1.heic"),
            r"a/0.heic is not read, as its format \(.heic\) is not known; make it PNG",
        ),
        (
            ("a/0.png", "b/0.png", "c/.png"),
            "the folder of the class c holds no image; give it some, or remove",
        ),
        (("train/a/0.png", "train/b/0.png", "test/c/0.png"), r"no training image is of class 2 \(c\)"),
    ],
)
def test_places_that_do_not_serve(tmp_path: Path, files: tuple[str, ...], says: str) -> None:
    fill(tmp_path / "p", *files)
    refused(tmp_path / "p", says)


@pytest.mark.parametrize(
    ("files", "says"),
    [
        (
            [f"c/{number}.npy" for number in range(20)],
            "the folder c holds no image, but 20 .npy, as c/0.npy;",
        ),
        (["c/0.txt"], "the folder c holds no image, but 1 .txt, as c/0.txt; make them images of a format"),
        (["notes/a", "notes/b.md"], "the folder notes holds no image, but 1 without a suffix and 1 .md, as"),
        (["c/deep/er/0.npy"], "the folder c holds no image, but 1 .npy, as c/deep/er/0.npy;"),
        (["c/Thumbs.db"], "the folder c holds no image, but 1 .db, as c/Thumbs.db; .* or hide it as .c"),
    ],
)
@pytest.mark.parametrize("around", ["", "data", "train", "data/Train"])
def test_a_folder_beside_classes_that_holds_other_files(
    tmp_path: Path, around: str, files: list[str], says: str
) -> None:
    folder = tmp_path / "p" / around
    classes(folder, "a", "b")
    (folder / "a" / "notes.txt").touch()
    others(folder, *files)
    holder = files[0].split("/")[0]
    inside = f"{around}/" if around else ""
    refused(tmp_path / "p", says.replace(f" {holder}", f" {inside}{holder}"))
    (folder / holder).rename(folder / f".{holder}")
    assert len(load(str(tmp_path / "p")).read().train) == 4


@pytest.mark.parametrize(
    ("file", "says"),
    [
        ("test/a/0.npy", "the folder test holds no image, but 1 .npy, as test/a/0.npy"),
        ("Val/notes.txt", "the folder Val holds no image, but 1 .txt, as Val/notes.txt"),
        ("test/b/0.npy", "the folder test/b holds no image, but 1 .npy, as test/b/0.npy"),
    ],
)
def test_a_split_that_holds_other_files(tmp_path: Path, file: str, says: str) -> None:
    folder = tmp_path / "p"
    classes(folder / "train", "a", "b")
    if "/b/" in file:
        classes(folder / "test", "a")
    others(folder, file)
    refused(folder, says)


def test_folders_that_may_lie_beside_classes(tmp_path: Path) -> None:
    """Hidden ones; any beside splits or around all; other splits, and classes of other splits, if empty."""
    folder = tmp_path / "p"
    classes(folder / "data" / "train", "a", "b")
    classes(folder / "data" / "test", "a")
    others(
        folder / "data" / "train",
        *("__MACOSX/a/._0.txt", ".ipynb_checkpoints/0.npy", ".git/HEAD", "__pycache__/a.pyc", "list.txt"),
    )
    others(folder, "labels/a.txt", "data/labels/a.txt", "data/test.txt", "list.txt")
    for empty in ("data/test/b", "data/val"):
        (folder / empty).mkdir()
    data = load(str(folder)).read()
    assert (len(data.train), data.validation, len(data.test or ())) == (4, None, 2)


def test_a_script_beside_classes_is_neither_run_nor_in_the_way(tmp_path: Path) -> None:
    classes(tmp_path / "cats", "a", "b")
    (tmp_path / "cats" / "cats.py").write_text(f"open({str(tmp_path / 'ran')!r}, 'w')\n")
    assert load(str(tmp_path / "cats")).class_names == ("a", "b")
    assert not (tmp_path / "ran").exists()


def test_names_that_are_no_text(tmp_path: Path) -> None:
    classes(tmp_path / "p", "a", "b")
    os.rename(tmp_path / "p" / "a", os.fsencode(tmp_path / "p") + b"/caf\xe9")  # noqa: PTH104 - of bytes
    refused(tmp_path / "p", r"the name of 'caf\\udce9/0.png' is no text in UTF-8; rename it")


def test_tables_and_images_in_one_folder(tmp_path: Path) -> None:
    classes(tmp_path / "p", "a", "b")
    images, labels = pictures(6, 4, 4, 3)
    parquet(tmp_path / "p" / "train.parquet", {"img": packed(images), "label": labels})
    refused(tmp_path / "p", r"it holds tables, as train.parquet, and images, as a/0.png; take the ones or")


@pytest.mark.parametrize(
    ("kind", "text"),
    [
        ("csv", "file_name,label\ntest_0.png,x\ntrain.png,y\nsub/2.png,x\n"),
        (
            "jsonl",
            "".join(
                f'{{"file_name": "{n}", "label": {i % 2}}}\n'
                for i, n in enumerate(("test_0.png", "train.png", "sub/2.png"))
            ),
        ),
    ],
)
def test_metadata_files(tmp_path: Path, kind: str, text: str) -> None:
    fill(tmp_path / "[p]", "test_0.png", "train.png", "sub/2.png")
    (tmp_path / "[p]" / f"metadata.{kind}").write_text(text)
    data = load(str(tmp_path / "[p]"))
    train = data.read().train
    assert dict(zip(train.pixels[:, 0, 0, 0].tolist(), train.labels.tolist(), strict=True)) == {
        0: 0,
        1: 1,
        2: 0,
    }
    assert data.class_names == (("x", "y") if kind == "csv" else ())


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (
            "file_name,label\n0.png,x\n",
            "its metadata file has no line for 1 of its 2 images; add .* as 1.png",
        ),
        (
            "file_name,label\n0.png,x\n1.png,y\n2.png,y\n",
            "a metadata file names 2.png, which is no image there",
        ),
        ("file_name,label\n0.png,x\n1.png,y\n1.png,x\n", "1.png has two labels; remove one of its lines"),
        ("file,label\n0.png,x\n1.png,y\n", "metadata.csv has no column file_name, but file, label; name the"),
        ("file_name,label\n0.png,x,3\n", "metadata.csv cannot be read"),
        ("", "metadata.csv cannot be read"),
        (
            "file_name,label\n0.png,0.5\n1.png,1.5\n",
            "its column label is of type double|float64, which is no",
        ),
        ("file_name\n0.png\n1.png\n", "no column is its labels"),
    ],
)
def test_metadata_files_that_do_not_serve(tmp_path: Path, text: str, says: str) -> None:
    fill(tmp_path / "p", "0.png", "1.png")
    (tmp_path / "p" / "metadata.csv").write_text(text)
    refused(tmp_path / "p", says)


def deep_png(bits: int, colours: int, channels: int) -> bytes:
    """A PNG that Pillow cannot write."""

    def chunk(name: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))

    row = b"\0" + bytes(range(4 * channels * bits // 8))
    header = struct.pack(">IIBBBBB", 4, 4, bits, colours, 0, 0, 0)
    parts = chunk(b"IHDR", header), chunk(b"IDAT", zlib.compress(row * 4)), chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + b"".join(parts)


def deep_tiff(bits: int, channels: int, form: int, order: str = "<") -> bytes:
    """A TIFF of one strip; ``form`` is 1 for whole numbers, 3 for floats."""
    pixels = bytes(4 * 4 * channels * bits // 8)
    long_, short = (order + kind for kind in ("I", "H"))
    at = 8 + len(pixels)
    bits_at = at + 2 + 12 * 9 + 4
    depths = struct.pack(short, bits) * channels
    value = struct.pack(short, bits).ljust(4, b"\0") if channels == 1 else struct.pack(long_, bits_at)

    def entry(tag: int, number: int) -> bytes:
        return struct.pack(order + "HHII", tag, 4, 1, number)

    entries = [
        entry(256, 4),
        entry(257, 4),
        struct.pack(order + "HHI", 258, 3, channels) + value,
        entry(259, 1),
    ]
    entries += [entry(262, 2 if channels == 3 else 1), entry(273, 8), entry(277, channels)]
    entries += [entry(279, len(pixels)), entry(339, form)]
    head = (b"II" if order == "<" else b"MM") + struct.pack(short + "I", 42, at)
    return head + pixels + struct.pack(short, 9) + b"".join(entries) + struct.pack(long_, 0) + depths


def saved(array: Any, form: str, **options: Any) -> bytes:
    stream = io.BytesIO()
    Image.fromarray(array).save(stream, form, **options)
    return stream.getvalue()


def twelve_bit_jpeg() -> bytes:
    """The header of a frame of 12 bits, behind a segment for an application and a byte that fills."""
    frame = b"\xff\xff\xc1\x00\x0b\x0c\x00\x04\x00\x04\x01\x01\x11\x00"
    return b"\xff\xd8\xff\xe0\x00\x06\xff\xc0\x00\x00" + frame + b"\xff\xd9"


GREY16 = np.full((4, 4), 9000, np.uint16)
DEEP = {
    "grey.png": (16, saved(GREY16, "PNG")),
    "colour.png": (16, deep_png(16, 2, 3)),
    "grey and alpha.png": (16, deep_png(16, 4, 2)),
    "colour and alpha.png": (16, deep_png(16, 6, 4)),
    "named wrongly.jpg": (16, deep_png(16, 2, 3)),
    "grey.tif": (16, saved(GREY16, "TIFF")),
    "colour.tiff": (16, deep_tiff(16, 3, 1)),
    "big-endian.tif": (16, deep_tiff(16, 3, 1, ">")),
    "32.tif": (32, deep_tiff(32, 1, 1)),
    "float.tif": (32, deep_tiff(32, 1, 3)),
    "float of 16.tif": (16, deep_tiff(16, 1, 3)),
    "double.tif": (64, deep_tiff(64, 3, 3)),
    "12.tif": (12, deep_tiff(12, 1, 1)),
    "grey.pgm": (16, b"P5 # a comment\n4 4\n65535\n" + bytes(32)),
    "colour.ppm": (16, b"P6\n4 4 # 255\n65535\n" + bytes(96)),
    "text.ppm": (10, b"P3 2 2 1000 " + b"999 " * 12),
    "comment in a number.ppm": (16, b"P6 4 4 6#\n5535\n" + bytes(96)),
    "comments in all numbers.pgm": (16, b"P5\n#a\n#b\n#\r4#c\n #d\n4\r#e\n65#f\r#g\n535#h\n\n" + bytes(32)),
    "cmyk.ppm": (16, b"PyCMYK 4 4 65535\n" + bytes(128)),
    "cmyk of old.pnm": (16, b"P0CMYK\n4 4\n65#\n535\n" + bytes(128)),
    "rgba.ppm": (9, b"PyRGBA4 4 256\n" + bytes(128)),
    "palette.ppm": (16, b"PyP 4 4 65535\n" + bytes(32)),
    "float.pnm": (32, b"Pf\n4 4\n-1.0\n" + bytes(64)),
    "12.jpg": (12, twelve_bit_jpeg()),
    "grey.jp2": (16, saved(GREY16, "JPEG2000")),
    "grey.j2k": (16, saved(GREY16, "JPEG2000", no_jp2=True)),
}


@pytest.mark.parametrize("name", DEEP)
def test_more_than_eight_bits_are_refused_by_the_header(tmp_path: Path, name: str) -> None:
    """Pillow cuts most of them to 8 bits, so that its mode tells nothing."""
    bits, data = DEEP[name]
    classes(tmp_path / "p", "a", "b")
    (tmp_path / "p" / "a" / name).write_bytes(data)
    refused(
        tmp_path / "p", f"a/{name}' has {bits} bits a channel, and pixels of more than 8 bits are not read; "
    )


def test_more_than_eight_bits_in_a_table_are_refused(tmp_path: Path) -> None:
    images, labels = pictures(6, 4, 4, 3)
    rows = packed(images)
    rows[3] = {"bytes": deep_png(16, 2, 3), "path": None}
    parquet(tmp_path / "train.parquet", {"img": rows, "label": labels})
    refused(
        tmp_path / "train.parquet", "image 3 of .*' has 16 bits a channel, and pixels of more than 8 bits"
    )


@pytest.mark.parametrize("form", ["PNG", "JPEG", "WEBP", "GIF", "BMP", "TIFF", "PPM", "JPEG2000"])
@pytest.mark.parametrize("mode", ["L", "RGB", "P", "1"])
def test_eight_bits_and_fewer_are_read(tmp_path: Path, form: str, mode: str) -> None:
    picture = Image.fromarray(np.arange(0, 240, 5, np.uint8).reshape(4, 4, 3)).convert(mode)
    try:
        stream = io.BytesIO()
        picture.save(stream, form)
    except OSError:
        picture.convert("RGB").save(stream := io.BytesIO(), form)
    assert depth(stream.getvalue()) <= 8
    classes(tmp_path / "p", "a", "b")
    suffix = {"PPM": ".ppm", "JPEG2000": ".jp2"}.get(form, f".{form}")
    (tmp_path / "p" / "a" / f"x{suffix}").write_bytes(stream.getvalue())
    assert len(load(str(tmp_path / "p")).read().train) == 5


@pytest.mark.parametrize(
    "data",
    [
        b"P5 4 4 2#5\n55\n" + bytes(range(16)),
        b"P5 # 65535\n4 4 255 65535" + bytes(16),
        b"P5\n4#\n 4 255\n" + bytes(16),
        b"PyCMYK4 4 255\n" + bytes(64),
        b"P4 4 4\n65535",
    ],
)
def test_levels_of_eight_bits_in_pnm(data: bytes) -> None:
    from nas.data.images import decoded

    assert depth(data) == 8
    assert decoded(data, "'x'").size == (4, 4)


@pytest.mark.parametrize("name", [*DEEP, "whole.png"])
def test_broken_files_are_one_true_line(tmp_path: Path, name: str) -> None:
    """Cut short anywhere, or with a byte changed: read, or refused by name."""
    from nas.data.images import decoded
    from search_spaces.errors import InvalidInput

    whole = png(pictures(1, 4, 4, 3)[0][0]) if name == "whole.png" else DEEP[name][1]
    random = np.random.default_rng(0)
    for cut in {*range(0, len(whole), max(1, len(whole) // 40))}:
        spoiled = bytearray(whole)
        spoiled[int(random.integers(len(whole)))] ^= int(random.integers(1, 256))
        for data in (whole[:cut], bytes(spoiled)):
            try:
                decoded(data, "'x'")
            except InvalidInput as error:
                assert str(error).startswith("data: 'x' ")
                assert "\n" not in str(error)
