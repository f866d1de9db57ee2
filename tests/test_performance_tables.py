"""Tables of measured rows: a file a CPU, which a run of another leaves alone, and the page that shows all."""

from dataclasses import replace

import pytest
from click.testing import CliRunner

from benchmarks import page, recorded
from benchmarks.__main__ import main
from benchmarks.blocks import read_block
from benchmarks.recorded import Machine
from benchmarks.rows import Row

XEON = Machine("Some Xeon", "sapphirerapids", flags=("avx2", "avx512f"), versions={"torch": "2.13.0"})
FAST, SLOW = Row("resnet20 float, onnxruntime float", 1.5, 1), Row("resnet20 x, most", 1.2, 1.1, at_most=True)


@pytest.mark.parametrize("name", page.PAGES)
def test_a_page_shows_what_the_files_hold(name):
    """If not: ``python -m benchmarks --docs``."""
    assert read_block(page.DOCS / page.PAGES[name], name) == page.blocks(recorded.tables())[name]


def test_a_run_leaves_tables_of_other_cpus_alone(tmp_path):
    older = replace(XEON, target="x86-64-v3")
    others = replace(XEON, cpu="AMD"), replace(XEON, flags=("avx2",)), older, replace(older, is_kept=True)
    paths = [recorded.record(machine, "resnet20", [FAST], folder=tmp_path) for machine in others]
    before = [path.read_bytes() for path in paths]
    own = recorded.record(
        XEON, "resnet20", [replace(FAST, found=2 / 3, times={"float": 1.23456789})], folder=tmp_path
    )
    assert len({*paths, own}) == 5
    assert [path.read_bytes() for path in paths] == before
    (found,) = recorded.read(own).rows
    assert (found.row.found, found.row.times, found.date) == (0.66667, {"float": 1.2346}, recorded.today())
    assert {table.name for table in recorded.tables(tmp_path)} >= {
        "Some sapphirerapids",
        "Some sapphirerapids, compiled for x86-64-v3",
        "Some sapphirerapids, all kept to x86-64-v3",
    }


def test_a_group_is_replaced_as_a_whole(tmp_path):
    recorded.record(XEON, "resnet20", [FAST, SLOW], "noisy", folder=tmp_path)
    recorded.record(XEON, "resnet18", [replace(FAST, name="another")], folder=tmp_path)
    path = recorded.record(
        replace(XEON, versions={}), "resnet20", [replace(FAST, found=3.0)], folder=tmp_path
    )
    table = recorded.read(path)
    assert [each.row.name for each in table.rows] == ["another", FAST.name]
    assert (table.remark, table.machine.versions, table.rows[1].row.found) == ("noisy", {}, 3.0)


def test_rows_as_they_are_shown(tmp_path):
    times = {"onnxruntime float": 3.0, "float": 2.0, "binary": 0.25}
    recorded.record(XEON, "resnet20", [replace(FAST, times=times), SLOW], folder=tmp_path)
    other = replace(XEON, llvm_cpu="znver3")
    recorded.record(other, "resnet20", [replace(FAST, required=2)], folder=tmp_path)
    shown = page.blocks(recorded.tables(tmp_path))
    assert "| resnet20 float, onnxruntime float | 1.50 | **1.50** | at least 1 or 2 |" in shown["rows"]
    assert "| resnet20 x, most | **1.20** | - | at most 1.1 |" in shown["rows"]
    assert "| ResNet-20 | 3 | - | 2 (1.5x) | - | 0.25 (12.0x) |" in shown["networks"]
    assert shown["rivals"] == ""


def test_engines_as_they_are_shown(tmp_path):
    times = {"float": 1.0, "int8": 0.5, "binary": 0.1, "ncnn float": 2.0, "onnxruntime int8": 0.4}
    row = Row(
        "resnet18 float, best rival",
        2,
        1,
        times=times,
        notes={"litert int8": "no file"},
        versions={"ncnn": "1.0"},
    )
    recorded.record(XEON, "engines resnet18", [row], folder=tmp_path)
    shown = page.blocks(recorded.tables(tmp_path))["rivals"]
    assert "| bitnas | 1 | 0.5 | 0.1 |\n| onnxruntime | - | 0.4 | - |" in shown
    assert "| ncnn | 2 | - | - |" in shown
    assert "| LiteRT, XNNPACK | - | not run | - |" in shown
    assert "| best rival over bitnas | 2.00 | - | - |" in shown
    assert "litert int8 was not run: no file." in shown
    assert "ncnn 1.0" in shown.splitlines()[0]
    best = page.blocks(recorded.tables(tmp_path))["best"]
    assert "| Some sapphirerapids | ResNet-18 | 1 (2.00) | - | - |" in best


@pytest.mark.parametrize(
    ("given", "told"),
    [
        (["--quick", "--record"], "--record: times of --quick mean little; leave one of the two out"),
        (["--target", "znver9"], "--target: unknown CPU 'znver9'"),
    ],
)
def test_what_is_given_wrongly_is_one_line(given, told):
    found = CliRunner().invoke(main, given)
    assert (found.exit_code, found.stderr.count("\n")) == (2, 1)
    assert told in found.stderr
