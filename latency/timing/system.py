"""What a device is and how it is at the moment, from its own files: CPU, memory, governor, clock, load."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

from latency.timing.conditions import Conditions
from runtime.target import INSTRUCTION_SETS

ReadFile = Callable[[str], str | None]
"""The text of a file of the device; None where there is none."""

CPUFREQ = "/sys/devices/system/cpu/cpu{core}/cpufreq/"
KNOWN_PARTS = {
    "0xd03": "Cortex-A53",
    "0xd04": "Cortex-A35",
    "0xd05": "Cortex-A55",
    "0xd07": "Cortex-A57",
    "0xd08": "Cortex-A72",
    "0xd09": "Cortex-A73",
    "0xd0a": "Cortex-A75",
    "0xd0b": "Cortex-A76",
    "0xd0c": "Neoverse-N1",
    "0xd40": "Neoverse-V1",
    "0xd49": "Neoverse-N2",
    "0xc07": "Cortex-A7",
    "0xc09": "Cortex-A9",
}


def describe(read: ReadFile) -> dict[str, Any]:
    """What does not change while a device is on: architecture, cpu, cores, clock, memory, features."""
    cpuinfo = read("/proc/cpuinfo") or ""
    fields = _fields(cpuinfo)
    flags = fields.get("flags") or fields.get("Features") or ""
    memory = _fields(read("/proc/meminfo") or "").get("MemTotal", "")
    part = fields.get("CPU part", "")
    return {
        "architecture": (read("/proc/sys/kernel/arch") or _architecture(fields)).strip(),
        "cpu": fields.get("model name")
        or KNOWN_PARTS.get(part)
        or fields.get("Hardware")
        or part
        or "unknown",
        "cores": sum(line.startswith("processor") for line in cpuinfo.splitlines()),
        "clock_mhz": _clock(read, fields),
        "memory_mb": int(memory.split()[0]) // 1000 if memory else None,
        "features": sorted(set(flags.split()) & INSTRUCTION_SETS),
        "system": (read("/proc/sys/kernel/osrelease") or "unknown").strip(),
    }


def with_system(conditions: Conditions, read: ReadFile) -> Conditions:
    """Conditions, and what may change between two measurements: governor, clock of the last core, load,
    affinity."""
    load = (read("/proc/loadavg") or "").split()
    core = max(
        0, sum(line.startswith("processor") for line in (read("/proc/cpuinfo") or "").splitlines()) - 1
    )
    governor = read(CPUFREQ.format(core=core) + "scaling_governor")
    clock = read(CPUFREQ.format(core=core) + "scaling_cur_freq")
    return replace(
        conditions,
        governor=governor.strip() if governor else None,
        frequency_mhz=int(clock) // 1000 if clock else None,
        load=float(load[0]) if load else None,
        affinity=_fields(read("/proc/self/status") or "").get("Cpus_allowed_list"),
    )


def waited_s(read: ReadFile) -> float | None:
    """Seconds for which whoever measures has been ready to run and others had the core; None if not told."""
    fields = (read("/proc/thread-self/schedstat") or "").split()
    return int(fields[1]) / 1e9 if len(fields) == 3 else None


def boot_id(read: ReadFile) -> str | None:
    """What no other machine has, and this one until it starts again; None where the system does not tell."""
    return (read("/proc/sys/kernel/random/boot_id") or "").strip() or None


def read_here(path: str) -> str | None:
    """The text of a file of this machine; None where there is none."""
    try:
        return Path(path).read_text(encoding="utf-8")
    except OSError:
        return None


def _fields(text: str) -> dict[str, str]:
    """The first value of each ``name : value`` line."""
    found: dict[str, str] = {}
    for line in text.splitlines():
        name, colon, value = line.partition(":")
        if colon:
            found.setdefault(name.strip(), value.strip())
    return found


def _clock(read: ReadFile, fields: dict[str, str]) -> int | None:
    most = read(CPUFREQ.format(core=0) + "cpuinfo_max_freq")
    if most:
        return int(most) // 1000
    return int(float(fields["cpu MHz"])) if "cpu MHz" in fields else None


def _architecture(fields: dict[str, str]) -> str:
    if "flags" in fields:
        return "x86_64"
    return "aarch64" if "asimd" in fields.get("Features", "") else "armv7l"
