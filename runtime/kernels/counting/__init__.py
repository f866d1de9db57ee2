"""How bits are counted: in words where the CPU has an instruction for it, else by looking them up."""

from runtime.kernels.counting.base import Counting, sums
from runtime.kernels.counting.by_lookups import LookupCounting
from runtime.kernels.counting.by_words import WordCounting
from runtime.target import BitCount, Cpu
from runtime.workload import BitserialConv2d

__all__ = ["Counting", "LookupCounting", "WordCounting", "counting_for", "sums"]


def counting_for(workload: BitserialConv2d, cpu: Cpu) -> Counting:
    """The way to count the bits of a workload."""
    if cpu.bit_count is BitCount.LOOKUPS:
        lookups = LookupCounting(cpu)
        return lookups if lookups.fits(workload) else WordCounting(cpu)
    return WordCounting(cpu)
