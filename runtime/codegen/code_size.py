"""How many bytes of machine code the functions of a library have, by its symbols."""

from pathlib import Path


def function_sizes(library: Path) -> dict[str, int]:
    """Bytes of each function by its symbol; nothing where the library is stripped, or no ELF file."""
    from elftools.common.exceptions import ELFError
    from elftools.elf.elffile import ELFFile

    with library.open("rb") as file:
        try:
            table = ELFFile(file).get_section_by_name(".symtab")
        except ELFError:  # another system's format, whose sizes nobody needs to know
            return {}
        symbols = table.iter_symbols() if table is not None else ()
        return {s.name: s["st_size"] for s in symbols if s["st_info"]["type"] == "STT_FUNC"}
