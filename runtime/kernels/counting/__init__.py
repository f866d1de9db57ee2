"""How bits are counted: in words where the CPU has an instruction for it, else by looking them up.

NEON's counts bytes: there words are summed in halves.
"""

from runtime.cpu import BitCount, Cpu
from runtime.kernels.counting.base import Counting, sums
from runtime.kernels.counting.by_halves import HalfCounting
from runtime.kernels.counting.by_lookups import LookupCounting
from runtime.kernels.counting.by_words import WordCounting
from runtime.kernels.half_sums import WAYS
from runtime.workload import BitserialConv2d

__all__ = ["Counting", "HalfCounting", "LookupCounting", "WordCounting", "counting_for", "sums"]


def counting_for(workload: BitserialConv2d, cpu: Cpu) -> Counting:
    """The way to count the bits of a workload."""
    if cpu.bit_count is BitCount.LOOKUPS:
        lookups = LookupCounting(cpu)
        return lookups if lookups.fits(workload) else WordCounting(cpu)
    if cpu.bit_count in WAYS:
        halves = HalfCounting(cpu)
        return halves if halves.fits(workload) else WordCounting(cpu)
    return WordCounting(cpu)
