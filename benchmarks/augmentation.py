"""``python -m benchmarks.augmentation``: how many images a second one core augments."""

import time
from collections.abc import Iterator
from statistics import median

import click
import numpy as np
import torch

from nas.data.batches import Augmentation, batches
from nas.data.data_set import Scaling, Split

SHAPE = (32, 32, 3)
AUGMENTATION = Augmentation(crop=4, flip=True, cutout=16)


def random_images(count: int) -> Split:
    """Images of CIFAR's shape whose bytes are random: what they show costs nothing."""
    generator = np.random.default_rng(0)
    pixels = generator.integers(0, 256, (count, *SHAPE), np.uint8)
    labels = generator.integers(0, 10, count)
    return Split.whole(pixels, labels, Scaling((125.0, 123.0, 114.0), (62.0, 62.0, 66.0)))


def speeds(split: Split, batch: int, rounds: int) -> Iterator[float]:
    """Images a second of so many epochs, as a training gets them: float32 batches, by one thread."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        for epoch in range(rounds):
            started = time.perf_counter()
            for _ in batches(split, batch, 0, epoch, AUGMENTATION):
                pass
            yield len(split) / (time.perf_counter() - started)
    finally:
        torch.set_num_threads(threads)


@click.command()
@click.option("--images", type=click.IntRange(2), default=50_000, show_default=True, help="In an epoch.")
@click.option("--batch", type=click.IntRange(2), default=128, show_default=True, help="Images a batch.")
@click.option("--rounds", type=click.IntRange(1), default=9, show_default=True, help="How many epochs.")
def main(images: int, batch: int, rounds: int) -> None:
    """Time epochs of augmented batches of 32x32 colour images on one thread."""
    a = AUGMENTATION
    print(f"batches of {batch}, crop {a.crop}, flip, cutout {a.cutout}, {rounds} epochs of {images:,} images")
    found = list(speeds(random_images(images), batch, rounds))
    print(f"images a second: best {max(found):,.0f}, median {median(found):,.0f}")


if __name__ == "__main__":
    main()
