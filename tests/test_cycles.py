"""Cycles of inner loops: the hot loop is found, its products are counted, llvm-mca is asked."""

import json

import pytest
from click.testing import CliRunner

from benchmarks.cycles import mca
from benchmarks.cycles.__main__ import X86 as X86_CPUS
from benchmarks.cycles.__main__ import main
from benchmarks.cycles.loops import hottest_loop
from search_spaces import BitnasError

ARM = """
f:
	mov	x9, xzr
.LBB0_1:
	ldr	q2, [x1]
	cnt	v3.16b, v2.16b
.LBB0_2:
	.loc	1 0 0
	ld1r	{ v0.4s }, [x0], #4
	eor	v1.16b, v0.16b, v2.16b
	cnt	v1.16b, v1.16b
	cnt	v4.8b, v4.8b
	subs	x9, x9, #1
	b.ne	.LBB0_2
	cbnz	x8, .LBB0_1
.LBB0_3:
	cnt	v1.16b, v1.16b
	sdot	v1.4s, v1.16b, v4.16b
	b	.LBB0_3
"""
X86 = """
.LBB0_1:
	vpdpbusd	(%rax){1to16}, %zmm1, %zmm2
	vpdpbusd	%xmm0, %xmm1, %xmm2
	vpmaddwd	%ymm0, %ymm1, %ymm2
	jne	.LBB0_1
.LBB0_2:
	vpshufb	%ymm0, %ymm1, %ymm2
	vfmadd231ps	(%rax){1to16}, %zmm1, %zmm2
	jmp	.LBB0_2
"""
VEX = """
.LBB0_1:
	vmovdqa	(%rax), %ymm1
	{vex}	vpdpbusd	%ymm0, %ymm1, %ymm2
	jne	.LBB0_1
"""
TILES = """
.LBB0_1:
	tdpbusd	%tmm2, %tmm1, %tmm0
	jne	.LBB0_1
"""


@pytest.mark.parametrize(
    ("assembly", "kind", "count", "products"),
    [
        (ARM, "bits", 6, 128 + 64),  # the loop around it is not innermost
        (ARM, "bytes", 3, 16),
        (X86, "bytes", 4, 64 + 16),  # vpmaddwd only sums there
        (X86, "bits", 3, 32 * 4),
        (X86, "floats", 3, 16),
        (VEX, "bytes", 3, 32),
        (TILES, "bytes", 2, 16 * 16 * 64),
    ],
)
def test_the_loop_that_multiplies_most(assembly, kind, count, products):
    loop = hottest_loop(assembly, kind)
    assert (len(loop.instructions), loop.products) == (count, products)


def test_code_that_does_not_multiply():
    assert hottest_loop(ARM, "floats") is None


def test_cycles_are_told(tmp_path):
    path = tmp_path / "cycles.json"
    try:
        mca.command()
    except BitnasError as error:
        pytest.skip(str(error))
    told = CliRunner().invoke(
        main, ["--target", "aarch64/cortex-a53", "--only", "binary", "--channels", "32", "--json", str(path)]
    )
    assert told.exit_code == 0, told.output
    (row,) = json.loads(path.read_text())["rows"]
    assert f"{row['cycles']:.2f} ({row['schedule']})" in told.stdout
    assert row["products"] % 128 == 0
    assert row["cycles"] * row["products"] / 128 > row["instructions"] / 2  # the core starts two a cycle


def test_bytes_below_128_and_ternary_weights_take_fewer_cycles(tmp_path):
    path = tmp_path / "cycles.json"
    try:
        mca.command()
    except BitnasError as error:
        pytest.skip(str(error))
    if "znver3" not in X86_CPUS:
        pytest.skip("it compiles for no x86 here")
    asked = ["--target", "znver3", "--only", "int8", "--window", "1", "--json", str(path)]
    told = CliRunner().invoke(main, asked)
    assert told.exit_code == 0, told.output
    found = {row["work"]: row["cycles"] for row in json.loads(path.read_text())["rows"]}
    assert found["ternary x int8"] < found["int8-7"] < found["int8"]


def test_a_missing_model_or_program_is_one_line(monkeypatch):
    monkeypatch.setenv("PATH", "")
    mca.command.cache_clear()
    told = CliRunner().invoke(main, ["--only", "binary"])
    assert told.exit_code == 1
    assert told.stderr == "Error: llvm-mca: it is not on the PATH; install LLVM's tools (Debian: llvm-19)\n"
    told = CliRunner().invoke(main, ["--only", "quaternary"])
    assert told.exit_code == 2
    assert "no kernel holds 'quaternary'; choose from binary; ternary;" in told.stderr
