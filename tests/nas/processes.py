"""What the processes of this machine are, by /proc: who has started whom, and where they listen."""

import re
from contextlib import suppress
from pathlib import Path

LISTENS = "0A"


def descendants(pid: int) -> set[int]:
    """The processes that a process has started, and those that these have."""
    parents = {}
    for entry in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError):
            text = entry.read_text(errors="replace")
            parents[int(entry.parent.name)] = int(text[text.rindex(")") + 2 :].split()[1])
    found, new = set[int](), {pid}
    while new:
        new = {child for child, parent in parents.items() if parent in new} - found
        found |= new
    return found


def are_alive(pids: set[int]) -> set[int]:
    """Those that run, and are no zombies."""
    found = set()
    for pid in pids:
        with suppress(OSError):
            text = Path(f"/proc/{pid}/stat").read_text(errors="replace")
            if text[text.rindex(")") + 2] not in "ZX":
                found.add(pid)
    return found


def listening(pids: set[int]) -> set[str]:
    """The addresses that processes listen at, as the kernel writes them: 0100007F is 127.0.0.1."""
    sockets = set()
    for pid in pids:
        with suppress(OSError):
            for file in Path(f"/proc/{pid}/fd").iterdir():
                with suppress(OSError):
                    if found := re.fullmatch(r"socket:\[(\d+)\]", str(file.readlink())):
                        sockets.add(found[1])
    lines = [line.split() for name in ("tcp", "tcp6") for line in _lines(Path("/proc/net") / name)]
    return {line[1].partition(":")[0] for line in lines if line[3] == LISTENS and line[9] in sockets}


def _lines(path: Path) -> list[str]:
    return path.read_text().splitlines()[1:] if path.exists() else []
