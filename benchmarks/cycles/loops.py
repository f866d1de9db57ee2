"""Loops in assembly code, and how many products each step of one makes."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

Kind = Literal["bits", "bytes", "floats"]

REGISTERS = {"tmm": 16 * 16 * 64 * 8, "zmm": 512, "ymm": 256, "xmm": 128}
"""Bits; of a tile of AMX, as many as vectors would have that make its 16 x 16 sums of 64 products."""
ARM_SHAPES = {"16b": 128, "8b": 64, "4s": 128, "2s": 64, "8h": 128}
LABEL = re.compile(r"(\.L\w+):")
FORM = r"\{vex\}\s+"
"""Before an instruction that is written so for AVX-VNNI."""
BRANCH = re.compile(r"\s+(?:j\w+|b|b[.]?\w\w|cbn?z|tbn?z)\s+(?:.*,\s*)?(\.L\w+)\s*$")

WAYS: dict[Kind, tuple[tuple[re.Pattern[str], float], ...]] = {
    "bits": (
        (re.compile(r"v?popcnt[bwdq]|cnt|vcnt\.8"), 1),
        (re.compile(r"v?pshufb"), 1 / 2),  # a byte's lower half looks its count up
    ),
    "bytes": (
        (re.compile(r"u?smmla"), 1 / 4),
        (re.compile(r"u?sdot|vpdpbusd|tdpb\w\wd"), 1 / 8),
        (re.compile(r"v?pmaddubsw"), 1 / 8),
        (re.compile(r"v?pmaddwd"), 1 / 16),
        (re.compile(r"smull2?|smlal2?|vmull\.s8|vmlal\.s8"), 1 / 16),
    ),
    "floats": ((re.compile(r"fmla|vf?ml?[am]\w*\.f32|vfmadd\w+ps|v?mulps"), 1 / 32),),
}
"""Instructions that multiply, the best ones first, and their products for each bit of a register.

A loop is counted by the first of them that it has: what follows sums or widens there.
"""


@dataclass(frozen=True)
class Loop:
    """An innermost loop: its instructions in order, and the products of one step."""

    instructions: tuple[str, ...]
    products: int


def hottest_loop(assembly: str, kind: Kind) -> Loop | None:
    """The innermost loop that multiplies most in one step; None where no loop multiplies."""
    found = (Loop(body, products(body, kind)) for body in innermost(assembly))
    return max((loop for loop in found if loop.products), key=lambda loop: loop.products, default=None)


def innermost(assembly: str) -> Iterator[tuple[str, ...]]:
    """The instructions of every loop that has none within; a loop ends where a branch goes back."""
    lines = assembly.splitlines()
    labels: dict[str, int] = {}
    start_of_last = -1
    for number, line in enumerate(lines):
        if label := LABEL.match(line):
            labels[label[1]] = number
        branch = BRANCH.match(line)
        if branch is None or branch[1] not in labels:
            continue
        start = labels[branch[1]]
        if start > start_of_last:  # else the last loop lies within this one
            yield tuple(each for each in lines[start + 1 : number + 1] if is_instruction(each))
            start_of_last = start


def is_instruction(line: str) -> bool:
    """Whether a line is neither a label nor a directive nor a comment."""
    return re.match(rf"\s+(?:{FORM})?[a-z]", line) is not None


def products(instructions: tuple[str, ...], kind: Kind) -> int:
    """Products of single numbers that instructions make."""
    plain = [re.sub(FORM, "", each) for each in instructions]
    for name, per_bit in WAYS[kind]:
        found = sum(_bits(each) for each in plain if name.fullmatch(each.split()[0]))
        if found:
            return round(found * per_bit)
    return 0


def _bits(instruction: str) -> int:
    """The bits of the vectors that an instruction multiplies."""
    _, operands = instruction.strip().split(maxsplit=1)
    for name, bits in REGISTERS.items():
        if name in operands:
            return bits
    if shape := re.match(r"v\d+\.(\d+[bhs])", operands):
        return ARM_SHAPES[shape[1]]
    return 128 if operands[0] in "qz" else 64  # code for SVE uses 128 bits of its registers
