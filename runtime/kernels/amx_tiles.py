"""AMX in LLVM's terms: the configuration of its tile registers, and the instructions on them.

A tile register holds up to 16 rows of 64 bytes. ``tdpbusd`` multiplies the rows of one, 64 unsigned bytes
each, by the columns of another, whose rows are quads of signed bytes, and adds 16 x 16 int32 sums to a third
(Intel 64 and IA-32 Architectures Software Developer's Manual, volume 1, chapter 18).
"""

from dataclasses import dataclass
from struct import unpack

from runtime.kernels.loops import by_every_thread
from runtime.tvm_types import Expr, Stmt, TirBuffer

TILES = 8  # registers
ROWS = 16
ROW_BYTES = 64
CONFIG_BYTES = 64


@dataclass(frozen=True)
class TileShape:
    """Rows of a tile register, and bytes of each row."""

    rows: int
    row_bytes: int


def configured(shapes: list[TileShape], body: Stmt) -> Stmt:
    """``body`` with tile registers of these shapes, which are given back after it."""
    from tvm import tirx

    words = unpack(f"<{CONFIG_BYTES // 8}q", config_bytes(shapes))
    memory = tirx.decl_buffer((len(words),), "int64", "tile_config", scope="local", data_alignment=64)
    stores = [tirx.BufferStore(memory, tirx.const(word, "int64"), [i]) for i, word in enumerate(words)]
    load = _call("ldtilecfg", tirx.address_of(memory[0]))
    return tirx.SeqStmt(
        [
            tirx.AllocBuffer(memory),
            by_every_thread(tirx.SeqStmt([*stores, load])),
            body,
            by_every_thread(_call("tilerelease")),
        ]
    )


def config_bytes(shapes: list[TileShape]) -> bytes:
    """What ``ldtilecfg`` reads: the palette, bytes of a row (uint16) and rows (uint8) of each register."""
    found = bytearray(CONFIG_BYTES)
    found[0] = 1
    for i, shape in enumerate(shapes):
        found[16 + 2 * i : 18 + 2 * i] = shape.row_bytes.to_bytes(2, "little")
        found[48 + i] = shape.rows
    return bytes(found)


def zero(tile: int) -> Stmt:
    """Set a tile to zero."""
    return _call("tilezero", _number(tile))


def load(tile: int, memory: TirBuffer, index: list[Expr], stride: int) -> Stmt:
    """Load a tile whose first row begins at an element of ``memory``, ``stride`` bytes before the next."""
    return _move("tileloadd64", tile, memory, index, stride)


def store(tile: int, memory: TirBuffer, index: list[Expr], stride: int) -> Stmt:
    """Store a tile, as ``load`` loads one."""
    return _move("tilestored64", tile, memory, index, stride)


def add_products(sums: int, unsigned: int, signed: int) -> Stmt:
    """Add the products of two tiles to a third."""
    return _call("tdpbusd", _number(sums), _number(unsigned), _number(signed))


def fetch(memory: TirBuffer, index: list[Expr]) -> Stmt:
    """Fetch the line that holds an element of ``memory`` into the second cache."""
    from tvm import tirx

    address = tirx.address_of(tirx.BufferLoad(memory, index))
    how = [tirx.const(each, "int32") for each in (0, 2, 1)]  # to be read, from the second cache, data
    return tirx.Evaluate(tirx.call_llvm_intrin("void", "llvm.prefetch.p0", address, *how))


def _move(name: str, tile: int, memory: TirBuffer, index: list[Expr], stride: int) -> Stmt:
    from tvm import tirx

    address = tirx.address_of(tirx.BufferLoad(memory, index))
    return _call(name, _number(tile), address, tirx.const(stride, "int64"))


def _number(tile: int) -> Expr:
    from tvm import tirx

    return tirx.const(tile, "int8")


def _call(name: str, *args: Expr) -> Stmt:
    from tvm import tirx

    return tirx.Evaluate(tirx.call_llvm_intrin("void", f"llvm.x86.{name}", *args))
