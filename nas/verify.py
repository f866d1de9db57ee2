"""Verification: an artifact is loaded, not recompiled, and each figure of its card is checked."""

import math
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from pydantic import TypeAdapter, ValidationError

from nas.card import CARD, Card, artifact_kilobytes, read_card
from nas.figure_data import milliseconds
from nas.finished import EXPECTED, classes_of, data_digest
from nas.identity import ARCHITECTURE, PUBLISHED, digest_and_kilobytes
from search_spaces.errors import BitnasError, InvalidInput

if TYPE_CHECKING:
    from nas.data import Split
    from runtime import CompiledNetwork

LATENCY_TOLERANCE = 0.5  # a share of the stated time; machines are never quite as quiet twice


@dataclass(frozen=True)
class Check:
    """One thing that was checked: what the card states, what was found, and whether they agree."""

    name: str
    stated: str
    found: str
    holds: bool


def verify(folder: Path, tolerance: float = LATENCY_TOLERANCE) -> list[Check]:
    """Check an artifact on the machine it was made for.

    Args:
        folder: what ``nas export`` wrote.
        tolerance: by what share the latency measured now may be above the stated one.

    Raises:
        InvalidInput: the tolerance is negative or not finite.
        BitnasError: a file is missing or changed, the code is for another target, or the data set is not
            the one of the card.
    """
    import runtime
    from nas.data import load

    if not (math.isfinite(tolerance) and tolerance >= 0):
        raise InvalidInput(
            "--latency-tolerance", f"{tolerance} is not a share", "give a number from 0 up, such as 0.5"
        )

    network = runtime.load(folder)
    _check_listed(folder, CARD)
    card = read_card(folder)
    identity = ARCHITECTURE if card.network is None else PUBLISHED
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
        _latency(network, card, tolerance),
    ]


def _check_listed(folder: Path, *names: str) -> None:
    """Refuse an artifact whose manifest vouches for less than ``nas export`` wrote."""
    from runtime.artifact import MANIFEST, read_manifest

    for name in names:
        if name not in read_manifest(folder).files:
            raise BitnasError(f"{folder / MANIFEST}: it lists no {name}; export the artifact anew")


def _sample(folder: Path, network: "CompiledNetwork") -> Check:
    from runtime.artifact import read_sample

    image, expected = read_sample(folder)
    same = bool(np.array_equal(network.run(image), expected))
    return Check("sample output", "to the bit", "the same" if same else "differs", same)


def _predictions(folder: Path, network: "CompiledNetwork", card: Card, test: "Split") -> list[Check]:
    from runtime.artifact import read_tensors

    (expected,) = read_tensors(folder / EXPECTED, "classes")
    height, width, channels = test.pixels.shape[1:]
    if (channels, height, width) != network.info.input_shape[1:]:
        raise BitnasError(f"data: '{card.data}' has images of another shape than the network; export it anew")
    classes = classes_of(network, test)
    if expected.shape != classes.shape:
        raise BitnasError(f"{folder / EXPECTED}: it holds another number of images; export the artifact anew")
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


def _latency(network: "CompiledNetwork", card: Card, tolerance: float) -> Check:
    import latency

    try:
        record = TypeAdapter(latency.DeviceRecord).validate_python(card.device.get("record"))
    except ValidationError as error:
        raise BitnasError("card.json: it does not say how its device is reached; export anew") from error
    found = latency.connect(record).measure_network(network).milliseconds
    holds = found <= card.measured_ms * (1 + tolerance)
    stated = f"{milliseconds(card.measured_ms)} ms (+{tolerance:.0%} at most)"
    return Check("latency", stated, f"{milliseconds(found)} ms measured now", holds)
