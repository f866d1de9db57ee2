"""Checkpoints: a training as one safetensors file after some epoch, to go on from with the same result."""

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

import torch
from torch import Tensor

from nas.training.loop import Epoch, Training
from search_spaces.errors import BitnasError, Parameter

FORMAT = "bitnas-checkpoint-1"
_FURTHER = "further."
Tensors = Mapping[str, Tensor]
NONE: Tensors = MappingProxyType({})


@dataclass(frozen=True)
class Loaded:
    """A checkpoint as it was read: tensors by name, and what else there is to know."""

    path: Path
    tensors: dict[str, Tensor]
    about: dict[str, Any]

    @property
    def further(self) -> dict[str, Tensor]:
        """Those that were given beside a training."""
        return _part(self, _FURTHER)


def save(path: Path, training: Training, about: dict[str, Any], further: Tensors = NONE) -> None:
    """Write a training as it is now; the file is whole or the old one.

    ``about`` is JSON that the caller wants back, ``further`` are tensors.
    """
    write_bytes(path, to_bytes(training, about, further))


def to_bytes(training: Training, about: dict[str, Any], further: Tensors = NONE) -> bytes:
    """What ``save`` writes."""
    optimizer = training.optimizer.state_dict()
    tensors = {f"{_FURTHER}{name}": t for name, t in further.items()}
    tensors |= {f"module.{name}": t for name, t in training.module.state_dict().items()}
    if training.average is not None:
        tensors |= {f"average.{name}": t for name, t in training.average.state_dict().items()}
    numbers: dict[str, dict[str, Any]] = {}
    for index, state in optimizer["state"].items():
        for name, value in state.items():
            if isinstance(value, Tensor):
                tensors[f"optimizer.{index}.{name}"] = value
            else:
                numbers.setdefault(str(index), {})[name] = value
    meta = {
        "format": FORMAT,
        "about": about,
        "history": [epoch.to_dict() for epoch in training.history],
        "groups": optimizer["param_groups"],
        "numbers": numbers,
        "schedule": _numbers(training.schedule.state_dict()),
    }
    return _packed(tensors, meta)


def _numbers(state: dict[str, Any]) -> dict[str, Any]:
    """The numbers and lists of numbers in a schedule's state, and in those of schedules that it is made of.

    The rest, functions and counters, follows from the recipe.
    """
    found: dict[str, Any] = {}
    for name, value in state.items():
        if name == "_schedulers":
            found[name] = [_numbers(part) for part in value]
        elif all(isinstance(each, int | float) for each in (value if isinstance(value, list) else [value])):
            found[name] = value
    return found


def write_tensors(path: Path, tensors: dict[str, Tensor], meta: dict[str, Any]) -> None:
    """Write a safetensors file with a JSON note aside, then rename it.

    Raises:
        BitnasError: the disk is full, or the folder is gone.
    """
    write_bytes(path, _packed(tensors, meta))


def _packed(tensors: dict[str, Tensor], meta: dict[str, Any]) -> bytes:
    from safetensors.torch import save as pack

    note = {"bitnas": json.dumps(meta, sort_keys=True)}
    return pack({name: t.detach().cpu().contiguous() for name, t in tensors.items()}, note)


def write_bytes(path: Path, data: bytes) -> None:
    """Write a file aside, then rename it.

    Raises:
        BitnasError: the disk is full, or the folder is gone.
    """
    half = aside(path)
    try:
        with half.open("wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        half.replace(path)
    except OSError as error:
        half.unlink(missing_ok=True)
        problem = f"'{path}' cannot be written ({error.strerror or error})"
        raise BitnasError(Parameter("output"), f": {problem}; make room there") from error


def aside(path: Path) -> Path:
    """Where a file is written before it takes its place; always there: what a kill leaves is written over."""
    return path.with_name(f".{path.name}-aside")


def read(path: Path) -> Loaded:
    """A file of ``save`` or ``write_tensors``.

    Raises:
        BitnasError: it is missing or damaged.
    """
    tensors, meta = tensors_and_note(path)
    if not isinstance(meta, dict):
        raise BitnasError(f"{path}: it is no file of `nas train`; name one")
    return Loaded(path, tensors, meta)


def tensors_and_note(path: Path) -> tuple[dict[str, Tensor], Any]:
    """The tensors of any safetensors file, and the note that bitnas writes with its own; None elsewhere.

    Raises:
        BitnasError: it is missing or damaged.
    """
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="pt") as file:
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - it is no dict
            return tensors, json.loads((file.metadata() or {}).get("bitnas", "null"))
    except (OSError, SafetensorError, json.JSONDecodeError) as error:
        reason = " ".join(str(error).split())
        raise BitnasError(
            f"{path}: it cannot be read ({reason}); name a file that `nas train` wrote"
        ) from error


def from_bytes(data: bytes) -> Loaded:
    """What ``to_bytes`` gave.

    Raises:
        BitnasError: it is damaged.
    """
    from safetensors import SafetensorError
    from safetensors.torch import load

    source = Path("checkpoint")
    try:
        tensors = load(data)
        header = json.loads(data[8 : 8 + int.from_bytes(data[:8], "little")])  # the format of safetensors
        return Loaded(source, tensors, json.loads(header["__metadata__"]["bitnas"]))
    except (SafetensorError, KeyError, ValueError) as error:
        reason = " ".join(str(error).split())
        raise BitnasError(f"{source}: it cannot be read ({reason}); the ledger is damaged") from error


def resume(training: Training, loaded: Loaded) -> None:
    """Bring a new training of the same network, data and recipe to where the checkpoint was.

    Raises:
        BitnasError: it is of another network or recipe.
    """
    meta = loaded.about
    try:
        training.module.load_state_dict(_part(loaded, "module."))
        if training.average is not None:
            training.average.load_state_dict(_part(loaded, "average."))
        training.optimizer.load_state_dict(
            {"state": _optimizer_state(loaded), "param_groups": meta["groups"]}
        )
        training.schedule.load_state_dict(meta["schedule"])
        training.history = [Epoch(**epoch) for epoch in meta["history"]]
    except (KeyError, TypeError, ValueError, RuntimeError) as error:
        reason = " ".join(str(error).split())[:200]
        raise BitnasError(f"{loaded.path}: it is of another training ({reason}); train again") from error


def _part(loaded: Loaded, prefix: str) -> dict[str, Tensor]:
    return {name.removeprefix(prefix): t for name, t in loaded.tensors.items() if name.startswith(prefix)}


def _optimizer_state(loaded: Loaded) -> dict[int, dict[str, Any]]:
    state: dict[int, dict[str, Any]] = {}
    for name, tensor in _part(loaded, "optimizer.").items():
        index, _, key = name.partition(".")
        # torch changes these in place, and what was read may be shared
        state.setdefault(int(index), {})[key] = tensor.clone(memory_format=torch.preserve_format)
    for number, values in loaded.about["numbers"].items():
        state.setdefault(int(number), {}).update(values)
    return state
