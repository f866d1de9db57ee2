"""The example of speech masks: its signals, features and error beside plain references, and its evaluator."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import runtime
from search_spaces import build
from search_spaces.checking import check_space
from tests.environment import clean_environment

ROOT = Path(__file__).parents[2]
EXAMPLE = ROOT / "examples" / "speech_mask"
sys.path.append(str(EXAMPLE))

import mask_data  # noqa: E402
import mask_features  # noqa: E402
import mask_signals  # noqa: E402
import mask_training  # noqa: E402
from in_c import run_here  # noqa: E402
from mask_networks import MaskSpace, dense_network  # noqa: E402


@pytest.fixture(scope="module", params=[2, 6])
def frames(request):
    """A second in babble, of two or six microphones."""
    return mask_data.utterance((1, 2, 3), "babble", request.param, seconds=1.0)


def noisy(channels, frames=12, bins=5):
    """Spectra (M, L, K) of a source in noise."""
    generator = np.random.default_rng(0)

    def normal(*shape):
        return generator.standard_normal(shape) + 1j * generator.standard_normal(shape)

    return (
        normal(channels, 1, bins) * normal(1, frames, bins) + 0.3 * normal(channels, frames, bins)
    ).astype(np.complex64)


def test_the_error_is_that_of_the_paper():
    """100 / (K L) sum_k sum_l |estimated - ideal|, number by number."""
    generator = np.random.default_rng(0)
    estimated, ideal = generator.random((2, 7, 5)).astype(np.float32)
    total = 0.0
    for frame in range(7):
        for bin in range(5):
            total += abs(float(estimated[frame, bin]) - float(ideal[frame, bin]))
    assert mask_training.mask_error(estimated, ideal) == pytest.approx(100 / (7 * 5) * total, rel=1e-6)
    assert mask_training.mask_error(np.zeros((2, 3), np.float32), np.ones((2, 3), np.float32)) == 100


def test_frames_have_features_and_masks(frames):
    channels = frames.features.shape[1] // mask_features.BINS // 2 + 1
    assert frames.features.shape == (30, mask_features.feature_count(channels))
    assert frames.masks.shape == (30, 513)
    assert frames.features.dtype == frames.masks.dtype == np.float32
    assert (frames.masks >= 0).all() and (frames.masks <= 1).all()
    assert frames.masks.max() > 0.9 and frames.masks.min() < 0.1
    # an eigenvector has length 1, and its numbers are told in units of 1 / sqrt(M)
    squares = np.square(frames.features).reshape(30, -1, 513).sum(1)
    np.testing.assert_allclose(squares, channels, rtol=1e-3)


@pytest.mark.parametrize("channels", [2, 6])
def test_eigenvectors_are_the_dominant_ones_of_the_averaged_covariance(channels):
    heard = noisy(channels)
    found = mask_features.eigenvectors(heard)
    for bin in range(heard.shape[2]):
        covariance = np.zeros((channels, channels), complex)
        for frame in range(heard.shape[1]):
            now = heard[:, frame, bin]
            covariance = 0.8 * covariance + 0.2 * np.outer(now, now.conj())
            largest = np.linalg.eigh(covariance)[1][:, -1]
            assert abs(np.vdot(largest, found[:, frame, bin])) > 0.999
    np.testing.assert_allclose(found[0].imag, 0, atol=1e-6)
    assert (found[0].real >= -1e-6).all()


def test_the_ideal_mask_is_the_share_of_speech():
    clean, noise = noisy(2), 2 * noisy(2)[:, ::-1]
    found = mask_features.ideal_mask(clean, noise)
    speech = other = 0.0
    for frame in range(clean.shape[1]):
        speech = 0.8 * speech + 0.2 * (abs(clean[0, frame]) ** 2 + abs(clean[1, frame]) ** 2)
        other = 0.8 * other + 0.2 * (abs(noise[0, frame]) ** 2 + abs(noise[1, frame]) ** 2)
        np.testing.assert_allclose(found[frame], speech / (speech + other), rtol=1e-4)


def test_microphones_hear_a_wave_one_after_the_other():
    """From the right a pulse comes to the left microphone nine samples later; from ahead, to both at once."""
    pulse = np.zeros(1024)
    pulse[500] = 1
    pair = np.array([[-9 * 343 / 16_000, 0, 0], [0, 0, 0]])
    left, right = mask_signals.heard([pulse], [mask_signals.direction(90, 0)], pair)
    assert left.argmax() == 509 and right.argmax() == 500
    left, right = mask_signals.heard([pulse], [mask_signals.direction(0, 0)], pair)
    np.testing.assert_allclose(left, right, atol=1e-6)


@pytest.mark.parametrize("kind", mask_signals.NOISES)
def test_the_same_seed_gives_the_same_noise(kind):
    first, again, other = (
        mask_signals.noise(np.random.default_rng(seed), kind, 4000, mask_signals.MICROPHONES)
        for seed in (1, 1, 2)
    )
    np.testing.assert_array_equal(first, again)
    assert first.shape == (6, 4000) and not np.array_equal(first, other)
    assert np.square(first).mean() == pytest.approx(1, abs=0.01)


def test_its_spaces_are_spaces():
    check_space(MaskSpace(2))
    assert MaskSpace(6).size() == 2 * (10**2 + 10**3)


@pytest.mark.parametrize("code", ["float", "binary"])
def test_a_network_compiles_and_is_the_same_in_c(code, tmp_path):
    """Its inputs are images of one pixel, (N, F, 1, 1)."""
    frames = mask_data.utterance((1, 2, 3), "babble", 2, seconds=1.0)
    network = build(dense_network(2, (64, 64), [code] * 3)).train()
    inputs = mask_training.images(frames)
    network(inputs)  # gives the batch norms their statistics
    module, shape = mask_training.with_masks(network.eval()), (1, *inputs.shape[1:])
    expected = mask_training.estimate(network, frames)
    assert expected.shape == frames.masks.shape and expected.min() >= 0 and expected.max() <= 1
    compiled = runtime.compile(module, shape).run(inputs.numpy())
    np.testing.assert_allclose(compiled, expected, atol=1e-5)
    runtime.write_c(module, shape, tmp_path / "c")
    np.testing.assert_allclose(run_here(tmp_path / "c", inputs.numpy()[:3], 513), compiled[:3], atol=1e-5)


FEW = """
import mask_data

mask_data.SECONDS, mask_data.SPLITS = 0.5, dict.fromkeys(mask_data.SPLITS, 4)
"""
"""A plug-in, too: four short utterances a split."""


@pytest.mark.slow
def test_a_search_finds_networks_that_are_exported(tmp_path):
    (tmp_path / "few.py").write_text(FEW)
    plugins = f"{EXAMPLE / 'plugin.py'}:{tmp_path / 'few.py'}"
    environment = clean_environment(PYTHONPATH=str(ROOT), NAS_PLUGINS=plugins)

    def run(*words, code=0):
        command = [sys.executable, *words]
        done = subprocess.run(
            command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=600, check=False
        )
        assert done.returncode == code, done.stderr
        return done.stderr if code else done.stdout

    space = "--space speech-mask-2 --fix layers=2 --only layer1.neurons=256 --only layer2.neurons=256"
    what = "--evaluator speech-mask --objective mask_error --objective size --trials 2 --epochs 1 --json"
    found = json.loads(run("-m", "nas.cli.main", "search", "--name", "mask", *space.split(), *what.split()))
    assert found["counts"]["complete"] == 2
    assert all(0 < trial["costs"]["mask_error"]["value"] < 100 for trial in found["front"])
    told = run(str(EXAMPLE / "export.py"), "mask", "--trial", "0", "-o", "winner")
    assert "C, beside compiled: at most" in told
    assert (tmp_path / "winner" / "manifest.json").is_file() and (
        tmp_path / "winner" / "c" / "network.c"
    ).is_file()
    told = run("-m", "nas.cli.main", "search", "--name", "other", "--space", "tiny", *what.split(), code=1)
    assert told.count("\n") == 1 and "choose speech-mask-2 or speech-mask-6" in told
