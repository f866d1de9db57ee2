"""The machine that code is compiled for: the native CPU, another of its family by name, or an ARM board."""

import platform
import shutil
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from runtime.cpu import AMX, Cpu
from runtime.tile_permission import may_use_tiles
from runtime.tvm_types import Target
from search_spaces.errors import BitnasError, InvalidInput

_SAME = (
    "ssse3 avx avx2 fma fma4 xop tbm sse4a f16c bmi2 popcnt movbe gfni "
    "avx512f avx512bw avx512cd avx512dq avx512vl avx512vbmi avx512ifma"
)
X86_FEATURES = {name: name for name in _SAME.split()} | {
    "sse4.2": "sse4_2",
    "bmi": "bmi1",
    "lzcnt": "abm",
    "avxvnni": "avx_vnni",
    "avxvnniint8": "avx_vnni_int8",
    "avxvnniint16": "avx_vnni_int16",
    "avxneconvert": "avx_ne_convert",
    "avxifma": "avx_ifma",
    "avx512vbmi2": "avx512_vbmi2",
    "avx512vnni": "avx512_vnni",
    "avx512bf16": "avx512_bf16",
    "avx512fp16": "avx512_fp16",
    "avx512bitalg": "avx512_bitalg",
    "avx512vpopcntdq": "avx512_vpopcntdq",
    "avx10.2": "avx10_2",
    "egpr": "apx",
    "cmpccxadd": "cmpccxadd",
    "movrs": "movrs",
    "amx-tile": "amx_tile",
    "amx-int8": "amx_int8",
}
"""LLVM's names of what x86 CPUs have and compiled code may use, and the system's names in /proc/cpuinfo."""
INSTRUCTION_SETS = frozenset({*X86_FEATURES.values(), "asimd", "asimddp", "i8mm", "sve", "neon", "vfpv4"})
"""The CPU flags, by the names of /proc/cpuinfo, that decide whether compiled code runs."""


@dataclass(frozen=True)
class Board:
    """A family of machines that this one can compile for.

    Attributes:
        machine: the architecture, as ``platform.machine()`` names it there.
        triple: LLVM's name of the architecture and system.
        cpu: LLVM's name of the least CPU of the family.
        flags: the instruction sets that all of the family have, of ``INSTRUCTION_SETS``.
        linker: the C compiler that links for it.
        features: what a target's name may add, as in ``aarch64+dotprod``.
    """

    machine: str
    triple: str
    cpu: str
    flags: tuple[str, ...]
    linker: str
    features: frozenset[str]


ARM_FEATURES = {"dotprod": "asimddp", "i8mm": "i8mm", "sve": "sve"}
"""LLVM's names of what some 64-bit ARM CPUs have beyond the least, and the system's names."""
BOARDS = {
    "aarch64": Board(
        "aarch64",
        "aarch64-linux-gnu",
        "generic",
        ("asimd",),
        "aarch64-linux-gnu-gcc",
        frozenset({"neon", *ARM_FEATURES}),
    ),
    "armv7": Board(
        "armv7l",
        "armv7a-linux-gnueabihf",
        "cortex-a7",
        ("neon", "vfpv4"),
        "arm-linux-gnueabihf-gcc",
        frozenset({"neon"}),
    ),
}


LLVM_OPTIONS = {"armv7l": ["-arm-load-store-opt:bool=0"]}
"""By machine. LLVM 22 joins stores by an address that it puts into a register that still holds a value."""


def board_of(name: str) -> Board | None:
    """The board of a target such as ``aarch64`` or ``aarch64/cortex-a72``; None for this machine's family."""
    board = BOARDS.get(_split(name)[0].partition("/")[0])
    return None if board is None or board.machine == platform.machine() else board


def _split(name: str) -> tuple[str, list[str]]:
    """The name of a CPU or a board, and the features that follow it behind plus signs.

    Raises:
        InvalidInput: it is no name, of no board, or has a feature that no kernel asks for.
    """
    if not isinstance(name, str) or not name:
        raise InvalidInput("target", f"{name!r} is no name", "pass 'native', a CPU's name or a board's")
    cpu, *features = name.split("+")
    family, slash, _ = cpu.partition("/")
    if slash and family not in BOARDS:
        raise InvalidInput("target", f"unknown board '{family}'", f"choose among {', '.join(BOARDS)}")
    known = BOARDS[family].features if family in BOARDS else frozenset[str]()
    for feature in features:
        if feature not in known:
            fix = f"choose among {', '.join(sorted(known))}" if known else "leave it out"
            raise InvalidInput("target", f"'{cpu}' has no feature '{feature}' to name", fix)
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
def resolve_target(name: str) -> Target:
    """The TVM target for a name.

    ``native``; an LLVM CPU name of this machine's family, such as ``znver4`` or ``x86-64-v3``; or a board,
    ``aarch64`` or ``armv7``, perhaps with its CPU or with features: ``aarch64/cortex-a72``,
    ``aarch64+dotprod``.

    Raises:
        InvalidInput: LLVM has no such CPU, or no kernel asks for such a feature.
    """
    from tvm.target import codegen

    board, (name, features) = board_of(name), _split(name)
    cpu = name.partition("/")[2]
    if board is not None:
        cpu = cpu or board.cpu
        if not codegen.llvm_is_valid_cpu(cpu, board.triple):
            fix = f"choose one that LLVM knows for {board.machine}"
            raise InvalidInput("target", f"unknown CPU '{cpu}'", fix)
        if "mclass" in _llvm_features({"mtriple": board.triple, "mcpu": cpu}):
            raise InvalidInput(
                "target", f"'{cpu}' runs no Linux", "write the network as C for it, as runtime.write_c does"
            )
        wanted = ["+neon", *(f"+{feature}" for feature in features if feature != "neon")]
        options = {"mtriple": board.triple, "mcpu": cpu, "mattr": wanted}
        if board.triple.endswith("hf"):
            options["mfloat-abi"] = "hard"
        return _target(options, board.machine)
    name = cpu or ("native" if name in BOARDS else name)
    cpu = codegen.llvm_get_system_cpu() if name == "native" else name
    if name != "native" and not codegen.llvm_is_valid_cpu(cpu, codegen.llvm_get_system_triple()):
        fix = f"choose 'native', {' or '.join(BOARDS)}, or a CPU that LLVM knows for {platform.machine()}"
        raise InvalidInput("target", f"unknown CPU '{name}'", fix)
    if platform.machine() == "x86_64" and "64bit" not in _llvm_features({"mcpu": cpu}):
        raise InvalidInput("target", f"'{name}' is a CPU of 32 bits", "choose one of 64 bits")
    more = {"mattr": _of_host(cpu)} if name == "native" else {}
    return _target({"mcpu": cpu, **more}, platform.machine())


def _of_host(cpu: str) -> list[str]:
    """What to add to LLVM's CPU, and take from it, to have this one: a virtual machine may hide some.

    Its model may be hidden as well, so that LLVM takes it for another.
    """
    if platform.machine() != "x86_64" or not host_flags():
        return []
    named = _llvm_features({"mcpu": cpu})
    wrong = [f for f, flag in X86_FEATURES.items() if (f in named) != (flag in host_flags())]
    return [f"{'-' if feature in named else '+'}{feature}" for feature in wrong]


def _target(options: dict[str, Any], machine: str) -> Target:
    import tvm

    more = {"cl-opt": LLVM_OPTIONS[machine]} if machine in LLVM_OPTIONS else {}
    return tvm.target.Target({"kind": "llvm", **options, **more})


def _llvm_features(options: dict[str, str]) -> set[str]:
    import tvm
    from tvm.target import codegen

    target = tvm.target.Target({"kind": "llvm", **options})
    return {str(feature) for feature in codegen.llvm_get_cpu_features(target)}


def cpu_name(name: str) -> str:
    """LLVM's name of the CPU that a target stands for."""
    return str(resolve_target(name).attrs["mcpu"])


@lru_cache
def cpu_of(name: str) -> Cpu:
    """What kernels for a target may count on."""
    return Cpu(architecture_of(name), frozenset(required_flags(name)) | _amx_of(name))


def _amx_of(name: str) -> frozenset[str]:
    """AMX where a target has it, and, for code that may run in this process, where the system grants it."""
    if board_of(name) is not None:
        return frozenset()
    has_here = host_flags() >= AMX and may_use_tiles()  # asked for, whatever the name: the code may run here
    if name == "native":
        return AMX if has_here else frozenset()
    features = _llvm_features({"mcpu": cpu_name(name)})
    return AMX if {X86_FEATURES.get(feature) for feature in features} >= AMX else frozenset()


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
        return tuple(sorted(host_flags() - AMX))
    from tvm.target import codegen

    board = board_of(name)
    if board is not None:
        found = (
            {str(f) for f in codegen.llvm_get_cpu_features(resolve_target(name))} if "/" in name else set()
        )
        found |= set(_split(name)[1])
        more = (flag for feature, flag in ARM_FEATURES.items() if feature in found)
        return tuple(sorted({*board.flags, *more}))
    features = {str(f) for f in codegen.llvm_get_cpu_features(resolve_target(name))}
    return tuple(sorted({flag for feature, flag in X86_FEATURES.items() if feature in features} - AMX))


def missing_flags(flags: Iterable[str]) -> list[str]:
    """What code with these flags may use and this machine's CPU, or its system, does not grant."""
    if not host_flags():
        return []
    missing = set(flags) - host_flags()
    if (asked := AMX & set(flags) - missing) and not may_use_tiles():
        missing |= asked
    return sorted(missing)
