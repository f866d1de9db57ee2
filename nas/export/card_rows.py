"""The figures of a card as rows for people: each with its value and how it was come by."""

from nas.export.card import Card, FormFigures, Row
from nas.export.wilson import wilson
from nas.formatting import counted, interval, milliseconds, spread
from runtime.formats.artifact import COMPILED


def card_rows(card: Card) -> list[Row]:
    """All figures of a card."""
    by = "compiled code" if card.judged == COMPILED else f"form {card.judged}"
    images = f"{by} on the {card.test_images} test images of {card.data}"
    between = "{:.1%} to {:.1%}".format(*wilson(card.right, card.test_images))
    return [
        ("test accuracy", f"{card.test_accuracy:.2%}", f"{images}, 95 % interval {between}"),
        *agreement_rows(card),
        *latency_rows(card),
        ("size", f"{card.size_kb:.3f} kB", "parameters, each at the bits of its code"),
        *cost_rows(card),
        *_stored(card),
    ]


def agreement_rows(card: Card) -> list[Row]:
    """What else is known of the accuracy: torch's, that on the validation split, those with other seeds."""
    rows = []
    if card.same_class not in (None, card.test_images):
        how = "by the compiled code and by torch, which adds in another order"
        rows.append(("same class", f"{card.same_class} of {card.test_images}", how))
    if card.validation_accuracy is not None:
        how = f"torch, after {counted(card.epochs, 'epoch')}"
        rows.append(("validation accuracy", f"{card.validation_accuracy:.2%}", how))
    if len(card.repeated_accuracies) > 1:
        told = spread(card.repeated_accuracies)
        rows.append(("accuracy over seeds", told, "validation, by the search"))
    return rows


def latency_rows(card: Card) -> list[Row]:
    """The latency as measured, with what that is worth, and as predicted, here and on other devices."""
    worth = f"; do not rely on it, the machine was disturbed: {card.disturbed}" if card.disturbed else ""
    how = f"whole network, {interval(*card.interval)} by repeats, {card.measured_at}{worth}"
    return [
        ("latency, measured", f"{milliseconds(card.measured_ms)} ms", how),
        ("latency, predicted", f"{milliseconds(card.predicted_ms)} ms", "sum over its kernels"),
        *(
            (f"latency on {device}", f"{milliseconds(ms)} ms", "predicted, sum over its kernels there")
            for device, ms in card.predicted_elsewhere_ms.items()
        ),
    ]


def cost_rows(card: Card) -> list[Row]:
    """Memory and arithmetic; cards of before these were stated have none."""
    rows = []
    if card.memory_kb is not None:
        rows.append(("memory", f"{card.memory_kb:.2f} kB", "workspace of the compiled network"))
    if card.macs is not None:
        rows.append(("MACs", f"{card.macs:,}", "multiply-accumulates for one image"))
    return rows


def _stored(card: Card) -> list[Row]:
    """What each form takes in the folder, and how it differs from the others."""
    library = []
    if card.artifact_kb is not None:
        library = [("artifact", f"{card.artifact_kb:.1f} kB", "library and constants")]
        if len(card.forms) == 1:
            return library  # its agreement with torch is told above
    forms = [
        (f"form {form.name}", f"{form.kilobytes:.1f} kB", f"{', '.join(form.files)}; {_compared(form)}")
        for form in card.forms
    ]
    return [*library, *forms]


def _compared(form: FormFigures) -> str:
    if form.right is None:
        return f"not compared: {form.not_run}"
    told = [f"{count} otherwise than {other}" for other, count in form.differing.items() if count]
    return f"classes {', '.join(told) or 'all images as ' + ', '.join(form.differing)}"
