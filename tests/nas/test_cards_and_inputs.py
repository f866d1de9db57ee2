"""Images are classified by what an artifact says of its input alone, and as in training."""

import json
import runpy
import shutil
import sys
from collections.abc import Callable
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass
from io import BytesIO, TextIOWrapper
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from image_files import cifar_files, idx_files, parquet, png
from PIL import Image
from torch import nn

import latency
import runtime
from nas.data import DataSet, load
from nas.export import finished, writing
from nas.export.card import Card, read_card
from nas.export.readme import readme
from nas.training.loop import predict, train
from search_spaces import precisions
from search_spaces.layers import QuantLinear
from tests.environment import own_cache
from tests.runtime.harness import edit_manifest

ORIGIN = {"network": "a", "precision": "float", "digest": "0", "epochs": 1, "seed": 0}
KINDS = ("digits", "idx", "cifar", "folder", "parquet")
PATTERN = ((1, 0, 0), (0, 1, 0), (0, 0, 1))


def shapes(count: int, side: int, channels: int) -> tuple[Any, Any]:
    """Dim pictures of three classes that differ in colour or, if grey, in brightness, and their labels."""
    random, labels = np.random.default_rng(0), np.arange(count) % 3
    noise = random.integers(0, 40, (count, side, side, channels))
    strength = np.array(PATTERN)[labels] if channels == 3 else labels[:, None]
    return (noise + 60 * strength[:, None, None, :]).astype(np.uint8), labels


def digits(folder: Path) -> str:
    return "digits"


def idx(folder: Path) -> str:
    images, labels = shapes(90, 8, 1)
    idx_files(folder, {"train": (images[..., 0], labels), "t10k": (images[:30, ..., 0], labels[:30])})
    return str(folder)


def cifar(folder: Path) -> str:
    cifar_files(folder, *shapes(90, 32, 3))
    return str(folder)


def image_folder(folder: Path) -> str:
    for index, (image, label) in enumerate(zip(*shapes(90, 32, 3), strict=True)):
        path = folder / f"class {label}" / f"test_{index}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(png(image))
    return str(folder)


def table(folder: Path) -> str:
    images, labels = shapes(90, 32, 3)
    rows = [{"bytes": png(image), "path": None} for image in images]
    parquet(folder / "train.parquet", {"img": rows, "label": labels})
    return str(folder)


MAKERS: dict[str, Callable[[Path], str]] = dict(
    zip(KINDS, (digits, idx, cifar, image_folder, table), strict=True)
)


@dataclass(frozen=True)
class Exported:
    """An artifact, and what torch makes of the test images."""

    folder: Path
    data: DataSet
    classes: Any
    card: Card

    @property
    def pixels(self) -> Any:
        """The test images, (n, H, W, C)."""
        return self.data.test.take(np.arange(len(self.data.test)))

    def names(self) -> list[str]:
        """The classes as ``predict.py`` prints them."""
        titles = self.data.class_names
        return [titles[number] if titles else str(number) for number in self.classes]


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Exported]:
    """An artifact for each kind of data, with a dense layer that has learned a little; made once."""
    made: dict[str, Exported] = {}
    home = tmp_path_factory.mktemp("inputs")

    def make(kind: str) -> Exported:
        data = load(MAKERS[kind](home / kind))
        torch.manual_seed(0)
        size = int(np.prod(data.input_shape))
        module = nn.Sequential(nn.Flatten(), QuantLinear(size, data.classes, precisions.get("float")))
        train(module, data, epochs=6, seed=0)
        network = runtime.compile(module.eval(), (1, *data.input_shape))
        time = latency.Measurement(0.1, 0.0, 12, "2026-01-01T00:00:00+00:00", "0")
        some = finished.Finished(module, network, time, latency.device("local"), data, 0.1, None)
        out = home / f"{kind}-out"
        writing.write_artifact(some, out, ("network.json", "{}"), data=kind, **ORIGIN)
        return Exported(out, data, predict(module, data.test), read_card(out))

    def get(kind: str) -> Exported:
        if kind not in made:
            with pytest.MonkeyPatch.context() as patch:
                patch.setenv("NAS_CACHE", own_cache(home / "cache"))
                made[kind] = make(kind)
        return made[kind]

    return get


@dataclass(frozen=True)
class Run:
    """What a run of ``predict.py`` came to."""

    returncode: int
    stdout: str
    stderr: str


def run(folder: Path, *arguments: object) -> Run:
    """Run an artifact's ``predict.py``: here, as a process of its own takes a second to start."""
    streams = [TextIOWrapper(BytesIO(), "utf-8", write_through=True) for _ in range(2)]
    code = 0
    with redirect_stdout(streams[0]), redirect_stderr(streams[1]):
        module = SimpleNamespace(**runpy.run_path(str(folder / "predict.py")))
        try:
            module.main(list(map(str, arguments)))
        except SystemExit as error:  # as Python tells it
            code = 1
            sys.stderr.write(f"{error.code}\n")
    return Run(code, *(stream.buffer.getvalue().decode() for stream in streams))  # type: ignore[attr-defined]  # both are of bytes


def lines(found: Run) -> list[str]:
    """The classes that were printed, when nothing else was said."""
    assert (found.returncode, found.stderr) == (0, "")
    return [line.split("\t")[-1] for line in found.stdout.splitlines()]


def as_files(pixels: Any, folder: Path, largest: int) -> Path:
    """Images as anybody would save them, 255 being white, in order of their names."""
    folder.mkdir()
    for index, image in enumerate(np.round(pixels * (255 / largest)).astype(np.uint8)):
        (folder / f"{index:03}.png").write_bytes(png(image[..., 0] if image.shape[2] == 1 else image))
    return folder


@pytest.mark.parametrize("kind", KINDS)
def test_what_the_card_says_of_its_input_is_enough(
    exported: Callable[[str], Exported], kind: str, tmp_path: Path
) -> None:
    made = exported(kind)
    card = json.loads((made.folder / "card.json").read_text())
    labels, accuracy = made.data.test.labels, card["test_accuracy"]
    assert accuracy > 0.7, "it has learned something, so that another scale would be noticed"

    pixels = made.pixels
    assert pixels.max() <= card["largest"]
    scaled = (pixels.astype(np.float32) - np.float32(card["mean"])) / np.float32(card["deviation"])
    classes = runtime.load(made.folder).run(np.ascontiguousarray(scaled.transpose(0, 3, 1, 2))).argmax(1)
    assert (classes == labels).mean() == accuracy

    np.save(tmp_path / "pixels.npy", pixels)
    np.save(tmp_path / "scaled.npy", scaled.transpose(0, 3, 1, 2))
    pictures = as_files(pixels, tmp_path / "pictures", 16 if kind == "digits" else 255)
    for given in (tmp_path / "pixels.npy", tmp_path / "scaled.npy", pictures):
        assert lines(run(made.folder, given)) == made.names(), given.name

    text = (made.folder / "README.md").read_text()
    assert f"pixels 0 to {card['largest']}, by channel" in text
    channels, height, width = made.data.input_shape
    assert f"uint8 (n, {height}, {width}, {channels}), 0 to {card['largest']}, are scaled so" in text
    assert all(name in text for name in made.data.class_names)


def test_digits_say_that_their_pixels_end_at_16(exported: Callable[[str], Exported], tmp_path: Path) -> None:
    made = exported("digits")
    assert made.card.largest == 16
    text = readme(made.card)
    assert "pixels 0 to 16, by channel (pixel - mean) / deviation, mean 0, deviation 16: 0 to 1." in text
    assert "scaled so (white, 255, becomes 16)" in text

    np.save(tmp_path / "bytes.npy", made.pixels * 15)
    found = run(made.folder, tmp_path / "bytes.npy")
    assert (found.returncode, found.stdout) == (1, "")
    assert "its pixels are up to 240, those in training were up to 16; bring them to 0 to 16" in found.stderr
    dark = tmp_path / "dark.png"
    dark.write_bytes(png(made.pixels[0, ..., 0]))
    found = run(made.folder, dark)
    assert "its brightest pixel is 16 of 255, and 255 counts as 16 in training" in found.stderr
    assert found.stderr.count("\n") == found.stdout.count("\n") == 1


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (
            lambda pixels: pixels.astype(np.float32),
            "its numbers are 0 to 99, but pixels of 0 to 255, scaled as",
        ),
        (
            lambda pixels: pixels / np.float64(255),
            "all in 0 to 1, as if divided by 255, but pixels of 0 to 255",
        ),
        (lambda pixels: (pixels - 127.5) * 1000.0, "its numbers are -1.28e+05 to "),
    ],
    ids=["as they are", "divided by 255", "absurd"],
)
def test_floats_that_are_scaled_otherwise_are_told(
    exported: Callable[[str], Exported], tmp_path: Path, change: Callable[[Any], Any], says: str
) -> None:
    made = exported("folder")
    np.save(tmp_path / "images.npy", change(made.pixels).transpose(0, 3, 1, 2))
    found = run(made.folder, tmp_path / "images.npy")
    assert (found.returncode, found.stdout.count("\n")) == (0, len(made.pixels))
    assert says in found.stderr
    assert found.stderr.startswith("Warning: ")
    assert found.stderr.count("\n") == 1


def test_files_are_brought_to_the_size_of_the_network_as_in_training(tmp_path: Path) -> None:
    """The same code brings them to it, so it is enough that a size of its own is asked for."""
    from runtime.formats.pictures import open_picture, to_pixels

    image = np.random.default_rng(0).integers(0, 256, (30, 50, 3), np.uint8)
    for label in "ab":
        (tmp_path / "data" / label).mkdir(parents=True)
        for index in range(12):
            (tmp_path / "data" / label / f"{index}.png").write_bytes(png(image))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("NAS_CACHE", str(tmp_path / "cache"))
        trained = load(str(tmp_path / "data"), image_size=16).read().train.pixels[0]
    np.testing.assert_array_equal(to_pixels(open_picture(png(image)), 3, (16, 16)), trained)


def test_several_files_of_every_kind_and_size(exported: Callable[[str], Exported], tmp_path: Path) -> None:
    made = exported("folder")
    first, grey = made.pixels[0], np.full((40, 20), 200, np.uint8)
    Image.fromarray(first).resize((64, 64), Image.Resampling.NEAREST).save(tmp_path / "big.JPG", quality=100)
    Image.fromarray(grey).save(tmp_path / "[grey] é\n.webp")
    np.save(tmp_path / "one.npy", made.pixels[:2])
    (tmp_path / "some" / ".hidden").mkdir(parents=True)
    for name in ("b.png", "a.tiff", ".hidden/c.png", "notes.txt"):
        Image.fromarray(first).save(tmp_path / "some" / name, "PNG")
    given = [tmp_path / name for name in ("big.JPG", "[grey] é\n.webp", "one.npy", "some")]
    found = run(made.folder, *given)
    assert (found.returncode, found.stderr) == (0, "")
    places = [line.rpartition("\t")[0] for line in found.stdout.splitlines()]
    some = str(tmp_path / "some")
    assert places == [
        str(given[0]),
        f"{tmp_path}/[grey] é\\n.webp",
        "",
        "",
        f"{some}/a.tiff",
        f"{some}/b.png",
    ]
    assert [found.stdout.splitlines()[i].rpartition("\t")[2] for i in (0, 2, 4)] == [made.names()[0]] * 3


DEEP = b"P5 2 2 65535 " + bytes(8)


@pytest.mark.parametrize(
    ("name", "content", "says"),
    [
        ("a.txt", b"hello", "a.txt: it is neither an array (.npy) nor an image file"),
        ("a", b"hello", "a: it is neither an array (.npy) nor an image file"),
        ("a.heic", b"hello", "a.heic: it is neither an array (.npy) nor an image file"),
        ("a.png", b"hello", "a.png cannot be read (it is a broken image, or none of a format that is read)"),
        ("a.pgm", DEEP, "a.pgm has 16 bits a channel, and pixels of more than 8 bits are not read"),
        ("a.npy", b"hello", "a.npy: it is no array; give pixels in uint8"),
        ("a.npy", b"\x93NUMPY\x01\x00", "a.npy: it is cut short or broken, or holds no numbers"),
        ("a.npy", np.array([{"a": 1}]), "a.npy: it is cut short or broken, or holds no numbers"),
        ("a.npy", np.zeros((1, 32, 32, 3), np.int64), "a.npy: its numbers are of type int64; give pixels in"),
        ("a.npy", np.zeros((1, 3, 32, 32), np.uint8), "shape (1, 3, 32, 32) is not (n, 32, 32, 3), as this"),
        (
            "a.npy",
            np.zeros((1, 8, 8, 1), np.uint8),
            "shape (1, 8, 8, 1) is not (n, 32, 32, 3), as this network",
        ),
        ("a.npy", np.zeros((1, 1, 8, 8), np.float32), "shape (1, 1, 8, 8) is not (n, 3, 32, 32), as this"),
        (
            "a.npy",
            np.zeros((32, 32, 3), np.uint8),
            "shape (32, 32, 3) is not (n, 32, 32, 3), as this network",
        ),
        ("a.npy", np.full((1, 3, 32, 32), np.nan), "a.npy: it holds NaN or infinity; give finite numbers"),
        ("a.npy", np.full((1, 3, 32, 32), 1e300), "a.npy: it holds NaN or infinity; give finite numbers"),
        ("none.png", None, "none.png: there is no such file"),
        ("empty/.png", b"", "empty: there is no image file in this folder"),
    ],
)
def test_what_cannot_be_classified_is_one_true_line(
    exported: Callable[[str], Exported], tmp_path: Path, name: str, content: Any, says: str
) -> None:
    path = tmp_path / name
    path.parent.mkdir(exist_ok=True)
    if isinstance(content, bytes):
        path.write_bytes(content)
    elif content is not None:
        np.save(path, content, allow_pickle=True)
    found = run(exported("folder").folder, tmp_path / name.split("/")[0])
    assert (found.returncode, found.stdout) == (1, "")
    assert found.stderr.startswith("Error: ")
    assert says in found.stderr
    assert "pickle" not in found.stderr
    assert found.stderr.count("\n") == 1


def test_without_pillow(
    exported: Callable[[str], Exported], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = exported("folder")
    (tmp_path / "a.png").write_bytes(png(made.pixels[0]))
    np.save(tmp_path / "a.npy", made.pixels[:1])
    monkeypatch.setattr(sys, "path", [])  # nothing else can be imported from now on
    monkeypatch.setitem(sys.modules, "PIL", None)
    assert lines(run(made.folder, tmp_path / "a.npy")) == made.names()[:1]
    found = run(made.folder, tmp_path / "a.npy", tmp_path / "a.png")
    assert (found.returncode, found.stdout) == (1, "")
    assert found.stderr.endswith(
        "files are read by Pillow, which is not installed here; install pillow, or give an array (.npy)\n"
    )


def test_without_a_card(exported: Callable[[str], Exported], tmp_path: Path) -> None:
    made, bare = exported("folder"), tmp_path / "bare"
    (tmp_path / "a.png").write_bytes(png(made.pixels[0]))
    np.save(tmp_path / "a.npy", made.pixels[:1])
    shutil.copytree(made.folder, bare)
    files = json.loads((bare / "manifest.json").read_text())["files"]
    (bare / "card.json").unlink()
    edit_manifest(bare, files={name: sum_ for name, sum_ in files.items() if name != "card.json"})
    for given in ("a.png", "a.npy"):
        found = run(bare, tmp_path / given)
        assert (found.returncode, found.stdout) == (1, "")
        assert "no card.json beside predict.py tells how to scale" in found.stderr
