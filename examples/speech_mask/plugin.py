"""The plug-in: spaces of mask networks, their error as an objective, and the evaluator that trains them.

    nas --plugin examples/speech_mask/plugin.py search --name mask --space speech-mask-2 \
        --evaluator speech-mask --objective mask_error --objective latency --trials 16 --epochs 4
"""

import sys
from collections.abc import Mapping
from pathlib import Path

sys.path.append(str(Path(__file__).parent))  # the files beside this one

from mask_networks import MaskSpace

import nas
from nas.evaluators import Evaluator, Report, Task, evaluators
from nas.objectives import objectives
from search_spaces import InvalidInput, spaces
from search_spaces.search_space import Candidate, buildable

objectives.add("mask_error", nas.Objective("mask_error", unit="%", direction="minimize"))

CHANNELS = (2, 6)
for _channels in CHANNELS:
    spaces.add(f"speech-mask-{_channels}", MaskSpace(_channels))


@evaluators.register("speech-mask")
class MaskEvaluator(Evaluator):
    """Trains a mask network on the training frames, and gives its error on the validation frames."""

    objectives = ("mask_error",)

    def __init__(self, task: Task) -> None:
        self.space = spaces.get(task.config.space)
        if not isinstance(self.space, MaskSpace):
            known = " or ".join(f"speech-mask-{channels}" for channels in CHANNELS)
            raise InvalidInput("space", f"'{task.config.space}' has no networks for masks", f"choose {known}")

    def evaluate(self, architecture: Candidate, budget: int, report: Report) -> Mapping[str, float]:
        """Train for ``budget`` epochs; reports each, and keeps the weights."""
        from mask_data import frames
        from mask_training import estimate, mask_error, trained

        from nas.training.loop import save_weights

        training, validation = (frames(split, self.space.channels) for split in ("training", "validation"))
        error = 0.0
        steps = trained(buildable(architecture), training, budget, report.seed)
        for epoch, (network, loss) in enumerate(steps, start=1):
            error = mask_error(estimate(network, validation), validation.masks)
            report(epoch, {"mask_error": error, "train_loss": loss})
            report.weights = save_weights(network)
        return {"mask_error": error}
