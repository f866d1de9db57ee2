"""The page of all artifacts: what was exported, whether it is there as it was, and was verified."""

from typing import Any

import dash_mantine_components as dmc

from dashboards.parts import grid, heading, link, link_column
from dashboards.routes import Route, artifact_path, search_path
from dashboards.views import View
from nas.analysis.artifacts_data import Effort, Looked, look_at
from nas.hints import command, without_password
from nas.ledger import Ledger
from nas.ledger.artifacts import Exported, every_artifact

COLUMNS = [
    link_column("link", "Artifact", minWidth=120),
    link_column("search", "Search", minWidth=120),
    {"field": "exported", "headerName": "Exported (UTC)", "minWidth": 150},
    {"field": "state", "headerName": "Its files are"},
    {"field": "verified", "headerName": "Verified", "minWidth": 215},
    {"field": "target", "headerName": "Compiled for", "tooltipField": "target"},
    {
        "field": "path",
        "headerName": "Folder",
        "minWidth": 260,
        "wrapText": True,
        "autoHeight": True,
        "flex": 2,
    },
]
MOST_BYTES, MOST_SECONDS = 64 << 20, 1.0
"""What the folders of the list are checked with, the newest first; the page of each checks it by itself."""
NOTE = (
    "The folder of each is read now: its manifest must be the one that was exported, and every file must "
    "have the sum that it lists. Whether the network does what its card states, a verification tells."
)
NEVER = "never verified"


def page(ledger: Ledger, _route: Route) -> Any:
    """The list of artifacts."""
    export = command("export", "SEARCH", output="winner/", storage=without_password(ledger.url))
    view = View(
        "All artifacts",
        lambda: every_artifact(ledger),
        lambda found: None if found else f"Nothing was exported yet; this writes a network: {export}",
        _draw,
        NOTE,
    )
    return dmc.Stack([heading("Artifacts"), view.show()], gap="lg")


def is_live(_ledger: Ledger, _route: Route) -> bool:
    """Artifacts come and go without a search."""
    return False


def told_verified(exported: Exported) -> str:
    """Whether and when it was verified."""
    when = exported.verified_at
    return NEVER if when is None else f"verified on {when:%Y-%m-%d %H:%M}"


def _draw(found: list[Exported]) -> Any:
    effort = Effort(MOST_BYTES, MOST_SECONDS)
    return grid("artifacts", COLUMNS, [_row(exported, look_at(exported, effort)) for exported in found])


def _row(exported: Exported, looked: Looked) -> dict[str, Any]:
    record = exported.record
    return {
        "id": str(exported.number),
        "link": link(f"trial {record.number}", artifact_path(exported.number)),
        "search": link(record.search, search_path(record.search)),
        "exported": f"{record.created_at:%Y-%m-%d %H:%M}",
        "state": looked.state,
        "verified": told_verified(exported),
        "target": record.target,
        "path": record.path,
    }
