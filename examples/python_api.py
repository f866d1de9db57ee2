"""Searches from Python, exports the best network, and compares one of its architecture with torch.

python examples/python_api.py [TRIALS [FOLDER]]
"""

import sys
import tempfile
from pathlib import Path

import torch

import nas
import runtime
import search_spaces


def main(trials: int, folder: Path) -> None:
    """Leave the database and the exported network in ``folder``."""
    result = nas.search(trials=trials, epochs=3, storage=f"sqlite:///{folder}/nas.db", progress=True)
    sys.stdout.write(f"{result!r}\n")
    best = result.best()
    network = runtime.load(result.export(folder / "winner", trial=best.number))
    sys.stdout.write(f"trial {best.number} is in {folder / 'winner'}\n")
    compare_with_torch(search_spaces.Architecture.from_json(str(best.architecture)))
    images = torch.zeros(1, *network.info.input_shape[1:])
    sys.stdout.write(f"its class for a black image: {network.run(images.numpy()).argmax()}\n")


def compare_with_torch(architecture: search_spaces.Architecture) -> None:
    """Build an architecture again, compile it, and say how far its output is from torch's."""
    module = search_spaces.build(architecture)
    module.train()(torch.rand(64, *architecture.input_shape))  # gives the batch norms their statistics
    module.eval()
    network = runtime.compile(module, (1, *architecture.input_shape))
    images = torch.rand(16, *architecture.input_shape)  # (N, C, H, W)
    with torch.inference_mode():
        difference = abs(network.run(images.numpy()) - module(images).numpy()).max()
    kilobytes = search_spaces.size(architecture).kilobytes
    sys.stdout.write(f"{kilobytes:.2f} kB, largest difference to torch {difference:.1e}\n")


if __name__ == "__main__":
    into = Path(sys.argv[2]) if len(sys.argv) > 2 else Path(tempfile.mkdtemp(prefix="bitnas-"))
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 8, into)
