"""Tables of measured rows, a file a CPU: a run writes its own and no other's."""

import hashlib
import json
import platform
import re
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

from benchmarks.engines.keeping import is_kept
from benchmarks.rows import Row
from latency import device
from runtime.target import host_flags

FOLDER = Path(__file__).with_name("tables")
PACKAGES = ("apache-tvm", "onnxruntime", "torch", "numkong")


@dataclass(frozen=True)
class Recorded:
    """A row as it is kept.

    Attributes:
        group: what it was measured with.
        row: the row.
        date: when, as YYYY-MM-DD.
    """

    group: str
    row: Row
    date: str


@dataclass(frozen=True)
class Machine:
    """What figures depend on.

    Attributes:
        cpu: the model, as the system names it.
        llvm_cpu: as LLVM names it.
        target: what our kernels were compiled for.
        flags: the CPU's instruction sets; empty where they are not known.
        versions: of the packages that were compared, and of Python.
        is_kept: whether rivals saw no more instructions than the target has.
    """

    cpu: str
    llvm_cpu: str
    target: str = "native"
    flags: tuple[str, ...] = ()
    versions: dict[str, str] = field(default_factory=dict)
    is_kept: bool = False

    @property
    def key(self) -> str:
        """Names the table: another model, flags, target or way to keep rivals have a table of their own."""
        words = re.findall(r"[a-z0-9]+", f"{self.cpu} {self.llvm_cpu}".lower())
        flags = hashlib.sha256(" ".join(self.flags).encode()).hexdigest()[:6]
        target = "" if self.target == "native" else f"-{self.target}{'-kept' * self.is_kept}"
        return f"{'-'.join(word for word in words if word not in ('r', 'tm'))}-{flags}{target}"


@dataclass(frozen=True)
class Table:
    """A column of the docs.

    Attributes:
        name: the column's head.
        machine: what was measured.
        remark: what a reader should know of its figures.
        rows: in the order of measuring.
    """

    name: str
    machine: Machine
    remark: str = ""
    rows: tuple[Recorded, ...] = ()

    def with_group(self, group: str, rows: Iterable[Row]) -> "Table":
        """The table after a group was measured again: its rows take the place of those that it had."""
        new = [Recorded(group, row, today()) for row in rows]
        return replace(self, rows=(*(each for each in self.rows if each.group != group), *new))

    def find(self, name: str) -> Recorded | None:
        """The row of a name, if there is one."""
        return next((each for each in self.rows if each.row.name == name), None)


def today() -> str:
    """The date, as YYYY-MM-DD."""
    return f"{datetime.now(UTC):%Y-%m-%d}"


def this_machine(target: str = "native") -> Machine:
    """The machine that this runs on."""
    known = device("local").describe()
    versions = {"python": platform.python_version(), **{name: version(name) for name in PACKAGES}}
    flags = tuple(sorted(host_flags()))
    return Machine(str(known["cpu"]), str(known["llvm_cpu"]), target, flags, versions, is_kept())


def record(
    machine: Machine, group: str, rows: Iterable[Row], remark: str | None = None, folder: Path = FOLDER
) -> Path:
    """Write a group's rows into the machine's own table, and a remark if there is a new one; its file."""
    path = folder / f"{machine.key}.json"
    before = read(path) if path.exists() else Table(_head(machine, folder), machine)
    told = before.remark if remark is None else remark
    write(replace(before, machine=machine, remark=told).with_group(group, rows), path)
    return path


def tables(folder: Path = FOLDER) -> list[Table]:
    """All that were written, in the order of the CPUs' names."""
    return [read(path) for path in sorted(folder.glob("*.json"))]


def read(path: Path) -> Table:
    """The table of a file."""
    found = json.loads(path.read_text(encoding="utf-8"))
    machine = Machine(**found["machine"] | {"flags": tuple(found["machine"]["flags"])})
    rows = (Recorded(each["group"], Row(**each["row"]), each["date"]) for each in found["rows"])
    return Table(found["name"], machine, found["remark"], tuple(rows))


def write(table: Table, path: Path) -> None:
    """Write a table: a line a row, so that a change of one is a line of a diff."""
    head = {k: v for k, v in asdict(table).items() if k != "rows"}
    rows = ",\n".join(json.dumps(_rounded(asdict(each))) for each in table.rows)
    text = f'{json.dumps(head, indent=1)[:-2]},\n "rows": [\n{rows}\n]}}\n'
    path.parent.mkdir(exist_ok=True)
    path.write_text(text, encoding="utf-8")


def _rounded(value: Any) -> Any:
    """Numbers to five digits, more than their noise leaves."""
    if isinstance(value, dict):
        return {name: _rounded(own) for name, own in value.items()}
    return float(f"{value:.5g}") if isinstance(value, float) else value


def _head(machine: Machine, folder: Path) -> str:
    """The head of a new column: for a target, after the CPU's own column if there is one."""
    name = f"{machine.cpu.split()[0].partition('(')[0]} {machine.llvm_cpu}"
    if machine.target == "native":
        return name
    own = folder / f"{replace(machine, target='native', is_kept=False).key}.json"
    how = "all kept to" if machine.is_kept else "compiled for"
    return f"{read(own).name if own.exists() else name}, {how} {machine.target}"
