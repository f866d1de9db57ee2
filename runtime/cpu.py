"""What a CPU can do, as far as kernels need to know: its instruction sets, and what these offer."""

from dataclasses import dataclass
from enum import Enum

AMX = frozenset({"amx_tile", "amx_int8"})
"""What kernels on tile registers ask for, and no compiler uses unasked: all other code runs without."""


class ByteDot(Enum):
    """Ways to multiply and sum four bytes in each lane, by the instruction at the heart of each.

    Attributes:
        lanes: how many int32 lanes it has at most.
        is_signed: whether it takes the first factor's bytes as signed; the second's always are.
        takes_halves: whether it takes the first factor's bytes in 16 bits each: the even ones, then the odd.
        sums_pairs: whether two products must fit 16 bits.
        is_narrow: whether it sums in 16 bits, so that sums must be widened before these are full.
    """

    VPDPBUSD_512 = "vpdpbusd", 16, False
    VPDPBUSD_256 = "vpdpbusd, AVX-VNNI", 8, False
    PMADDWD_512 = "pmaddwd", 16, False, True
    PMADDWD_256 = "pmaddwd, AVX2", 8, False, True
    PMADDWD_128 = "pmaddwd, SSE2", 4, False, True
    PMADDUBSW_512 = "pmaddubsw", 16, False, False, True
    PMADDUBSW_256 = "pmaddubsw, AVX2", 8, False, False, True
    PMADDUBSW_128 = "pmaddubsw, SSSE3", 4, False, False, True
    PADDW_512 = "pmaddubsw and paddw", 16, False, False, True, True
    PADDW_256 = "pmaddubsw and paddw, AVX2", 8, False, False, True, True
    PADDW_128 = "pmaddubsw and paddw, SSSE3", 4, False, False, True, True
    SDOT = "sdot", 4, True
    USMMLA = "usmmla", 4, False  # where kernels/mmla_forms.py has convolutions fit
    SMULL = "smull", 4, True  # for weights above -128
    SMULL_WIDE = "smull, widened at once", 4, True
    VMULL = "vmull", 4, True  # of 32-bit ARM, for weights above -128
    VMULL_WIDE = "vmull, widened at once", 4, True

    def __init__(
        self,
        instruction: str,
        lanes: int,
        is_signed: bool,
        takes_halves: bool = False,
        sums_pairs: bool = False,
        is_narrow: bool = False,
    ) -> None:
        self.lanes = lanes
        self.is_signed = is_signed
        self.takes_halves = takes_halves
        self.sums_pairs = sums_pairs
        self.is_narrow = is_narrow


class Permute(Enum):
    """Ways to let each lane of 32 bits have any of the first few; the value is how many at a time."""

    AVX512 = 16
    AVX2 = 8
    BROADCAST = 4
    """One number for four lanes: what all vectors can do."""


class BitCount(Enum):
    """Ways to count bits in vectors."""

    WORDS = "in words"
    LOOKUPS = "by looking up four at a time, vpshufb"
    UADALP = "in bytes, summed in halves of words by uadalp"
    VPADAL = "the same on 32-bit ARM, by vpadal"


@dataclass(frozen=True)
class Cpu:
    """What kernels may count on: the architecture and the instruction sets that code for a target may use.

    Attributes:
        architecture: as ``platform.machine()`` names it: ``x86_64``, ``aarch64``.
        flags: instruction sets, by the names of ``runtime.target.INSTRUCTION_SETS``.
    """

    architecture: str
    flags: frozenset[str]

    @property
    def registers(self) -> int:
        """How many vectors of 16 numbers of 32 bits the registers hold."""
        if "neon" in self.flags:  # of 32-bit ARM
            return 4
        return 32 if "avx512f" in self.flags else 8

    @property
    def byte_dots(self) -> tuple[ByteDot, ...]:
        """The ways to multiply and sum four bytes in each lane, the fastest first; none without vectors.

        The last takes all bytes; before it may be some that take those alone whose products are small.
        """
        ways = (
            (ByteDot.VPDPBUSD_512, {"avx512_vnni", "avx512bw"}),
            (ByteDot.VPDPBUSD_256, {"avx_vnni"}),
            (ByteDot.PADDW_512, {"avx512bw"}),
            (ByteDot.PMADDUBSW_512, {"avx512bw"}),
            (ByteDot.PMADDWD_512, {"avx512bw"}),
            (ByteDot.PADDW_256, {"avx2"}),
            (ByteDot.PMADDUBSW_256, {"avx2"}),
            (ByteDot.PMADDWD_256, {"avx2"}),
            (ByteDot.PADDW_128, {"sse4_2"}),  # which came after SSSE3
            (ByteDot.PMADDUBSW_128, {"sse4_2"}),
            (ByteDot.PMADDWD_128, {"x86_64"}),
            (ByteDot.SDOT, {"asimddp"}),
            (ByteDot.SMULL, {"asimd"}),
            (ByteDot.VMULL, {"neon"}),
        )
        has = self.flags | {self.architecture}
        found = [way for way, needed in ways if needed <= has]
        takes_all = [not way.sums_pairs for way in found]
        return tuple(found[: takes_all.index(True) + 1]) if any(takes_all) else ()

    @property
    def byte_dot(self) -> ByteDot | None:
        """The fastest way for any bytes; None where there are no vectors."""
        return next(iter(reversed(self.byte_dots)), None)

    @property
    def permute(self) -> Permute | None:
        """The widest permutation of lanes; None where there are no vectors."""
        if "avx512f" in self.flags:
            return Permute.AVX512
        if "avx2" in self.flags:
            return Permute.AVX2
        has_vectors = self.architecture == "x86_64" or not self.flags.isdisjoint({"asimd", "neon"})
        return Permute.BROADCAST if has_vectors else None

    @property
    def has_amx(self) -> bool:
        """Whether there are tile registers of bytes."""
        return self.flags >= AMX

    @property
    def bit_count(self) -> BitCount:
        """The fastest way to count bits."""
        if "avx512_vpopcntdq" in self.flags or "asimddp" in self.flags:  # where udot sums bytes in words
            return BitCount.WORDS
        ways = (
            (BitCount.LOOKUPS, self.has_byte_lookups),
            (BitCount.UADALP, "asimd" in self.flags),
            (BitCount.VPADAL, "neon" in self.flags),
        )
        return next((way for way, is_there in ways if is_there), BitCount.WORDS)

    @property
    def has_byte_lookups(self) -> bool:
        """Whether an instruction looks 16 bytes up in a table of 16: vpshufb."""
        return self.architecture == "x86_64" and "ssse3" in self.flags

    @property
    def has_lane_mask(self) -> bool:
        """Whether an instruction makes 16 bits of 16 lanes: since SSE2, which all of x86-64 has."""
        return self.architecture == "x86_64"


ANY_CPU = Cpu("c", frozenset())
"""A machine that has nothing but scalar instructions, as far as kernels need to know: C is written for it."""
