"""Verification: an artifact is loaded, not recompiled, and each figure of its card is checked."""

import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from pydantic import TypeAdapter, ValidationError

from latency.timing.patience import affordable
from nas.export.agreement import TORCH, classes_of
from nas.export.card import Card, FormFigures
from nas.export.finished import data_digest
from nas.export.formats.compiled import artifact_kilobytes
from nas.export.identity import digest_and_kilobytes
from nas.export.inspection import Inspected, inspect
from nas.export.writing import EXPECTED
from nas.formatting import interval, milliseconds
from runtime.formats.artifact import COMPILED, MANIFEST, Manifest, checksum, read_tensors
from search_spaces.errors import BitnasError, InvalidInput

if TYPE_CHECKING:
    from numpy.typing import NDArray

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


def verify(
    folder: Path,
    latency_tolerance: float | None = None,
    on_inspected: Callable[[Inspected], None] = lambda _: None,
) -> list[Check]:
    """Check an artifact on the machine it was made for.

    Args:
        folder: what ``nas export`` wrote.
        latency_tolerance: by what share the latency measured now may be above the stated one; None: it may be
            as high as its interval.
        on_inspected: is told what the folder holds, before any code in it runs.

    Raises:
        InvalidInput: the tolerance is negative or not finite.
        BitnasError: the folder is not what was exported (``nas.export.inspection``), the code is for another
            target, or the data set is not the one of the card.
    """
    import runtime

    if latency_tolerance is not None and not (math.isfinite(latency_tolerance) and latency_tolerance >= 0):
        raise InvalidInput(
            "latency_tolerance", f"{latency_tolerance} is not a share", "give a number from 0 up, such as 0.5"
        )
    inspected = inspect(folder)
    on_inspected(inspected)
    card, manifest = inspected.card, inspected.manifest
    network = runtime.load(folder) if COMPILED in manifest.formats else None
    test = _test_split(card, manifest)
    checks = [_sample(folder, network)] if network else []
    checks += _predictions(inspected, network, test)
    checks += _sizes(folder / inspected.identity, network, card)
    return [*checks, _latency(network, card, latency_tolerance)] if network else checks


def _test_split(card: Card, manifest: Manifest) -> "Split":
    """The images that a card's figures are of.

    Raises:
        BitnasError: they are gone, or are others.
    """
    from nas.data import load

    try:
        test = load(card.data, card.image_size).test
    except InvalidInput as error:
        problem = f"the images of the card cannot be read ({error.problem})"
        raise BitnasError(f"data: {problem}; bring them back to '{card.data}'") from error
    if data_digest(test) != card.data_digest:
        raise BitnasError(
            f"data: '{card.data}' is not the data of the card; use the version it was exported with"
        )
    height, width, channels = test.pixels.shape[1:]
    if (channels, height, width) != manifest.input_shape[1:]:
        raise BitnasError(
            f"data: '{card.data}' has images of another shape than the network; export it again"
        )
    return test


def note(ledger: "Ledger", folder: Path) -> "list[ArtifactRecord]":
    """Note in a ledger that an artifact holds now, where it was exported from that; those that are noted."""
    from nas.ledger.artifacts import note_verified

    return note_verified(ledger, str(folder.resolve()), checksum(folder / MANIFEST))


def _sample(folder: Path, network: "CompiledNetwork") -> Check:
    from runtime.formats.artifact import read_sample

    image, expected = read_sample(folder)
    same = bool(np.array_equal(network.run(image), expected))
    return Check("sample output", "to the bit", "the same" if same else "differs", same)


def _predictions(inspected: Inspected, network: "CompiledNetwork | None", test: "Split") -> list[Check]:
    """Each form against the classes that torch gave, against the other forms, and against its accuracy."""
    folder, card = inspected.folder, inspected.card
    (expected,) = read_tensors(folder / EXPECTED, "classes")
    if expected.shape != (len(test),):
        raise BitnasError(f"{folder / EXPECTED}: it holds another number of images; export it again")
    classes, checks = {TORCH: expected}, []
    for form in inspected.forms:
        run = network.run if network and form.name == COMPILED else form.opened(folder)
        if run is None:
            missing = form.missing(folder)
            checks.append(Check(f"{form.name}: classes", "those of the card", "not run", None, missing))
        else:
            classes[form.name] = classes_of(run, test)
            checks += _judged(form.name, classes, card, test)
    return checks


def _judged(name: str, classes: "dict[str, NDArray[Any]]", card: Card, test: "Split") -> list[Check]:
    """What a card states of one form, in the words of the card where its own figures are of this form."""
    total, stated = len(test), _stated(name, card)
    of = "" if name == card.judged else f"{name}: "
    checks = []
    for other, differing in stated.differing.items():
        if other in classes:
            agree = int((classes[name] == classes[other]).sum())
            told = f"{total - differing} of {total}", f"{agree} of {total}"
            same = agree == total - differing and (of or other != TORCH or card.same_class in (None, agree))
            checks.append(Check(f"{of}same class as {other}", *told, bool(same)))
    if stated.right is not None:
        accuracy = float((classes[name] == test.labels).mean())
        claimed = stated.right / total if of else card.test_accuracy
        told = f"{claimed:.2%}", f"{accuracy:.2%}"
        checks.append(Check(f"{of}test accuracy", *told, accuracy == claimed == stated.right / total))
    return checks


def _stated(name: str, card: Card) -> FormFigures:
    """The figures of a form."""
    for form in card.forms:
        if form.name == name:
            return form
    same = card.test_images if card.same_class is None else card.same_class
    return FormFigures(
        name=name,
        files=[],
        holds_code=True,
        kilobytes=0,
        right=card.right,
        differing={TORCH: card.test_images - same},
    )


def _sizes(identity: Path, network: "CompiledNetwork | None", card: Card) -> list[Check]:
    digest, kilobytes = digest_and_kilobytes(identity)
    checks = [
        Check("architecture", card.digest[:12], digest[:12], digest == card.digest),
        Check(
            "size", f"{card.size_kb:.3f} kB", f"{kilobytes:.3f} kB", bool(np.isclose(kilobytes, card.size_kb))
        ),
    ]
    if network and card.artifact_kb is not None:
        stored = artifact_kilobytes(network)
        told = f"{card.artifact_kb:.1f} kB", f"{stored:.1f} kB"
        checks.append(Check("artifact", *told, stored == card.artifact_kb))
    return checks


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
