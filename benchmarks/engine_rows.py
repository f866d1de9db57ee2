"""Rows of whole networks beside the best engine there is, in float, int8 and binary, on one thread."""

import tempfile
from collections.abc import Iterator
from contextlib import ExitStack
from functools import partial
from pathlib import Path

import numpy as np

import search_spaces
from benchmarks import ours, rivals
from benchmarks.engines.files import Files, calibration
from benchmarks.engines.onnx_form import onnx_of, quantized
from benchmarks.engines.plain import plain
from benchmarks.engines.process import Child, NotRunError, require
from benchmarks.race import Effort, Run, race
from benchmarks.rows import CLOSE, LOOSE, Row, answer, by_vectors, group
from runtime.target import cpu_of

NETWORKS = {"resnet20": (1, 3, 32, 32), "resnet18": (1, 3, 224, 224), "mobilenetv2": (1, 3, 224, 224)}
ENGINES = ("openvino", "ncnn", "litert")
PRECISIONS = ("float", "int8")


def rows(name: str, effort: Effort) -> Iterator[Row]:
    """A network in each precision by the best rival's time."""
    shape = NETWORKS[name]
    x = np.random.default_rng(0).standard_normal(shape, np.float32)
    module = ours.settled(search_spaces.network(name, "float"), shape)
    expected = answer(module, x)
    notes: dict[str, str] = {}
    versions: dict[str, str] = {}
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="bitnas-")))
        files = Files(module, shape, folder, effort.litert_torch)
        found = onnx_of(plain(module), shape)
        in_bytes = quantized(found, calibration(shape))
        contenders: dict[str, Run] = {
            "onnxruntime float": rivals.onnxruntime_network(found, x, expected),
            "onnxruntime int8": rivals.onnxruntime_network(in_bytes, x, expected, close=LOOSE),
        }
        for engine in ENGINES:
            for precision in PRECISIONS:
                try:
                    child = _child(engine, precision, files, effort)
                except NotRunError as error:
                    notes[f"{engine} {precision}"] = str(error)
                    continue
                stack.callback(child.close)
                versions[engine] = child.version
                close = 1e-3 if precision == "float" else LOOSE
                rivals.same(f"{engine}'s {precision} {name}", child.answer(x), expected, close=close)
                contenders[f"{engine} {precision}"] = child.run
        mine = {p: _ours(name, p, x, effort) for p in (*PRECISIONS, "binary")}
        times = race(contenders | mine, effort)
    best = {p: min(times[c] for c in contenders if c.endswith(p)) for p in PRECISIONS}
    made = partial(Row, times=times, notes=notes, versions=versions)
    yield made(f"{name} float, best rival", best["float"] / times["float"], 1)
    yield made(f"{name} int8, best rival", best["int8"] / times["int8"], 1)
    least = by_vectors(effort, 3, 1.5)
    yield made(f"{name} binary, best rival's int8", best["int8"] / times["binary"], least)


for _name in NETWORKS:
    group(f"engines {_name}")(partial(rows, _name))


def _ours(name: str, precision: str, x: np.ndarray, effort: Effort) -> Run:
    """Our network, checked against torch."""
    module = ours.settled(search_spaces.network(name, precision), x.shape)
    compiled = ours.compiled(module, x.shape, target=effort.target)
    rivals.same(f"our {precision} {name}", compiled.run(x), answer(module, x), close=CLOSE[precision])
    return ours.network(compiled, x)


def _child(engine: str, precision: str, files: Files, effort: Effort) -> Child:
    require(effort.engines, engine)
    return Child(effort.engines, engine, files.of(engine, precision), settings(engine, effort.target))


def settings(engine: str, target: str) -> dict[str, str]:
    """Environment variables that keep an engine to what a target has, for the one that can be kept."""
    if engine != "openvino" or target == "native":
        return {}
    flags = cpu_of(target).flags
    sets = (
        ("AVX512_CORE_VNNI", {"avx512_vnni"}),
        ("AVX512_CORE", {"avx512bw"}),
        ("AVX2_VNNI", {"avx_vnni"}),
        ("AVX2", {"avx2"}),
    )
    return {"ONEDNN_MAX_CPU_ISA": next((name for name, needed in sets if needed <= flags), "SSE41")}
