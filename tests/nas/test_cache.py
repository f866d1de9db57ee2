"""The cache of decoded images: what an entry is known by, and what becomes of one that is not whole."""

import os
import shutil
from pathlib import Path

import numpy as np
import pytest
from image_files import found, idx_folder, packed, parquet, pictures

from nas.data import cache, load
from nas.data.opening import decoded

pytestmark = pytest.mark.usefixtures("own_cache")


def test_decoded_once_and_known_by_content(tmp_path: Path, own_cache: Path) -> None:
    idx_folder(tmp_path / "mnist")
    told: list[tuple[int, int]] = []

    def tell(done: int, of: int) -> None:
        told.append((done, of))

    first = load(str(tmp_path / "mnist"), progress=tell)
    assert told[-1] == (120, 120)
    told.clear()
    again = load(str(tmp_path / "mnist"), progress=tell)
    assert not told, "nothing is decoded again"
    assert isinstance(again.train.pixels, np.memmap)
    np.testing.assert_array_equal(first.train.images, again.train.images)
    labels = tmp_path / "mnist" / "train-labels-idx1-ubyte"
    data = labels.read_bytes()
    labels.write_bytes(data[:-1] + bytes([(data[-1] + 1) % 3]))
    load(str(tmp_path / "mnist"), progress=tell)
    assert told, "other bytes, another entry"
    assert len(list((own_cache / "data").iterdir())) == 2


def test_the_split_and_the_address_are_part_of_what_an_entry_is_known_by(tmp_path: Path) -> None:
    images, labels = pictures(30, 8, 8, 3)
    for folder, other in (("a", "dev"), ("b", "test")):
        for split, count in (("train", 30), (other, 6)):
            columns = {"img": packed(images[:count]), "label": labels[:count]}
            parquet(tmp_path / folder / f"{split}-00000-of-00001.parquet", columns)
    sizes = [[len(s) for s in (d.validation, d.test)] for d in (load(str(tmp_path / f)) for f in "ab")]
    assert sizes == [[6, 6], [3, 6]]
    place = "train/train-0.parquet"
    addresses = [f"hf://datasets/{owner}/x@1/data/train-0.parquet" for owner in "ab"]
    assert cache.digest_of({place: addresses[0]}) != cache.digest_of({place: addresses[1]})


def test_images_that_are_decoded_are_found_without_the_files(tmp_path: Path, own_cache: Path) -> None:
    """Such as a search has seen them: by the digest that it has noted, and by the size."""
    idx_folder(tmp_path / "mnist")
    name = str(tmp_path / "mnist")
    made, small = load(name), load(name, 4)
    shutil.rmtree(name)
    found = decoded(name, made.digest), decoded(name, made.digest, 4)
    for there, before in zip(found, (made, small), strict=True):
        assert there is not None and there.input_shape == before.input_shape
        np.testing.assert_array_equal(there.validation.images, before.validation.images)
        np.testing.assert_array_equal(there.validation.labels, before.validation.labels)
    assert decoded(name, made.digest, 5) is decoded(name, "ab" * 32) is decoded(name, "") is None
    shutil.rmtree(own_cache)
    assert decoded(name, made.digest) is None and not own_cache.exists(), "nothing is written"


def test_half_an_entry_is_made_anew(tmp_path: Path, own_cache: Path) -> None:
    images, _ = idx_folder(tmp_path / "mnist")
    load(str(tmp_path / "mnist"))
    (entry,) = (own_cache / "data").iterdir()
    (entry / "about.json").write_text("{")
    np.testing.assert_array_equal(found(load(str(tmp_path / "mnist")))[0][..., 0], images)
    assert [path.name for path in (own_cache / "data").iterdir()] == [entry.name]


@pytest.mark.parametrize("name", ["train.pixels.npy", "test.labels.npy"])
@pytest.mark.parametrize("length", [None, 0, 60, 300])
def test_a_damaged_entry_is_made_anew(tmp_path: Path, own_cache: Path, name: str, length: int | None) -> None:
    images, _ = idx_folder(tmp_path / "mnist")
    load(str(tmp_path / "mnist"))
    (entry,) = (own_cache / "data").iterdir()
    file = entry / name
    if length is None:
        file.unlink()
    else:
        os.truncate(file, length)
    np.testing.assert_array_equal(found(load(str(tmp_path / "mnist")))[0][..., 0], images)
    assert [path.name for path in (own_cache / "data").iterdir()] == [entry.name]


def test_names_of_classes_are_part_of_what_an_entry_is_known_by(tmp_path: Path) -> None:
    """A card tells them, beside a file that may lie elsewhere without one."""
    pixels, labels = pictures(30, 8, 8, 3)
    for name in ("plain", "card"):
        parquet(tmp_path / name / "train.parquet", {"img": packed(pixels), "number": labels % 2})
    names = "{class_label: {names: {'0': cat, '1': dog}}}"
    features = f"[{{name: img, dtype: image}}, {{name: number, dtype: {names}}}]"
    (tmp_path / "card" / "README.md").write_text(f"---\ndataset_info: {{features: {features}}}\n---\n")
    assert load(str(tmp_path / "card")).class_names == ("cat", "dog")
    assert load(str(tmp_path / "plain")).class_names == ()
