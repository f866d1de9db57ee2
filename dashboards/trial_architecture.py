"""The architecture of a trial: drawn from image to classes, and the same as a table."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import dash_mantine_components as dmc

from dashboards.parts import card, precision_badge
from dashboards.trial_parts import drawing
from dashboards.views import View
from nas.figures.drawing import Part, parts_of
from nas.figures.layers import LayerRow, layer_rows
from nas.formatting import MISSING
from nas.ledger import TrialRecord

NOTE = (
    "From the image to the classes. A box is as tall as its part is wide; its layers have the colour and the "
    "letter of their precision. An arrow has the image's size in pixels, a dashed line the stride."
)
TITLES = ("Part", "Kind", "Width", "Kernel", "Stride", "Groups", "Precision")


class _Drawn(NamedTuple):
    """One architecture, to draw and to list."""

    parts: list[Part]
    rows: list[LayerRow]


def architecture(trial: TrialRecord) -> View[_Drawn]:
    """What bitnas can build."""
    text = trial.architecture
    return View(
        "Architecture",
        lambda: _Drawn(parts_of(text), layer_rows(text)) if text else _Drawn([], []),
        lambda drawn: (
            None if drawn.rows else f"No architecture has been chosen yet (the trial is {trial.state})."
        ),
        lambda drawn: dmc.Stack([drawing(drawn.parts, is_large=True), _layer_table(drawn.rows)]),
        note=NOTE,
    )


def choices(trial: TrialRecord) -> Any:
    """What was chosen, for architectures that are not bitnas's."""
    chosen = (trial.choices or {}).items()
    rows = [[dmc.TableTh(name, w=160), dmc.TableTd(str(option))] for name, option in chosen]
    table = dmc.Table(dmc.TableTbody([dmc.TableTr(row) for row in rows]), withRowBorders=False)
    return card("Architecture", table, note="What the space's choices were.")


def _layer_table(rows: Sequence[LayerRow]) -> Any:
    head = dmc.TableThead(dmc.TableTr([dmc.TableTh(title) for title in TITLES]))
    body = dmc.TableTbody([dmc.TableTr([dmc.TableTd(cell) for cell in _cells(row)]) for row in rows])
    return dmc.TableScrollContainer(
        dmc.Table([head, body], verticalSpacing="xs", highlightOnHover=True, className="layers"), minWidth=640
    )


def _cells(row: LayerRow) -> list[Any]:
    kernel = MISSING if row.kernel is None else f"{row.kernel}\N{MULTIPLICATION SIGN}{row.kernel}"
    numbers = [MISSING if value is None else str(value) for value in (row.width, row.stride, row.groups)]
    badges = dmc.Group([precision_badge(layer, precision) for layer, precision in row.precisions], gap=6)
    return [dmc.Text(row.part, fw=600, size="sm"), row.kind, numbers[0], kernel, *numbers[1:], badges]
