"""Downloads: an artifact as an archive by its number in the ledger, a device's kernels as CSV."""

import csv
import io
from collections.abc import Iterator
from tempfile import SpooledTemporaryFile

from flask import Flask, Response, send_file

from dashboards.routes import NUMBER
from nas.analysis.artifact_archive import archive_name, pack
from nas.analysis.devices_data import every_kernel
from nas.figures.devices import KernelRow
from nas.ledger import Ledger
from nas.ledger.artifacts import find_artifact
from search_spaces.errors import BitnasError

IN_MEMORY = 8 << 20
"""Bytes of an archive that are kept in memory; larger ones are a temporary file."""
CONFLICT = 409
FORMULA = ("=", "+", "-", "@", "\t", "\r")
"""What makes a spreadsheet compute a cell that begins with it."""


def add_downloads(server: Flask, storage: str) -> None:
    """Have the server answer them; ``guard`` stands before it. No request names a path."""

    def archive(number: int) -> Response:
        with Ledger.open(storage, read_only=True) as ledger:
            exported = find_artifact(ledger, number)
        file = SpooledTemporaryFile(IN_MEMORY)  # noqa: SIM115 - the response closes it when it is sent
        try:
            pack(exported, file)
        except BitnasError as error:
            file.close()
            return Response(f"{error}\n", CONFLICT, mimetype="text/plain")
        except BaseException:  # goes on as it is; only the file must not stay open
            file.close()
            raise
        size = file.tell()
        file.seek(0)
        name = f"{archive_name(exported)}.zip"
        response = send_file(file, "application/zip", as_attachment=True, download_name=name, max_age=0)
        response.content_length = size
        response.headers["X-Content-Type-Options"] = "nosniff"
        return response

    def kernels(name: str) -> Response:
        with Ledger.open(storage, read_only=True) as ledger:
            rows = every_kernel(ledger, name)
        response = Response(_lines(rows), mimetype="text/csv")
        response.headers.set("Content-Disposition", "attachment", filename="kernels.csv")
        response.headers["X-Content-Type-Options"] = "nosniff"
        return response

    server.add_url_rule(f"/data/artifact/<{NUMBER}:number>.zip", view_func=archive)
    server.add_url_rule("/data/device/<name>/kernels.csv", view_func=kernels)


def _lines(rows: list[KernelRow]) -> Iterator[str]:
    titles = "workload,ms,spread,samples,date,tvm,schedule,rounds,brief,disturbed,reference_ms,usual_ms"
    yield titles + "\r\n"
    for row in rows:
        line = io.StringIO()
        measured = row.workload, row.milliseconds, row.spread, row.samples, row.date, row.tvm_version
        how = row.schedule, row.rounds, row.brief, row.disturbed, row.reference_ms, row.usual_ms
        csv.writer(line).writerow([_inert(value) for value in (*measured, *how)])
        yield line.getvalue()


def _inert(value: object) -> object:
    """A cell that no spreadsheet computes."""
    return f"'{value}" if isinstance(value, str) and value.startswith(FORMULA) else value
