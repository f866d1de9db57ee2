"""The trainings of a compression, each with a checkpoint an epoch, from which the same command goes on."""

import hashlib
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nas.formatting import told_setting
from search_spaces.errors import BitnasError, InvalidInput, Parameter

if TYPE_CHECKING:
    from torch import Tensor
    from torch.optim import Optimizer

    from nas.compression.pruning import Masks
    from nas.compression.settings import Settings
    from nas.compression.source import Source
    from nas.training.checkpoint import Loaded

CHECKPOINT = "checkpoint.safetensors"
"""In the folder that is written; gone once that is whole."""
RATE_SHARE = 10
"""A trained network goes on at a tenth of the rate: the full one would first undo what it has learned."""
_WEIGHTS, _MASKS = "weights.", "masks."

Say = Callable[[str], None]
Held = Callable[["Optimizer"], AbstractContextManager[None]]
"""What keeps weights as they are to stay while they are trained."""


@contextmanager
def nothing_held(_optimizer: "Optimizer") -> Iterator[None]:
    """All weights move."""
    yield


@dataclass
class Trainings:
    """The trainings, numbered from 1 by their place.

    A checkpoint holds the training, and what the network was like before its part, so that what the part does
    first (``Masks.prune``, ``shared``) is done again when it goes on.

    Attributes:
        source: the network, whose module is changed.
        masks: of its weights.
        settings: what was asked for.
        folder: that the checkpoint is in.
        say: is told where it goes on.
    """

    source: "Source"
    masks: "Masks"
    settings: "Settings"
    folder: Path
    say: Say

    def __post_init__(self) -> None:
        self._about: dict[str, Any] = {"settings": asdict(self.settings), "network": _digest(self.source)}
        self._before: dict[str, Tensor] = {}
        self._loaded = checkpoint_in(self.folder)
        self._first = 0
        if self._loaded is not None:
            self._check_same(self._loaded)
            self._first = self._loaded.about["about"]["part"]

    def go_back(self) -> None:
        """Bring the network and its masks to where they were before the part that is gone on with."""
        if self._loaded is None:
            return
        further = self._loaded.further
        weights = {name.removeprefix(_WEIGHTS): t for name, t in further.items() if name.startswith(_WEIGHTS)}
        self.source.module.load_state_dict(weights)
        self.masks.kept = {n.removeprefix(_MASKS): t for n, t in further.items() if n.startswith(_MASKS)}

    def is_done(self, part: int) -> bool:
        """Whether a part comes before the one that is gone on with."""
        return part < self._first

    def begin(self) -> None:
        """Note what the network is like, before a part changes it."""
        import torch

        # what comes next sums in the order in which weights lie, and a training leaves its own
        self.source.module.to(memory_format=torch.contiguous_format)  # type: ignore[call-overload]  # as in training
        weights = {_WEIGHTS + name: t.clone() for name, t in self.source.module.state_dict().items()}
        self._before = weights | {_MASKS + name: mask.clone() for name, mask in self.masks.kept.items()}

    def run(self, part: int, held: Held = nothing_held) -> None:
        """Train the network; the module has the weights in the end, on the CPU.

        Raises:
            TrainingError: the loss is not finite.
            BitnasError: the checkpoint cannot be written.
        """
        from nas.seeds import derive
        from nas.training import checkpoint
        from nas.training.loop import Training

        settings, source = self.settings, self.source
        if settings.epochs == 0:
            return
        rate = settings.rate if settings.rate is not None else source.recipe.peak_rate / RATE_SHARE
        recipe = replace(source.recipe, peak_rate=rate, rungs=())
        training = Training(source.module, source.data, settings.epochs, derive(settings.seed, part), recipe)
        if part == self._first and self._loaded is not None:
            checkpoint.resume(training, self._loaded)
            self.say(f"going on after epoch {len(training.history)} of {settings.epochs}")
        self.folder.mkdir(parents=True, exist_ok=True)
        path, about = self.folder / CHECKPOINT, {**self._about, "part": part}
        with held(training.optimizer):
            for _ in training.run():
                checkpoint.save(path, training, about, self._before)
        source.module.cpu()

    def end(self) -> None:
        """Nothing is gone on with any more."""
        (self.folder / CHECKPOINT).unlink(missing_ok=True)

    def _check_same(self, loaded: "Loaded") -> None:
        """Refuse to go on with what was begun with other settings, or with another network."""
        before = loaded.about["about"]
        for name, given in self._about["settings"].items():
            if (was := before["settings"].get(name)) != given:
                begun = "without it" if was is None else f"with {told_setting(was)}"
                fix = "give that to go on with it, or another ", Parameter("output")
                raise InvalidInput(name, f"'{self.folder}' was begun {begun}", fix)
        if before["network"] != self._about["network"]:
            told = f": '{self.folder}' was begun with another network than there is now"
            raise BitnasError(Parameter("output"), f"{told}; choose another folder")


def checkpoint_in(folder: Path) -> "Loaded | None":
    """What a compression that was interrupted has left in its folder; None where there is nothing.

    Raises:
        BitnasError: it is damaged.
        InvalidInput: it is of something else.
    """
    from nas.training import checkpoint

    if not (folder / CHECKPOINT).is_file():
        return None
    loaded = checkpoint.read(folder / CHECKPOINT)
    about: Any = loaded.about.get("about")
    if not isinstance(about, dict) or not {"settings", "network", "part"} <= set(about):
        raise InvalidInput("output", f"'{folder}' holds the checkpoint of a training", "name another folder")
    return loaded


def halves_in(folder: Path, *names: str) -> set[Path]:
    """What a compression that was killed may leave in its folder, which has these files in the end.

    The last of them is written last, and then the checkpoint is removed.

    Raises:
        as ``checkpoint_in``.
    """
    from nas.training.checkpoint import aside

    is_whole = (folder / names[-1]).exists() and checkpoint_in(folder) is None
    files = [folder / name for name in (CHECKPOINT, *names)]
    return {aside(file) for file in files} | (set() if is_whole else set(files))


def _digest(source: "Source") -> str:
    """Of the network that is compressed."""
    from nas.training.loop import save_weights

    return hashlib.sha256(save_weights(source.module)).hexdigest()
