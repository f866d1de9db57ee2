"""A time counts once it was measured twice.

What disturbs a machine only ever adds time, may go on for minutes, and hardly adds the same twice. So things
are measured again, after longer and longer pauses, until the two lowest times of each are about the same.
A time of which the device says itself that it was disturbed counts only where there is no other.
"""

import time
from collections.abc import Callable, Sequence
from dataclasses import replace

from latency.timing.measurement import MAX_REPEAT_DIFFERENCE, Measurement
from latency.timing.patience import affordable, patience_s

PAUSES = (0.5, 1.0, 2.0, 4.0, 8.0)  # seconds, as many as patience lasts for

MeasureSome = Callable[[list[int]], list[Measurement]]
"""Measures the things of the given indices."""


def measure_until_agreed(measure: MeasureSome, known: Sequence[Sequence[Measurement]]) -> list[Measurement]:
    """The lowest time of each thing; ``known`` are those that are there already, of each thing in order.

    ``rounds`` of its conditions tells how often it was measured, ``repeats_ms`` the times that were compared.
    Where the last pause brings no agreement, the lowest time counts nevertheless.
    """
    found = [list(times) for times in known]
    until = time.monotonic() + patience_s()
    for pause in (0.0, *affordable(PAUSES)):
        is_late = time.monotonic() > until
        pending = [
            i for i, times in enumerate(found) if not (_agree(times) or (is_late and _are_lost(times)))
        ]
        if not pending:
            break
        if any(found[index] for index in pending):
            time.sleep(pause)
        for index, measured in zip(pending, measure(pending), strict=True):
            found[index].append(measured)
    return [_lowest(times) for times in found]


def _are_lost(times: Sequence[Measurement]) -> bool:
    """Whether the device was disturbed each time: it is waited for as long as patience lasts."""
    return bool(times) and all(measured.disturbed for measured in times)


def _agree(times: Sequence[Measurement]) -> bool:
    low = sorted(measured.milliseconds for measured in times if measured.disturbed is None)[:2]
    return len(low) == 2 and low[1] <= low[0] * (1 + MAX_REPEAT_DIFFERENCE)


def _lowest(times: Sequence[Measurement]) -> Measurement:
    """The lowest of those that are worth something, or of all where none is."""
    worth = [measured for measured in times if measured.disturbed is None] or times
    first, *others = sorted(worth, key=lambda measured: measured.milliseconds)
    repeats = tuple(measured.milliseconds for measured in (first, *others))
    return replace(first, conditions=replace(first.conditions, rounds=len(times), repeats_ms=repeats))
