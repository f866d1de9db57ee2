"""The machine that code is compiled for: the native CPU, or another of the same family by name."""

import platform
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from search_spaces.errors import InvalidInput

INSTRUCTION_SETS = frozenset(
    """
    sse4_2 avx avx2 fma f16c bmi2 popcnt avx_vnni avx512f avx512bw avx512dq avx512vl avx512vbmi avx512_vnni
    avx512_bf16 avx512_bitalg avx512_vpopcntdq amx_tile amx_int8 asimd asimddp i8mm sve
    """.split()  # noqa: SIM905 - a table of words reads better
)
"""The CPU flags, by the names of /proc/cpuinfo, that decide whether compiled code runs."""


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
    def has_byte_dot(self) -> bool:
        """Whether one instruction multiplies and sums four bytes in each of 16 lanes (VNNI)."""
        return {"avx512_vnni", "avx512bw"} <= self.flags

    @property
    def has_lane_mask(self) -> bool:
        """Whether a comparison of 16 lanes gives 16 bits."""
        return {"avx512f", "avx512bw", "avx512vl"} <= self.flags


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
    """The TVM target for ``native`` or an LLVM CPU name such as ``znver4`` or ``x86-64-v3``.

    Raises:
        InvalidInput: LLVM has no such CPU for this machine's architecture.
    """
    import tvm
    from tvm.target import codegen

    cpu = codegen.llvm_get_system_cpu() if name == "native" else name
    if name != "native" and not codegen.llvm_is_valid_cpu(cpu, codegen.llvm_get_system_triple()):
        fix = f"choose 'native' or a CPU that LLVM knows for {platform.machine()}"
        raise InvalidInput("target", f"unknown CPU '{name}'", fix)
    return tvm.target.Target({"kind": "llvm", "mcpu": cpu})


def cpu_name(name: str) -> str:
    """LLVM's name of the CPU that a target stands for."""
    return str(resolve_target(name).attrs["mcpu"])


@lru_cache
def cpu_of(name: str) -> Cpu:
    """What kernels for a target may count on."""
    return Cpu(platform.machine(), frozenset(required_flags(name)))


def required_flags(name: str) -> tuple[str, ...]:
    """The instruction sets that code for a target may use; for ``native`` all that the host has."""
    if name == "native":
        return tuple(sorted(host_flags()))
    from tvm.target import codegen

    features = {
        str(f).replace("avxvnni", "avx_vnni") for f in codegen.llvm_get_cpu_features(resolve_target(name))
    }
    return tuple(s for s in sorted(INSTRUCTION_SETS) if s in features or s.replace("_", "") in features)
