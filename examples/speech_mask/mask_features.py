"""From what microphones hear to what a mask network sees: spectra, covariances, dominant eigenvectors.

Pfeifenberger, Zöhrer and Pernkopf, *Eigenvector-based speech mask estimation for multi-channel speech
enhancement* (2019), as section 4.3 of Roth et al., *Resource-Efficient Neural Networks for Embedded Systems*,
uses it.
"""

import numpy as np
from numpy.typing import NDArray

WINDOW, HOP = 1024, 512
BINS = WINDOW // 2 + 1
MEMORY = 0.8
"""Share of the covariance of the frame before: 0.8 at 32 ms a frame remembers about 160 ms."""

STEPS = 8
"""Of the power method in each frame; it starts from the eigenvector of the frame before."""

Spectra = NDArray[np.complex64]


def spectra(signals: NDArray[np.float32]) -> Spectra:
    """Signals (..., samples) as short-time spectra (..., L frames, 513) of Hann windows."""
    window = np.hanning(WINDOW + 1)[:-1].astype(np.float32)
    frames = np.lib.stride_tricks.sliding_window_view(signals, WINDOW, axis=-1)[..., ::HOP, :]
    return np.fft.rfft(frames * window).astype(np.complex64)


def feature_count(channels: int) -> int:
    """Numbers that a network sees of a frame: of each bin M real parts and M - 1 imaginary ones."""
    return (2 * channels - 1) * BINS


def eigenvectors(heard: Spectra) -> Spectra:
    """The dominant eigenvector of the noisy covariance of each frame and bin.

    The covariance is averaged recursively: R(k, l) = a R(k, l - 1) + (1 - a) z(k, l) z(k, l)^H.

    Args:
        heard: spectra (M, L, K) of M microphones.

    Returns:
        (M, L, K), of length 1, turned so that the first microphone's part is real and not negative.
    """
    channels, frames, bins = heard.shape
    covariance = np.zeros((channels, channels, bins), np.complex64)
    vector = np.full((channels, bins), channels**-0.5, np.complex64)
    found = np.empty_like(heard)
    for frame in range(frames):
        now = heard[:, frame]  # (M, K)
        covariance *= np.float32(MEMORY)
        covariance += np.float32(1 - MEMORY) * now[:, None] * now[None].conj()
        for _ in range(STEPS):
            vector = np.einsum("ijk,jk->ik", covariance, vector)
            vector /= np.linalg.norm(vector, axis=0) + np.float32(1e-20)
        found[:, frame] = vector
    return found * np.exp(-1j * np.angle(found[:1])).astype(np.complex64)


def features(heard: Spectra) -> NDArray[np.float32]:
    """Eigenvectors of spectra (M, L, K) as rows of numbers of size 1, a row a frame: (L, (2M - 1) K)."""
    vectors = eigenvectors(heard) * np.float32(len(heard) ** 0.5)
    parts = np.concatenate([vectors.real, vectors.imag[1:]])  # (2M - 1, L, K)
    return np.ascontiguousarray(parts.transpose(1, 0, 2).reshape(heard.shape[1], -1))


def ideal_mask(clean: Spectra, noise: Spectra) -> NDArray[np.float32]:
    """The share of speech in the power of each bin and frame: 0 to 1, (L, K), from spectra (M, L, K).

    Both powers are summed over microphones and averaged as the covariance is.
    """
    speech, other = _averaged(clean), _averaged(noise)
    return speech / (speech + other + np.float32(1e-12))


def _averaged(heard: Spectra) -> NDArray[np.float32]:
    powers = np.square(np.abs(heard)).sum(0)  # (L, K)
    average, found = np.zeros_like(powers[0]), np.empty_like(powers)
    for frame, power in enumerate(powers):
        average = np.float32(MEMORY) * average + np.float32(1 - MEMORY) * power
        found[frame] = average
    return found
