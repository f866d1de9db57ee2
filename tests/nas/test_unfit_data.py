"""Data that does not serve, or only seems not to: columns of labels, scripts, names, images, folders."""

import json
import logging
from pathlib import Path
from typing import Any

import datasets
import numpy as np
import pyarrow
import pytest
from image_files import image_folder, packed, parquet, pictures, png, refused

from nas.data import load
from search_spaces.errors import InvalidInput

pytestmark = pytest.mark.usefixtures("own_cache")


def with_labels(folder: Path, column: str, labels: Any) -> Path:
    """A parquet file in ``folder`` of as many images as labels."""
    images = packed(pictures(len(labels), 8, 8, 3)[0])
    parquet(folder / "train.parquet", {"img": images, column: labels})
    return folder


@pytest.mark.parametrize("column", ["label", "name"])
@pytest.mark.parametrize("kind", ["string", "large_string", "string_view"])
def test_words_of_every_type_are_classes(tmp_path: Path, kind: str, column: str) -> None:
    words = ["fig", "date", "kiwi"] * 10
    labels = pyarrow.array(words, getattr(pyarrow, kind)())
    data = load(str(with_labels(tmp_path / "p", column, labels)))
    assert data.class_names == ("date", "fig", "kiwi")
    assert [data.class_names[label] for label in data.read().train.labels] == words


@pytest.mark.parametrize(
    ("labels", "kind"),
    [([0.0, 1.0] * 15, "float64"), ([[0], [1]] * 15, "List"), ([b"a", b"b"] * 15, "binary")],
    ids=["floats", "lists", "bytes"],
)
def test_a_column_that_holds_no_labels_is_refused_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, labels: Any, kind: str
) -> None:
    def prepare(_: Any) -> None:
        raise AssertionError("prepared first")

    monkeypatch.setattr(datasets.DatasetBuilder, "download_and_prepare", prepare)
    folder = with_labels(tmp_path / "p", "label", labels)
    refused(folder, f"p': its column label is of type {kind}, which is no label; make it whole numbers")


@pytest.mark.parametrize("labels", [[False, True] * 15, pyarrow.array([0, 1] * 15, pyarrow.uint8())], ids=str)
def test_whole_numbers_of_every_type_are_labels(tmp_path: Path, labels: Any) -> None:
    found = load(str(with_labels(tmp_path / "p", "label", labels)))
    np.testing.assert_array_equal(found.read().train.labels, [0, 1] * 15)


@pytest.mark.parametrize("has_tables", [False, True])
def test_no_script_is_run(tmp_path: Path, has_tables: bool) -> None:
    folder = with_labels(tmp_path / "food", "label", [0, 1, 2] * 10) if has_tables else tmp_path / "food"
    folder.mkdir(exist_ok=True)
    (folder / "food.py").write_text(f"open({str(tmp_path / 'ran')!r}, 'w')\n")
    refused(
        folder,
        r"food' holds no images by class, but a script that reads it, food\.py, which is not run; remove the",
    )
    assert not (tmp_path / "ran").exists()
    if has_tables:
        (folder / "food.py").unlink()
        assert load(str(folder)).classes == 3


def test_a_path_that_is_mistyped_might_be_a_name_on_the_hub(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(datasets.config, "HF_HUB_OFFLINE", True)
    problem = "'data/cifar' is no folder or file here, and no name on the hub that can be reached"
    refused("data/cifar", rf"{problem} \(the hub does not answer\); mend the path or the name")
    tells_of_retries = logging.getLogger("huggingface_hub.utils._http").isEnabledFor(logging.WARNING)
    assert not tells_of_retries, "one line is enough"


def test_a_name_that_the_hub_does_not_have(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(*_: Any, **__: Any) -> None:
        raise datasets.exceptions.DatasetNotFoundError("Dataset 'a/b' doesn't exist on the Hub")

    monkeypatch.setattr(datasets, "load_dataset_builder", missing)
    refused(
        "a/b", r"'a/b' is no folder or file here, and no name .* \(Dataset 'a/b' doesn't exist on the Hub\);"
    )


@pytest.mark.parametrize("length", [4, 20, 40, 60, 100, 150, 200])
def test_images_that_end_early(tmp_path: Path, length: int) -> None:
    image_folder(tmp_path / "food")
    whole = png(pictures(1, 8, 8, 3)[0][0])
    assert len(whole) > length
    (tmp_path / "food" / "train" / "bean" / "1.png").write_bytes(whole[:length])
    refused(
        tmp_path / "food",
        r"bean.1\.png' cannot be read \(it is a broken image, or none of a format that is read\)",
    )


@pytest.mark.parametrize("split", ["", "train"])
def test_a_class_without_an_image(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, split: str) -> None:
    image_folder(tmp_path / "food")
    empty = tmp_path / "food" / "train" / "date"
    empty.mkdir()
    (empty / ".gitkeep").touch()
    monkeypatch.chdir(tmp_path)
    refused(
        Path("food", *([split] if split else [])),
        "the folder of the class date holds no image; give it some",
    )


@pytest.mark.parametrize(
    ("place", "why"),
    [
        (
            "train/apple/a.heic",
            r"is not read, as its format \(\.heic\) is not known; make it PNG or JPEG, or",
        ),
        (
            "Previews/a.AVIF",
            r"is not read, as its format \(\.avif\) is not known; make it PNG or JPEG, or remove",
        ),
        ("train/apple/a.psd", r"is not read, as its format \(\.psd\) is not known"),
        ("train/date/a", "is not read, as its name has no suffix; add the suffix of its format, or remove"),
        ("extra/apple/a.png", "is in no split, but train beside its folder is one; move it into a split, or"),
        (
            "extra/a.png",
            "is in no split, but train beside its folder is one; move it into a split, or rename",
        ),
        (
            "train/apple/old/a.png",
            "lies 3 folders deep, but most images 2 folders; put it in the folder of its",
        ),
        (
            "test/a.png",
            "is in no folder of a class, as test is the name of a split; put it in one in there, or",
        ),
    ],
)
def test_pictures_that_are_not_read(tmp_path: Path, place: str, why: str) -> None:
    image_folder(tmp_path / "food")
    path = tmp_path / "food" / place
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(png(pictures(1, 8, 8, 3)[0][0]))
    refused(tmp_path / "food", f"food': {place} {why}")


def test_what_is_no_picture_or_lies_beside_may_stay(tmp_path: Path) -> None:
    image_folder(tmp_path / "food")
    (tmp_path / "food" / "cover.png").write_bytes(png(pictures(1, 8, 8, 3)[0][0]))
    (tmp_path / "food" / "train" / "apple" / "notes.txt").write_text("ripe")
    assert load(str(tmp_path / "food")).classes == 3


@pytest.mark.parametrize("place", ["date", "bean/more"])
def test_links_to_folders_are_not_passed_over(tmp_path: Path, place: str) -> None:
    image_folder(tmp_path / "food")
    image_folder(tmp_path / "more")
    (tmp_path / "food" / "train" / place).symlink_to(tmp_path / "more" / "train" / "apple")
    refused(tmp_path / "food", f"train/{place} is a link to a folder, which is not followed; put the folder")


def test_images_without_a_label_are_not_left_out(tmp_path: Path) -> None:
    image_folder(tmp_path / "food")
    train = tmp_path / "food" / "train"
    names = sorted(path.relative_to(train).as_posix() for path in train.rglob("*.png"))
    rows = [json.dumps({"file_name": name, "label": index % 2}) for index, name in enumerate(names)]
    (train / "metadata.jsonl").write_text("\n".join(rows[7:]))
    refused(
        tmp_path / "food", "food': its metadata file has no line for 7 of its 30 images; add their labels"
    )


def test_a_cache_that_cannot_be_made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    image_folder(tmp_path / "food")
    (tmp_path / "file").touch()
    monkeypatch.setenv("NAS_CACHE", str(tmp_path / "file" / "cache"))
    with pytest.raises(
        InvalidInput, match=r"NAS_CACHE: '.*/file/cache/data', .* cannot be made \(Not a directory\)"
    ):
        load(str(tmp_path / "food"))


def test_folders_that_are_no_classes(tmp_path: Path) -> None:
    """Another split, hidden ones, a class that one split has not."""
    image_folder(tmp_path / "food")
    image_folder(tmp_path / "more")
    (tmp_path / "more" / "train").rename(tmp_path / "food" / "test")
    for path in (tmp_path / "food" / "test" / "corn").iterdir():
        path.unlink()
    for name in ("validation", "train/.git", "train/__pycache__"):
        (tmp_path / "food" / name).mkdir()
    data = load(str(tmp_path / "food"))
    assert data.class_names == ("apple", "bean", "corn")
    assert set(data.test.labels) == {0, 1}


def test_metadata_tell_the_classes(tmp_path: Path) -> None:
    image_folder(tmp_path / "food")
    train = tmp_path / "food" / "train"
    (train / "date").mkdir()
    names = sorted(path.relative_to(train).as_posix() for path in train.rglob("*.png"))
    rows = [json.dumps({"file_name": name, "label": index % 2}) for index, name in enumerate(names)]
    (train / "metadata.jsonl").write_text("\n".join(rows))
    assert load(str(tmp_path / "food")).classes == 2
