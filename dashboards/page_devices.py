"""The page of all devices: what each is, what was measured on it, and how far predictions were off."""

from typing import Any

import dash_mantine_components as dmc

from dashboards.parts import grid, heading, link, link_column
from dashboards.routes import Route, device_path
from dashboards.views import View
from nas.analysis.devices_data import DeviceSummary, device_summaries
from nas.analysis.searches_data import goes_on
from nas.formatting import MISSING, counted, percent
from nas.hints import command, without_password
from nas.ledger import Ledger

RIGHT = {"type": "rightAligned"}
WRAPPED = {"wrapText": True, "autoHeight": True}
COLUMNS = [
    link_column("link", "Device", minWidth=90),
    {"field": "what", "headerName": "What it is", "minWidth": 190, **WRAPPED},
    {"field": "kernels", "headerName": "Kernels measured", "minWidth": 105, **RIGHT},
    {"field": "networks", "headerName": "Networks measured", "minWidth": 105, **RIGHT},
    {"field": "error", "headerName": "Mean error of predictions", "minWidth": 125, **RIGHT},
    {"field": "drift", "headerName": "Recent speed", "minWidth": 125},
    {"field": "newest", "headerName": "Newest (UTC)", "minWidth": 145},
    {"field": "oldest", "headerName": "Oldest (UTC)", "minWidth": 145},
]
NOTE = (
    "A prediction is compared where the whole network was measured, too; networks on a disturbed machine "
    "do not count. The recent speed is what a piece of work that is always the same took beside the newest "
    "measurements, against what it usually takes."
)


def page(ledger: Ledger, _route: Route) -> Any:
    """The list of devices."""
    view = View("All devices", lambda: device_summaries(ledger), _why_not, _draw, NOTE)
    add = command("device", "add", "NAME", rpc="HOST:PORT", storage=without_password(ledger.url))
    more = dmc.Text(["A further device is added by ", dmc.Code(add)], size="sm", c="dimmed")
    return dmc.Stack([heading("Devices"), view.show(), more], gap="lg")


def is_live(ledger: Ledger, _route: Route) -> bool:
    """Whether some search still has trials to run or a front, and so kernels, to measure."""
    return goes_on(ledger, ledger.searches())


def _why_not(found: list[DeviceSummary]) -> str | None:
    return None if found else "The ledger knows no devices."


def _draw(found: list[DeviceSummary]) -> Any:
    return grid("devices", COLUMNS, [_row(summary) for summary in found])


def _row(summary: DeviceSummary) -> dict[str, Any]:
    return {
        "id": summary.name,
        "link": link(summary.name, device_path(summary.name)),
        "what": _what(summary),
        "kernels": summary.kernels,
        "networks": summary.networks,
        "error": percent(summary.accuracy.error),
        "drift": str(summary.drift),
        "newest": moment(summary.newest),
        "oldest": moment(summary.oldest),
    }


def _what(summary: DeviceSummary) -> str:
    """Its cpu, cores, target and compiler, as far as they are known."""
    told = summary.described
    known = [str(told["cpu"])] if "cpu" in told else []
    known += [counted(int(told["cores"]), "core")] if isinstance(told.get("cores"), int) else []
    known += [f"compiled for {' and '.join(summary.targets)}"] if summary.targets else []
    known += [f"TVM {told['tvm']}"] if "tvm" in told else []
    return ", ".join(known) or MISSING


def moment(date: str | None) -> str:
    """Day and minute of an ISO 8601 date."""
    return date[:16].replace("T", " ") if date else MISSING
