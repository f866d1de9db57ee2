"""Writes an exported folder: each form is compared with torch and the others, and a card describes all."""

import platform
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from nas.export.agreement import (
    TORCH,
    check_agreement,
    classes_of,
    differing,
    own_disagreement,
)
from nas.export.card import CARD, CARD_TEXT, Card, FormFigures
from nas.export.finished import Finished, data_digest
from nas.export.formats.base import DEFAULT, chosen, formats
from nas.export.formats.compiled import artifact_kilobytes
from nas.export.readme import readme
from nas.versions import versions
from runtime.folders import new_folder
from runtime.formats.artifact import COMPILED

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from torch import nn

EXPECTED = "expected.safetensors"
Classes = dict[str, "NDArray[Any]"]
"""The class (N,) of each test image, by who gives it: ``torch``, or a form."""


def write_artifact(
    finished: Finished,
    output: Path,
    identity: tuple[str, str],
    *,
    forms: Sequence[str] = DEFAULT,
    say: Callable[[str], None] = lambda _: None,
    **origin: Any,
) -> Card:
    """Judge a network in each of its forms by the test images, and write its folder.

    Args:
        finished: the network.
        output: the folder, new or empty.
        identity: name and text of the file that says what the network is.
        forms: the names of the forms to write.
        say: is told how far forms differ, and which cannot be run here.
        origin: the fields of the card that say where it comes from.

    Raises:
        DisagreementError: a form does not compute what torch does.
        InvalidInput: the folder holds something, or there is no such form.
        BitnasError: it cannot be written.
    """
    from safetensors.numpy import save

    from nas.training.loop import predict
    from runtime.formats.saving import vouch_again, write_manifest

    forms = chosen(forms)
    info, constants = finished.network.info, finished.network.constants
    classes: Classes = {TORCH: predict(finished.module, finished.data.test)}
    with new_folder(output) as folder:
        name, text = identity
        (folder / name).write_text(text + "\n", encoding="utf-8")
        files = {form: _written(finished, folder, form) for form in forms}
        write_manifest(folder, info, constants, forms)  # so that each is opened as it will be later
        for form in forms:
            _judge(finished, folder, form, classes, say)
        figures = [_figures(folder, form, files[form], classes, finished) for form in forms]
        card = _card(finished, figures, classes, origin)
        (folder / EXPECTED).write_bytes(save({"classes": classes[TORCH].astype(np.int64)}))
        (folder / CARD).write_text(card.to_json(), encoding="utf-8")
        (folder / CARD_TEXT).write_text(readme(card), encoding="utf-8")
        vouch_again(folder)
    return card


def _written(finished: Finished, folder: Path, form: str) -> list[str]:
    """Write a form; the names of its files."""
    before = {path.name for path in folder.iterdir()}
    formats.get(form).write(finished, folder)
    return sorted({path.name for path in folder.iterdir()} - before)


def _judge(finished: Finished, folder: Path, form: str, classes: Classes, say: Callable[[str], None]) -> None:
    """Run a form, where it runs here, and hold its classes against those of torch and of forms before it."""
    made, test = formats.get(form), finished.data.test
    run = made.opened(folder)
    if run is None:
        say(f"{form}: not compared, as it cannot be run here: {made.missing(folder)}")
        return
    found = classes_of(run, test)
    own = partial(own_disagreement, finished.module, test, classes[TORCH])
    check_agreement(found, classes[TORCH], own, "network" if form == COMPILED else form)
    classes[form] = found
    told = [f"{count} otherwise than {other}" for other, count in differing(classes, form).items() if count]
    say(f"{form}: classes {', '.join(told) or 'all as ' + ', '.join(n for n in classes if n != form)}"
        f" ({len(test):,} test images)")  # fmt: skip


def _figures(
    folder: Path, form: str, files: Sequence[str], classes: Classes, finished: Finished
) -> FormFigures:
    made = formats.get(form)
    right = None
    if form in classes:
        right = int((classes[form] == finished.data.test.labels).sum())
    return FormFigures(
        name=form,
        files=list(files),
        holds_code=made.holds_code,
        kilobytes=sum((folder / name).stat().st_size for name in files) / 1000,
        right=right,
        differing=differing(classes, form) if form in classes else {},
        not_run="" if form in classes else made.missing(folder),
        figures=made.figures(folder),
    )


def _card(
    finished: Finished, figures: list[FormFigures], classes: Classes, origin: Mapping[str, Any]
) -> Card:
    import search_spaces
    from search_spaces.sizing import layers

    data, network, device = finished.data, finished.network, finished.device
    labels, size = data.test.labels, search_spaces.size(finished.module)
    judged = next((form.name for form in figures if form.name in classes), None)
    found = classes[judged] if judged else _by_twin(finished)
    has_library = any(form.name == COMPILED for form in figures)
    return Card(
        **origin,
        data_digest=data_digest(data.test),
        input_shape=list(data.input_shape),
        largest=data.largest,
        mean=list(data.test.scaling.mean),
        deviation=list(data.test.scaling.deviation),
        class_names=list(data.class_names),
        validation_accuracy=finished.validation_accuracy,
        test_accuracy=float((found == labels).mean()),
        test_images=len(data.test),
        same_class=int((found == classes[TORCH]).sum()),
        class_right=np.bincount(labels[found == labels], minlength=data.classes).tolist(),
        class_images=np.bincount(labels, minlength=data.classes).tolist(),
        size_kb=size.kilobytes,
        kb_by_code={code: bits / 8000 for code, bits in sorted(size.bits_by_code.items())},
        memory_kb=network.info.workspace_bytes / 1000,
        macs=sum(layer.macs for layer in layers(finished.module, network.info.input_shape[1:])),
        artifact_kb=artifact_kilobytes(network) if has_library else None,
        forms=figures,
        predicted_ms=finished.predicted_ms,
        measured_ms=finished.measurement.milliseconds,
        measured_iqr_ms=finished.measurement.iqr_ms,
        measured_at=finished.measurement.date,
        measured_drift=finished.measurement.conditions.drift,
        measured_low_ms=finished.measurement.interval[0],
        measured_high_ms=finished.measurement.interval[1],
        measured_reference_ms=finished.measurement.conditions.usual_ms,
        measured_disturbed=finished.measurement.disturbed,
        batch=network.info.input_shape[0],
        device={"name": device.name, "record": asdict(device.record), **device.describe()},
        precisions=dict(sorted(precision_counts(finished.module).items())),
        exported_at=datetime.now(UTC).isoformat(timespec="seconds"),
        versions={"python": platform.python_version(), **versions()},
    )


def _by_twin(finished: Finished) -> "NDArray[Any]":
    """The classes of the same network compiled for this machine, as no form runs here."""
    network = finished.network.twin or finished.network
    return classes_of(network.run, finished.data.test)


def precision_counts(module: "nn.Module") -> Counter[str]:
    """How many layers of a network have each precision; those that are never coded count as float."""
    from torch import nn

    from search_spaces.layers import QuantConv2d, QuantLinear

    found = Counter[str]()
    for layer in module.modules():
        if isinstance(layer, QuantConv2d | QuantLinear):
            found[layer.precision.name] += 1
        elif isinstance(layer, nn.Conv2d | nn.Linear):
            found["float"] += 1
    return found
