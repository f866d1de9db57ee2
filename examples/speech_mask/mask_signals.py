"""Signals that sound like speech, four noises, and the microphones that hear them: synthesised, by a seed.

Speech is what a source and a filter make of it (Fant): pulses of a voice, or the hiss of a consonant, through
the resonances of a vowel, syllable by syllable, with pauses. Every source is far away: a microphone hears it
as a plane wave, earlier or later by the path along the wave's direction, and nothing echoes.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.signal import sosfilt

RATE = 16_000
"""Samples a second."""

SOUND = 343.0
"""Metres a second."""

NOISES = ("white", "pink", "babble", "hum")

MICROPHONES = np.array(
    [
        *([-0.095, 0.0, 0.05], [0.095, 0.0, 0.05], [0.0, 0.0, 0.05]),
        *([-0.095, 0.0, -0.05], [0.0, 0.0, -0.05], [0.095, 0.0, -0.05]),
    ]
)
"""Six microphones on a tablet of 19 x 10 cm: (6, 3), x to the right, y to the speaker, z up, in metres.

Of two channels they are the first two, left and right.
"""

Signal = NDArray[np.float32]


def speech(generator: np.random.Generator, samples: int) -> Signal:
    """Syllables of one speaker, of root mean square 1 where there is speech: (samples,)."""
    found = np.zeros(samples, np.float32)
    pitch, place, spoken = generator.uniform(90, 240), 0, np.zeros(samples, bool)
    place = int(generator.uniform(0, 0.3) * RATE)
    while place < samples:
        length = int(generator.uniform(0.12, 0.3) * RATE)  # three to eight syllables a second
        syllable = _syllable(generator, length, pitch * generator.uniform(0.85, 1.2))[: samples - place]
        found[place : place + len(syllable)] += syllable
        spoken[place : place + len(syllable)] = True
        pause = generator.uniform(0.2, 0.6) if generator.random() < 0.25 else generator.uniform(0, 0.04)
        place += length + int(pause * RATE)
    power = np.square(found[spoken]).mean() if spoken.any() else 1.0
    return found / np.float32(np.sqrt(power))


def _syllable(generator: np.random.Generator, samples: int, pitch: float) -> Signal:
    """A consonant, perhaps, and a vowel, under an envelope that rises and falls."""
    voiced = _resonate(_pulses(generator, samples, pitch), _vowel(generator))
    found = voiced / (np.abs(voiced).max() + 1e-9)
    if generator.random() < 0.5:
        length = samples // 3
        hiss = _resonate(generator.standard_normal(length), [(generator.uniform(2500, 6000), 1500.0)])
        hiss *= np.hanning(length) * generator.uniform(0.2, 0.7) / (np.abs(hiss).max() + 1e-9)
        found = np.concatenate([hiss, found[: samples - length]])
    envelope = np.sin(np.pi * (np.arange(samples) + 0.5) / samples) ** 0.7
    return (found * envelope * generator.uniform(0.4, 1.0)).astype(np.float32)


def _pulses(generator: np.random.Generator, samples: int, pitch: float) -> NDArray[np.float64]:
    """One pulse a period, whose length glides: harmonics of the pitch, which a glottis weakens upwards."""
    glide = np.linspace(1.0, generator.uniform(0.85, 1.15), samples)
    phase = np.cumsum(pitch * glide / RATE) + generator.random()
    pulses = np.diff(np.floor(phase), prepend=0.0).clip(0, 1)
    return np.asarray(
        sosfilt([[1.0, 0.0, 0.0, 1.0, -0.9, 0.0]], pulses + 0.002 * generator.standard_normal(samples))
    )


def _vowel(generator: np.random.Generator) -> list[tuple[float, float]]:
    """Formants: frequency and bandwidth, Hz; the first three as Peterson and Barney measured them, about."""
    first, second = generator.uniform(280, 820), generator.uniform(850, 2400)
    moving = [(first, 80.0), (max(second, first + 300), 110.0), (generator.uniform(2400, 3000), 160.0)]
    return moving + [(frequency, 0.06 * frequency) for frequency in range(3600, 8000, 1000)]


def _resonate(source: NDArray[np.float64], formants: list[tuple[float, float]]) -> NDArray[np.float64]:
    """Two poles for each formant."""
    radius = [np.exp(-np.pi * width / RATE) for _, width in formants]
    poles = [
        (-2 * r * np.cos(2 * np.pi * f / RATE), r * r) for r, (f, _) in zip(radius, formants, strict=True)
    ]
    sections = np.array([[1.0, 0.0, 0.0, 1.0, a, b] for a, b in poles])
    return np.asarray(sosfilt(sections, source))


def noise(
    generator: np.random.Generator, kind: str, samples: int, microphones: NDArray[np.float64]
) -> Signal:
    """What microphones (M, 3) hear of a noise, and of themselves, of mean power 1: (M, samples).

    White and pink noise come from eight directions, babble from six other speakers, hum from one machine;
    the machine and the speakers are not where the speaker is.
    """
    directions = {"white": 8, "pink": 8, "babble": 6, "hum": 1}[kind]
    sources = [_source(generator, kind, samples) for _ in range(directions)]
    found = heard(sources, [_aside(generator, kind) for _ in sources], microphones)
    found = found / np.sqrt(np.square(found).mean())
    return (found + 0.03 * generator.standard_normal(found.shape)).astype(np.float32)


def _source(generator: np.random.Generator, kind: str, samples: int) -> NDArray[np.floating]:
    if kind == "babble":
        return speech(generator, samples)
    if kind == "hum":
        return _hum(generator, samples)
    white = generator.standard_normal(samples)
    if kind == "white":
        return white
    spectrum = np.fft.rfft(white)
    return np.fft.irfft(spectrum / np.sqrt(np.maximum(np.arange(len(spectrum)), 1)), samples)


def _hum(generator: np.random.Generator, samples: int) -> NDArray[np.float64]:
    """Harmonics of a motor that turns at 40 to 120 Hz, louder and softer by turns, and its fan."""
    time, pitch = np.arange(samples) / RATE, generator.uniform(40, 120)
    parts = [np.sin(2 * np.pi * (n * pitch * time + generator.random())) / n for n in range(1, 40)]
    swell = 1 + 0.3 * np.sin(2 * np.pi * generator.uniform(0.3, 2) * time)
    fan = sosfilt([[1.0, 0.0, 0.0, 1.0, -0.7, 0.0]], generator.standard_normal(samples))
    return np.asarray(sum(parts) * swell + 0.3 * fan)


def _aside(generator: np.random.Generator, kind: str) -> NDArray[np.float64]:
    """The direction that a part of a noise comes from: any, or for babble and hum any but the front."""
    if kind in ("white", "pink"):
        return direction(generator.uniform(-180, 180), generator.uniform(-30, 60))
    side = 1 if generator.random() < 0.5 else -1
    return direction(side * generator.uniform(35, 150), generator.uniform(-10, 30))


def direction(azimuth: float, elevation: float) -> NDArray[np.float64]:
    """The unit vector (3,) to a source, from angles in degrees; 0 and 0 is straight in front."""
    across, up = np.radians(azimuth), np.radians(elevation)
    return np.array([np.sin(across) * np.cos(up), np.cos(across) * np.cos(up), np.sin(up)])


def heard(
    sources: Sequence[NDArray[np.floating]],
    towards: Sequence[NDArray[np.float64]],
    microphones: NDArray[np.float64],
) -> Signal:
    """What microphones (M, 3) hear of sources (samples,) far away in directions (3,): (M, samples)."""
    samples = len(sources[0])
    frequencies = np.fft.rfftfreq(samples, 1 / RATE)
    found = np.zeros((len(microphones), len(frequencies)), np.complex128)
    for source, direction in zip(sources, towards, strict=True):
        earlier = microphones @ direction / SOUND  # (M,), seconds
        found += np.fft.rfft(source) * np.exp(2j * np.pi * earlier[:, None] * frequencies)
    return np.fft.irfft(found, samples).astype(np.float32)
