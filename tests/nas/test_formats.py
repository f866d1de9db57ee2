"""Reading data: every format gives the pixels that are in it, and what is broken is one clear line."""

import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from image_files import cifar_files, found, idx_folder, image_folder, packed, parquet, pictures, png, refused
from PIL import Image

from nas.data import load
from nas.data.opening import canonical

pytestmark = pytest.mark.usefixtures("own_cache")

SHARED = Path(__file__).parents[3] / "shared" / "data" / "cifar10"


@pytest.mark.parametrize("packed", [False, True])
def test_idx_files(tmp_path: Path, packed: bool) -> None:
    images, labels = idx_folder(tmp_path / "mnist", packed)
    data = load(str(tmp_path / "mnist"))
    assert (data.name, data.classes, data.input_shape) == ("mnist", 3, (1, 6, 5))
    pixels, its_labels = found(data)
    np.testing.assert_array_equal(pixels[..., 0], images)
    np.testing.assert_array_equal(its_labels, labels)
    assert [len(s) for s in (data.train, data.validation, data.test)] == [54, 6, 60]
    seen = data.train.images
    assert seen.mean() == pytest.approx(0, abs=0.1)
    assert seen.std() == pytest.approx(1, abs=0.1)


@pytest.mark.parametrize(
    ("name", "change", "problem"),
    [
        ("train-images-idx3-ubyte", lambda d: d[:-1], "holds less than its header says"),
        ("train-images-idx3-ubyte", lambda d: d + b"1", "holds more than its header says"),
        ("train-images-idx3-ubyte", lambda d: b"PK" + d[2:], "is no IDX file of bytes in 3 dimensions"),
        ("train-labels-idx1-ubyte", lambda d: d[:3], "is no IDX file of bytes in 1 dimensions"),
        (
            "train-labels-idx1-ubyte",
            lambda d: d[:4] + struct.pack(">I", 9) + d[8:17],
            "60 images, but there are 9",
        ),
        ("train-labels-idx1-ubyte", None, "has no labels beside it"),
        ("train-labels-idx1-ubyte", lambda d: d[:8] + bytes(60), "images are of one class"),
        ("train-labels-idx1-ubyte", lambda d: d[:8] + bytes([2, 0] * 30), "no training image is of class 1"),
    ],
)
def test_broken_idx_files(tmp_path: Path, name: str, change: Any, problem: str) -> None:
    idx_folder(tmp_path / "mnist")
    path = tmp_path / "mnist" / name
    if change is None:
        path.unlink()
    else:
        path.write_bytes(change(path.read_bytes()))
    refused(tmp_path / "mnist", problem)


@pytest.mark.parametrize("header", [(2**32 - 1,) * 3, (60, 2**20, 2**20), (0, 6, 5), (60, 0, 5)], ids=str)
def test_absurd_idx_headers(tmp_path: Path, header: tuple[int, ...]) -> None:
    idx_folder(tmp_path / "mnist")
    path = tmp_path / "mnist" / "train-images-idx3-ubyte"
    path.write_bytes(path.read_bytes()[:4] + struct.pack(">3I", *header) + bytes(1800))
    refused(tmp_path / "mnist", "holds less than its header says|holds no images")


@pytest.mark.parametrize("at", [11, 12, 14, 20])
def test_flipped_bits_in_an_archive(tmp_path: Path, at: int) -> None:
    idx_folder(tmp_path / "mnist", packed=True)
    path = tmp_path / "mnist" / "train-images-idx3-ubyte.gz"
    data = bytearray(path.read_bytes())
    data[at] ^= 0xFF
    path.write_bytes(bytes(data))
    refused(tmp_path / "mnist", "cannot be read|holds|is no IDX file")


def test_a_broken_archive_member(tmp_path: Path) -> None:
    idx_folder(tmp_path / "mnist", packed=True)
    path = tmp_path / "mnist" / "train-images-idx3-ubyte.gz"
    path.write_bytes(path.read_bytes()[:-20])
    refused(tmp_path / "mnist", "cannot be read")


def cifar_folder(folder: Path, hundred: bool = False) -> tuple[Any, Any]:
    """CIFAR in its binary form, with fewer images."""
    images, labels = pictures(60, 32, 32, 3)
    cifar_files(folder, images, labels, hundred)
    if not hundred:
        (folder / "batches.meta.txt").write_text("cat\nbig dog\nfrog\n\n")
    return images, labels


@pytest.mark.parametrize("hundred", [False, True])
def test_cifar_in_its_binary_form(tmp_path: Path, hundred: bool) -> None:
    images, labels = cifar_folder(tmp_path / "cifar", hundred)
    data = load(str(tmp_path / "cifar"))
    pixels, its_labels = found(data)
    np.testing.assert_array_equal(pixels, images)
    np.testing.assert_array_equal(its_labels, labels)
    assert (data.input_shape, len(data.test)) == ((3, 32, 32), 6)
    assert data.class_names == (() if hundred else ("cat", "big dog", "frog"))


def test_broken_cifar_files(tmp_path: Path) -> None:
    cifar_folder(tmp_path / "cifar")
    batch = tmp_path / "cifar" / "data_batch_3.bin"
    whole = batch.read_bytes()
    batch.write_bytes(whole[:-7])
    refused(tmp_path / "cifar", "no whole number of 3073-byte records")
    batch.write_bytes(b"\x07" + whole[1:])
    refused(tmp_path / "cifar", "image 24 of train has label 7, but there are 3 classes")
    batch.unlink()
    refused(tmp_path / "cifar", "'data_batch_3.bin' is missing")


def test_names_that_are_no_text(tmp_path: Path) -> None:
    cifar_folder(tmp_path / "cifar")
    (tmp_path / "cifar" / "batches.meta.txt").write_bytes(b"\xff\xfe\x00")
    refused(tmp_path / "cifar", "is no list of names")
    for names in ("", "cat\n", "cat\ncat\n"):
        (tmp_path / "cifar" / "batches.meta.txt").write_text(names)
        refused(tmp_path / "cifar", "'batches.meta.txt' holds fewer than two names, or one twice; give each")


def test_no_pickle_is_opened(tmp_path: Path) -> None:
    folder = tmp_path / "cifar-10-batches-py"
    folder.mkdir()
    (folder / "batches.meta").write_bytes(b"\x80\x02.")
    refused(folder, "is CIFAR's pickled form")
    (tmp_path / "data.pkl").write_bytes(b"\x80\x02.")
    refused(tmp_path / "data.pkl", "may hold a pickle")


def test_a_folder_of_images_by_class(tmp_path: Path) -> None:
    image_folder(tmp_path / "food")
    data = load(str(tmp_path / "food"))
    assert data.class_names == ("apple", "bean", "corn")
    assert data.input_shape == (3, 8, 8), "colour, as some have it"
    pixels, labels = found(data)
    grey = pixels[labels == 0]
    np.testing.assert_array_equal(grey[..., 0], grey[..., 2])
    assert len(data.test) == 6, "cut off, as there is none"


def test_images_of_mixed_size(tmp_path: Path) -> None:
    image_folder(tmp_path / "food")
    (tmp_path / "food" / "train" / "corn" / "odd.png").write_bytes(png(pictures(1, 9, 12, 3)[0][0]))
    refused(
        tmp_path / "food",
        r"corn/odd\.png' is 12x9, those before it 8x8; bring them to one size with image_size",
    )
    assert load(str(tmp_path / "food"), image_size=16).input_shape == (3, 16, 16)


def test_a_broken_image(tmp_path: Path) -> None:
    image_folder(tmp_path / "food")
    path = next((tmp_path / "food" / "train" / "bean").iterdir())
    path.write_bytes(path.read_bytes()[:60])
    refused(tmp_path / "food", "cannot be read")
    path.write_bytes(b"GIF89a no picture")
    refused(tmp_path / "food", "cannot be read")


def test_pixels_of_more_than_eight_bits(tmp_path: Path) -> None:
    folder = tmp_path / "deep" / "train"
    for label in "ab":
        (folder / label).mkdir(parents=True)
        for index in range(3):
            Image.fromarray(np.full((4, 4), 9000, np.uint16)).save(folder / label / f"{index}.png")
    refused(tmp_path / "deep", "of more than 8 bits")


def test_parquet_files(tmp_path: Path) -> None:
    images, labels = pictures(30, 8, 8, 3)
    parquet(tmp_path / "p" / "train-00000-of-00001.parquet", {"img": packed(images), "label": labels})
    parquet(tmp_path / "p" / "test-00000-of-00001.parquet", {"img": packed(images[:6]), "label": labels[:6]})
    for name in (tmp_path / "p", tmp_path / "p" / "train-00000-of-00001.parquet"):
        data = load(str(name))
        pixels, its_labels = found(data)
        np.testing.assert_array_equal(pixels, images)
        np.testing.assert_array_equal(its_labels, labels)
        assert data.class_names == ("x", "y", "z")


def test_labels_in_words(tmp_path: Path) -> None:
    images, labels = pictures(30, 8, 8, 3)
    words = [("fig", "date", "kiwi")[label] for label in labels]
    parquet(tmp_path / "p" / "train.parquet", {"img": packed(images), "name": words})
    data = load(str(tmp_path / "p"))
    assert data.class_names == ("date", "fig", "kiwi")
    np.testing.assert_array_equal(found(data)[1], [data.class_names.index(word) for word in words])


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        (lambda c: c | {"other": c["img"]}, "columns img, other could be its images"),
        (lambda c: {"label": c["label"]}, "no column is its images"),
        (lambda c: {"img": c["img"]}, "no column is its labels"),
        (
            lambda c: {"img": c["img"], "name": ["q"] * 30, "number": range(30)},
            "name, number could be its labels",
        ),
        (lambda c: c | {"label": [None, *c["label"][1:]]}, "image 0 of train has no label"),
        (lambda c: c | {"label": [-1, *c["label"][1:]]}, "image 0 of train has no label"),
        (lambda c: c | {"img": [None, *c["img"][1:]]}, "image 0 is missing"),
        (lambda c: {"img": c["img"], "number": [2**62, *c["label"][1:]]}, "it has labels up to"),
        (
            lambda c: c | {"img": [{"bytes": b"?", "path": None}, *c["img"][1:]]},
            "image 0 of .* cannot be read",
        ),
    ],
)
def test_broken_parquet_files(tmp_path: Path, change: Any, problem: str) -> None:
    images, labels = pictures(30, 8, 8, 3)
    columns = change({"img": packed(images), "label": list(labels)})
    parquet(tmp_path / "p" / "train.parquet", {n: list(c) for n, c in columns.items()})
    refused(tmp_path / "p", problem)


def test_what_is_no_data(tmp_path: Path) -> None:
    refused("mnist", "'mnist' is neither a data set here \\(digits.*\\) nor a path")
    refused(tmp_path / "nothing", "is neither a data set here")
    (tmp_path / "empty").mkdir()
    refused(tmp_path / "empty", "is empty")
    (tmp_path / "archive.zip").write_bytes(b"PK")
    refused(tmp_path / "archive.zip", "is an archive")
    (tmp_path / "notes.txt").write_text("none")
    refused(tmp_path / "notes.txt", "is no parquet or arrow file")
    (tmp_path / "broken.parquet").write_bytes(b"PAR1 but no more")
    refused(tmp_path / "broken.parquet", "cannot be read")
    refused("digits", "has a size of its own", image_size=16)
    refused(tmp_path / "empty", "0 is out of range", image_size=0)


def test_words_of_every_split_are_classes(tmp_path: Path) -> None:
    images, labels = pictures(30, 8, 8, 3)
    words = [("fig", "date", "kiwi")[label] for label in labels]
    parquet(tmp_path / "p" / "train.parquet", {"img": packed(images), "name": words})
    parquet(tmp_path / "p" / "test.parquet", {"img": packed(images[:1]), "name": ["plum"]})
    refused(tmp_path / "p", "no training image is of class 3 [(]plum[)]")


def test_what_is_transparent_is_white(tmp_path: Path) -> None:
    """Whatever lies beneath: here black, as drawings are saved."""
    pixels = np.zeros((30, 8, 8, 4), np.uint8)
    pixels[:, :4, :, 3], pixels[:, 4, :, 3] = 255, 51
    parquet(tmp_path / "p" / "train.parquet", {"img": packed(pixels), "number": np.arange(30) % 2})
    images, _ = found(load(str(tmp_path / "p")))
    np.testing.assert_array_equal(images[:, :4], 0)
    np.testing.assert_array_equal(images[:, 4], 204)
    np.testing.assert_array_equal(images[:, 5:], 255)


def test_searches_store_paths_that_hold_from_anywhere(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    idx_folder(tmp_path / "mnist")
    monkeypatch.chdir(tmp_path)
    assert canonical("mnist") == str(tmp_path / "mnist")
    assert canonical("digits") == "digits"
    assert canonical("owner/name") == "owner/name"


@pytest.mark.slow
@pytest.mark.skipif(not SHARED.exists(), reason="CIFAR-10 is not here")
def test_cifar10_from_the_hubs_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NAS_CACHE")  # decoding takes seconds; whoever has trained on it has it
    monkeypatch.setenv("XDG_CACHE_HOME", str(Path.home() / ".cache"))
    data = load(str(SHARED))
    assert [len(s) for s in (data.train, data.validation, data.test)] == [45_000, 5_000, 10_000]
    assert (data.classes, data.input_shape, data.class_names[3]) == (10, (3, 32, 32), "cat")
    assert (np.bincount(data.test.labels) == 1000).all()
    assert (np.bincount(data.validation.labels) == 500).all()


def test_folders_of_images_that_do_not_serve(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    from PIL import Image

    def picture(name: str) -> Path:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (8, 8)).save(path)
        return path

    for number in range(4):
        picture(f"one/cat/{number}.png")
    refused(tmp_path / "one", "one': it has images of one class only, cat; put those of each class into a")
    for number in range(12):
        picture(f"broken/{'cat' if number % 2 else 'dog'}/{number}.png")
    spoiled = tmp_path / "broken" / "cat" / "3.png"
    spoiled.write_bytes(b"no image")
    refused(tmp_path / "broken", r"cat.3\.png' cannot be read \(it is a broken image, or none of")
    (tmp_path / "pickles").mkdir()
    (tmp_path / "pickles" / "data_batch_1").write_bytes(b"\x80\x04.")
    refused(tmp_path / "pickles", "a pickle runs whatever is in it; take the binary form")
    (tmp_path / "empty.parquet").write_bytes(b"")
    refused(tmp_path / "empty.parquet", "cannot be read")
    assert capfd.readouterr().err == "", "one line is enough"
