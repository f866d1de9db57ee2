"""Pieces that the pages of trials share: drawings of architectures, tables below charts, commands to copy."""

import json
from collections.abc import Sequence
from typing import Any

import dash_mantine_components as dmc
from dash import html

from nas.figures.drawing import Part


def drawing(parts: Sequence[Part], is_large: bool = False) -> Any:
    """Room for an architecture, which the browser draws (``assets/mount.js``)."""
    told = {"data-parts": json.dumps([part._asdict() for part in parts])}
    return html.Div(**told, **{"data-size": "large" if is_large else "small"})


def plain_table(titles: Sequence[str], rows: Sequence[Sequence[Any]]) -> Any:
    """A table that scrolls where it is wider than the page."""
    head = dmc.TableThead(dmc.TableTr([dmc.TableTh(title) for title in titles]))
    body = dmc.TableTbody([dmc.TableTr([dmc.TableTd(cell) for cell in row]) for row in rows])
    table = dmc.Table([head, body], verticalSpacing=4, highlightOnHover=True)
    return dmc.TableScrollContainer(table, minWidth=480)


def command_to_copy(text: str) -> Any:
    """A command for a shell, with a button that takes it to the clipboard."""
    copy = dmc.CopyButton(
        value=text, children="Copy", copiedChildren="Copied", size="xs", color="gray", copiedColor="teal"
    )
    return dmc.Group([dmc.Code(text, className="command"), copy], gap="sm")
