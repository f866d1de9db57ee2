"""The trained weights as one safetensors file, which bitnas loads into torch; the folder holds no code."""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from nas.export.formats.base import ExportFormat, Run, formats
from nas.export.identity import module_of
from nas.training.job import ARCHITECTURE, MODEL, PUBLISHED
from search_spaces.errors import BitnasError

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from torch import nn

    from nas.export.card import Card
    from nas.export.finished import Finished


class Weights(ExportFormat):
    """The parameters and buffers by torch's names, beside the file that says which network they are of."""

    name, title, holds_code = "safetensors", "Weights for torch", False

    def write(self, finished: "Finished", folder: Path) -> None:
        """``model.safetensors``."""
        from nas.training.loop import save_weights

        (folder / MODEL).write_bytes(save_weights(finished.module))

    def opened(self, folder: Path) -> Run:
        """The network in torch."""
        import torch

        module = load_network(folder)

        def run(images: "NDArray[np.float32]") -> "NDArray[np.float32]":
            with torch.inference_mode():
                logits: NDArray[np.float32] = module(torch.from_numpy(images)).numpy()
            return logits

        return run

    def timed_call(self, folder: Path) -> Callable[[], object]:
        """Torch on one thread."""
        import torch

        torch.set_num_threads(1)
        call = super().timed_call(folder)
        assert call is not None  # noqa: S101 - for the type alone: torch is there
        return call

    def usage(self, card: "Card") -> str:
        """The call that loads it."""
        shape = ", ".join(map(str, card.input_shape or ("C", "H", "W")))
        return "\n".join(
            [
                "Needs bitnas, which has the layers; nothing in the file is code.",
                "",
                "    import nas, torch",
                '    network = nas.load_network("FOLDER")         # a torch.nn.Module in eval mode',
                f"    logits = network(images)                    # float32 (n, {shape}), scaled as above",
            ]
        )


def load_network(folder: str | Path) -> "nn.Module":
    """The network of an exported folder that has its weights, as a torch module in eval mode.

    Args:
        folder: what ``nas export`` wrote with the form ``safetensors``.

    Raises:
        BitnasError: it holds no weights, or they are not those of its network.
    """
    from nas.training.loop import load_weights

    folder = Path(folder)
    names = (ARCHITECTURE, PUBLISHED)
    identity = next((folder / name for name in names if (folder / name).is_file()), None)
    if identity is None or not (folder / MODEL).is_file():
        raise BitnasError(f"{folder}: it holds no weights for torch; export it as safetensors, too")
    module = module_of(identity)
    try:
        load_weights(module, (folder / MODEL).read_bytes())
    except BitnasError as error:
        raise BitnasError(
            f"{folder / MODEL}: it does not hold the network of {identity.name}; export it again"
        ) from error
    return module.eval()


formats.add("safetensors", Weights())
