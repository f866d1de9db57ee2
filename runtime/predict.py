"""Classifies images with the compiled network in this folder; needs numpy and apache-tvm-ffi, nothing else.

    python predict.py                 runs the sample and compares with the output stored beside it
    python predict.py images.npy      prints one class a line; images are float32 (n, C, H, W), scaled as in
                                      training, or bytes (n, H, W, C), which are scaled as card.json tells

As a module: ``Network(folder).run(images)`` returns the network's output.
"""

import hashlib
import json
import platform
import struct
import sys
from pathlib import Path
from typing import Any

import numpy as np

DTYPES = {"F32": "<f4", "U32": "<u4", "I32": "<i4", "I64": "<i8", "I8": "i1", "U8": "u1"}


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
            raw = arrays[place["name"]].reshape(-1).view(np.uint8)
            self.constants[place["offset"] : place["offset"] + raw.size] = raw

    def _check(self, folder: Path) -> None:
        """Stop with one line where a file is damaged or the code is for another machine."""
        rest = {name: value for name, value in self.manifest.items() if name != "digest"}
        if hashlib.sha256(json.dumps(rest, sort_keys=True).encode()).hexdigest() != self.manifest.get(
            "digest"
        ):
            raise SystemExit(f"Error: {folder / 'manifest.json'}: it was changed; export the artifact anew")
        for name, expected in self.manifest["files"].items():
            path = folder / name
            if not path.is_file():
                raise SystemExit(f"Error: {path}: the file is missing; export the artifact anew")
            if hashlib.sha256(path.read_bytes()).hexdigest() != expected:
                raise SystemExit(f"Error: {path}: its checksum is wrong; export the artifact anew")
        flags = cpu_flags()
        missing = sorted(set(self.manifest["flags"]) - flags) if flags is not None else []
        if self.manifest["architecture"] != platform.machine() or missing:
            wanted = f"{self.manifest['architecture']} {' '.join(missing)}".strip()
            raise SystemExit(f"Error: the network is compiled for {wanted}, which this machine is not")

    def run(self, images: Any) -> Any:
        """Float32 (n, C, H, W), n a multiple of the compiled batch -> the network's output (n, ...)."""
        batch, *image = self.manifest["input_shape"]
        images = np.asarray(images, np.float32)
        if images.ndim != 4 or list(images.shape[1:]) != image or len(images) % batch:
            raise SystemExit(f"Error: images: shape {images.shape} is not (n, {', '.join(map(str, image))})")
        outputs = np.empty((len(images), *self.manifest["output_shape"][1:]), np.float32)
        for start in range(0, len(images), batch):
            self.input[...] = images[start : start + batch]
            self._module.network(self.input, self.constants, self.workspace, self.output)
            outputs[start : start + batch] = self.output
        return outputs


def scaled(folder: Path, images: Any) -> Any:
    """Bytes (n, H, W, C) -> what the network was trained on, float32 (n, C, H, W)."""
    path = folder / "card.json"
    card = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
    if images.ndim != 4 or images.shape[3] != len(card.get("mean", ())):
        fix = "give float32 (n, C, H, W), scaled as in training, or bytes (n, H, W, C) beside a card.json"
        raise SystemExit(f"Error: images: bytes of shape {images.shape}; {fix}")
    mean, deviation = np.float32(card["mean"]), np.float32(card["deviation"])
    return ((images.astype(np.float32) - mean) / deviation).transpose(0, 3, 1, 2)


def main(arguments: list[str]) -> None:
    """Run the sample or a file of images."""
    if len(arguments) > 1 or arguments[:1] in (["-h"], ["--help"]):
        raise SystemExit(__doc__)
    folder = Path(__file__).resolve().parent
    network = Network(folder)
    if arguments:
        try:
            images = np.load(arguments[0], allow_pickle=False)
        except (OSError, ValueError) as error:
            raise SystemExit(f"Error: {arguments[0]}: not a .npy file of images ({error})") from error
        images = scaled(folder, images) if images.dtype == np.uint8 else images
        for row in network.run(images):
            sys.stdout.write(f"{int(row.argmax())}\n")
        return
    sample = read_safetensors(folder / "sample.safetensors")
    if not np.array_equal(network.run(sample["input"]), sample["output"]):
        raise SystemExit("Error: the sample's output differs from the one that was exported")
    sys.stdout.write("sample: the same output as when the network was exported, to the bit\n")


if __name__ == "__main__":
    main(sys.argv[1:])
