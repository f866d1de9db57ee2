"""The tables of docs/performance.md and docs/benchmarks.md, made of all recorded ones."""

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from benchmarks.blocks import write_block
from benchmarks.engine_rows import ENGINES
from benchmarks.recorded import Recorded, Table
from benchmarks.rows import Row, groups

DOCS = Path(__file__).parents[1] / "docs"
PAGES = {
    "networks": "performance.md",
    "best": "performance.md",
    "rows": "benchmarks.md",
    "rivals": "benchmarks.md",
}
"""Where each block is."""
TITLES = {"resnet20": "ResNet-20", "resnet18": "ResNet-18", "mobilenetv2": "MobileNetV2"}
NAMES = {
    "bitnas": "bitnas",
    "onnxruntime": "onnxruntime",
    "openvino": "OpenVINO",
    "ncnn": "ncnn",
    "litert": "LiteRT, XNNPACK",
}
PRECISIONS = ("float", "int8", "binary")
UNKNOWN = "-"


def blocks(tables: Sequence[Table]) -> dict[str, str]:
    """What is between the pages' marks, by their names."""
    return {
        "networks": networks(tables),
        "best": best_rivals(tables),
        "rows": all_rows(tables),
        "rivals": rivals(tables),
    }


def write(folder: Path, tables: Sequence[Table]) -> None:
    """Put the tables into the pages of a folder."""
    for name, text in blocks(tables).items():
        write_block(folder / PAGES[name], name, text)


def networks(tables: Sequence[Table]) -> str:
    """Milliseconds of whole networks, a line a network and CPU."""
    lines = _head(["CPU", "network", "onnxruntime float", "onnxruntime int8", *PRECISIONS], 2)
    for table in tables:
        for name, title in TITLES.items():
            found = table.find(f"{name} float, onnxruntime float")
            times = {} if found is None else found.row.times
            if "float" not in times:
                continue
            rival = times.get("onnxruntime float")
            cells = [_ms(rival), _ms(times.get("onnxruntime int8"))]
            for precision in PRECISIONS:
                own = times.get(precision)
                ratio = f" ({rival / own:.1f}x)" if rival and own else ""
                cells.append(f"{_ms(own)}{ratio}")
            lines.append(_line([table.name, title, *cells]))
    return "\n".join(lines)


def all_rows(tables: Sequence[Table]) -> str:
    """What each column is, then every row of every table; figures that miss their goal are bold."""
    told = [f"- **{table.name}:** {about(table)}" for table in tables]
    lines = _head(["what", *(table.name for table in tables), "goal"], 1)
    for name in _names(tables):
        found = [table.find(name) for table in tables]
        lines.append(_line([name, *map(_figure, found), _goal(each.row for each in found if each)]))
    return "\n".join([*told, "", *lines])


def about(table: Table) -> str:
    """The machine of a column, when its rows were measured, and what a reader should know."""
    machine, dates = table.machine, sorted({each.date for each in table.rows})
    when = " to ".join(dict.fromkeys([dates[0], dates[-1]])) if dates else "nothing measured"
    versions = ", ".join(f"{name} {number}" for name, number in machine.versions.items())
    parts = [f"{machine.cpu} ({machine.llvm_cpu})", when, versions]
    return f"{'; '.join(part for part in parts if part)}. {table.remark}".strip()


def best_rivals(tables: Sequence[Table]) -> str:
    """Milliseconds of ours beside the best engine's, a line a network and CPU."""
    lines = _head(["CPU", "network", *PRECISIONS], 2)
    for table in tables:
        for name in _rows_of_engines(table):
            found = [table.find(f"{name} {told}") for told in _TOLD]
            cells = [
                UNKNOWN if each is None else f"{_ms(each.row.times.get(precision))} ({_figure(each)})"
                for precision, each in zip(PRECISIONS, found, strict=True)
            ]
            lines.append(_line([table.name, TITLES[name], *cells]))
    return "\n".join(lines)


def rivals(tables: Sequence[Table]) -> str:
    """For each CPU where engines were timed, milliseconds of each engine on each network."""
    return "\n\n".join(_engines(table) for table in tables if _rows_of_engines(table))


def _engines(table: Table) -> str:
    found = _rows_of_engines(table)
    heads = [f"{TITLES[name]} {p}" for name in found for p in PRECISIONS]
    versions = {NAMES[engine]: number for row in found.values() for engine, number in row.versions.items()}
    told = ", ".join([table.name, *(f"{name} {number}" for name, number in versions.items())])
    lines = [f"Milliseconds on the {told}:", "", *_head(["", *heads], 1)]
    for engine in ("bitnas", "onnxruntime", *ENGINES):
        cells = [_engine_cell(found[name], engine, p) for name in found for p in PRECISIONS]
        lines.append(_line([NAMES[engine], *cells]))
    ratios = [table.find(f"{name} {told}") for name in found for told in _TOLD]
    lines.append(_line(["best rival over bitnas", *map(_figure, ratios)]))
    lines.append(_line(["goal", *(_goal([each.row] if each else []) for each in ratios)]))
    reasons = {(k, v): None for row in found.values() for k, v in row.notes.items()}
    lines += ["", *(f"{name} was not run: {why}." for name, why in reasons)] if reasons else []
    return "\n".join(lines)


_TOLD = ("float, best rival", "int8, best rival", "binary, best rival's int8")


def _rows_of_engines(table: Table) -> dict[str, Row]:
    """A row of each network that was timed in engines."""
    found = {name: table.find(f"{name} {_TOLD[0]}") for name in TITLES}
    return {name: each.row for name, each in found.items() if each is not None}


def _engine_cell(row: Row, engine: str, precision: str) -> str:
    contender = precision if engine == "bitnas" else f"{engine} {precision}"
    if contender in row.notes:
        return "not run"
    return _ms(row.times.get(contender))


def _names(tables: Sequence[Table]) -> Iterator[str]:
    """The names of all rows, as they are measured."""
    rows = [each for table in tables for each in table.rows]
    order = [*groups, *(each.group for each in rows)]
    by_group = sorted(rows, key=lambda each: order.index(each.group))
    yield from dict.fromkeys(each.row.name for each in by_group)


def _figure(found: Recorded | None) -> str:
    if found is None:
        return UNKNOWN
    return f"{found.row.found:.2f}" if found.row.is_met else f"**{found.row.found:.2f}**"


def _goal(rows: Iterable[Row]) -> str:
    """What is asked; it may be another on another CPU."""
    found = list(rows)
    asked = sorted({row.required for row in found})
    if not asked:
        return UNKNOWN
    return f"{'at most' if found[0].at_most else 'at least'} {' or '.join(f'{each:g}' for each in asked)}"


def _ms(milliseconds: float | None) -> str:
    return UNKNOWN if milliseconds is None else f"{milliseconds:.3g}"


def _head(names: Sequence[str], texts: int) -> list[str]:
    """The head of a table whose first columns are text, and whose others are numbers."""
    return [_line(names), _line(["---"] * texts + ["---:"] * (len(names) - texts))]


def _line(cells: Iterable[str]) -> str:
    return f"| {' | '.join(cells)} |"
