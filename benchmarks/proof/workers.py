"""Processes that judge networks; one that dies, or hangs, is a failure of its network and is replaced."""

import multiprocessing
import queue
import threading
from collections.abc import Iterator
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess

from benchmarks.proof.judging import Outcome

Job = tuple[int, tuple[str, ...]]
"""The number of a network, and the targets that it is judged on."""
MOST_SECONDS = 600
"""For a network on a target."""

_SPAWN = multiprocessing.get_context("spawn")


def outcomes(jobs: list[Job], workers: int) -> Iterator[Outcome]:
    """Judge networks in so many processes; outcomes come as they are found."""
    waiting: queue.SimpleQueue[Job] = queue.SimpleQueue()
    for job in jobs:
        waiting.put(job)
    found: queue.SimpleQueue[Outcome | None] = queue.SimpleQueue()
    threads = [
        threading.Thread(target=_feed, args=(waiting, found), daemon=True)
        for _ in range(min(workers, len(jobs)))
    ]
    for thread in threads:
        thread.start()
    ended = 0
    while ended < len(threads):
        outcome = found.get()
        if outcome is None:
            ended += 1
        else:
            yield outcome


def _feed(waiting: "queue.SimpleQueue[Job]", found: "queue.SimpleQueue[Outcome | None]") -> None:
    """Hand jobs to a process of one's own, until none are left."""
    worker: tuple[BaseProcess, Connection] | None = None
    try:
        while True:
            number, targets = waiting.get_nowait()
            left = list(targets)
            while left:
                worker = worker or _started()
                worker[1].send((number, left))
                for target in tuple(left):
                    found.put(_answer(*worker, number, target))
                    left.remove(target)
                    if not worker[0].is_alive():
                        worker = None
                        break
    except queue.Empty:
        pass
    finally:
        if worker is not None:
            worker[0].terminate()
        found.put(None)


def _started() -> tuple[BaseProcess, Connection]:
    here, there = _SPAWN.Pipe()
    process = _SPAWN.Process(target=serve, args=(there,), daemon=True)
    process.start()
    there.close()
    return process, here


def _answer(process: BaseProcess, pipe: Connection, number: int, target: str) -> Outcome:
    """The next outcome of a process; a failure, and its end, where none comes."""
    try:
        if pipe.poll(MOST_SECONDS):
            outcome = pipe.recv()
            assert isinstance(outcome, Outcome)
            return outcome
        told = f"no answer in {MOST_SECONDS} s"
    except EOFError:
        process.join()
        told = f"its process ended with code {process.exitcode}"
    process.kill()
    process.join()
    return Outcome(number, target, "", failure=told)


def serve(pipe: Connection) -> None:
    """A process: judge what comes through the pipe, until it ends."""
    import torch

    from benchmarks.proof.judging import judged

    torch.set_num_threads(1)
    try:
        while True:
            number, targets = pipe.recv()
            for outcome in judged(number, targets):
                pipe.send(outcome)
    except (EOFError, BrokenPipeError):  # whoever asked has ended
        return
