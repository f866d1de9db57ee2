"""The linked views of a search, as scripts that a browser runs: in the dashboard and in a report."""

from pathlib import Path

FOLDER = Path(__file__).parent
SCRIPTS = (
    "columns.js",
    "view_state.js",
    "plots.js",
    "drawing.js",
    "architecture.js",
    "table.js",
    "data_table.js",
    "twin.js",
    "merits.js",
    "views.js",
    "explorer.js",
)
"""In the order in which they are loaded."""
STYLE = "explorer.css"
