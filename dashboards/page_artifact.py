"""The page of one artifact: whether it can be trusted, its card, its files, a download, what to type."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import dash_mantine_components as dmc

from dashboards.page_artifacts import NEVER, told_verified
from dashboards.parts import card, crumbs, download, heading, notice
from dashboards.routes import Route, artifact_path, search_path, trial_path
from dashboards.views import View
from nas.analysis.artifact_archive import MOST_BYTES
from nas.analysis.artifacts_data import AS_EXPORTED, UNCHECKED, Effort, Looked, look_at
from nas.formatting import MISSING
from nas.hints import command, without_password
from nas.ledger import Ledger
from nas.ledger.artifacts import Exported, find_artifact

if TYPE_CHECKING:
    from nas.ledger.entries import ArtifactRecord

MOST_SECONDS = 3.0
"""What checking the folder may take before the page comes without it."""
COLOURS = {AS_EXPORTED: "green", UNCHECKED: "gray"}
DEVICE_LEFT_OUT = ("features", "record")


def page(ledger: Ledger, route: Route) -> Any:
    """The page of an artifact; InvalidInput when there is none."""
    exported = find_artifact(ledger, route.artifact)
    record, storage = exported.record, without_password(ledger.url)
    looked = look_at(exported, Effort(MOST_BYTES, MOST_SECONDS))
    badge = dmc.Badge(
        looked.state, color=COLOURS.get(looked.state, "red"), variant="light", size="lg", tt="none"
    )
    name = f"Trial {record.number} of {record.search}"
    parts = [
        crumbs(("Artifacts", "/artifacts"), (name, "")),
        heading(name, badge, _verified_badge(exported)),
        card("Can I trust it?", _trust(exported, looked, storage)),
        _card(looked).show(),
        _files(exported, looked).show(),
        card(
            "What to do with it", _commands(record, storage), "Type these on the machine where the folder is."
        ),
        card("Record", _record(record)),
    ]
    return dmc.Stack(parts, gap="lg")


def is_live(_ledger: Ledger, _route: Route) -> bool:
    """Nothing changes while one looks, but by hand."""
    return False


def _verified_badge(exported: Exported) -> Any:
    colour = "gray" if exported.verified_at is None else "green"
    return dmc.Badge(told_verified(exported), color=colour, variant="outline", size="lg", tt="none")


def _trust(exported: Exported, looked: Looked, storage: str | None) -> Any:
    files = (
        looked.why or "Its manifest is the one that was exported, and every file has the sum that it lists."
    )
    verify = command("verify", exported.record.path, storage=storage)
    failed = looked.state not in (AS_EXPORTED, UNCHECKED)
    if exported.verified_at is None:
        told = [f"It was {NEVER}: nobody has run the network here since and compared it with its card. Type ",
                dmc.Code(verify)]  # fmt: skip
    elif failed:
        told = [f"It was {told_verified(exported)} (UTC), but not as it is now. Type ", dmc.Code(verify)]
    else:
        told = [f"It was {told_verified(exported)} (UTC): the network did what its card states. Again: ",
                dmc.Code(verify)]  # fmt: skip
    return dmc.Stack([notice(files, failed=failed), dmc.Text(told, size="sm")], gap="sm")


def _card(looked: Looked) -> View[Looked]:
    return View(
        "Card",
        lambda: looked,
        lambda looked: None if looked.card else "It has no card that can be trusted.",
        _draw_card,
        note="What the network states of itself, and how each figure was come by.",
    )


def _draw_card(looked: Looked) -> Any:
    found: Any = looked.card
    layers = ", ".join(f"{count} {name}" for name, count in found.precisions.items()) or MISSING
    where = ", ".join(f"{k} {v}" for k, v in found.device.items() if k not in DEVICE_LEFT_OUT) or MISSING
    facts = [("Layers", layers), ("Device", where), ("Architecture", dmc.Code(found.digest))]
    return dmc.Stack([_table(("Figure", "Value", "How"), looked.figures()), _facts(facts)])


def _files(exported: Exported, looked: Looked) -> View[Looked]:
    return View(
        "Files",
        lambda: looked,
        lambda looked: None if looked.files else "There are none that can be trusted.",
        lambda looked: dmc.Stack([_download(exported, looked), _file_table(looked)]),
        note="What the manifest lists. The archive holds these and nothing else, each as it was exported.",
    )


def _download(exported: Exported, looked: Looked) -> Any:
    if looked.state not in (AS_EXPORTED, UNCHECKED):
        return notice("There is no download: the folder is not what was exported.")
    address = f"/data{artifact_path(exported.number)}.zip"
    return dmc.Group([download("Download as ZIP", address)])


def _file_table(looked: Looked) -> Any:
    rows = [
        (file.name, MISSING if file.size is None else f"{file.size:,}", file.found) for file in looked.files
    ]
    return _table(("File", "Bytes", "Found"), rows)


def _commands(record: "ArtifactRecord", storage: str | None) -> Any:
    predict = command("predict", record.path, "photo.png")
    explain = command("latency", "explain", f"{record.search}:{record.number}", storage=storage)
    again = command("export", record.search, trial=record.number, output="again/", storage=storage)
    rows = [
        ("Check it against its card", command("verify", record.path, storage=storage)),
        ("Classify images", predict),
        ("Show where its time goes", explain),
        ("Export it again", again),
    ]  # fmt: skip
    return _facts([(what, dmc.Code(typed)) for what, typed in rows])


def _record(record: "ArtifactRecord") -> Any:
    trial = dmc.Anchor(f"trial {record.number}", href=trial_path(record.search, record.number), size="sm")
    search = dmc.Anchor(record.search, href=search_path(record.search), size="sm")
    return _facts(
        [
            ("Search", search),
            ("Trial", trial),
            ("Folder", dmc.Code(record.path)),
            ("Compiled for", record.target),
            ("Exported (UTC)", f"{record.created_at:%Y-%m-%d %H:%M:%S}"),
            ("Sum of the manifest", dmc.Code(record.digest)),
        ]
    )


def _facts(pairs: Sequence[tuple[str, Any]]) -> Any:
    rows = [dmc.TableTr([dmc.TableTh(name, w=200), dmc.TableTd(value)]) for name, value in pairs]
    return dmc.Table(dmc.TableTbody(rows), withRowBorders=False, verticalSpacing=4)


def _table(titles: Sequence[str], rows: Sequence[Sequence[Any]]) -> Any:
    head = dmc.TableThead(dmc.TableTr([dmc.TableTh(title) for title in titles]))
    body = dmc.TableTbody([dmc.TableTr([dmc.TableTd(cell) for cell in row]) for row in rows])
    return dmc.TableScrollContainer(dmc.Table([head, body], verticalSpacing="xs"), minWidth=560)
