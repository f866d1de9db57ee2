"""The program around a network in C: it scales image files as in training, and needs no libm."""

import ctypes
import re
import shlex
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

import runtime
import runtime.formats
from runtime.formats.c_sizes import layout_of
from runtime.formats.pictures import open_picture, to_pixels
from search_spaces import BitnasError, InvalidInput
from tests.environment import make
from tests.runtime.test_c import STRICT, numbers

PRELUDE = Path(runtime.formats.__file__).with_name("prelude.h")
NO_LIBM = "-DBITNAS_NO_LIBM"


@pytest.fixture(scope="module")
def functions(tmp_path_factory):
    """The prelude's own functions of arrays of float32."""
    folder = tmp_path_factory.mktemp("functions")
    rows = "".join(
        f"void {name}s(const float *x, float *y, int n) {{ for (; n--; ++x, ++y) *y = {name}(*x); }}\n"
        for name in ("square_root", "logarithm")
    )
    (folder / "functions.c").write_text(f'#include "{PRELUDE}"\n{rows}')
    library = folder / "functions.so"
    subprocess.run(
        ["gcc", *STRICT, NO_LIBM, "-shared", "-fPIC", folder / "functions.c", "-o", library], check=True
    )
    loaded = ctypes.CDLL(str(library))

    def call(name, x):
        y = np.empty_like(x)
        entry, pointer = getattr(loaded, name), np.ctypeslib.ndpointer(np.float32)
        entry.argtypes, entry.restype = [pointer, pointer, ctypes.c_int], None
        entry(x, y, len(x))
        return y

    return call


def floats(first, last, step):
    """Floats by their bits."""
    return np.arange(first, last, step, dtype=np.uint64).astype(np.uint32).view(np.float32)


def test_the_square_root_is_that_of_ieee_754(functions):
    """For every 2003rd float, and every 7th significand of an odd and of an even exponent."""
    for x in (floats(0, 1 << 32, 2003), floats(0x3F800000, 0x40800000, 7)):
        with np.errstate(invalid="ignore"):
            np.testing.assert_array_equal(functions("square_roots", x), np.sqrt(x))


def test_the_logarithm_is_within_a_unit_in_the_last_place(functions):
    """For every 1999th float above zero, those below the least normal one too, and each 5th near to 1."""
    for x in (floats(1, 0x7F800000, 1999), floats(0x3F000000, 0x40000000, 5)):
        exact = np.log(x.astype(np.float64))
        error = np.abs(functions("logarithms", x) - exact) / np.spacing(np.abs(exact).astype(np.float32))
        assert error.max() < 1
    special = np.array([0, -0.0, -1, -np.inf, np.inf, np.nan, 1], np.float32)
    expected = np.array([-np.inf, -np.inf, np.nan, np.nan, np.inf, np.nan, 0], np.float32)
    np.testing.assert_array_equal(functions("logarithms", special), expected)


class Normed(nn.Module):
    """What asks for a square root and a logarithm."""

    def __init__(self):
        super().__init__()
        self.norm = nn.GroupNorm(2, 8)

    def forward(self, x):
        return torch.log_softmax(self.norm(x).flatten(1), 1)


def test_a_network_without_the_mathematical_library(tmp_path):
    """It links though nothing may be left open, and though calls are not replaced by instructions (-O0)."""
    images = numbers((2, 8, 5, 4))
    runtime.write_c(Normed().eval(), (1, 8, 5, 4), tmp_path / "c")
    source, library = tmp_path / "c" / "network.c", tmp_path / "network.so"
    options = ["-std=c99", "-O0", "-march=native", NO_LIBM]
    told = subprocess.run(["gcc", *options, "-M", source], check=True, capture_output=True, text=True).stdout
    assert "stdint.h" in told and "math.h" not in told
    subprocess.run(
        ["gcc", *options, "-shared", "-fPIC", "-Wl,--no-undefined", source, "-o", library], check=True
    )
    pointer = np.ctypeslib.ndpointer(np.float32)
    entry = ctypes.CDLL(str(library)).bitnas_network
    entry.argtypes, entry.restype = [pointer, pointer], None
    found = np.empty((2, 160), np.float32)
    for image, output in zip(images, found, strict=True):
        entry(image, output)
    with torch.no_grad():
        expected = Normed()(torch.from_numpy(images)).numpy()
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-5)


NETWORK = """\
#include "network.h"
#include <stdio.h>
void bitnas_network(const float *input, float *output) {
  FILE *file = fopen("seen", "wb");
  fwrite(input, 4, BITNAS_INPUT_SIZE, file);
  fclose(file);
  for (int i = 0; i < BITNAS_OUTPUT_SIZE; ++i) output[i] = i == 2 ? 1 : i == 3 ? 1 : -i;
}
"""
"""A network that writes down what it is given; the greatest output is the third, and as great the fourth."""
SIDES = 61, 67  # so many pixels that a wrong last digit of a colour's share shows
NAMES = ("cat", "dog", 'a "grey\\ ?\u00e9?/\n"', "none")


def program(folder, channels, largest, sides=(5, 7)):
    """The program of a network of ``NETWORK``'s kind, built without a warning."""
    pick = np.random.default_rng(channels)
    mean, deviation = (tuple(float(n) for n in pick.uniform(1, largest, channels)) for _ in range(2))
    model = nn.Sequential(nn.Conv2d(channels, 4, 1), nn.AdaptiveAvgPool2d(1), nn.Flatten())
    images = runtime.ImageInput(mean, deviation, largest, NAMES)
    runtime.write_c(model, (1, channels, *sides), folder, images)
    (folder / "network.c").write_text(NETWORK)
    make(folder, "CFLAGS=-O1 -Wall -Wextra -Werror", "NO_LIBM=1")
    return images


def classified(folder, *files):
    return subprocess.run(["./classify", *files], cwd=folder, capture_output=True, text=True)


@pytest.mark.parametrize(("channels", "largest"), [(1, 16), (3, 255), (3, 16), (1, 255)])
def test_images_are_scaled_as_in_training(channels, largest, tmp_path):
    """To the bit: plain and packed, grey and colour files, with a greatest value of their own."""
    images = program(tmp_path / "c", channels, largest, SIDES)
    pick = np.random.default_rng(0)
    for kind in (b"P2", b"P3", b"P5", b"P6"):
        greatest = 255 if kind == b"P6" else 170
        pixels = pick.integers(0, greatest + 1, (*SIDES, 3 if kind in (b"P3", b"P6") else 1), np.uint8)
        body = pixels.tobytes() if kind in (b"P5", b"P6") else " ".join(map(str, pixels.ravel())).encode()
        data = kind + b"\n# a comment\n%d %d\n%d\n" % (*SIDES[::-1], greatest) + body
        (tmp_path / "c" / "image.ppm").write_bytes(data)
        told = classified(tmp_path / "c", "image.ppm")
        assert (told.returncode, told.stderr) == (0, "")
        assert told.stdout == 'image.ppm\ta "grey\\ ?\u00e9?/\\n"\n'
        seen = np.fromfile(tmp_path / "c" / "seen", np.float32).reshape(channels, *SIDES)
        read = to_pixels(open_picture(data), channels, SIDES[::-1])
        trained_on = np.rint(read * (largest / 255)).astype(np.float32)
        mean, deviation = np.array(images.mean, np.float32), np.array(images.deviation, np.float32)
        np.testing.assert_array_equal(seen, ((trained_on - mean) / deviation).transpose(2, 0, 1))


def test_files_that_are_refused(tmp_path):
    """In one line each, with the fix; and the fix for a photo works."""
    program(tmp_path / "c", 3, 255)
    broken = {
        "size": (
            b"P6\n8 5\n255\n" + bytes(120),
            "another size than the network takes; bring any image to 7x5 ",
        ),
        "deep": (b"P6\n7 5\n65535\n" + bytes(210), "more than 8 bits"),
        "short": (b"P6\n7 5\n255\n" + bytes(104), "cut short"),
        "above": (b"P2\n7 5\n9\n" + b"10 " * 35, "above the greatest value"),
        "header": (b"P5\nx 5\n255\n", "header is broken"),
        "bits": (b"P4\n7 5\n" + bytes(5), "no PGM or PPM file; bring any image to 7x5 "),
        "empty": (b"", "no PGM or PPM file"),
    }
    for name, (data, problem) in broken.items():
        (tmp_path / "c" / name).write_bytes(data)
        told = classified(tmp_path / "c", name)
        assert (told.returncode, told.stdout, told.stderr.count("\n")) == (1, "", 1)
        assert told.stderr.startswith(f"Error: {name}: ") and problem in told.stderr, told.stderr
    assert "cannot be opened" in classified(tmp_path / "c", "nothing").stderr
    assert classified(tmp_path / "c").returncode == 2
    pixels = np.random.default_rng(0).integers(0, 256, (40, 30, 4), np.uint8)  # half transparent
    Image.fromarray(pixels).save(tmp_path / "c" / "photo.png")
    words = shlex.split(re.search(r"python3 .*", classified(tmp_path / "c", "size").stderr)[0])
    subprocess.run([sys.executable, *words[1:]], cwd=tmp_path / "c", check=True)
    assert classified(tmp_path / "c", "small.ppm").returncode == 0
    fitted = to_pixels(open_picture((tmp_path / "c" / "photo.png").read_bytes()), 3, (7, 5))
    np.testing.assert_array_equal(np.asarray(Image.open(tmp_path / "c" / "small.ppm")), fitted)


def test_a_dark_image_is_told_of(tmp_path):
    program(tmp_path / "c", 1, 16)
    (tmp_path / "c" / "dark.pgm").write_bytes(b"P5\n7 5\n255\n" + bytes([16] * 35))
    told = classified(tmp_path / "c", "dark.pgm")
    assert "Warning: dark.pgm: its brightest pixel is 16 of 255" in told.stderr and told.returncode == 0


def test_the_header_states_what_is_there(tmp_path):
    """Bytes of the arena and of constants, as the source has them."""
    runtime.write_c(Normed().eval(), (1, 8, 5, 4), tmp_path / "c")
    source = (tmp_path / "c" / "network.c").read_text()
    constants = re.findall(r"^static const f32 \w+\[(\d+)\]", source, re.MULTILINE)
    found = layout_of(tmp_path / "c" / "network.h")
    assert (found.constants, found.arrays) == (4 * sum(map(int, constants)), 4 * (160 + 160))
    arenas = re.findall(r"^static (?!const)\S+ \w+\[(\w+)\]", source, re.MULTILINE)
    assert arenas == ["BITNAS_ARENA_SIZE"] and found.arena >= 2 * 4 * 160, "all memory is one arena"
    (tmp_path / "c" / "network.h").write_text("")
    with pytest.raises(BitnasError, match=r"network.h: it does not state its sizes; write it again"):
        layout_of(tmp_path / "c" / "network.h")


@pytest.mark.parametrize(
    ("shape", "names", "problem"),
    [
        ((2, 3, 4, 4), (), "2 images of 3 channels"),
        ((1, 2, 4, 4), (), "1 images of 2 channels"),
        ((1, 1, 4, 4), (), "3 means and 3 deviations, 1 channels"),
        ((1, 3, 4, 4), ("one",), "1 names of classes, 64 outputs"),
    ],
)
def test_images_that_no_file_holds(shape, names, problem, tmp_path):
    images = runtime.ImageInput((1.0,) * 3, (1.0,) * 3, 255, names)
    with pytest.raises(InvalidInput, match=problem):
        runtime.write_c(nn.Conv2d(shape[1], 4, 1), shape, tmp_path / "c", images)
    assert not (tmp_path / "c").exists()
