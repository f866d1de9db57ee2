"""The exported form c: its program gives images the classes that torch gives; the card states sizes."""

import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

import latency
import runtime
from nas.data import load
from nas.export import finished, writing
from nas.training.loop import predict
from runtime.formats import c_sizes
from search_spaces import precisions
from search_spaces.layers import QuantConv2d
from tests.environment import make

if shutil.which("gcc") is None:
    pytest.skip("gcc is not installed: nothing compiles the C form here", allow_module_level=True)

ORIGIN = {"network": "a", "precision": "int8", "digest": "0", "data": "digits", "epochs": 0, "seed": 0}
IMAGES = 40


def test_image_files_get_the_classes_of_torch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    torch.manual_seed(0)
    layer, data = QuantConv2d(1, 10, 8, precisions.get("int8"), padding=0), load("digits")
    module = nn.Sequential(layer, nn.Flatten()).train()
    module(torch.from_numpy(data.train.images[:64]))
    network = runtime.compile(module.eval(), (1, *data.input_shape))
    time = latency.Measurement(0.1, 0.0, 12, "2026-01-01T00:00:00+00:00", "0")
    some = finished.Finished(module, network, time, latency.device("local"), data, 0.1, None)

    monkeypatch.setattr(c_sizes, "COMPILER", "no-such-compiler")
    card = writing.write_artifact(some, tmp_path / "out", ("network.json", "{}"), forms=("c",), **ORIGIN)
    form = card.forms[0]
    assert {*form.files} == {"network.c", "network.h", "images.h", "main.c", "Makefile"}
    sizes = {figure: value for figure, value, _ in form.figures}
    layout = c_sizes.layout_of(tmp_path / "out" / "network.h")
    assert sizes["flash without code"] == f"{layout.constants / 1000:.1f} kB"
    assert sizes["RAM without stack"] == f"{(layout.arena + 4 * (64 + 10)) / 1000:.1f} kB"

    make(tmp_path / "out")
    pixels = data.test.pixels[data.test.chosen[:IMAGES], :, :, 0]
    paths = [tmp_path / f"{i}.pgm" for i in range(IMAGES)]
    for path, image in zip(paths, pixels, strict=True):
        Image.fromarray(np.rint(image * (255 / data.largest)).astype(np.uint8)).save(path)
    told = subprocess.check_output([tmp_path / "out" / "classify", *paths], text=True).splitlines()
    expected = predict(module, data.test)[:IMAGES]
    names = data.class_names or tuple(map(str, range(10)))
    assert [line.split("\t")[1] for line in told] == [names[n] for n in expected]
    assert len({*expected.tolist()}) >= 3


def test_flash_and_ram_stand_in_the_card(tmp_path: Path) -> None:
    if shutil.which(c_sizes.COMPILER) is None:
        pytest.skip(f"{c_sizes.COMPILER} is not installed")
    from nas.export.formats.base import formats

    runtime.write_c(nn.Conv2d(3, 4, 3).eval(), (1, 3, 9, 9), tmp_path / "c")
    flash, ram = formats.get("c").figures(tmp_path / "c")
    found = c_sizes.on_cortex_m4(tmp_path / "c" / "network.c")
    assert found is not None
    assert flash[:2] == ("flash", f"{(found.code + found.constants) / 1000:.1f} kB")
    assert ram[:2] == ("RAM", f"{(found.ram + found.stack + 4 * (243 + 196)) / 1000:.1f} kB")
    assert c_sizes.COMPILER in flash[2]
