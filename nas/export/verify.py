"""Verification: an artifact is loaded, not recompiled, and each figure of its card is checked."""

import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from pydantic import TypeAdapter, ValidationError

from latency.timing.patience import affordable
from nas.export.card import CARD, Card, artifact_kilobytes, read_card
from nas.export.finished import EXPECTED, classes_of, data_digest
from nas.export.identity import ARCHITECTURE, PUBLISHED, digest_and_kilobytes
from nas.formatting import interval, milliseconds
from search_spaces.errors import BitnasError, InvalidInput

if TYPE_CHECKING:
    from latency import Measurement
    from nas.data import Split
    from nas.ledger import Ledger
    from nas.ledger.entries import ArtifactRecord
    from runtime import CompiledNetwork


PAUSES = (1.0, 2.0, 4.0)  # seconds, before a network that seems slower than its card is timed again


@dataclass(frozen=True)
class Check:
    """One thing that was checked: what the card states, what was found, and whether they agree.

    Attributes:
        holds: None where it was not judged, as the machine is disturbed.
        note: what more there is to say.
    """

    name: str
    stated: str
    found: str
    holds: bool | None
    note: str = ""


def verify(folder: Path, latency_tolerance: float | None = None) -> list[Check]:
    """Check an artifact on the machine it was made for.

    Args:
        folder: what ``nas export`` wrote.
        latency_tolerance: by what share the latency measured now may be above the stated one; None: it may be
            as high as its interval.

    Raises:
        InvalidInput: the tolerance is negative or not finite.
        BitnasError: a file is missing or changed, the code is for another target, or the data set is not
            the one of the card.
    """
    import runtime
    from nas.data import load

    if latency_tolerance is not None and not (math.isfinite(latency_tolerance) and latency_tolerance >= 0):
        raise InvalidInput(
            "latency_tolerance", f"{latency_tolerance} is not a share", "give a number from 0 up, such as 0.5"
        )

    network = runtime.load(folder)
    _check_listed(folder, CARD)
    card = read_card(folder)
    identity = PUBLISHED if card.search is None else ARCHITECTURE
    _check_listed(folder, identity, EXPECTED)
    try:
        test = load(card.data, card.image_size).test
    except InvalidInput as error:
        problem = f"the images of the card cannot be read ({error.problem})"
        raise BitnasError(f"data: {problem}; bring them back to '{card.data}'") from error
    if data_digest(test) != card.data_digest:
        raise BitnasError(
            f"data: '{card.data}' is not the data of the card; use the version it was exported with"
        )
    return [
        _sample(folder, network),
        *_predictions(folder, network, card, test),
        *_sizes(folder / identity, network, card),
        _latency(network, card, latency_tolerance),
    ]


def note(ledger: "Ledger", folder: Path) -> "list[ArtifactRecord]":
    """Note in a ledger that an artifact holds now, where it was exported from that; those that are noted."""
    from nas.ledger.artifacts import note_verified
    from runtime.formats.artifact import MANIFEST, checksum

    return note_verified(ledger, str(folder.resolve()), checksum(folder / MANIFEST))


def _check_listed(folder: Path, *names: str) -> None:
    """Refuse an artifact whose manifest vouches for less than ``nas export`` wrote."""
    from runtime.formats.artifact import MANIFEST, read_manifest

    for name in names:
        if name not in read_manifest(folder).files:
            raise BitnasError(f"{folder / MANIFEST}: it lists no {name}; export it again")


def _sample(folder: Path, network: "CompiledNetwork") -> Check:
    from runtime.formats.artifact import read_sample

    image, expected = read_sample(folder)
    same = bool(np.array_equal(network.run(image), expected))
    return Check("sample output", "to the bit", "the same" if same else "differs", same)


def _predictions(folder: Path, network: "CompiledNetwork", card: Card, test: "Split") -> list[Check]:
    from runtime.formats.artifact import read_tensors

    (expected,) = read_tensors(folder / EXPECTED, "classes")
    height, width, channels = test.pixels.shape[1:]
    if (channels, height, width) != network.info.input_shape[1:]:
        raise BitnasError(
            f"data: '{card.data}' has images of another shape than the network; export it again"
        )
    classes = classes_of(network, test)
    if expected.shape != classes.shape:
        raise BitnasError(f"{folder / EXPECTED}: it holds another number of images; export it again")
    agree, accuracy = int((classes == expected).sum()), float((classes == test.labels).mean())
    total = len(test)
    stated = total if card.same_class is None else card.same_class
    return [
        Check("same class as torch", f"{stated} of {total}", f"{agree} of {total}", agree == stated),
        Check(
            "test accuracy", f"{card.test_accuracy:.2%}", f"{accuracy:.2%}", accuracy == card.test_accuracy
        ),
    ]


def _sizes(identity: Path, network: "CompiledNetwork", card: Card) -> list[Check]:
    digest, kilobytes = digest_and_kilobytes(identity)
    stored = artifact_kilobytes(network)
    return [
        Check("architecture", card.digest[:12], digest[:12], digest == card.digest),
        Check(
            "size", f"{card.size_kb:.3f} kB", f"{kilobytes:.3f} kB", bool(np.isclose(kilobytes, card.size_kb))
        ),
        Check("artifact", f"{card.artifact_kb:.1f} kB", f"{stored:.1f} kB", stored == card.artifact_kb),
    ]


def _latency(network: "CompiledNetwork", card: Card, tolerance: float | None) -> Check:
    import latency

    try:
        record = TypeAdapter(latency.DeviceRecord).validate_python(card.device.get("record"))
    except ValidationError as error:
        raise BitnasError("card.json: it does not say how its device is reached; export again") from error
    device = latency.connect(record)
    speed = card.measured_reference_ms  # so that the time is given for the speed of the card's
    return judge_repeatedly(card, lambda: device.measure_network(network, speed), tolerance)


def judge_repeatedly(
    card: Card, measure: Callable[[], "Measurement"], tolerance: float | None = None
) -> Check:
    """Compare a network's time with that of a card; where it seems slower, again, and the lowest time counts.

    What disturbs a machine only adds time, and need not show in its reference.
    """
    found = measure()
    check = judge_latency(card, found, tolerance)
    for pause in affordable(PAUSES):
        if check.holds is not False:
            break
        time.sleep(pause)
        found = min(found, measure(), key=lambda each: each.milliseconds)
        check = judge_latency(card, found, tolerance)
    return check


def judge_latency(card: Card, found: "Measurement", tolerance: float | None = None) -> Check:
    """Compare a time with that of a card, both within the interval of their own repeats.

    What disturbs a machine only adds time: a disturbed one that is within what the card states holds, and one
    that is not tells nothing. A network that is faster than stated holds, and it is said.
    """
    low, high = card.interval
    allowed = f"{interval(low, high)} by repeats"
    if tolerance is not None:
        high, allowed = card.measured_ms * (1 + tolerance), f"+{tolerance:.0%} at most"
    told = f"{milliseconds(found.milliseconds)} ms ({interval(*found.interval)}) measured now"
    check = partial(Check, "latency", f"{milliseconds(card.measured_ms)} ms ({allowed})", told)
    unlike = found.disturbed or _other_speed(card, found)
    if (found.milliseconds if unlike else found.interval[0]) > high:
        return check(holds=None if unlike else False, note=unlike or "slower than the card states")
    if unlike is None and found.interval[1] < low:
        return check(holds=True, note="faster than the card states")
    return check(holds=True)


def _other_speed(card: Card, found: "Measurement") -> str | None:
    """By how much the machine's speed is another than the card's, where times cannot be scaled to that."""
    stated, usual = card.measured_reference_ms, found.conditions.usual_ms
    if stated is None or usual is None or math.isclose(stated, usual):
        return None
    by = f"{abs(usual / stated - 1):.0%} {'longer' if usual > stated else 'less'}"
    return f"its reference takes {by} than when the network was exported"
