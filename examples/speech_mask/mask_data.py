"""Utterances with their ideal masks: training, validation and test frames of two or six microphones."""

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from mask_features import features, ideal_mask, spectra
from mask_signals import MICROPHONES, NOISES, RATE, direction, heard, noise, speech
from numpy.typing import NDArray

SECONDS = 4.0
SPLITS = {"training": 128, "validation": 24, "test": 24}
"""Utterances of each, a quarter with each noise."""


@dataclass(frozen=True)
class Frames:
    """Frames of utterances one after the other: features (N, F), ideal masks (N, 513)."""

    features: NDArray[np.float32]
    masks: NDArray[np.float32]


def utterance(seed: tuple[int, ...], kind: str, channels: int, seconds: float) -> Frames:
    """A speaker in front of the microphones in a noise, at -5 to 10 dB."""
    generator, microphones = np.random.default_rng(seed), MICROPHONES[:channels]
    samples = int(seconds * RATE)
    towards = direction(generator.uniform(-15, 15), generator.uniform(-10, 20))
    clean = heard([speech(generator, samples)], [towards], microphones)  # (M, samples)
    level = 10 ** (-generator.uniform(-5, 10) / 20)
    other = np.float32(level) * noise(generator, kind, samples, microphones)
    clean_spectra, noise_spectra = spectra(clean), spectra(other)
    return Frames(features(clean_spectra + noise_spectra), ideal_mask(clean_spectra, noise_spectra))


@lru_cache(6)
def frames(split: str, channels: int, seed: int = 0) -> Frames:
    """A split, the same for the same seed."""
    which = list(SPLITS).index(split)
    made = [
        utterance((seed, which, n), NOISES[n % len(NOISES)], channels, SECONDS) for n in range(SPLITS[split])
    ]
    rows, masks = ([getattr(each, name) for each in made] for name in ("features", "masks"))
    return Frames(np.concatenate(rows), np.concatenate(masks))
