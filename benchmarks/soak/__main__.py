"""``make soak``: kills processes of searches, and a database's server, at random, and looks for what is lost.

    python -m benchmarks.soak --database sqlite --kills 1000
    python -m benchmarks.soak --database postgresql --kills 300 --server-kills 50
    python -m benchmarks.soak --database ray --kills 50 --server-kills 8 --workers 2

``ray`` is SQLite with the executor ray, on a cluster of two nodes, one of which is killed.

Prints a line for each search and a table at the end. Exit code 1 where anything was lost, doubled or stuck.
"""

import argparse
import json
import os
import shlex
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from benchmarks.soak.processes import LOG, ROOT
from benchmarks.soak.rounds import EVENTS, NODE, RAY_SHARES, Soak

FIXED = "kills", "seed", "workers", "trials", "outlives_s"
SQLITE, POSTGRESQL, RAY = "sqlite", "postgresql", "ray"


def main(arguments: list[str] | None = None) -> int:
    """The command; its exit code."""
    given = _parser().parse_args(arguments)
    started = time.monotonic()
    with _soak(given) as soak:
        soak.run()
    seconds = time.monotonic() - started
    print(_table(soak, given.database, seconds))
    if given.json:
        command = ["python", "-m", "benchmarks.soak", *(sys.argv[1:] if arguments is None else arguments)]
        Path(given.json).write_text(json.dumps(_record(soak, given.database, seconds, command), indent=1))
    return 1 if any(soak.found.wrong.values()) else 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.soak", description=__doc__)
    parser.add_argument("--database", choices=(SQLITE, POSTGRESQL, RAY), default=SQLITE)
    parser.add_argument("--kills", type=int, default=50, help="how many, the server's among them")
    parser.add_argument("--server-kills", type=int, default=0, help="of PostgreSQL, or a node of Ray")
    parser.add_argument("--workers", type=int, default=3)
    parser.add_argument("--trials", type=int, default=100, help="of each search")
    parser.add_argument(
        "--outlives-s", type=float, default=2.0, help="how long a process may outlive its parent"
    )
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", metavar="FILE", help="where the figures go")
    return parser


class Nodes:
    """A Ray cluster of two nodes, the second of which can be killed."""

    def __init__(self, cluster: Any) -> None:
        self._cluster, self.address = cluster, str(cluster.address)

    def stop(self) -> None:
        """Kill the second."""
        self._cluster.kill_second()

    def start(self) -> None:
        """Put another in its place."""
        self._cluster.add_second()


@contextmanager
def two_nodes(log: Path) -> Iterator[Nodes]:
    """The cluster of the tests; what a node runs has the environment in which the node was started."""
    from tests.nas.ray_cluster import two_nodes

    before = dict(os.environ)
    os.environ.update({LOG: str(log), "PYTHONPATH": str(ROOT)})
    try:
        with two_nodes() as cluster:
            yield Nodes(cluster)
    finally:
        os.environ.clear()
        os.environ.update(before)


@contextmanager
def _soak(given: argparse.Namespace) -> Iterator[Soak]:
    """Of the database that is asked for, in a folder that is gone in the end."""
    with tempfile.TemporaryDirectory(prefix="bitnas-soak-") as name:
        folder = Path(name)
        fixed: dict[str, Any] = {key: getattr(given, key) for key in FIXED}
        if given.database == SQLITE:
            yield Soak(folder, f"sqlite:///{folder}/nas.db", **fixed)
            return
        if given.database == RAY:
            with two_nodes(folder / EVENTS) as nodes:
                options = "--executor", "ray", "--ray-address", nodes.address
                of_ray = {"server": nodes, "server_kills": given.server_kills, "server_name": NODE}
                url = f"sqlite:///{folder}/nas.db"
                yield Soak(folder, url, options=options, shares=RAY_SHARES, **of_ray, **fixed)
            return
        from tests.nas.postgres import PostgresServer

        with PostgresServer() as server:
            yield Soak(folder, server.database(), server=server, server_kills=given.server_kills, **fixed)


def _table(soak: Soak, database: str, seconds: float) -> str:
    killed = ", ".join(f"{count} {kind}" for kind, count in sorted(soak.killed.items()))
    rows = {
        "database": database,
        "kills": f"{soak.killed.total()} ({killed})",
        "seconds": f"{seconds:.0f}",
        "acknowledged": str(soak.found.acknowledged),
        **{what: str(count) for what, count in soak.found.wrong.items()},
        "searches that gave up": str(len(soak.gave_up)),
    }
    details = [f"{what}: {', '.join(names)}" for what, names in _details(soak).items()]
    return "\n".join(["", *(f"{name:24}{value}" for name, value in rows.items()), *details])


def _details(soak: Soak) -> dict[str, list[str]]:
    found = soak.found.to_dict()
    return {what: found[what] for what, count in soak.found.wrong.items() if count} | (
        {"gave up": [why for _, why in soak.gave_up]} if soak.gave_up else {}
    )


def _record(soak: Soak, database: str, seconds: float, command: list[str]) -> dict[str, Any]:
    return {
        "command": shlex.join(command),
        "date": datetime.now(UTC).date().isoformat(),
        "database": database,
        "kills": dict(soak.killed),
        "seconds": round(seconds, 1),
        **soak.found.to_dict(),
        "gave_up": [why for _, why in soak.gave_up],
    }


if __name__ == "__main__":
    sys.exit(main())
