"""A search as one HTML file that opens without a network: the dashboard's views, their data, and plotly."""

import base64
import gzip
import json
from collections.abc import Mapping
from html import escape
from pathlib import Path
from typing import Any

from nas.figures.browser import FOLDER, SCRIPTS, STYLE

REPORT_SCRIPTS = ("report.js",)

PAGE = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title}</title>
<style>{style}</style>
</head>
<body class="bitnas-report">
<header><h1>{title}</h1><p class="bitnas-about">{about}</p></header>
<main><div class="bitnas-explorer" id="explorer">Unpacking …</div>
<section class="bitnas-view"><h3>Trials</h3>
<p class="bitnas-about">The same trials, one a row. A click on a heading sorts.</p>
<div id="trials"></div></section></main>
<noscript>This report is drawn by scripts: allow them for this file.</noscript>
<script type="application/gzip" id="plotly">{plotly}</script>
<script type="application/gzip" id="data">{data}</script>
<script>{scripts}</script>
</body>
</html>
"""


def report_html(title: str, about: str, data: Mapping[str, Any]) -> str:
    """The whole file.

    Args:
        title: its heading.
        about: a line below it: settings, counts, when it was made.
        data: by kind (``frame``, ``history``, ``curves``, ``drawings``), of ``nas.analysis.search_data``.
    """
    import plotly

    library = (Path(plotly.__file__).parent / "package_data" / "plotly.min.js").read_bytes()
    scripts = [(FOLDER / name).read_text(encoding="utf-8") for name in (*SCRIPTS, *REPORT_SCRIPTS)]
    return PAGE.format(
        title=escape(title),
        about=escape(about),
        style=(FOLDER / STYLE).read_text(encoding="utf-8"),
        plotly=_packed(library),
        data=_packed(json.dumps(data, separators=(",", ":")).encode()),
        scripts="\n".join(scripts),
    )


def _packed(content: bytes) -> str:
    """By gzip, as base64: a third of the size, and nothing that a browser could take for HTML."""
    return base64.b64encode(gzip.compress(content, mtime=0)).decode()
