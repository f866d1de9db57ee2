"""``make proof-networks``: random networks of every space and precision agree with torch on every target.

The target ``onnx`` is the network as an ONNX file, run by onnxruntime. The targets ``cortex-m4`` and
``cortex-m4-soft`` are the network in C, on an emulated board with and without a floating-point unit; it must
also be to the bit what the same C gives here.

Every outcome is a line of the log. A run that was interrupted goes on there; after a change of the code that
is judged, all networks are judged again.
"""

import hashlib
import json
import os
import platform
import sys
import time
from collections.abc import Iterable
from dataclasses import asdict
from itertools import count, islice
from pathlib import Path

import click
from rich.progress import track

from benchmarks.command import Command, NewFile
from benchmarks.proof import cortex_m4
from benchmarks.proof.drawn import mixes, named
from benchmarks.proof.emulated import EMULATORS, missing
from benchmarks.proof.judging import Outcome
from benchmarks.proof.onnx_form import ONNX, absent_packages
from benchmarks.proof.workers import outcomes
from runtime.target import board_of, missing_flags, required_flags
from search_spaces import precisions
from search_spaces.errors import InvalidInput

FAMILY = ("x86-64-v2", "x86-64-v3", "alderlake", "x86-64-v4") if platform.machine() == "x86_64" else ()
TARGETS = ("native", *FAMILY, *EMULATORS, ONNX)
"""Those of a run that names none; ``cortex_m4.CORTEX_M4`` has the others."""
ROOT = Path(__file__).parents[2]
JUDGED = ("runtime", "search_spaces", "benchmarks/proof")
"""The folders whose code the outcomes are of."""


@click.command(cls=Command)
@click.option("--networks", type=click.IntRange(1), default=500, show_default=True, help="How many.")
@click.option(
    "--first", type=click.IntRange(0), default=0, show_default=True, help="The number of the first."
)
@click.option(
    "--target",
    "targets",
    multiple=True,
    help="May be given again. All that run here if not given, but for cortex-m4 and cortex-m4-soft.",
)
@click.option(
    "--precision",
    "names",
    multiple=True,
    type=click.Choice(tuple(precisions)),
    help="Only networks that have it in every layer; may be given again.",
)
@click.option("--workers", type=click.IntRange(1), default=2, show_default=True, help="Networks at once.")
@click.option(
    "--log",
    type=NewFile(),
    default="proof-networks.jsonl",
    show_default=True,
    help="Where outcomes are kept.",
)
def main(
    networks: int, first: int, targets: tuple[str, ...], names: tuple[str, ...], workers: int, log: Path
) -> None:
    """Compile and run random networks beside torch; exit code 1 where one differs."""
    chosen = targets or TARGETS
    reasons = {target: told for target in chosen if (told := why_not(target))}
    if targets and reasons:
        target, told = next(iter(reasons.items()))
        raise InvalidInput("target", f"'{target}' does not run here: {told}", "leave it out")
    wanted = {target: None for target in chosen if target not in reasons}
    ours = (n for n in count(first) if not names or (named(n)[1] in names and not mixes(n)))
    numbers, code = tuple(islice(ours, networks)), digest()
    known = {(each.number, each.target) for each in kept(log, code)}
    left = [(n, tuple(t for t in wanted if (n, t) not in known)) for n in numbers]
    jobs = [job for job in left if job[1]]
    started, total = time.monotonic(), sum(len(own) for _, own in jobs)
    found = track(
        outcomes(jobs, min(workers, max(1, len(jobs)))), total=total, disable=not sys.stderr.isatty()
    )
    with log.open("a", encoding="utf-8") as file:
        for outcome in found:
            print(json.dumps({"code": code, **asdict(outcome)}), file=file, flush=True)
            if outcome.failure:
                print(line(outcome), file=sys.stderr, flush=True)
    shown = [each for each in kept(log, code) if each.number in numbers and each.target in wanted]
    print(table(shown, wanted, reasons))
    print(f"\n{total} judged now, in {time.monotonic() - started:.0f} s; all are in {log}")
    failed = [each for each in shown if each.failure]
    for outcome in failed:
        print(line(outcome))
    sys.exit(1 if failed else 0)


def why_not(target: str) -> str:
    """Why networks for a target cannot be run here; empty if they can."""
    if target == ONNX:
        lacking = absent_packages()
        return f"not installed: {', '.join(lacking)}" if lacking else ""
    if target in cortex_m4.CORTEX_M4:
        return cortex_m4.missing()
    if board_of(target) is None:
        lacking = missing_flags(required_flags(target))
        return f"this CPU lacks {', '.join(lacking)}" if lacking else ""
    if target not in EMULATORS:
        return "no emulator is known for it"
    absent = missing(target)
    return f"not installed: {', '.join(absent)}" if absent else ""


def digest() -> str:
    """Of the code whose outcomes they are."""
    found = hashlib.sha256()
    for folder in JUDGED:
        for path in sorted((ROOT / folder).rglob("*.py")):
            found.update(path.read_bytes())
    return found.hexdigest()[:16]


def kept(log: Path, code: str) -> list[Outcome]:
    """The outcomes of this code in the log, the last of each network and target."""
    if not log.exists():
        return []
    lines = (json.loads(text) for text in log.read_text(encoding="utf-8").splitlines())
    own = [
        Outcome(**{k: v for k, v in found.items() if k != "code"}) for found in lines if found["code"] == code
    ]
    return list({(each.number, each.target): each for each in own}.values())


def line(outcome: Outcome) -> str:
    """A failure, and what shows it again."""
    command = f"python -m benchmarks.proof --networks 1 --first {outcome.number} --target {outcome.target}"
    return f"{outcome.target}: network {outcome.number} ({outcome.told}): {outcome.failure}; {command}"


def table(found: list[Outcome], targets: Iterable[str], reasons: dict[str, str]) -> str:
    """A line a target, as Markdown."""
    lines = [
        "| target | networks | fail | greatest error | images | of these at an edge | of these coarse |",
        "| --- | ---: | ---: | ---: | ---: | ---: | ---: |",
    ]
    for target in targets:
        own = [each for each in found if each.target == target]
        cells = (
            len(own),
            sum(bool(each.failure) for each in own),
            f"{max((each.worst for each in own), default=0.0):.1e}",
            sum(each.images for each in own),
            sum(each.flipped for each in own),
            sum(each.coarse for each in own),
        )
        lines.append(f"| `{target}` | {' | '.join(map(str, cells))} |")
    lines += [f"| `{target}` | not run: {told} | | | | | |" for target, told in reasons.items()]
    return "\n".join(lines)


if __name__ == "__main__":
    os.environ.setdefault("OMP_NUM_THREADS", "1")  # each process has one core
    main()
