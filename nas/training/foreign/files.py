"""Reads tensors of files that somebody else wrote, torch's or safetensors, and runs nothing of theirs."""

import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from search_spaces.errors import BitnasError, InvalidInput

if TYPE_CHECKING:
    from torch import Tensor

MOST_BYTES = 1 << 30
"""Of a file, of what it holds, and of its tensors in float32: ten times what the largest network has."""

WRAPPERS, PREFIX = ("state_dict", "model"), "module."
"""Where trainings keep the tensors among other things, and what several GPUs put before their names."""

PARAMETER = "weights"


def is_torchs(path: Path) -> bool:
    """Whether a file begins as those that ``torch.save`` writes, of this or an earlier format."""
    with path.open("rb") as file:
        start = file.read(9)
    # the first bytes of safetensors are a length and a brace
    return start.startswith((b"PK\x03\x04", b"\x80")) and start[8:] != b"{"


def tensors_of(path: Path) -> "dict[str, Tensor]":
    """The tensors of a file by name.

    They may lie below ``state_dict`` or ``model``, and have the prefix ``module.``.

    Raises:
        InvalidInput: it is missing, too large, damaged, or holds anything but tensors by name.
    """
    if not path.is_file():
        raise InvalidInput(PARAMETER, f"there is no file '{path}'", "name a .pth or a .safetensors file")
    try:
        if path.stat().st_size > MOST_BYTES:
            raise _refused(path, f"has more than {MOST_BYTES:,} bytes")
        found = _of_torch(path) if is_torchs(path) else _of_safetensors(path)
    except OSError as error:
        raise _refused(path, f"cannot be read ({error.strerror or error})", "put it there") from error
    return _named(found, path)


def _of_safetensors(path: Path) -> Any:
    from nas.training.checkpoint import tensors_and_note

    try:
        return tensors_and_note(path)[0]
    except BitnasError as error:
        raise _refused(path, "is no file of torch's or of safetensors, or a damaged one") from error


def _of_torch(path: Path) -> Any:
    import pickle

    import torch

    _check_archive(path)
    try:
        return torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        problem = "holds Python objects, which are not run here, beside its tensors, or is damaged"
        raise _refused(path, problem, "save its state_dict() alone") from error
    except Exception as error:  # a damaged or hostile file raises anything
        raise _refused(path, f"is damaged ({_line(error)})", "copy it again") from error


def _check_archive(path: Path) -> None:
    """Refuse an archive that would be larger in memory; torch compresses nothing."""
    if not zipfile.is_zipfile(path):
        return
    try:
        with zipfile.ZipFile(path) as archive:
            entries = archive.infolist()
    except (zipfile.BadZipFile, NotImplementedError, ValueError) as error:
        raise _refused(path, f"is damaged ({_line(error)})", "copy it again") from error
    is_packed = any(entry.compress_type != zipfile.ZIP_STORED for entry in entries)
    if is_packed or sum(entry.file_size for entry in entries) > MOST_BYTES:
        raise _refused(path, "is compressed, as torch's files never are, or larger than it says")


def _named(found: Any, path: Path) -> "dict[str, Tensor]":
    from torch import Tensor

    for wrapper in WRAPPERS:
        if isinstance(found, Mapping) and isinstance(found.get(wrapper), Mapping):
            found = found[wrapper]
            break
    if not isinstance(found, Mapping) or not found:
        raise _refused(path, "holds no tensors by name", "save a network's state_dict()")
    odd = [n for n, t in found.items() if not isinstance(n, str) or not isinstance(t, Tensor)]
    if odd:
        raise _refused(path, f"holds {odd[0]!r:.60}, which is no tensor", "save a network's state_dict()")
    prefix = PREFIX if all(name.startswith(PREFIX) for name in found) else ""
    tensors = {name.removeprefix(prefix): tensor for name, tensor in found.items()}
    _check_plain(tensors, path)
    return tensors


def _check_plain(tensors: "dict[str, Tensor]", path: Path) -> None:
    """Refuse tensors that are no rows of numbers in memory, or more of them than the file can hold."""
    import torch

    for name, tensor in tensors.items():
        is_plain = tensor.layout is torch.strided and tensor.device.type == "cpu"
        if not is_plain or tensor.is_quantized or tensor.is_complex() or tensor.is_nested:
            raise _refused(path, f"holds '{name:.60}', which is no tensor of real numbers")
    if sum(tensor.numel() for tensor in tensors.values()) * 4 > MOST_BYTES:
        raise _refused(path, f"has tensors of more than {MOST_BYTES:,} bytes")


def _refused(path: Path, problem: str, fix: str = "give weights of torchvision or timm") -> InvalidInput:
    return InvalidInput(PARAMETER, f"'{path}' {problem}", fix)


def _line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0][:120]
