"""Artifacts in the dashboard: what is found of their folders, and that nothing else can be fetched."""

import io
import json
import os
import zipfile
from collections.abc import Callable
from dataclasses import replace
from hashlib import sha256
from pathlib import Path
from typing import NamedTuple

import pytest
from click.testing import CliRunner
from flask.testing import FlaskClient
from plotly.utils import PlotlyJSONEncoder

from dashboards.app import create_app, render
from dashboards.guard import guard
from nas.analysis import artifact_archive
from nas.analysis.artifacts_data import UNCHECKED, Effort, look_at
from nas.cli.main import cli
from nas.export.verify import Check
from nas.hints import command
from nas.ledger import Ledger
from nas.ledger.artifacts import find_artifact, note_verified
from runtime.formats.artifact import MANIFEST, checksum
from tests.cli.filled_ledger import CONFIG
from tests.dashboards.exported import forge, record, write

SECRET = b"the words of another"


def text(storage: str, path: str) -> str:
    """A page as the JSON that goes to the browser."""
    return json.dumps(json.loads(PlotlyJSONEncoder().encode(render(storage, path)[0])), ensure_ascii=False)


class Shown(NamedTuple):
    """An artifact that a ledger notes, and what browsers ask for it."""

    storage: str
    browser: FlaskClient
    folder: Path
    number: int

    @property
    def page(self) -> str:
        """Its page, as the JSON that goes to the browser."""
        return text(self.storage, f"/artifact/{self.number}")

    def again(self, folder: Path | str, digest: str | None = None) -> "Shown":
        """What the same browser gets of another artifact."""
        return self._replace(folder=Path(folder), number=record(self.storage, folder, digest))

    def download(self) -> tuple[int, bytes]:
        """Its archive, or why there is none."""
        with self.browser.get(f"/data/artifact/{self.number}.zip") as answer:
            return answer.status_code, answer.data


@pytest.fixture(scope="module")
def ledger_url(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A ledger with one search, to which each test adds its artifact."""
    url = f"sqlite:///{tmp_path_factory.mktemp('ledger') / 'nas.db'}"
    with Ledger.open(url, create=True) as ledger:
        ledger.create_search("demo", replace(CONFIG, trials=7))
    return url


@pytest.fixture(scope="module")
def browser(ledger_url: str) -> FlaskClient:
    """Reads that ledger's dashboard."""
    return create_app(ledger_url).server.test_client()


@pytest.fixture
def shown(tmp_path: Path, ledger_url: str, browser: FlaskClient) -> Shown:
    """An artifact of its own."""
    folder = write(tmp_path / "it's here")
    return Shown(ledger_url, browser, folder, record(ledger_url, folder))


@pytest.fixture
def secret(tmp_path: Path) -> Path:
    """A file beside the artifact that nobody may get."""
    path = tmp_path / "secret"
    path.write_bytes(SECRET)
    return path


def test_nothing_was_exported_yet(storage: str) -> None:
    page = text(storage, "/artifacts")
    assert "Nothing was exported yet" in page and "nas export SEARCH" in page
    assert "the ledger has no artifact 1" in text(storage, "/artifact/1")
    answer = create_app(storage).server.test_client().get("/data/artifact/1.zip")
    assert answer.status_code == 404 and "the ledger has no artifact 1" in json.loads(answer.data)["error"]


def test_an_artifact_is_shown_and_sent_whole(shown: Shown) -> None:
    listed = text(shown.storage, "/artifacts")
    for told in (
        f"[trial 6](/artifact/{shown.number})",
        '"as exported"',
        '"never verified"',
        str(shown.folder),
    ):
        assert told in listed
    page = shown.page
    for told in ("97.10%", "on the 360 test images of digits", "network.so", "1,200", "3 binary"):
        assert told in page
    assert "dangerously" not in page, "text of the folder is never markup"
    verify = command("verify", shown.folder, storage=shown.storage)
    assert json.dumps(verify)[1:-1] in page
    with shown.browser.get(f"/data/artifact/{shown.number}.zip") as answer:
        assert (answer.status_code, answer.mimetype) == (200, "application/zip")
        assert answer.headers["Content-Disposition"] == "attachment; filename=demo-trial-6.zip"
        assert answer.headers["X-Content-Type-Options"] == "nosniff"
        assert answer.content_length == len(answer.data)
        with zipfile.ZipFile(io.BytesIO(answer.data)) as packed:
            sent = {name.removeprefix("demo-trial-6/"): packed.read(name) for name in packed.namelist()}
    assert sent == {path.name: path.read_bytes() for path in shown.folder.iterdir()}


def change(folder: Path, secret: Path) -> None:
    (folder / "network.so").write_bytes(b"another")


def grow(folder: Path, secret: Path) -> None:
    with (folder / "network.so").open("ab") as file:
        file.truncate(1 << 40)  # has no blocks, and no end that one could wait for


def take_away(folder: Path, secret: Path) -> None:
    (folder / "network.so").unlink()


def link_file(folder: Path, secret: Path) -> None:
    take_away(folder, secret)
    (folder / "network.so").symlink_to(secret)


def pipe(folder: Path, secret: Path) -> None:
    take_away(folder, secret)
    os.mkfifo(folder / "network.so")


def make_folder(folder: Path, secret: Path) -> None:
    take_away(folder, secret)
    (folder / "network.so").mkdir()


@pytest.mark.parametrize("damage", [change, grow, take_away, link_file, pipe, make_folder])
def test_a_file_that_is_not_as_exported_is_told_and_nothing_sent(
    shown: Shown, secret: Path, damage: Callable[[Path, Path], None]
) -> None:
    damage(shown.folder, secret)
    state = UNCHECKED if damage is grow else "changed"
    assert f'"{state}"' in shown.page and "network.so" in shown.page
    status, sent = shown.download()
    assert status == 409 and b"network.so: " in sent
    assert SECRET not in sent


def remove(folder: Path) -> None:
    folder.rename(folder.with_name("elsewhere"))


def link_folder(folder: Path) -> None:
    remove(folder)
    folder.symlink_to(folder.with_name("elsewhere"))


def link_manifest(folder: Path) -> None:
    (folder / MANIFEST).rename(folder.with_name(MANIFEST))
    (folder / MANIFEST).symlink_to(folder.with_name(MANIFEST))


def pipe_manifest(folder: Path) -> None:
    (folder / MANIFEST).unlink()
    os.mkfifo(folder / MANIFEST)


def another(folder: Path) -> None:
    forge(folder, more="0" * 64)


@pytest.mark.parametrize(
    ("damage", "state", "why"),
    [
        (remove, "not here", "there is no artifact at"),
        (link_folder, "changed", "leads over a link, which is not followed"),
        (link_manifest, "changed", "a link, which is not followed"),
        (pipe_manifest, "changed", "it is no file"),
        (another, "changed", "is not what was exported"),
    ],
)
def test_a_folder_that_is_not_what_was_exported(
    shown: Shown, damage: Callable[[Path], None], state: str, why: str
) -> None:
    damage(shown.folder)
    assert f'"{state}"' in shown.page and why in shown.page and "network.so" not in shown.page
    status, sent = shown.download()
    assert status == 409 and why.encode() in sent


@pytest.mark.parametrize("name", ["../secret", "/etc/passwd", "..", ".", "", "a/../../secret", MANIFEST])
def test_a_manifest_cannot_name_what_lies_outside(shown: Shown, secret: Path, name: str) -> None:
    forge(shown.folder, **{name: sha256(SECRET).hexdigest()})
    forged = shown.again(shown.folder)  # the ledger is the forger's as well
    status, sent = forged.download()
    assert status == 409 and b"lies outside the artifact" in sent and SECRET not in sent
    assert "lies outside the artifact" in forged.page


@pytest.mark.parametrize(
    "path", ["/etc", "/", "/proc/self", "/dev", "", "relative", "/etc/../etc", "/a" * 3000]
)
def test_a_ledger_cannot_name_other_folders(shown: Shown, path: str) -> None:
    forged = shown.again(path, "0" * 64)
    status, sent = forged.download()
    whys = ("no artifact at", "no absolute path", "leads over a link")
    assert status == 409 and any(why in forged.page and why.encode() in sent for why in whys)
    assert b"root:" not in sent and "passwd" not in forged.page


def test_no_request_names_a_path(shown: Shown) -> None:
    server = create_app(shown.storage).server
    guard(server, "t" * 20)
    browser, path = server.test_client(), f"/data/artifact/{shown.number}.zip"
    assert browser.get(path).status_code == 401
    token = {"Authorization": f"Bearer {'t' * 20}"}
    for name in (
        "..%2f..%2fetc",
        "1%2f..%2f2",
        "-1",
        "1e3",
        "99999999999999999999",
        "%00",
        f"{shown.folder}",
    ):
        answer = browser.get(f"/data/artifact/{name}.zip", headers=token)
        assert answer.mimetype != "application/zip", name
    with browser.get(path, headers=token) as answer:
        assert answer.mimetype == "application/zip"


def test_checking_is_bounded(shown: Shown, monkeypatch: pytest.MonkeyPatch) -> None:
    with Ledger.open(shown.storage) as ledger:
        exported = find_artifact(ledger, shown.number)
    looked = look_at(exported, Effort(1_000, 60.0))
    assert looked.state == UNCHECKED and "Too large to check here" in looked.why
    assert look_at(exported, Effort(1_000_000, -1.0)).state == UNCHECKED
    monkeypatch.setattr(artifact_archive, "MOST_BYTES", 1_000)
    status, sent = shown.download()
    assert status == 409 and b"with it the archive is larger than 0.001 MB" in sent


def test_the_name_of_an_archive_is_harmless(shown: Shown) -> None:
    with Ledger.open(shown.storage) as ledger:
        exported = find_artifact(ledger, shown.number)
    hostile = replace(exported, record=replace(exported.record, search='a"\r\nX: 1/../é'))
    assert artifact_archive.archive_name(hostile) == "a-X-1-trial-6"


def test_a_verification_is_noted_for_that_artifact_alone(
    shown: Shown, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = shown.again(shown.folder, "1" * 64)  # what lay there before
    holds: dict[str, bool | None] = {}
    monkeypatch.setattr(
        "nas.export.verify.verify", lambda *_: [Check("latency", "1", "1", holds["all"], "disturbed")]
    )
    typed = ["verify", str(shown.folder), "--storage", shown.storage]
    for holds["all"] in (False, None):
        assert "Noted" not in CliRunner().invoke(cli, typed).stderr
        assert '"never verified"' in shown.page
    holds["all"] = True
    result = CliRunner().invoke(cli, typed)
    assert "Verified.\nNoted for trial 6 of search demo.\n" in result.stderr and result.exit_code == 0
    with Ledger.open(shown.storage) as ledger:
        verified_at = find_artifact(ledger, shown.number).verified_at
        assert note_verified(ledger, f"{shown.folder}2", checksum(shown.folder / MANIFEST)) == []
    assert verified_at is not None
    assert f'"verified on {verified_at:%Y-%m-%d %H:%M}"' in shown.page and "never verified" not in shown.page
    assert '"never verified"' in before.page
    absent = [*typed[:-1], "sqlite:///absent/none.db"]
    assert CliRunner().invoke(cli, absent).exit_code == 0, "the ledger may be another machine's"
