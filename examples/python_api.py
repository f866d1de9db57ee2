"""Draws architectures, predicts their latency, compiles them, and compares time and output with torch.

python examples/python_api.py [HOW_MANY]
"""

import sys

import torch

import latency
import runtime
import search_spaces


def main(how_many: int) -> None:
    """Print a line for each of the first ``how_many`` seeds."""
    torch.manual_seed(0)
    device = latency.device("local")
    model = latency.LatencyModel(device, latency.MemoryTable())
    sys.stdout.write("seed  size kB  predicted ms  measured ms  largest difference to torch\n")
    for seed in range(how_many):
        architecture = search_spaces.space("tiny").sample(seed)
        module = search_spaces.build(architecture)
        module.train()(torch.rand(64, *architecture.input_shape))  # gives the batch norms their statistics
        module.eval()
        network = runtime.compile(module, (1, *architecture.input_shape))
        predicted = model.predict(architecture).milliseconds
        measured = device.measure_network(network).milliseconds
        images = torch.rand(16, *architecture.input_shape)
        with torch.inference_mode():
            difference = abs(network.run(images.numpy()) - module(images).numpy()).max()
        kilobytes = search_spaces.size(architecture).kilobytes
        sys.stdout.write(
            f"{seed:4}  {kilobytes:7.2f}  {predicted:12.5f}  {measured:11.5f}  {difference:.1e}\n"
        )


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 8)
