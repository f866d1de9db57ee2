"""Other engines: what they are given is the network, and a process that has one takes its turns."""

import io
import json
import signal
import subprocess
import sys
from collections import Counter

import numpy as np
import onnxruntime
import pytest
import torch
import tvm
from torch import nn

import search_spaces
from benchmarks import recorded, registers
from benchmarks.engine_rows import settings
from benchmarks.engines import child, keeping, ncnn_form, process
from benchmarks.engines.files import calibration
from benchmarks.engines.onnx_form import onnx_of, quantized
from benchmarks.engines.plain import plain, steps
from runtime.codegen.linking import load
from runtime.kernels.lookups import VPSHUFB
from runtime.target import cpu_of
from tests.runtime.harness import TARGETS, trained

SHAPE = (1, 3, 32, 32)


@pytest.fixture(scope="module", params=["resnet20", "mobilenetv2"])
def network(request):
    """A network, an image and its output."""
    torch.manual_seed(0)
    module = trained(search_spaces.network(request.param, "float", 10), SHAPE)
    image = torch.randn(SHAPE)
    with torch.no_grad():
        return module, image, module(image).numpy()


def answered(model, image):
    """What onnxruntime makes of an image."""
    return onnxruntime.InferenceSession(model.SerializeToString()).run(None, {"x": image.numpy()})[0]


def test_engines_are_given_the_same_network(network):
    module, image, expected = network
    found = plain(module)
    kinds = Counter(type(layer) for _, layer in steps(found))
    assert not {nn.BatchNorm2d, nn.Identity} & set(kinds)
    assert kinds[nn.Conv2d] > 15
    with torch.no_grad():
        np.testing.assert_allclose(found(image), expected, 1e-4, 1e-4)
    written = onnx_of(found, SHAPE)
    np.testing.assert_allclose(answered(written, image), expected, 1e-4, 1e-4)
    if kinds[nn.ReLU6]:  # a network of so few pixels is far off in int8
        return
    in_bytes = answered(quantized(written, calibration(SHAPE)[:4]), image)
    assert 0 < np.abs(in_bytes - expected).max() < 0.15 * np.abs(expected).max()


@pytest.mark.parametrize("images", [None, torch.from_numpy(calibration(SHAPE)[:2])], ids=["float", "int8"])
def test_ncnn_reads_each_output_once(network, images, tmp_path):
    module = network[0]
    path = tmp_path / "network.param"
    ncnn_form.write(plain(module), path, images)
    _, counts, *lines = path.read_text().splitlines()
    written, read = [], []
    for line in lines:
        _, _, inputs, outputs, *rest = line.split()
        read += rest[: int(inputs)]
        written += rest[int(inputs) : int(inputs) + int(outputs)]
    assert counts == f"{len(lines)} {len(written)}"
    assert len({*written}) == len(written)
    assert sorted([*read, "result"]) == sorted(written)
    weights = sum(
        each.weight.numel() for each in module.modules() if hasattr(each, "weight") and each.weight.dim() > 1
    )
    size = path.with_suffix(".bin").stat().st_size
    assert (
        weights * (4 if images is None else 1) < size < 1.1 * weights * (4 if images is None else 1) + 2**17
    )


def test_a_process_does_what_each_line_says(tmp_path, monkeypatch):
    class Doubling:
        version = "1.2"

        def put(self, images):
            self.images = images

        def run(self):
            self.runs = getattr(self, "runs", 0) + 1

        def answer(self):
            return self.images * 2

    engine = Doubling()
    monkeypatch.setattr(child, "loaded", lambda *given: engine)
    np.save(tmp_path / "given.npy", np.ones((1, 2), np.float32))
    lines = [
        {"run": 1},
        {"load": "doubling", "model": "file"},
        {"answer": str(tmp_path / "given.npy"), "to": str(tmp_path / "found.npy")},
        {"run": 3},
    ]
    answers = io.StringIO()
    child.serve(map(json.dumps, lines), answers)
    first, second, third, last = map(json.loads, answers.getvalue().splitlines())
    assert (first, second, third) == ({"error": "nothing is loaded"}, {"version": "1.2"}, {})
    assert (engine.runs, last["seconds"] >= 0) == (4, True)
    np.testing.assert_array_equal(np.load(tmp_path / "found.npy"), [[2, 2]])


def test_an_engine_that_does_not_load_says_why(tmp_path, monkeypatch):
    monkeypatch.setitem(process.MODULES, "ncnn", "no_such_engine")
    with pytest.raises(process.NotRunError, match="no_such_engine is not installed"):
        process.require(sys.executable, "ncnn")
    with pytest.raises(process.NotRunError, match=r"No module named 'benchmarks\.engines\.in_nothing'"):
        process.Child(sys.executable, "nothing", tmp_path, {})


def test_openvino_is_kept_to_the_instructions_of_a_target():
    assert settings("openvino", "native") == settings("ncnn", "x86-64-v3") == {}
    if "x86-64-v3" in TARGETS:
        assert settings("openvino", "x86-64-v3") == {"ONEDNN_MAX_CPU_ISA": "AVX2"}
        assert settings("openvino", "alderlake") == {"ONEDNN_MAX_CPU_ISA": "AVX2_VNNI"}
        assert settings("openvino", "x86-64-v2") == {"ONEDNN_MAX_CPU_ISA": "SSE41"}


@pytest.mark.skipif("x86-64-v3" not in TARGETS, reason="sets of x86")
def test_what_a_target_lacks_is_hidden(monkeypatch):
    flags = {"amx_tile", "amx_int8", "avx512f", "avx512_vnni", "avx_vnni", "avx2", "avx"}
    monkeypatch.setattr(keeping, "host_flags", lambda: frozenset(flags))
    assert keeping.hidden("x86-64-v4") == ("amx", "avx512_vnni", "avx_vnni")
    assert keeping.hidden("alderlake") == ("amx", "avx512", "avx512_vnni")
    assert keeping.hidden("x86-64-v3") == ("amx", "avx512", "avx512_vnni", "avx_vnni")
    monkeypatch.setattr(keeping, "host_flags", lambda: frozenset({"avx2", "avx"}))
    assert keeping.hidden("x86-64-v3") == ()


@pytest.mark.skipif("x86-64-v3" not in TARGETS, reason="needs AVX2")
def test_a_kept_process_does_not_see_what_is_hidden(tmp_path, capfd):
    names = ("sse4.2", "avx", "avx2", "avx512f", "avx512vnni")
    asks = "".join(f'printf("%d", !!__builtin_cpu_supports("{name}"));' for name in names)
    program = tmp_path / "asks"
    (tmp_path / "asks.c").write_text(f"#include <stdio.h>\nint main(void) {{ {asks} }}")
    subprocess.run(["gcc", str(program) + ".c", "-o", str(program)], check=True)
    if not keeping.environment(["avx2"], tmp_path):
        pytest.skip("this system hides no instructions")
    assert keeping.run_kept("x86-64-v2", [str(program)]) == 0
    assert keeping.run_kept("x86-64-v2", ["sh", "-c", "kill -SEGV $$"]) == -signal.SIGSEGV
    assert keeping.run_kept("native", [str(program)]) is None
    assert capfd.readouterr().out == "10000"


def test_where_nothing_can_be_hidden_rivals_have_all(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(keeping, "hidden", lambda target: ("avx2",))
    monkeypatch.setattr(keeping, "SOURCE", tmp_path / "no_such.c")
    assert keeping.run_kept("x86-64-v2", ["false"]) is None
    assert capsys.readouterr().err == (
        "rivals are not kept to x86-64-v2: this system hides no instructions\n"
    )
    assert not keeping.is_kept()
    monkeypatch.setenv(keeping.HIDE, "avx2")
    assert keeping.is_kept()
    assert recorded.this_machine("x86-64-v2").is_kept


@pytest.mark.parametrize(
    "target", [name for name in ("x86-64-v2", "x86-64-v3", "x86-64-v4") if name in TARGETS]
)
def test_the_limit_counts_by_the_widest_look_ups(target):
    lanes = {"x86-64-v2": 16, "x86-64-v3": 32, "x86-64-v4": 64}[target]
    assert registers.byte_lanes(cpu_of(target)) == lanes
    assert lanes in VPSHUFB
    table = np.random.default_rng(0).integers(0, 5, (2, lanes), np.uint8)
    count = np.zeros((registers.BYTE_VECTORS, lanes), np.uint8)
    own = np.arange(lanes) // 16 * 16  # a look-up stays in its 16 bytes
    which = np.arange(registers.BYTE_VECTORS)[:, None] % 2
    for _ in range(registers.BYTE_STEPS):
        count += np.where(count > 127, 0, table[which, own + (count & 15)]).astype(np.uint8)
    total = count * np.uint16(registers.BLOCKS)
    function = registers.look_ups(lanes).with_attr("global_symbol", "loop")
    counts = np.zeros((1, total.size), np.uint16)
    tensors = [tvm.runtime.tensor(a, tvm.cpu()) for a in (table.ravel(), counts)]
    load({"loop": function}, target, 1)["loop"](*tensors)
    np.testing.assert_array_equal(tensors[1].numpy()[0], total.ravel())
