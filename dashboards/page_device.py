"""The page of one device: what was measured when and how well, and how far predictions were off."""

from collections.abc import Sequence
from hashlib import sha256
from typing import Any

import dash_mantine_components as dmc

from dashboards.page_devices import RIGHT, moment
from dashboards.parts import card, chart, crumbs, download, figures_of_merit, grid, heading, notice
from dashboards.routes import Route, device_path, search_path
from dashboards.views import View
from nas.analysis.devices_data import (
    STEADY_WITHIN,
    Coverage,
    DeviceDetails,
    DeviceSummary,
    device_details,
)
from nas.analysis.searches_data import goes_on
from nas.figures.devices import (
    FamilyErrors,
    KernelRow,
    drift_figure,
    families_figure,
    kernels_figure,
)
from nas.figures.labels import workload_label
from nas.figures.latency import predicted_figure
from nas.formatting import MISSING, counted, percent
from nas.hints import command, without_password
from nas.ledger import Ledger

NUMBER = {"filter": "agNumberColumnFilter", **RIGHT}
COLUMNS: list[dict[str, Any]] = [
    {"field": "kernel", "headerName": "Kernel", "minWidth": 220, "tooltipField": "workload", "flex": 2},
    {"field": "family", "headerName": "Family"},
    {"field": "ms", "headerName": "Milliseconds", "minWidth": 130, **NUMBER},
    {"field": "spread", "headerName": "Spread (%)", "minWidth": 95, **NUMBER},
    {"field": "samples", "headerName": "Samples", "minWidth": 110, **NUMBER},
    {"field": "date", "headerName": "Measured (UTC)", "minWidth": 145},
    {"field": "tvm", "headerName": "TVM", "minWidth": 100},
    {"field": "schedule", "headerName": "Schedule", "minWidth": 110},
    {"field": "disturbed", "headerName": "Disturbed", "tooltipField": "disturbed"},
]
ID_DIGITS = 16  # of a row's identity: workloads are long
DIGITS = 4
"""That count, of a table's milliseconds: so it sorts and filters them as numbers."""


def page(ledger: Ledger, route: Route) -> Any:
    """The page of a device; InvalidInput when there is none."""
    found = device_details(ledger, route.device)
    summary, storage = found.summary, without_password(ledger.url)
    parts = [
        crumbs(("Devices", "/devices"), (summary.name, "")),
        heading(summary.name),
        dmc.Box(_merits(found), id="merits"),
        _shortened(found),
        card("What it is", _facts(summary), "Each line is a compiler and a way of measuring: times of one do "
             "not stand for those of another."),
        _timings(found).show(),
        _predicted(found, storage).show(),
        _families(found, storage).show(),
        _coverage(found).show(),
        _drift(found).show(),
        _kernels(found).show(),
    ]  # fmt: skip
    return dmc.Stack([part for part in parts if part is not None], gap="lg")


def is_live(ledger: Ledger, route: Route) -> bool:
    """Whether a search on it still has trials to run, or a front to measure."""
    mine = (search for search in ledger.searches() if search.config.device == route.device)
    return goes_on(ledger, mine)


def _merits(found: DeviceDetails) -> Any:
    summary = found.summary
    accuracy, rows = summary.accuracy, found.newest_rows
    disturbed = sum(row.disturbed is not None for row in rows)
    spreads = sorted(row.spread for row in rows)
    spread = percent(spreads[len(spreads) // 2]) if spreads else MISSING
    left_out = f", {accuracy.disturbed} more disturbed" if accuracy.disturbed else ""
    return figures_of_merit(
        [
            ("Kernels measured", f"{summary.kernels:,}", f"{disturbed} of those shown disturbed"),
            ("Mean error of predictions", percent(accuracy.error),
             f"{counted(accuracy.counted, 'network')} measured whole{left_out}"),
            ("Spread, median", spread, "of the samples of a kernel"),
            ("Recent speed", summary.drift.word,
             MISSING if summary.drift.share is None else f"reference {summary.drift.share:+.1%}"),
            ("Newest measurement", moment(summary.newest), f"oldest {moment(summary.oldest)}, UTC"),
        ]
    )  # fmt: skip


def _shortened(found: DeviceDetails) -> Any:
    if not found.shortened:
        return None
    return notice(f"There is more than this page shows: it has {', '.join(found.shortened)}.")


def _facts(summary: DeviceSummary) -> Any:
    if not summary.places:
        return notice("Nothing was measured on it yet.")
    titles = ("CPU", "Compiled for", "By", "Kernels", "Times", "Oldest (UTC)", "Newest (UTC)")
    rows = [
        (
            place.cpu or MISSING,
            place.target or MISSING,
            place.made_by or MISSING,
            f"{place.kernels:,}",
            f"{place.measurements:,}",
            moment(place.oldest),
            moment(place.newest),
        )
        for place in summary.places
    ]
    return dmc.Box(_table(titles, rows), id="places")


def _timings(found: DeviceDetails) -> View[list[KernelRow]]:
    return View(
        "What was measured when, and how well",
        lambda: found.rows,
        lambda rows: None if rows else "No kernel was measured on this device yet.",
        lambda rows: chart("device-kernels", kernels_figure(rows)),
        note="Each mark is a time of a kernel: how far its samples spread, as the range of the middle half "
        "of them over their median. A cross is a time that a disturbed machine made worthless.",
    )


def _predicted(found: DeviceDetails, storage: str | None) -> View[DeviceDetails]:
    calibrate = command("latency", "calibrate", device=found.summary.name, storage=storage)
    return View(
        "Predicted against measured",
        lambda: found,
        lambda found: (
            None
            if found.whole or found.summed
            else f"No whole network was measured on it yet. A search measures its front; so does: {calibrate}"
        ),
        lambda found: chart("device-networks", predicted_figure(found.compared, found.summed), 460),
        note="Each mark is a whole network, compiled and timed; on the dotted line the prediction is right. "
        "Bars are the intervals that were predicted. Hollow squares are networks that predictions learn "
        "from, beside the mere sum of their kernels.",
    )


def _families(found: DeviceDetails, storage: str | None) -> View[Sequence[FamilyErrors]]:
    evaluate = command("latency", "evaluate", device=found.summary.name, storage=storage)
    return View(
        "Error by kernel family",
        lambda: found.families,
        lambda families: (
            None
            if families
            else f"No kernel was estimated first and measured later. This judges on new networks: {evaluate}"
        ),
        lambda families: chart("device-families", families_figure(families)),
        note="Kernels that a trial was predicted with before they were measured: how far the estimate was "
        f"off, by family, the worst on top. On new networks the same is judged by: {evaluate}",
    )


def _coverage(found: DeviceDetails) -> View[list[Coverage]]:
    titles = ("Search", "Space", "Trials", "Kernels", "Measured", "Share of the time", "Measures more")
    return View(
        "How much of a space is covered",
        lambda: found.coverage,
        lambda rows: None if rows else "No search is about this device.",
        lambda rows: dmc.Box(_table(titles, [_covered(row) for row in rows]), id="coverage"),
        note="Of the kernels that the trials of a search are made of, how many are measured by now, and "
        "which share of the predicted time these make. All others are estimated.",
    )


def _covered(row: Coverage) -> list[Any]:
    share = f"{row.measured:,} ({percent(row.measured / row.kernels)})" if row.kernels else MISSING
    return [
        dmc.Anchor(row.search, href=search_path(row.search), size="sm"),
        row.space,
        f"{row.trials:,}",
        f"{row.kernels:,}",
        share,
        percent(row.time) if row.kernels else MISSING,
        dmc.Code(row.command),
    ]


def _drift(found: DeviceDetails) -> View[list[KernelRow]]:
    return View(
        "Drift of the reference",
        lambda: [row for row in found.rows if row.reference_ms and row.usual_ms],
        lambda rows: None if rows else "No measurement tells what the reference took beside it.",
        lambda rows: chart("device-drift", drift_figure(rows, STEADY_WITHIN)),
        note="The reference is a piece of work that is always the same, timed beside each kernel. Above zero "
        "the machine was slower than usual then; times are given for its usual speed. Outside the dashed "
        "lines it counts as another speed.",
    )


def _kernels(found: DeviceDetails) -> View[list[KernelRow]]:
    link = download("Download CSV", f"/data{device_path(found.summary.name)}/kernels.csv")
    return View(
        "Kernels",
        lambda: found.newest_rows,
        lambda rows: None if rows else "No kernel was measured on this device yet.",
        lambda rows: dmc.Stack([dmc.Group([link]), grid("kernels", COLUMNS, [_row(row) for row in rows])]),
        note="Of each kernel the time that counts, the newest. The download has every time of every kernel, "
        "and its workload in full.",
    )


def _row(row: KernelRow) -> dict[str, Any]:
    return {
        "id": f"{row.place}-{sha256(row.workload.encode()).hexdigest()[:ID_DIGITS]}",
        "kernel": workload_label(row.workload),
        "workload": row.workload,
        "family": row.family,
        "ms": float(f"{row.milliseconds:.{DIGITS}g}"),
        "spread": round(100 * row.spread, 1),
        "samples": row.samples,
        "date": moment(row.date),
        "tvm": row.tvm_version,
        "schedule": row.schedule,
        "disturbed": row.disturbed or "",
    }


def _table(titles: Sequence[str], rows: Sequence[Sequence[Any]]) -> Any:
    head = dmc.TableThead(dmc.TableTr([dmc.TableTh(title) for title in titles]))
    body = dmc.TableTbody([dmc.TableTr([dmc.TableTd(cell) for cell in row]) for row in rows])
    return dmc.TableScrollContainer(dmc.Table([head, body], verticalSpacing="xs"), minWidth=640)
