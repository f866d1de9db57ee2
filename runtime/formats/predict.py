"""Classifies images with the compiled network in this folder; needs numpy and apache-tvm-ffi, nothing else.

    python predict.py                   runs the sample and compares with the output stored beside it
    python predict.py photo.png more/   image files and folders of them, brought to the size and scaled as in
                                        training; this needs Pillow, too
    python predict.py images.npy        an array: pixels in uint8 (n, H, W, C), scaled here, or float32
                                        (n, C, H, W), scaled as README.md tells

It prints a class a line, behind its path that of a file. As a module: ``Network(folder).run(images)`` returns
the network's output for scaled images.
"""

import ctypes
import hashlib
import importlib.util
import json
import platform
import struct
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

CHUNK = 256
"""Images that are made floats at a time."""

RANGE_TOLERANCE = 0.1
"""By what share of their range numbers may be outside of it, as those of resampled images are."""

DTYPES = {
    "F32": "<f4",
    "U32": "<u4",
    "I32": "<i4",
    "I64": "<i8",
    "I8": "i1",
    "U8": "u1",
    "I16": "<i2",
    "F16": "<f2",
}

AMX = {"amx_tile", "amx_int8"}
ASK_FOR_TILES = 158, 0x1023, 18
"""The system call by which a process may use AMX: arch_prctl(ARCH_REQ_XCOMP_PERM, XFEATURE_XTILEDATA)."""


def read_safetensors(path: Path) -> dict[str, Any]:
    """The arrays of a safetensors file, by name."""
    data = path.read_bytes()
    (length,) = struct.unpack_from("<Q", data)
    header, body = json.loads(data[8 : 8 + length]), memoryview(data)[8 + length :]
    header.pop("__metadata__", None)
    arrays = {}
    for name, entry in header.items():
        start, end = entry["data_offsets"]
        arrays[name] = np.frombuffer(body[start:end], DTYPES[entry["dtype"]]).reshape(entry["shape"])
    return arrays


def laid_out(stored: Any, packed: dict[str, Any]) -> Any:
    """What a file holds of a constant, (output channels, units), as kernels take it: see docs/artifacts.md.

    ``packed`` is what the manifest says of it. Units are bits or elements. They are spread to all lanes of
    vectors, with zeros between those that are used, and moved to their places in memory.
    """
    axes, channels, rows = packed["axes"], list(packed["channels"]), packed["rows"]
    inner = [axis for axis in range(len(axes)) if axis not in channels]
    lanes, units = (int(np.prod([axes[axis] for axis in part])) for part in (channels, inner))
    turns = packed["used"] or [units]
    used = np.tile(np.repeat(np.arange(len(turns)) % 2 == 0, turns), units // sum(turns))
    held = rows * int(used.sum())
    values = stored
    if packed["bits"] or packed["levels"]:
        each = max(1, (len(packed["levels"]) - 1).bit_length())
        values = np.unpackbits(stored, count=held * each, bitorder="little")
    if packed["levels"]:
        which = values.reshape(-1, each) @ (1 << np.arange(each, dtype=np.uint8))
        values = np.resize(np.array(packed["levels"], packed["dtype"]), 1 << each)[which]
    whole = np.zeros((rows, units), values.dtype)
    whole[:, used] = values.reshape(rows, -1)
    order = np.concatenate([first + np.arange(count) for first, count in packed["order"] or [(0, rows)]])
    spread = whole[order if rows > 1 else np.zeros(lanes, int)].reshape([axes[a] for a in channels + inner])
    placed = spread.transpose(np.argsort(channels + inner)).reshape(-1)
    if packed["bits"]:
        return np.packbits(placed, bitorder="little").view(packed["dtype"])
    return placed.astype(packed["dtype"])


def aligned(nbytes: int) -> Any:
    """Zeroed bytes that start at a multiple of 64, as the compiled code expects."""
    raw = np.zeros(nbytes + 64, np.uint8)
    start = -raw.ctypes.data % 64
    return raw[start : start + nbytes]


def cpu_flags() -> set[str] | None:
    """The instruction sets of this CPU, as Linux names them; None where it does not tell."""
    source = Path("/proc/cpuinfo")
    if not source.exists():
        return None
    lines = source.read_text(encoding="utf-8").splitlines()
    return set(next((row for row in lines if row.startswith(("flags", "Features"))), "").split())


def missing_flags(needed: set[str]) -> list[str]:
    """Which of these instruction sets this CPU lacks, or its system does not grant."""
    flags = cpu_flags()
    if flags is None:
        return []
    if needed & flags & AMX and ctypes.CDLL(None).syscall(*map(ctypes.c_long, ASK_FOR_TILES)) != 0:
        flags -= AMX
    return sorted(needed - flags)


class Network:
    """The compiled network of a folder."""

    def __init__(self, folder: str | Path) -> None:
        folder = Path(folder)
        self.manifest = json.loads((folder / "manifest.json").read_text(encoding="utf-8"))
        self._check(folder)
        import tvm_ffi

        self._module = tvm_ffi.load_module(str(folder / "network.so"))
        self.input = aligned(4 * int(np.prod(self.manifest["input_shape"]))).view(np.float32)
        self.input = self.input.reshape(self.manifest["input_shape"])
        self.output = aligned(4 * int(np.prod(self.manifest["output_shape"]))).view(np.float32)
        self.output = self.output.reshape(self.manifest["output_shape"])
        self.constants = aligned(max(1, self.manifest["constant_bytes"]))
        self.workspace = aligned(max(1, self.manifest["workspace_bytes"]))
        arrays = read_safetensors(folder / "constants.safetensors")
        for place in self.manifest["constants"]:
            array = arrays[place["name"]]
            array = laid_out(array, place["packed"]) if place.get("packed") else array
            raw = array.reshape(-1).view(np.uint8)
            self.constants[place["offset"] : place["offset"] + raw.size] = raw

    def _check(self, folder: Path) -> None:
        """Stop with one line where a file is damaged or the code is for another machine."""
        rest = {name: value for name, value in self.manifest.items() if name != "digest"}
        if hashlib.sha256(json.dumps(rest, sort_keys=True).encode()).hexdigest() != self.manifest.get(
            "digest"
        ):
            raise SystemExit(f"Error: {folder / 'manifest.json'}: it was changed; export it again")
        for name, expected in self.manifest["files"].items():
            path = folder / name
            if not path.is_file():
                raise SystemExit(f"Error: {path}: the file is missing; export it again")
            if hashlib.sha256(path.read_bytes()).hexdigest() != expected:
                raise SystemExit(f"Error: {path}: its checksum is wrong; export it again")
        missing = missing_flags(set(self.manifest["flags"]))
        if self.manifest["architecture"] != platform.machine() or missing:
            wanted = f"{self.manifest['architecture']} {' '.join(missing)}".strip()
            raise SystemExit(f"Error: the network is compiled for {wanted}, which this machine is not")

    def run(self, images: Any) -> Any:
        """Float32 (n, C, H, W), n a multiple of the compiled batch -> the network's output (n, ...)."""
        batch, *image = self.manifest["input_shape"]
        images = np.asarray(images, np.float32)
        if images.ndim != 4 or list(images.shape[1:]) != image:
            raise SystemExit(f"Error: images: shape {images.shape} is not (n, {', '.join(map(str, image))})")
        if len(images) % batch:
            raise SystemExit(
                f"Error: images: {len(images)} are no multiple of the {batch} of a compiled batch"
            )
        outputs = np.empty((len(images), *self.manifest["output_shape"][1:]), np.float32)
        for start in range(0, len(images), batch):
            self.input[...] = images[start : start + batch]
            self._module.network(self.input, self.constants, self.workspace, self.output)
            outputs[start : start + batch] = self.output
        return outputs


class Card:
    """What card.json tells of the images that the network was trained on.

    Attributes:
        mean: by channel, (C,); empty where there is no card.
        deviation: likewise.
        largest: the greatest value of a pixel.
        names: of the classes; may be empty.
    """

    def __init__(self, folder: Path) -> None:
        path = folder / "card.json"
        fields = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
        self.mean, self.deviation = (np.array(fields.get(n, ()), np.float32) for n in ("mean", "deviation"))
        self.largest = int(fields.get("largest", 255))
        self.names = [str(name).replace("\n", " ") for name in fields.get("class_names", ())]

    def scaled(self, pixels: Any) -> Any:
        """Pixels in uint8 (n, H, W, C) -> what the network was trained on, float32 (n, C, H, W)."""
        return ((pixels.astype(np.float32) - self.mean) / self.deviation).transpose(0, 3, 1, 2)

    def name(self, number: int) -> str:
        """What a class is called: its number where nobody has named it."""
        return self.names[number] if number < len(self.names) else str(number)

    def doubt(self, numbers: Any) -> str:
        """Why an array of floats seems to be scaled otherwise than in training; empty where it does not."""
        if not self.mean.size or not numbers.size:
            return ""
        low = float((-self.mean / self.deviation).min())
        high = float(((self.largest - self.mean) / self.deviation).max())
        least, most = float(numbers.min()), float(numbers.max())
        pixels = f"pixels of 0 to {self.largest}, scaled as in training, are {low:.3g} to {high:.3g}"
        if least < low - RANGE_TOLERANCE * (high - low) or most > high + RANGE_TOLERANCE * (high - low):
            return f"its numbers are {least:.3g} to {most:.3g}, but {pixels}"
        if least >= 0 and most <= 1 and low < -0.5:
            return f"its numbers are all in 0 to 1, as if divided by {self.largest}, but {pixels}"
        return ""


def classes(network: Network, scaled: Any) -> list[int]:
    """The class of each image, float32 (n, C, H, W), whatever the compiled batch is."""
    batch, count = network.manifest["input_shape"][0], len(scaled)
    filled = np.concatenate([scaled, np.zeros((-count % batch, *scaled.shape[1:]), np.float32)])
    return [int(row.argmax()) for row in network.run(filled)[:count]]


def read_array(path: Path) -> Any:
    """What ``numpy.save`` wrote; nothing pickled is opened."""
    fix = "give pixels in uint8 (n, H, W, C), or float32 (n, C, H, W), written by numpy.save"
    try:
        with path.open("rb") as file:
            if file.read(6) != b"\x93NUMPY":
                raise SystemExit(f"Error: {path}: it is no array; {fix}")
        array = np.load(path, allow_pickle=False)
    except OSError as error:
        raise SystemExit(f"Error: {path}: it cannot be read ({error.strerror})") from error
    except (ValueError, EOFError, MemoryError) as error:
        raise SystemExit(f"Error: {path}: it is cut short or broken, or holds no numbers; {fix}") from error
    if array.dtype != np.uint8 and not np.issubdtype(array.dtype, np.floating):
        raise SystemExit(f"Error: {path}: its numbers are of type {array.dtype}; {fix}")
    return array


def of_array(network: Network, card: Card, path: Path) -> Iterator[str]:
    """A line for each image of an array."""
    array = read_array(path)
    _, channels, height, width = network.manifest["input_shape"]
    is_pixels = array.dtype == np.uint8
    shape = (height, width, channels) if is_pixels else (channels, height, width)
    if array.ndim != 4 or array.shape[1:] != shape:
        wanted = f"(n, {', '.join(map(str, shape))}), as this network takes {array.dtype}"
        raise SystemExit(f"Error: {path}: shape {array.shape} is not {wanted}")
    if is_pixels:
        _check_pixels(card, path, array)
    else:
        with np.errstate(over="ignore"):
            array = array.astype(np.float32)
        if not np.isfinite(array).all():
            raise SystemExit(f"Error: {path}: it holds NaN or infinity; give finite numbers")
        if doubt := card.doubt(array):
            sys.stderr.write(
                f"Warning: {path}: {doubt}; scale it as README.md tells, or give pixels in uint8\n"
            )
    for start in range(0, len(array), CHUNK):
        part = array[start : start + CHUNK]
        for number in classes(network, card.scaled(part) if is_pixels else part):
            yield card.name(number)


def _check_pixels(card: Card, path: Path, array: Any) -> None:
    """Stop where pixels cannot be scaled as in training."""
    if not card.mean.size:
        fix = "give float32 (n, C, H, W), scaled as in training"
        raise SystemExit(f"Error: {path}: no card.json beside predict.py tells how to scale uint8; {fix}")
    if array.size and array.max() > card.largest:
        fix = f"bring them to 0 to {card.largest}"
        problem = f"its pixels are up to {array.max()}, those in training were up to {card.largest}"
        raise SystemExit(f"Error: {path}: {problem}; {fix}")


def of_picture(network: Network, card: Card, path: Path, pictures: Any) -> Iterator[str]:
    """The line of an image file."""
    _, channels, height, width = network.manifest["input_shape"]
    try:
        picture = pictures.open_picture(path.read_bytes())
        pixels = pictures.to_pixels(picture, channels, (width, height))
    except OSError as error:
        raise SystemExit(f"Error: {path}: it cannot be read ({error.strerror})") from error
    except pictures.PictureError as error:
        raise SystemExit(f"Error: {path} {error}") from error
    if 0 < pixels.max() <= card.largest < 255:
        problem = (
            f"its brightest pixel is {pixels.max()} of 255, and 255 counts as {card.largest} in training"
        )
        sys.stderr.write(f"Warning: {path}: {problem}\n")
    pixels = np.rint(pixels * (card.largest / 255)).astype(np.uint8)
    (number,) = classes(network, card.scaled(pixels[np.newaxis]))
    yield f"{pictures.shown(path)}\t{card.name(number)}"


def _pictures() -> Any:
    """The module of image files beside this one."""
    spec = importlib.util.spec_from_file_location("pictures", Path(__file__).with_name("pictures.py"))
    if spec is None or spec.loader is None:
        raise SystemExit("Error: pictures.py beside predict.py cannot be loaded; export it again")
    module = importlib.util.module_from_spec(spec)
    writes, sys.dont_write_bytecode = sys.dont_write_bytecode, True  # nothing that the manifest does not list
    try:
        spec.loader.exec_module(module)
    finally:
        sys.dont_write_bytecode = writes
    return module


def files_of(argument: str, pictures: Any) -> list[Path]:
    """The files that an argument names: itself, or the image files in a folder and below."""
    path = Path(argument)
    if not path.exists():
        raise SystemExit(f"Error: {path}: there is no such file")
    if path.is_dir():
        inner = [p for p in path.rglob("*") if not any(n.startswith(".") for n in p.relative_to(path).parts)]
        known = pictures.SUFFIXES | pictures.UNREAD_SUFFIXES
        found = sorted(p for p in inner if p.is_file() and p.suffix.lower() in known)
        if not found:
            raise SystemExit(f"Error: {path}: there is no image file in this folder")
        return found
    return [path]


def check(path: Path, network: Network, card: Card, pictures: Any) -> None:
    """Stop with one line where a file is none that can be used, before any is."""
    suffix = path.suffix.lower()
    if suffix == ".npy":
        return
    if suffix not in pictures.SUFFIXES:
        known = (
            "neither an array (.npy) nor an image file of a format that is read (PNG, JPEG, WebP, TIFF, ...)"
        )
        raise SystemExit(f"Error: {path}: it is {known}, by its suffix")
    try:
        from PIL import Image  # noqa: F401 - whether it is there
    except ImportError as error:
        fix = "install pillow, or give an array (.npy)"
        raise SystemExit(
            f"Error: {path}: image files are read by Pillow, which is not installed here; {fix}"
        ) from error
    if not card.mean.size:
        fix = "give an array (.npy) of float32, scaled as in training"
        raise SystemExit(f"Error: {path}: no card.json beside predict.py tells how to scale pixels; {fix}")
    if (channels := network.manifest["input_shape"][1]) not in (1, 3):
        raise SystemExit(
            f"Error: {path}: the network takes images of {channels} channels; give arrays (.npy)"
        )


def check_sample(network: Network, folder: Path) -> None:
    """Run the sample; stop where its output is another than when the network was exported."""
    sample = read_safetensors(folder / "sample.safetensors")
    if not np.array_equal(network.run(sample["input"]), sample["output"]):
        raise SystemExit("Error: the sample's output differs from the one that was exported")
    sys.stdout.write("sample: the same output as when the network was exported, to the bit\n")


def main(arguments: list[str]) -> None:
    """Run the sample, or classify the images in files."""
    for stream in (sys.stdout, sys.stderr):
        stream.reconfigure(errors="backslashreplace")  # type: ignore[union-attr]  # names of files may be no text
    if arguments[:1] in (["-h"], ["--help"]):
        sys.stdout.write(__doc__ or "")
        return
    folder = Path(__file__).resolve().parent
    network, card, pictures = Network(folder), Card(folder), _pictures()
    if not arguments:
        check_sample(network, folder)
        return
    paths = [path for argument in arguments for path in files_of(argument, pictures)]
    for path in paths:
        check(path, network, card, pictures)
    for path in paths:
        is_array = path.suffix.lower() == ".npy"
        lines = of_array(network, card, path) if is_array else of_picture(network, card, path, pictures)
        for line in lines:
            sys.stdout.write(f"{line}\n")


if __name__ == "__main__":
    main(sys.argv[1:])
