"""The card for people: README.md of an exported folder, in the form of the Hugging Face hub's model cards."""

import json
import re
from collections.abc import Iterable, Sequence
from pathlib import PurePath

from nas.export.card import Card, FormFigures
from nas.export.card_rows import agreement_rows, cost_rows, latency_rows
from nas.export.formats.base import formats
from nas.export.wilson import wilson
from nas.formatting import counted
from runtime.formats.artifact import COMPILED
from runtime.formats.pictures import shown

MOST_CLASSES = 1000
"""Rows of the table of classes."""
MAX_CLASS_NAMES = 20
"""Of classes, named in a line."""
DEVICE_LEFT_OUT = ("features", "record")


def readme(card: Card) -> str:
    """The card as Markdown, below a head of YAML that the hub reads."""
    parts = [
        _head(card),
        f"# {_plain(card.title)}",
        _about(card),
        _accuracy(card),
        _size(card),
        _speed(card),
        _use(card),
        _origin(card),
        _limits(card),
    ]
    return "\n\n".join(parts) + "\n"


def _head(card: Card) -> str:
    """YAML, its strings as JSON writes them, which YAML takes, too."""
    tags = ["image-classification", "neural-architecture-search", "quantization", "bitnas", *card.precisions]
    data = json.dumps(PurePath(card.data).name)
    lines = [
        "---",
        f"library_name: {_library(card.forms)}",
        "pipeline_tag: image-classification",
        "tags:",
        *(f"- {json.dumps(tag)}" for tag in dict.fromkeys((*tags, *_names(card)))),
        "metrics:",
        "- accuracy",
        "model-index:",
        f"- name: {json.dumps(card.title)}",
        "  results:",
        "  - task:",
        "      type: image-classification",
        "    dataset:",
        f"      name: {data}",
        f"      type: {data}",
        "      split: test",
        "    metrics:",
        "    - type: accuracy",
        f"      value: {card.test_accuracy}",
        "---",
    ]
    return "\n".join(lines)


def _library(forms: Sequence[FormFigures]) -> str:
    """What loads the folder: that of the first form."""
    return formats.get(forms[0].name).library_name if forms else "bitnas"


def _names(card: Card) -> list[str]:
    return [form.name for form in card.forms] or [COMPILED]


def _about(card: Card) -> str:
    """What it is, in a few sentences."""
    size = f"{card.input_shape[2]}x{card.input_shape[1]} " if len(card.input_shape) == 3 else ""
    colours = {1: "grey ", 3: "colour "}.get(card.input_shape[0], "") if card.input_shape else ""
    classes = f" into {len(card.class_images)} classes" if card.class_images else ""
    layers = ", ".join(f"{count} {name}" for name, count in card.precisions.items())
    return (
        f"Classifies {size}{colours}images{classes}. Its layers by precision: {layers}. "
        "bitnas made it, and `nas verify` on this folder checks the figures."
    )


def _accuracy(card: Card) -> str:
    low, high = wilson(card.right, card.test_images)
    text = (
        f"{card.test_accuracy:.2%} of {card.test_images:,} test images of `{_code(card.data)}`, "
        f"95 % interval {low:.1%} to {high:.1%} (Wilson). Nothing was chosen by these images."
    )
    rows = agreement_rows(card)
    parts = ["## Accuracy", text, *([_table(("Figure", "Value", "How"), rows)] if rows else [])]
    if card.class_images:
        parts.append(_table(("Class", "Images", "Right", "Accuracy", "95 % interval"), _class_rows(card)))
    if len(card.class_images) > MOST_CLASSES:
        parts.append(f"The first {MOST_CLASSES:,} classes; `card.json` has all.")
    return "\n\n".join(parts)


def _class_rows(card: Card) -> list[tuple[str, ...]]:
    """How the images of each class fare; a class without any has no accuracy."""
    rows: list[tuple[str, ...]] = []
    counts = zip(card.class_images[:MOST_CLASSES], card.class_right, strict=False)
    for number, (images, right) in enumerate(counts):
        name = card.class_names[number] if number < len(card.class_names) else str(number)
        low, high = wilson(right, images) if images else (0.0, 1.0)
        share = f"{right / images:.1%}" if images else "no images"
        rows.append((_plain(name), f"{images:,}", f"{right:,}", share, f"{low:.1%} to {high:.1%}"))
    return rows


def _size(card: Card) -> str:
    """By code, then what the files take."""
    by_code = [(f"{code} weights", f"{kb:.3f} kB", _share(kb, card)) for code, kb in card.kb_by_code.items()]
    other = card.size_kb - sum(card.kb_by_code.values())
    if card.kb_by_code:
        by_code.append(("scales, biases, norms", f"{other:.3f} kB", _share(other, card)))
    rows = [*by_code, ("all parameters", f"{card.size_kb:.3f} kB", "each at the bits of its code")]
    if card.artifact_kb is not None:
        rows.append(("library and constants", f"{card.artifact_kb:.1f} kB", "what a device must hold"))
    files = [
        (f"`{form.name}`", f"{form.kilobytes:.1f} kB", ", ".join(f"`{name}`" for name in form.files))
        for form in card.forms
    ]
    parts = ["## Size", _table(("Part", "Size", "Note"), rows)]
    return "\n\n".join([*parts, *([_table(("Form", "Size", "Files"), files)] if files else [])])


def _share(kilobytes: float, card: Card) -> str:
    return f"{kilobytes / card.size_kb:.0%} of the parameters"


def _speed(card: Card) -> str:
    """Latency with its spread, memory, arithmetic."""
    rows = [*latency_rows(card), *cost_rows(card)]
    where = ", ".join(f"{key} {value}" for key, value in card.device.items() if key not in DEVICE_LEFT_OUT)
    absent = "" if COMPILED in _names(card) else " The compiled library that was timed is not in this folder."
    text = f"{counted(card.batch, 'image')} a call. Device: {_plain(where)}.{absent}"
    return "\n\n".join(["## Latency and memory", text, _table(("Figure", "Value", "How"), rows)])


def _use(card: Card) -> str:
    """How images are scaled, and how to run each form."""
    parts = ["## How to run it", *_scaling(card)]
    if card.mean:
        parts.append("With bitnas, whatever the form: `nas predict FOLDER photo.png folder/`.")
    for name in _names(card):
        if name in formats:
            form = formats.get(name)
            code = (
                "It is code: run it only if you trust who made it."
                if form.holds_code
                else "It holds no code."
            )
            parts += [f"### {form.title} (`{name}`)", code, form.usage(card)]
            figures = [figure for each in card.forms if each.name == name for figure in each.figures]
            parts += [_table(("Figure", "Value", "How"), figures)] if figures else []
    return "\n\n".join(parts)


def _scaling(card: Card) -> list[str]:
    if not card.mean or len(card.input_shape) != 3:
        return []
    channels, height, width = card.input_shape
    by_channel = list(zip(card.mean, card.deviation, strict=True))
    ends = [[round((x - mean) / by, 3) for mean, by in by_channel] for x in (0, card.largest)]
    mean, deviation, black, white = (
        ", ".join(f"{x:.6g}" for x in row) for row in (card.mean, card.deviation, *ends)
    )
    colours = "grey" if channels == 1 else "colour"
    becomes = "" if card.largest == 255 else f" (white, 255, becomes {card.largest})"
    lines = [
        f"Input: {colours} images of {width}x{height}, pixels 0 to {card.largest}, by channel "
        f"(pixel - mean) / deviation, mean {mean}, deviation {deviation}: {black} to {white}.",
        f"- Image files are brought to {width}x{height} and scaled so{becomes}.\n"
        f"- Pixels in uint8 (n, {height}, {width}, {channels}), 0 to {card.largest}, are scaled so.\n"
        f"- Numbers in float32 (n, {channels}, {height}, {width}) must be scaled already.",
    ]
    if card.class_names:
        names = ", ".join(_plain(name) for name in card.class_names[:MAX_CLASS_NAMES])
        more = "" if len(card.class_names) <= MAX_CLASS_NAMES else ", ... (card.json has all)"
        lines.append(f"Classes: {names}{more}.")
    return lines


def _origin(card: Card) -> str:
    """The search, the training, the versions."""
    rows = [
        ("search", card.search and _plain(card.search)),
        ("trial", card.trial),
        ("space", card.space and _plain(card.space)),
        ("network", card.network and _plain(card.network)),
        ("precision", card.precision and _plain(card.precision)),
        ("data", f"`{_code(card.data)}`" + (f" at {card.image_size} pixels" if card.image_size else "")),
        ("test images", f"sha256 `{card.data_digest}`"),
        ("epochs", card.epochs),
        ("seed", card.seed),
        ("architecture", f"sha256 `{card.digest}`"),
        ("exported", card.exported_at),
        ("versions", ", ".join(f"{name} {version}" for name, version in card.versions.items()) or None),
    ]
    told = [(what, str(value)) for what, value in rows if value is not None]
    return "\n\n".join(["## Where it comes from", _table(("What", "Value"), told)])


def _limits(card: Card) -> str:
    """What not to expect of it."""
    lines = [
        "It knows only the classes above: it puts every image into one of them, whatever it shows.",
        f"The accuracy holds for images like those of `{_code(card.data)}`; nobody has measured others.",
        "The probabilities that it gives are not calibrated.",
        "The latency holds for the device above and images one by one, on one thread unless told otherwise.",
    ]
    if card.disturbed:
        lines.append(f"Do not rely on the latency: the machine was disturbed ({_plain(card.disturbed)}).")
    for form in card.forms:
        if form.right is None:
            lines.append(f"The form `{form.name}` was not compared with the others: {_plain(form.not_run)}.")
        differing = [f"{n} otherwise than {other}" for other, n in form.differing.items() if n]
        if differing:
            lines.append(f"Of the test images, the form `{form.name}` classes {', '.join(differing)}.")
    return "\n\n".join(["## Limits", "\n".join(f"- {line}" for line in lines)])


def _table(titles: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = ["| " + " | ".join(titles) + " |", "|" + " --- |" * len(titles)]
    lines += ["| " + " | ".join(str(cell).replace("\n", " ") for cell in row) + " |" for row in rows]
    return "\n".join(lines)


def _plain(text: object) -> str:
    """A text of somebody else's as Markdown shows it, on one line and without effect."""
    return re.sub(r"([\\`*_\[\]<>|#])", r"\\\1", shown(text))


def _code(text: object) -> str:
    """The same within backticks, where only these and a table's bars have an effect."""
    return shown(text).replace("`", "'").replace("|", "/")
