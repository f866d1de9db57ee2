"""What one does by hand in a real browser: type the token, and download files."""

import zipfile
from pathlib import Path

from tests.dashboards.conftest import served
from tests.dashboards.exported import record, write
from tests.dashboards.reader import Reader

TOKEN = "correct-horse-battery"


def test_the_token_leads_to_the_page_and_its_files(reader: Reader, own_storage: str, tmp_path: Path) -> None:
    number, page = record(own_storage, write(tmp_path / "winner")), reader.page
    with served(own_storage, TOKEN) as home:
        page.goto(f"{home}artifact/{number}")
        page.get_by_label("Token").fill(TOKEN)
        page.get_by_role("button", name="Open the dashboard").click()
        page.get_by_role("heading", name="Trial 6 of demo").wait_for()
        with page.expect_download() as waiting:
            page.get_by_role("link", name="Download as ZIP").click()
        with zipfile.ZipFile(waiting.value.path()) as archive:
            assert "network.so" in " ".join(archive.namelist()) and archive.testzip() is None
        assert page.url == f"{home}artifact/{number}"
