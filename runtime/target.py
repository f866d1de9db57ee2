"""The machine that code is compiled for: the native CPU, another of its family by name, or an ARM board."""

import platform
import shutil
from dataclasses import dataclass
from enum import Enum
from functools import lru_cache
from pathlib import Path
from typing import Any

from search_spaces.errors import BitnasError, InvalidInput

INSTRUCTION_SETS = frozenset(
    """
    sse4_2 avx avx2 fma f16c bmi2 popcnt avx_vnni avx512f avx512bw avx512dq avx512vl avx512vbmi avx512_vnni
    avx512_bf16 avx512_bitalg avx512_vpopcntdq amx_tile amx_int8 asimd asimddp i8mm sve neon vfpv4
    """.split()  # noqa: SIM905 - a table of words reads better
)
"""The CPU flags, by the names of /proc/cpuinfo, that decide whether compiled code runs."""


class ByteDot(Enum):
    """Instructions that multiply and sum four bytes in each lane, the second factor's signed.

    Attributes:
        intrinsic: LLVM's name of it.
        lanes: how many int32 lanes it has at most.
        is_signed: whether it takes the first factor's bytes as signed.
    """

    VPDPBUSD_512 = "llvm.x86.avx512.vpdpbusd.{bits}", 16, False
    VPDPBUSD_256 = "llvm.x86.avx512.vpdpbusd.{bits}", 8, False  # AVX-VNNI, by the same name
    SDOT = "llvm.aarch64.neon.sdot.v{lanes}i32.v{bytes}i8", 4, True

    def __init__(self, intrinsic: str, lanes: int, is_signed: bool) -> None:
        self.intrinsic = intrinsic
        self.lanes = lanes
        self.is_signed = is_signed


@dataclass(frozen=True)
class Cpu:
    """What kernels may count on: the architecture and the instruction sets that code for a target may use.

    Attributes:
        architecture: as ``platform.machine()`` names it: ``x86_64``, ``aarch64``.
        flags: instruction sets, by the names of ``INSTRUCTION_SETS``.
    """

    architecture: str
    flags: frozenset[str]

    @property
    def registers(self) -> int:
        """How many vectors of 16 numbers of 32 bits the registers hold."""
        return 32 if "avx512f" in self.flags else 8

    @property
    def byte_dot(self) -> ByteDot | None:
        """The widest instruction that multiplies and sums four bytes in each lane."""
        if {"avx512_vnni", "avx512bw"} <= self.flags:
            return ByteDot.VPDPBUSD_512
        if "avx_vnni" in self.flags:
            return ByteDot.VPDPBUSD_256
        return ByteDot.SDOT if "asimddp" in self.flags else None

    @property
    def has_lane_mask(self) -> bool:
        """Whether a comparison of 16 lanes gives 16 bits."""
        return {"avx512f", "avx512bw", "avx512vl"} <= self.flags


@dataclass(frozen=True)
class Board:
    """A family of machines that this one can compile for.

    Attributes:
        machine: the architecture, as ``platform.machine()`` names it there.
        triple: LLVM's name of the architecture and system.
        cpu: LLVM's name of the least CPU of the family.
        flags: the instruction sets that all of the family have, of ``INSTRUCTION_SETS``.
        linker: the C compiler that links for it.
    """

    machine: str
    triple: str
    cpu: str
    flags: tuple[str, ...]
    linker: str


BOARDS = {
    "aarch64": Board("aarch64", "aarch64-linux-gnu", "generic", ("asimd",), "aarch64-linux-gnu-gcc"),
    "armv7": Board(
        "armv7l", "armv7a-linux-gnueabihf", "cortex-a7", ("neon", "vfpv4"), "arm-linux-gnueabihf-gcc"
    ),
}
ARM_FEATURES = {"dotprod": "asimddp", "i8mm": "i8mm", "sve": "sve"}
"""LLVM's names of what some 64-bit ARM CPUs have beyond the least, and the system's names."""
FEATURES = {"neon", *ARM_FEATURES}
"""What a target's name may add, as in ``aarch64+dotprod``."""


def board_of(name: str) -> Board | None:
    """The board of a target such as ``aarch64`` or ``aarch64/cortex-a72``; None for this machine's family."""
    board = BOARDS.get(_split(name)[0].partition("/")[0])
    return None if board is None or board.machine == platform.machine() else board


def _split(name: str) -> tuple[str, list[str]]:
    """The name of a CPU or a board, and the features that follow it behind plus signs.

    Raises:
        InvalidInput: a feature that no kernel asks for.
    """
    cpu, *features = name.split("+")
    for feature in features:
        if feature not in FEATURES:
            known = ", ".join(sorted(FEATURES))
            raise InvalidInput("target", f"unknown feature '{feature}'", f"choose among {known}")
    return cpu, features


@lru_cache
def host_flags() -> frozenset[str]:
    """The instruction sets that this machine's CPU has; empty where the system does not tell."""
    source = Path("/proc/cpuinfo")
    if not source.exists():
        return frozenset()
    lines = source.read_text(encoding="utf-8").splitlines()
    found = next((line for line in lines if line.startswith(("flags", "Features"))), "")
    return frozenset(found.partition(":")[2].split()) & INSTRUCTION_SETS


@lru_cache
def resolve_target(name: str) -> Any:
    """The TVM target for a name.

    ``native``; an LLVM CPU name of this machine's family, such as ``znver4`` or ``x86-64-v3``; or a board,
    ``aarch64`` or ``armv7``, perhaps with its CPU or with features: ``aarch64/cortex-a72``,
    ``aarch64+dotprod``.

    Raises:
        InvalidInput: LLVM has no such CPU, or no kernel asks for such a feature.
    """
    import tvm
    from tvm.target import codegen

    board, (name, features) = board_of(name), _split(name)
    cpu = name.partition("/")[2]
    if board is not None:
        cpu = cpu or board.cpu
        if not codegen.llvm_is_valid_cpu(cpu, board.triple):
            fix = f"choose one that LLVM knows for {board.machine}"
            raise InvalidInput("target", f"unknown CPU '{cpu}'", fix)
        wanted = ["+neon", *(f"+{feature}" for feature in features if feature != "neon")]
        options = {"mtriple": board.triple, "mcpu": cpu, "mattr": wanted}
        if board.triple.endswith("hf"):
            options["mfloat-abi"] = "hard"
        return tvm.target.Target({"kind": "llvm", **options})
    name = cpu or ("native" if name in BOARDS else name)
    cpu = codegen.llvm_get_system_cpu() if name == "native" else name
    if name != "native" and not codegen.llvm_is_valid_cpu(cpu, codegen.llvm_get_system_triple()):
        fix = f"choose 'native', {' or '.join(BOARDS)}, or a CPU that LLVM knows for {platform.machine()}"
        raise InvalidInput("target", f"unknown CPU '{name}'", fix)
    return tvm.target.Target({"kind": "llvm", "mcpu": cpu})


def cpu_name(name: str) -> str:
    """LLVM's name of the CPU that a target stands for."""
    return str(resolve_target(name).attrs["mcpu"])


@lru_cache
def cpu_of(name: str) -> Cpu:
    """What kernels for a target may count on."""
    return Cpu(architecture_of(name), frozenset(required_flags(name)))


def architecture_of(name: str) -> str:
    """The architecture of a target, as ``platform.machine()`` names it there."""
    board = board_of(name)
    return platform.machine() if board is None else board.machine


def linker_of(name: str) -> str | None:
    """The C compiler that links for a target; None for the system's own.

    Raises:
        BitnasError: it is not installed.
    """
    board = board_of(name)
    if board is not None and shutil.which(board.linker) is None:
        raise BitnasError(f"target: '{name}' is linked by {board.linker}, which is not here; install it")
    return None if board is None else board.linker


def required_flags(name: str) -> tuple[str, ...]:
    """The instruction sets that code for a target may use; for ``native`` all that the host has."""
    if name == "native":
        return tuple(sorted(host_flags()))
    from tvm.target import codegen

    board = board_of(name)
    if board is not None:
        found = (
            {str(f) for f in codegen.llvm_get_cpu_features(resolve_target(name))} if "/" in name else set()
        )
        found |= set(_split(name)[1])
        more = (flag for feature, flag in ARM_FEATURES.items() if feature in found)
        return tuple(sorted({*board.flags, *more}))
    features = {_plain(str(f)) for f in codegen.llvm_get_cpu_features(resolve_target(name))}
    return tuple(flag for flag in sorted(INSTRUCTION_SETS) if _plain(flag) in features)


def _plain(flag: str) -> str:
    """A flag without the marks that LLVM and the system set differently: amx-tile, amx_tile."""
    return flag.replace("-", "").replace("_", "").replace(".", "")
