"""Artifacts in the dashboard: what is found of their folders, and that nothing else can be fetched."""

import io
import json
import os
import zipfile
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path

import pytest
from click.testing import CliRunner
from plotly.utils import PlotlyJSONEncoder

from dashboards.app import create_app, render
from dashboards.guard import guard
from nas.analysis import artifact_archive
from nas.analysis.artifacts_data import UNCHECKED, Effort, look_at
from nas.cli.main import cli
from nas.export.verify import Check
from nas.ledger import Ledger
from nas.ledger.artifacts import every_artifact, find_artifact, note_verified
from runtime.formats.artifact import MANIFEST, checksum
from tests.dashboards.exported import forge, record, write

SECRET = b"the words of another"


def text(storage: str, path: str) -> str:
    """A page as the JSON that goes to the browser."""
    return json.dumps(json.loads(PlotlyJSONEncoder().encode(render(storage, path)[0])), ensure_ascii=False)


@pytest.fixture
def folder(tmp_path: Path, own_storage: str) -> Path:
    """An artifact that the ledger notes as its first."""
    found = write(tmp_path / "it's here")
    record(own_storage, found)
    return found


@pytest.fixture
def secret(tmp_path: Path) -> Path:
    """A file beside the artifact that nobody may get."""
    path = tmp_path / "secret"
    path.write_bytes(SECRET)
    return path


def archive(storage: str, number: int = 1) -> tuple[int, bytes]:
    """What a browser gets for the number of an artifact."""
    answer = create_app(storage).server.test_client().get(f"/data/artifact/{number}.zip")
    return answer.status_code, answer.data


def test_nothing_was_exported_yet(storage: str) -> None:
    page = text(storage, "/artifacts")
    assert "Nothing was exported yet" in page and "nas export SEARCH" in page
    assert "the ledger has no artifact 1" in text(storage, "/artifact/1")
    assert archive(storage)[0] == 404


def test_an_artifact_is_shown_and_sent_whole(own_storage: str, folder: Path) -> None:
    listed = text(own_storage, "/artifacts")
    for told in ("[trial 6](/artifact/1)", '"as exported"', '"never verified"', str(folder)):
        assert told in listed
    page = text(own_storage, "/artifact/1")
    for told in ("97.10%", "on the 360 test images of digits", "network.so", "1,200", "3 binary"):
        assert told in page
    assert "dangerously" not in page, "text of the folder is never markup"
    quoted = f"'{str(folder).replace(chr(39), chr(39) + chr(34) + chr(39) + chr(34) + chr(39))}'"
    assert json.dumps(f"nas verify {quoted}")[1:-1] in page
    answer = create_app(own_storage).server.test_client().get("/data/artifact/1.zip")
    assert (answer.status_code, answer.mimetype) == (200, "application/zip")
    assert answer.headers["Content-Disposition"] == "attachment; filename=demo-trial-6.zip"
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert answer.content_length == len(answer.data)
    with zipfile.ZipFile(io.BytesIO(answer.data)) as packed:
        sent = {name.removeprefix("demo-trial-6/"): packed.read(name) for name in packed.namelist()}
    assert sent == {path.name: path.read_bytes() for path in folder.iterdir()}


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
    own_storage: str, folder: Path, secret: Path, damage: Callable[[Path, Path], None]
) -> None:
    damage(folder, secret)
    page = text(own_storage, "/artifact/1")
    state = UNCHECKED if damage is grow else "changed"
    assert f'"{state}"' in page and "network.so" in page
    status, sent = archive(own_storage)
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
    forge(folder)


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
    own_storage: str, folder: Path, damage: Callable[[Path], None], state: str, why: str
) -> None:
    damage(folder)
    page = text(own_storage, "/artifact/1")
    assert f'"{state}"' in page and why in page and "network.so" not in page
    assert f'"{state}"' in text(own_storage, "/artifacts")
    status, sent = archive(own_storage)
    assert status == 409 and why.encode() in sent


@pytest.mark.parametrize("name", ["../secret", "/etc/passwd", "..", ".", "", "a/../../secret", MANIFEST])
def test_a_manifest_cannot_name_what_lies_outside(
    own_storage: str, folder: Path, secret: Path, name: str
) -> None:
    forge(folder, **{name: sha256(SECRET).hexdigest()})
    record(own_storage, folder)  # the ledger is the forger's as well
    status, sent = archive(own_storage, 2)
    assert status == 409 and b"lies outside the artifact" in sent and SECRET not in sent
    assert "lies outside the artifact" in text(own_storage, "/artifact/2")


@pytest.mark.parametrize(
    "path", ["/etc", "/", "/proc/self", "/dev", "", ".", "relative", "/etc/../etc", "/a" * 3000]
)
def test_a_ledger_cannot_name_other_folders(own_storage: str, path: str) -> None:
    record(own_storage, path, "0" * 64)
    page, (status, sent) = text(own_storage, "/artifact/1"), archive(own_storage)
    assert "no artifact at" in page or "no absolute path" in page
    assert status == 409 and b"root:" not in sent
    assert "passwd" not in page


def test_no_request_names_a_path(own_storage: str, folder: Path) -> None:
    server = create_app(own_storage).server
    guard(server, "t" * 20)
    browser = server.test_client()
    assert browser.get("/data/artifact/1.zip").status_code == 401
    token = {"Authorization": f"Bearer {'t' * 20}"}
    for name in ("..%2f..%2fetc", "1%2f..%2f2", "-1", "1e3", "99999999999999999999", "%00", f"{folder}"):
        assert browser.get(f"/data/artifact/{name}.zip", headers=token).status_code in (308, 404)
    with browser.get("/data/artifact/1.zip", headers=token) as answer:
        assert answer.status_code == 200


def test_checking_is_bounded(own_storage: str, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with Ledger.open(own_storage) as ledger:
        exported = find_artifact(ledger, 1)
    looked = look_at(exported, Effort(1_000, 60.0))
    assert looked.state == UNCHECKED and "too large to check here" in looked.why
    assert look_at(exported, Effort(1_000_000, -1.0)).state == UNCHECKED
    monkeypatch.setattr(artifact_archive, "MOST_BYTES", 1_000)
    status, sent = archive(own_storage)
    assert status == 409 and b"more bytes than are read here" in sent


def test_names_in_a_header_are_harmless(own_storage: str, folder: Path) -> None:
    with Ledger.open(own_storage) as ledger:
        exported = every_artifact(ledger)[0]
    hostile = exported.record.__class__(**{**vars(exported.record), "search": 'a"\r\nX: 1/../é'})
    forged = exported.__class__(exported.number, hostile, None)
    assert artifact_archive.archive_name(forged) == "a-X-1-trial-6"


def test_a_verification_is_noted_for_that_artifact_alone(
    own_storage: str, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    record(own_storage, folder, "1" * 64)  # what lay there before
    holds = {"all": True}
    monkeypatch.setattr(
        "nas.export.verify.verify", lambda *_: [Check("latency", "1", "1", holds["all"], "disturbed")]
    )
    command = ["verify", str(folder), "--storage", own_storage]
    for holds["all"] in (False, None):
        assert "Noted" not in CliRunner().invoke(cli, command).stderr
        assert '"never verified"' in text(own_storage, "/artifacts")
    holds["all"] = True
    result = CliRunner().invoke(cli, command)
    assert "Verified.\nNoted for trial 6 of search demo.\n" in result.stderr and result.exit_code == 0
    with Ledger.open(own_storage) as ledger:
        before, first = every_artifact(ledger)
        assert before.verified_at is None and first.verified_at is not None
        assert note_verified(ledger, str(folder) + "2", checksum(folder / MANIFEST)) == []
    page = text(own_storage, "/artifact/1")
    assert f'"verified on {first.verified_at:%Y-%m-%d %H:%M}"' in page and "never verified" not in page
    absent = [*command[:-1], "sqlite:///absent/none.db"]
    assert CliRunner().invoke(cli, absent).exit_code == 0, "the ledger may be another machine's"
