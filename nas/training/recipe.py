"""The recipe of a training: everything but the network, the data, the seed and how long."""

from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from itertools import pairwise
from typing import TYPE_CHECKING, Any

from nas.data.batches import Augmentation
from nas.ranges import check_ranges
from search_spaces.errors import InvalidInput
from search_spaces.registry import Registry

if TYPE_CHECKING:
    import torch
    from torch.optim.lr_scheduler import LRScheduler


@dataclass(frozen=True)
class Recipe:
    """How networks are trained.

    Sums of floats depend on how they are shared out among threads. One thread makes the result a function
    of the seed alone, and for small images it is also the fastest.

    Attributes:
        optimizer: a name in the registry ``optimizers``.
        schedule: of the learning rate, a name in the registry ``schedules``.
        batch_size: images a step, at most.
        peak_rate: the highest learning rate.
        weight_decay: of weights; scales, biases, batch norms and latent binary weights have none.
        label_smoothing: the share of the target that is spread over all classes.
        augmentation: of the training images.
        average: the decay, a step, of the average of the weights that is judged and kept; 0 for none.
        bf16: whether layers multiply in bfloat16 while training.
        threads: of the CPU; 0 for as many as it has cores.
        distillation: the share of the loss that is a teacher's, where there is one (Hinton et al., 2015).
        temperature: of the teacher's and the student's logits there.
        rungs: the epochs after which the schedule ``rungs`` has come down, the last of the training included;
            empty for those of ``nas.rungs``.
    """

    optimizer: str = "adamw"
    schedule: str = "one-cycle"
    batch_size: int = 32
    peak_rate: float = 0.03
    weight_decay: float = 0.01
    label_smoothing: float = 0.0
    augmentation: Augmentation = field(default_factory=Augmentation)
    average: float = 0.0
    bf16: bool = False
    threads: int = 1
    distillation: float = 0.5
    temperature: float = 4.0
    rungs: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        optimizers.get_early(self.optimizer)  # presets are made as they are imported
        schedules.get_early(self.schedule)
        check_ranges(
            self,
            batch_size=(2, 65_536),
            peak_rate=(1e-9, 1e3),
            weight_decay=(0, 10),
            label_smoothing=(0, 0.99),
            average=(0, 0.999999),
            threads=(0, 1024),
            distillation=(0, 1),
            temperature=(0.01, 1000),
        )
        if any(later <= rung for rung, later in pairwise((0, *self.rungs))):
            raise InvalidInput("rungs", f"{self.rungs} do not grow", "give epochs in ascending order")

    def to_dict(self) -> dict[str, Any]:
        """The fields as JSON-able values."""
        return asdict(self)

    @classmethod
    def from_dict(cls, fields: dict[str, Any]) -> "Recipe":
        """What ``to_dict`` gave."""
        read = {
            "augmentation": Augmentation(**fields["augmentation"]),
            "rungs": tuple(fields.get("rungs", ())),
        }
        return cls(**{**fields, **read})


HOMES = ("nas.training.optimizers",)
Groups = list[dict[str, object]]
MakeOptimizer = Callable[[Groups, Recipe], "torch.optim.Optimizer"]
optimizers: Registry[MakeOptimizer] = Registry("optimizer", "optimizers", HOMES)

MakeSchedule = Callable[["torch.optim.Optimizer", Recipe, int], "LRScheduler"]
"""Takes the optimizer, the recipe and the number of steps in all; is stepped after each."""
schedules: Registry[MakeSchedule] = Registry("schedule", "schedules", HOMES)
