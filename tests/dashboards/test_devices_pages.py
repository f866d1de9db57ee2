"""The pages of devices: what each is, what was measured and how well, how far predictions were off."""

import csv
import io
import json
from dataclasses import replace
from pathlib import Path

import pytest
from plotly.utils import PlotlyJSONEncoder

from dashboards.app import create_app, render
from dashboards.parts import link
from latency import DeviceRecord, Measurement, NetworkMeasurement
from latency.model.table import FRONT
from nas.analysis import devices_data
from nas.analysis.devices_data import device_details, device_summaries, drift_of, row_of
from nas.ledger import Ledger, TrialState, Worker
from nas.ledger.claims import Claims
from nas.ledger.devices import DeviceBook
from nas.ledger.entries import Cost
from nas.ledger.latencies import SqlLatencyTable
from nas.ledger.measured import Kernel
from tests.cli.filled_ledger import CONFIG, WORKLOADS, architecture_json, fill
from tests.measured import disturbed, timed

IDENTITY = "local | A CPU | znver3 | tvm 0.1 | kernels 9 | protocol 2"
OLDER = IDENTITY.replace("0.1", "0.0")
CONV, BITSERIAL, SIGN, CONCAT = list(dict.fromkeys(key for key, _ in WORKLOADS))
FORMULA = "=HYPERLINK(1,channels=<b>)"
"""What a plug-in's kernel could be called, and a spreadsheet would compute."""


def at(minute: int, measured: Measurement) -> Measurement:
    """A measurement of that minute, whose reference is as fast as usual."""
    conditions = replace(measured.conditions, reference_ms=0.0102, usual_ms=0.01)
    return replace(measured, date=f"2026-02-01T10:{minute:02d}:00+00:00", conditions=conditions)


@pytest.fixture(scope="module")
def measured_url(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The filled ledger with measurements of its device, a search that estimated, and a further device."""
    url = fill(tmp_path_factory.mktemp("ledger") / "nas.db")
    with Ledger.open(url) as ledger:
        DeviceBook(ledger).add(DeviceRecord("pi", "rpc", "127.0.0.1:9090", "a-key", "aarch64"))
        table = SqlLatencyTable(ledger)
        told = {"cpu": "A CPU", "cores": 4, "tvm": "0.1"}
        table.register(IDENTITY, target="x86-64-v3", description=told)
        table.put(OLDER, CONV, at(0, timed(0.05, 0.01)))
        table.put(IDENTITY, CONV, at(1, timed(0.04, 0.02)))
        table.put(IDENTITY, CONV, at(2, timed(0.02, 0.02)))
        table.put(IDENTITY, BITSERIAL, at(3, timed(0.01, 0.04)))
        table.put(IDENTITY, SIGN, at(4, disturbed(0.03)))
        table.put(IDENTITY, FORMULA, at(5, timed(0.03)))
        keys = (CONV, BITSERIAL, CONV)
        table.put_network(IDENTITY, NetworkMeasurement(keys, at(6, timed(0.06, space="tiny"))))
        table.put_network(IDENTITY, NetworkMeasurement((CONV, CONCAT), at(7, timed(0.06))))
        table.put_network(IDENTITY, NetworkMeasurement((BITSERIAL,), at(8, timed(0.01))), FRONT)
        ledger.create_search("estimating", replace(CONFIG, trials=1))
        claims = Claims(ledger, "estimating", Worker.this_process())
        claim = claims.claim()
        assert claim is not None
        claims.propose(claim, choices={}, architecture=architecture_json(0), digest="ab" * 32)
        by_workload = [(CONV, 0.03), (BITSERIAL, 0.01), (SIGN, 0.09), (CONCAT, 0.02)]
        claims.record_cost(claim, Cost(0.15, 9.5, by_workload, estimated=[CONV, SIGN, CONCAT]))
        claims.finish(claim, TrialState.COMPLETE, accuracy=0.95)
    return url


def text(storage: str, path: str) -> str:
    """A page as the JSON that goes to the browser."""
    return json.dumps(json.loads(PlotlyJSONEncoder().encode(render(storage, path)[0])), ensure_ascii=False)


def test_devices_are_listed_with_what_they_are(measured_url: str) -> None:
    page = text(measured_url, "/devices")
    told = ("[local](/device/local)", "A CPU, 4 cores, compiled for x86-64-v3, TVM 0.1", "steady (+2.0%)")
    for each in (*told, "2026-02-01 10:08", "2026-02-01 10:00", "[pi](/device/pi)", "compiled for aarch64"):
        assert each in page
    assert "a-key" not in page
    with Ledger.open(measured_url) as ledger:
        local, pi = device_summaries(ledger)
    assert (local.kernels, local.networks, local.searches) == (5, 8, ("demo", "empty", "estimating"))
    assert (local.accuracy.counted, local.accuracy.disturbed) == (5, 1)
    # of the trials 0, 2, 4, 6 and 10 of the filled ledger
    pairs = [(0.041, 0.044), (0.058, 0.066), (0.097, 0.105), (0.152, 0.149), (0.284, 0.301)]
    error = sum(abs(predicted / measured - 1) for predicted, measured in pairs) / len(pairs)
    assert local.accuracy.error == pytest.approx(error)
    assert (pi.kernels, pi.drift.word, pi.accuracy.error) == (0, "not known", None)


def test_what_was_measured_and_how_far_estimates_were_off(measured_url: str) -> None:
    with Ledger.open(measured_url) as ledger:
        found = device_details(ledger, "local")
    assert [row.date[14:16] for row in found.rows] == ["05", "04", "03", "02", "01", "00"]
    assert [row.workload for row in found.newest_rows] == [FORMULA, SIGN, BITSERIAL, CONV, CONV]
    assert [row.disturbed is not None for row in found.newest_rows] == [False, True, False, False, False]
    ((family, errors),) = found.families  # the kernel of a disturbed machine judges none
    assert family == "conv2d" and errors == ((CONV, pytest.approx(0.5)),)
    ((name, network),) = (
        found.summed
    )  # of the others a kernel is unknown, or predictions do not learn from it
    assert name == "3 kernels of tiny" and network.predicted_ms == pytest.approx(0.05)
    newest, *_, demo = found.coverage
    assert (newest.search, newest.kernels, newest.measured) == ("estimating", 4, 3)
    assert newest.time == pytest.approx(0.13 / 0.15)
    assert (demo.search, demo.measured) == ("demo", 3)
    assert demo.command.startswith("nas latency measure --space tiny --device local --storage ")
    assert found.shortened == ()


def test_the_page_of_a_device(measured_url: str) -> None:
    page, live = render(measured_url, "/device/local")
    shown = PlotlyJSONEncoder().encode(page)
    assert live, "the searches on it go on"
    for name in (
        "device-kernels",
        "device-networks",
        "device-families",
        "device-drift",
        "kernels",
        "coverage",
    ):
        assert f'"id": "{name}"' in shown
    assert "cannot be shown" not in shown
    for told in (
        "usable (5)",
        "disturbed (1)",
        "trial 6 of demo",
        "on a disturbed machine",
        "nas latency evaluate",
    ):
        assert told in shown
    assert "<b>)" not in shown.replace(FORMULA, ""), "names are text in figures"


def test_a_device_without_measurements_says_what_to_type(measured_url: str) -> None:
    page = text(measured_url, "/device/pi")
    for told in ("Nothing was measured on it yet", "nas latency calibrate --device pi", "No search is about"):
        assert told in page
    assert "cannot be shown" not in page
    page = text(measured_url, "/device/nope")
    assert "there is no device 'nope'; the ledger knows: local, pi" in page


def test_kernels_are_sent_as_csv_that_computes_nothing(measured_url: str) -> None:
    browser = create_app(measured_url).server.test_client()
    answer = browser.get("/data/device/local/kernels.csv")
    assert answer.headers["Content-Disposition"] == "attachment; filename=kernels.csv"
    rows = list(csv.DictReader(io.StringIO(answer.get_data(as_text=True))))
    assert len(rows) == 6 and rows[0]["workload"] == f"'{FORMULA}"
    assert (rows[-1]["workload"], rows[-1]["ms"], rows[-1]["spread"]) == (CONV, "0.05", "0.01")
    assert rows[1]["disturbed"].startswith("most samples were disturbed")
    answer = browser.get("/data/device/pi/kernels.csv")
    assert answer.status_code == 404 and "nothing was measured on 'pi'" in json.loads(answer.data)["error"]


def test_long_tables_are_shortened_and_say_so(measured_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(devices_data, "MOST_KERNELS", 4)
    monkeypatch.setattr(devices_data, "MOST_TRIALS", 1)
    page = text(measured_url, "/device/local")
    assert "the newest 4 of 6 times of kernels, the kernels of the newest 1 trials" in page
    with Ledger.open(measured_url) as ledger:
        assert device_details(ledger, "local").coverage[0].measured == 3, "counts are of all"


@pytest.mark.parametrize(
    ("share", "told"),
    [(0.0, "steady (+0.0%)"), (0.3, "slower (+30.0%)"), (-0.2, "faster (-20.0%)"), (None, "not known")],
)
def test_drift_in_a_word(share: float | None, told: str) -> None:
    reference = {} if share is None else {"reference_ms": 0.01 * (1 + share), "usual_ms": 0.01}
    assert str(drift_of([row_of(Kernel(1, CONV, timed(1.0, **reference)))])) == told


def test_a_hostile_name_is_text() -> None:
    assert link("a](javascript:x)", "/device/a") == r"[a\]\(javascript\:x\)](/device/a)"


def test_looking_writes_nothing(measured_url: str) -> None:
    file = Path(measured_url.removeprefix("sqlite:///"))
    before = file.read_bytes()
    for path in ("/devices", "/device/local", "/artifacts"):
        render(measured_url, path)
    assert file.read_bytes() == before
