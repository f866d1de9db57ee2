"""``python -m benchmarks.engines.to_litert``: writes a network as ``.tflite``, in float and in int8.

Runs where litert-torch is installed. Takes the paths of a network that ``torch.export`` saved, of images
(N, C, H, W) to calibrate with, and of the two files to write.
"""

import sys
from pathlib import Path

import litert_torch
import numpy as np
import torch
from ai_edge_quantizer import quantizer, recipe
from numpy.typing import NDArray

Images = NDArray[np.float32]


def write(network: str, images: Images, in_float: Path, in_int8: Path) -> None:
    """Both files. In int8, activations are signed bytes with a zero point, weights have a scale a channel."""
    module = torch.export.load(network).module()
    is_last = litert_torch.to_channel_last_io(module, args=[0])
    last = torch.from_numpy(images).permute(0, 2, 3, 1).contiguous()  # (N, H, W, C)
    litert_torch.convert(is_last, (last[:1],)).export(str(in_float))
    found = quantizer.Quantizer(str(in_float))
    found.load_quantization_recipe(recipe.static_wi8_ai8())
    ranges = found.calibrate({"serving_default": [{"args_0": image[None].numpy()} for image in last]})
    found.quantize(ranges).export_model(str(in_int8), overwrite=True)


if __name__ == "__main__":
    write(sys.argv[1], np.load(sys.argv[2]), Path(sys.argv[3]), Path(sys.argv[4]))
