"""What is asked of a compression."""

from dataclasses import dataclass

from nas.ranges import TRAINING, check_ranges
from search_spaces.errors import InvalidInput

MOST_CLUSTER_BITS = 8


@dataclass(frozen=True)
class Settings:
    """What is done to a network.

    Attributes:
        sparsity: the share of prunable weights that become zero; None: none are pruned.
        steps: of pruning, each followed by training.
        cluster: bits that tell a layer's shared weights apart; None: none are shared.
        epochs: of training after each step of pruning, and of the shared weights.
        rate: the highest learning rate of these; None: a tenth of what the network was trained with.
        seed: of the batches.
        coding: of the file, in the registry ``coders``.
        float16_scales: whether scales, biases and norms are stored in 16 bits where no test image changes
            its class by it.
    """

    sparsity: float | None = None
    steps: int = 3
    cluster: int | None = None
    epochs: int = 3
    rate: float | None = None
    seed: int = 0
    coding: str = "range"
    float16_scales: bool = False

    def __post_init__(self) -> None:
        if self.sparsity is not None and not 0 < self.sparsity < 1:
            raise InvalidInput("sparsity", f"{self.sparsity:g} is out of range", "give a share, such as 0.9")
        for name, value, low, high in (
            ("steps", self.steps, 1, 100),
            ("cluster", 1 if self.cluster is None else self.cluster, 1, MOST_CLUSTER_BITS),
            ("epochs", self.epochs, 0, 100_000),
            ("seed", self.seed, 0, 2**32 - 1),
        ):
            if not low <= value <= high:
                raise InvalidInput(name, f"{value} is out of range", f"give a whole number in {low}..{high}")
        check_ranges(self, rate=TRAINING["rate"])
