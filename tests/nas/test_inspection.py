"""What somebody else may have made of a folder is refused before anything in it is loaded or runs."""

import json
import os
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors import SafetensorError
from safetensors.numpy import load, save

from nas.export import inspection
from nas.export.card import CARD, Card, FormFigures
from nas.export.writing import EXPECTED
from nas.training.job import ARCHITECTURE
from runtime.formats.artifact import MANIFEST, check_files, checksum, own_digest, read_manifest
from runtime.formats.guard import check_tensors
from runtime.formats.saving import vouch_again, write_library, write_manifest
from runtime.network_info import NetworkInfo
from search_spaces.errors import BitnasError

INFO = NetworkInfo((1, 1, 8, 8), (1, 10), "x86_64", "x86-64-v3", (), 0, 64, 64, ())
FIGURES: dict[str, Any] = {
    "search": "demo",
    "trial": 6,
    "digest": "06" * 32,
    "data": "digits",
    "data_digest": "0",
    "epochs": 3,
    "seed": 0,
    "validation_accuracy": 0.9,
    "test_accuracy": 0.9,
    "test_images": 10,
    "size_kb": 1.0,
    "predicted_ms": 0.1,
    "measured_ms": 0.1,
    "measured_iqr_ms": 0.0,
    "measured_at": "2026-01-01",
    "batch": 1,
    "device": {"name": "local"},
    "precisions": {"binary": 3},
}
CODE = ("network.so", "pictures.py", "predict.py")


def card_of(*forms: str) -> str:
    told = [FormFigures(name=name, files=[], holds_code=True, kilobytes=1, right=9) for name in forms]
    return Card(**FIGURES, forms=told).to_json()


def card(**changes: object) -> bytes:
    """Of somebody who may write anything."""
    return json.dumps({**FIGURES, **changes}).encode()


def write(folder: Path, *forms: str) -> Path:
    """A folder whose library is none: nothing here may come so far as to load it."""
    folder.mkdir()
    if "tvm" in forms:
        library = folder.parent / "library.so"
        library.write_bytes(b"machine code" * 100)
        sample = {"input": np.zeros((1, 1, 8, 8), np.float32), "output": np.zeros((1, 10), np.float32)}
        write_library((), library, sample, folder)
    if "safetensors" in forms:
        (folder / "model.safetensors").write_bytes(save({"a": np.zeros(3, np.float32)}))
    told = [
        FormFigures(name=name, files=[], holds_code=name == "tvm", kilobytes=1, right=9) for name in forms
    ]
    (folder / CARD).write_text(Card(**FIGURES, forms=told).to_json())
    (folder / ARCHITECTURE).write_text("{}\n")
    (folder / EXPECTED).write_bytes(save({"classes": np.zeros(10, np.int64)}))
    write_manifest(folder, INFO, (), forms)
    return folder


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return write(tmp_path / "winner", "tvm", "safetensors")


def tensors(header: dict[str, Any] | bytes, body: bytes = b"") -> bytes:
    """A safetensors file of any header."""
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + body


def put(folder: Path, name: str, content: bytes) -> None:
    """Write a file, and have the manifest vouch for it as a forger would."""
    (folder / name).write_bytes(content)
    vouch_again(folder)


def forge(folder: Path, **changes: Any) -> None:
    """Change the manifest, with a digest that fits."""
    fields = {**json.loads((folder / MANIFEST).read_text()), **changes}
    (folder / MANIFEST).write_text(json.dumps(fields | {"digest": own_digest(fields)}))


def listing(folder: Path, **names: str) -> None:
    forge(folder, files={**json.loads((folder / MANIFEST).read_text())["files"], **names})


def link(folder: Path) -> None:
    """The same bytes, but elsewhere, and perhaps others tomorrow."""
    (folder / "model.safetensors").rename(folder.parent / "elsewhere")
    (folder / "model.safetensors").symlink_to(folder.parent / "elsewhere")


def pipe(folder: Path, name: str) -> None:
    (folder / name).unlink()
    os.mkfifo(folder / name)


def large(folder: Path, name: str, size: int) -> None:
    with (folder / name).open("r+b") as file:
        file.truncate(size)


def change(folder: Path, name: str) -> None:
    content = (folder / name).read_bytes()
    (folder / name).write_bytes(bytes([content[0] ^ 1]) + content[1:])


def outside(folder: Path, name: str) -> None:
    (folder.parent / "secret").write_text("secret")
    listing(folder, **{name: checksum(folder.parent / "secret")})


def twice(folder: Path) -> None:
    text = (folder / MANIFEST).read_text().rstrip()
    (folder / MANIFEST).write_text(f'{text[:-1]}, "files": {{}}}}')


F32 = {"dtype": "F32", "shape": [2]}
EVIL: dict[str, tuple[Callable[[Path], None], str]] = {
    "a path upwards": (lambda f: outside(f, "../secret"), r"'\.\./secret' lies outside the artifact"),
    "an absolute path": (lambda f: outside(f, str(f.parent / "secret")), "lies outside the artifact"),
    "a path down": (lambda f: outside(f, "a/b"), "'a/b' lies outside"),
    "a path of Windows": (lambda f: outside(f, "..\\secret"), "lies outside"),
    "the folder itself": (lambda f: outside(f, "."), "'.' lies outside"),
    "a name that drives a terminal": (lambda f: outside(f, "a\x1b[2J"), "lies outside"),
    "a link": (link, r"model\.safetensors: it is a link, which is not followed"),
    "a pipe": (lambda f: pipe(f, "model.safetensors"), "it is no file"),
    "a manifest that is a pipe": (lambda f: pipe(f, MANIFEST), r"manifest\.json: it is no file"),
    "a folder in it": (lambda f: (f / "inner").mkdir(), "does not list 'inner'"),
    "Python that shadows numpy": (lambda f: (f / "numpy.py").touch(), r"does not list 'numpy\.py'"),
    "a changed file": (lambda f: change(f, "network.so"), r"network\.so: its checksum is wrong"),
    "a missing file": (lambda f: (f / "network.so").unlink(), r"network\.so: the file is missing"),
    "a huge file": (lambda f: large(f, "model.safetensors", 1 << 33), "it has more than 4,294,967,296 bytes"),
    "a huge card": (lambda f: large(f, CARD, 1 << 23), r"card\.json: it has more than 4,194,304 bytes"),
    "an unknown key of the manifest": (lambda f: forge(f, run="rm"), "run: extra inputs are not permitted"),
    "a key that is there twice": (twice, "a key is there twice"),
    "an unknown key of the card": (
        lambda f: put(f, CARD, json.dumps({**FIGURES, "run": "rm"}).encode()),
        r"card\.json: run: extra inputs are not permitted",
    ),
    "images of no size": (lambda f: put(f, CARD, card(input_shape=[3, -1, 32])), "not that of an image"),
    "images of any size": (
        lambda f: put(f, CARD, card(input_shape=[3, 10**6, 10**6])),
        "not that of an image",
    ),
    "other images than the manifest's": (
        lambda f: put(f, CARD, card(input_shape=[1, 64, 64])),
        "it tells of other images than",
    ),
    "a deviation of nothing": (lambda f: put(f, CARD, card(mean=[0], deviation=[0])), "not above 0"),
    "fewer means than channels": (
        lambda f: put(f, CARD, card(input_shape=[3, 8, 8], mean=[0], deviation=[1])),
        "not one mean for each channel",
    ),
    "fewer names than classes": (
        lambda f: put(f, CARD, card(class_names=["a"], class_images=[5, 5], class_right=[5, 4])),
        "not one name for each class",
    ),
    "other forms than the card's": (
        lambda f: put(f, CARD, card_of("c").encode()),
        "it tells of other forms than",
    ),
    "an unknown form": (lambda f: forge(f, formats=["tvm", "exe"]), "form that is not known here"),
    "an unsigned manifest": (
        lambda f: (f / MANIFEST).write_text((f / MANIFEST).read_text().replace("x86_64", "vax")),
        "its digest is wrong",
    ),
    "tensors that overlap": (
        lambda f: put(f, "model.safetensors", tensors(
            {"a": {**F32, "data_offsets": [0, 8]}, "b": {**F32, "data_offsets": [4, 12]}}, bytes(12))),
        "tensor 'b' overlaps another",
    ),
    "a gap between tensors": (
        lambda f: put(f, "model.safetensors", tensors({"a": {**F32, "data_offsets": [4, 12]}}, bytes(12))),
        "tensor 'a' leaves a gap",
    ),
    "bytes behind the tensors": (
        lambda f: put(f, "model.safetensors", tensors({"a": {**F32, "data_offsets": [0, 8]}}, bytes(12))),
        "its tensors end at byte 8 of 12",
    ),
    "a tensor larger than the file": (
        lambda f: put(f, "model.safetensors", tensors(
            {"a": {"dtype": "F32", "shape": [1 << 20], "data_offsets": [0, 1 << 22]}}, bytes(8))),
        "its tensors end at byte 4,194,304 of 8",
    ),
    "a shape of other bytes": (
        lambda f: put(f, "model.safetensors", tensors(
            {"a": {"dtype": "F32", "shape": [1 << 31, 1 << 31], "data_offsets": [0, 8]}}, bytes(8))),
        "has other bytes than its shape takes",
    ),
    "a negative offset": (
        lambda f: put(f, "model.safetensors", tensors({"a": {**F32, "data_offsets": [-8, 0]}}, bytes(8))),
        "that are no counts",
    ),
    "an unknown key of a tensor": (
        lambda f: put(f, "model.safetensors", tensors(
            {"a": {**F32, "data_offsets": [0, 8], "run": 1}}, bytes(8))),
        "has other keys than",
    ),
    "a header larger than the file": (
        lambda f: put(f, "model.safetensors", struct.pack("<Q", 1 << 40)),
        "its header is larger than the file",
    ),
    "a header with a tensor twice": (
        lambda f: put(f, "model.safetensors", tensors(
            b'{"a":{"dtype":"U8","shape":[1],"data_offsets":[0,1]},"a":{"dtype":"U8","shape":[1],"data_offsets":[0,1]}}',
            b"x")),
        "a key is there twice",
    ),
    "a header nested a million deep": (
        lambda f: put(f, "model.safetensors", tensors(b"[" * 1_000_000)), "nested too deeply|recursion"
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", EVIL)
def test_an_evil_folder_is_one_line(folder: Path, name: str) -> None:
    inspection.inspect(folder)  # before it is spoilt
    spoil, says = EVIL[name]
    spoil(folder)
    with pytest.raises(BitnasError, match=says) as error:
        inspection.inspect(folder)
    assert "\n" not in str(error.value)
    assert str(error.value).isprintable()


def test_what_the_makefile_builds_is_passed_over(folder: Path) -> None:
    put(folder, "Makefile", b"classify: main.c")
    (folder / "classify").write_bytes(b"a program")
    inspection.inspect(folder)
    forge(
        folder, files={n: s for n, s in inspection.inspect(folder).manifest.files.items() if n != "Makefile"}
    )
    (folder / "Makefile").unlink()
    with pytest.raises(BitnasError, match="does not list 'classify'"):
        inspection.inspect(folder)


def test_a_folder_is_nothing_that_a_makefile_builds(folder: Path) -> None:
    put(folder, "Makefile", b"classify: main.c")
    (folder / "classify").mkdir()
    with pytest.raises(BitnasError, match="does not list 'classify'"):
        inspection.inspect(folder)


def test_what_holds_code_is_told(folder: Path, tmp_path: Path) -> None:
    assert inspection.inspect(folder).code == CODE
    plain = write(tmp_path / "plain", "safetensors")
    assert inspection.inspect(plain).code == ()
    assert set(json.loads((plain / MANIFEST).read_text())) == {
        *("format", "formats", "input_shape", "output_shape", "files", "digest"),
    }


@pytest.mark.parametrize("name", ["setup.py", "network.so", "network.c", "README"])
def test_no_code_hides_in_a_folder_of_data(tmp_path: Path, name: str) -> None:
    plain = write(tmp_path / "plain", "safetensors")
    put(plain, name, b"import os")
    with pytest.raises(BitnasError, match=rf"{name}: no form of the folder \(safetensors\) has such a file"):
        inspection.inspect(plain)


def test_older_manifests_are_read(folder: Path) -> None:
    """Of before there were other forms than a library."""
    fields = json.loads((folder / MANIFEST).read_text())
    del fields["formats"]
    fields["format"] = 2
    (folder / MANIFEST).write_text(json.dumps(fields | {"digest": own_digest(fields)}))
    manifest = read_manifest(folder)
    check_files(folder, manifest)
    assert manifest.formats == ("tvm",)


DTYPES = st.sampled_from(["F32", "U8", "I64", "F16", "F4", 3])
COUNTS = st.integers(-1, 6) | st.sampled_from([True, 1.0, 1 << 40])
ENTRIES = st.fixed_dictionaries(
    {
        "dtype": DTYPES,
        "shape": st.lists(COUNTS, max_size=2),
        "data_offsets": st.lists(COUNTS | st.integers(0, 24), min_size=1, max_size=3),
    },
    optional={"more": st.none()},
)
HEADERS = st.dictionaries(st.sampled_from(["a", "b", "c", "__metadata__"]), ENTRIES, max_size=3)


@settings(max_examples=300, deadline=None)
@given(header=HEADERS, size=st.integers(0, 24))
def test_what_is_accepted_is_a_file_of_tensors(tmp_path_factory: Any, header: Any, size: int) -> None:
    path = tmp_path_factory.getbasetemp() / "some.safetensors"
    path.write_bytes(tensors(header, bytes(size)))
    try:
        check_tensors(path)
    except BitnasError as error:
        assert "\n" not in str(error)
        return
    spans = sorted(entry["data_offsets"] for entry in header.values())
    assert [0, *(end for _, end in spans)] == [*(start for start, _ in spans), size], "they fill it in turn"
    try:
        load(path.read_bytes())
    except SafetensorError as error:
        pytest.fail(f"the library refuses what was accepted: {error}")


ARRAYS = st.dictionaries(
    st.text(max_size=5).filter(lambda name: name != "__metadata__"),
    st.tuples(st.sampled_from(["<f4", "<i8", "u1", "<f2"]), st.lists(st.integers(0, 3), max_size=3)),
    max_size=4,
)


@settings(max_examples=100, deadline=None)
@given(arrays=ARRAYS)
def test_what_the_library_writes_is_accepted(tmp_path_factory: Any, arrays: Any) -> None:
    path = tmp_path_factory.getbasetemp() / "good.safetensors"
    path.write_bytes(save({name: np.zeros(shape, kind) for name, (kind, shape) in arrays.items()}))
    check_tensors(path)
