"""nas device and nas latency, on this machine: what they print, write and refuse."""

import json

import pytest
from click.testing import CliRunner

import search_spaces
from latency.model.table_file import Line, write_lines
from nas.cli.main import cli
from nas.ledger import Ledger
from nas.ledger.latencies import SqlLatencyTable


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    """A folder with an architecture, and a ledger that holds its kernels."""
    folder = tmp_path_factory.mktemp("latency")
    architecture = min(
        (search_spaces.space("tiny").sample(s) for s in range(20)), key=lambda a: len(a.to_json())
    )
    (folder / "architecture.json").write_text(architecture.to_json())
    return folder


def run(home, *arguments, storage="nas.db"):
    return CliRunner().invoke(cli, [*map(str, arguments), "--storage", f"sqlite:///{home / storage}"])


def test_a_network_is_explained_layer_by_layer(home):
    path = home / "architecture.json"
    found = run(home, "latency", "explain", path, "--whole", "--json", "--plot", home / "layers.html")
    assert found.exit_code == 0, found.output
    told = json.loads(found.stdout)
    assert sum(row["share"] for row in told["layers"]) == pytest.approx(1)
    assert {row["how"] for row in told["layers"]} == {"measured"}
    assert told["predicted_ms"] == pytest.approx(sum(row["milliseconds"] for row in told["layers"]))
    assert told["measured_ms"] > 0
    assert "plotly" in (home / "layers.html").read_text()
    table = run(home, "latency", "explain", path)
    assert table.exit_code == 0
    assert told["layers"][0]["layer"] in table.stdout


def test_a_table_moves_to_another_ledger(home):
    assert run(home, "latency", "explain", home / "architecture.json").exit_code == 0
    file = home / "table.jsonl"
    assert run(home, "latency", "export", "-o", file).exit_code == 0
    count = len(file.read_text().splitlines())
    first = run(home, "latency", "import", file, storage="other.db")
    assert f"Added {count} of {count}" in first.stderr
    assert f"Added 0 of {count}" in run(home, "latency", "import", file, storage="other.db").stderr
    before, after = (
        json.loads(
            run(home, "latency", "explain", home / "architecture.json", "--json", storage=storage).stdout
        )
        for storage in ("nas.db", "other.db")
    )
    assert before == after


ROW = {
    "device": "d | cpu",
    "workload": "relu(batch=1,size=8)",
    "milliseconds": 1e-5,
    "iqr_ms": 0,
    "samples": 12,
    "date": "2026-11-21T12:00:00+00:00",
    "tvm_version": "0.27.0",
}


def imported(home, storage, *rows):
    (home / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return run(home, "latency", "import", home / "rows.jsonl", storage=storage)


def test_what_was_learned_moves_with_the_table_and_the_newer_counts(tmp_path):
    network = {**{k: v for k, v in ROW.items() if k != "workload"}, "network": [ROW["workload"]] * 2}
    assert "Added 2 of 2" in imported(tmp_path, "a.db", ROW, network).stderr
    older = {**ROW, "date": "2026-11-21T12:30:00+02:00", "milliseconds": 3e-5}
    assert "Added 0 of 2" in imported(tmp_path, "a.db", older, network).stderr
    newer = {**ROW, "date": "2026-11-22T12:00:00+00:00", "milliseconds": 2e-5}
    assert "Added 1 of 1" in imported(tmp_path, "a.db", newer).stderr
    with Ledger.open(f"sqlite:///{tmp_path / 'a.db'}") as ledger:
        table = SqlLatencyTable(ledger)
        assert table.get(ROW["device"], ROW["workload"]).milliseconds == 2e-5
        assert [n.workloads for n in table.networks(ROW["device"])] == [(ROW["workload"],) * 2]
        lines = write_lines(table, ROW["device"])
    (tmp_path / "again.jsonl").write_text("\n".join(lines))
    assert (
        "Added 2 of 2" in run(tmp_path, "latency", "import", tmp_path / "again.jsonl", storage="b.db").stderr
    )


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("date", "2999-01-01T00:00:00+00:00"),
        ("milliseconds", -1),
        ("milliseconds", 0),
        ("milliseconds", 1e300),
        ("milliseconds", float("nan")),
        ("iqr_ms", float("inf")),
        ("cold_ms", float("nan")),
        ("schedule", "no-such-schedule"),
        ("conditions", {"usual_ms": "abc"}),
        ("conditions", {"median_ms": 0}),
        ("conditions", {"drift": "much"}),
        ("conditions", {"waited": float("nan")}),
        ("conditions", {"repeats_ms": [1.0, None]}),
        ("date", ""),
        ("date", "2026-11-21T12:00:00"),
        ("date", "2026\0"),
        ("code_bytes", 10**30),
        ("samples", 10**30),
        ("tvm_version", "\ud800"),
        ("workload", "relu(batch=1)"),
        ("network", ["relu(batch=1,size=8)"]),
        ("more", 1),
    ],
)
def test_one_wrong_line_keeps_a_table_out(tmp_path, field, value):
    found = imported(tmp_path, "nas.db", ROW, {**ROW, field: value})
    assert (found.exit_code, found.stderr.count("\n")) == (2, 1), found.stderr
    assert "line 2 of" in found.stderr
    assert field in found.stderr or "either" in found.stderr or "JSON" in found.stderr
    assert not (tmp_path / "nas.db").exists()


def test_a_date_that_has_not_come_does_not_win_for_good(tmp_path):
    """Some earlier version may have let it in."""
    with Ledger.open(f"sqlite:///{tmp_path / 'nas.db'}", create=True) as ledger:
        SqlLatencyTable(ledger).put_lines(
            [Line.model_construct(**{**ROW, "date": "2999-01-01T00:00:00+00:00"}, conditions={})]
        )
    newer = {**ROW, "milliseconds": 2e-5}
    assert "Added 1 of 1" in imported(tmp_path, "nas.db", newer).stderr
    assert "Added 0 of 1" in imported(tmp_path, "nas.db", newer).stderr


def test_local_is_there_without_a_ledger(tmp_path):
    found = run(tmp_path, "device", "show", "local", "--json", storage="none.db")
    assert json.loads(found.stdout)["name"] == "local"
    assert not (tmp_path / "none.db").exists()


def test_more_threads_than_cores_are_told(tmp_path):
    assert run(tmp_path, "device", "add", "many", "--threads", 256).exit_code == 0
    found = run(tmp_path, "device", "probe", "many")
    assert found.exit_code == 2
    assert "threads: 'many' has" in found.stderr
    assert found.stderr.count("\n") == 1


def test_devices_are_added_listed_shown_and_removed(home):
    assert run(home, "device", "list", storage="none.db").stdout.count("\n") == 2
    assert run(home, "device", "add", "two", "--threads", "2", storage="d.db").exit_code == 0
    listed = json.loads(run(home, "device", "list", "--json", storage="d.db").stdout)
    assert [entry["name"] for entry in listed] == ["local", "two"]
    probed = run(home, "device", "probe", "two", storage="d.db")
    assert probed.exit_code == 0, probed.output
    shown = json.loads(run(home, "device", "show", "two", "--json", storage="d.db").stdout)
    assert shown["description"]["cores"] > 0
    assert shown["probed_at"]
    assert run(home, "device", "remove", "two", storage="d.db").exit_code == 0
    assert run(home, "device", "show", "two", storage="d.db").exit_code == 2


@pytest.mark.parametrize(
    ("arguments", "code", "says"),
    [
        (["device", "add", "local"], 2, "NAME: 'local' is this machine"),
        (["device", "add", "a b"], 2, "NAME: 'a b' is not the name of a device"),
        (["device", "add", "x", "--rpc", "nowhere"], 2, "--rpc: 'nowhere' is not HOST:PORT"),
        (
            ["device", "add", "x", "--rpc", "a:1", "--tracker", "a:1"],
            2,
            "--tracker: a device is reached in one way",
        ),
        (["device", "add", "x", "--rpc", "a:1", "--key", ""], 2, "--key: '' is not a key"),
        (["device", "add", "x", "--target", "z80"], 2, "target: unknown CPU 'z80'"),
        (["device", "add", "x", "--target", "aarch64+x"], 2, "target: 'aarch64' has no feature 'x' to name"),
        (["device", "add", "x", "--threads", "0"], 2, "--threads: 0 is out of range"),
        (["device", "add", "x", "--key", "k"], 2, "--key: this machine has none"),
        (["device", "add", "x", "--rpc", "h:" + "9" * 5000], 2, "is not HOST:PORT"),
        (["latency", "measure", "--cooldown-s", "nan"], 2, "--cooldown-s"),
        (["latency", "measure", "--cooldown-s", "100"], 2, "--cooldown-s"),
        (["latency", "calibrate", "--minutes", "inf"], 2, "--minutes"),
        (["latency", "evaluate", "--plot", "/nowhere/x.html"], 2, "--plot: there is no folder '/nowhere'"),
        (["latency", "explain", "demo:²"], 2, "ARCH: 'demo:²' cannot be read"),
        (["device", "remove", "local"], 1, "there is no database"),
        (["device", "probe", "absent"], 1, "there is no database"),
        (["latency", "measure", "--device", "absent"], 2, "device: unknown name 'absent'"),
        (["latency", "measure", "--space", "absent"], 2, "space: unknown name 'absent'"),
        (["latency", "explain", "absent.json"], 2, "ARCH: 'absent.json' cannot be read"),
        (["latency", "explain", "demo:3"], 1, "there is no database"),
        (["latency", "export", "-o", "x.jsonl"], 1, "nothing was measured on 'local'"),
        (["latency", "import", "absent.jsonl"], 2, "FILE: 'absent.jsonl' cannot be read"),
    ],
)
def test_bad_input_is_one_line(tmp_path, arguments, code, says):
    found = CliRunner().invoke(cli, [*arguments, "--storage", f"sqlite:///{tmp_path / 'nas.db'}"])
    assert (found.exit_code, found.stdout) == (code, "")
    assert says in found.stderr
    assert found.stderr.count("\n") == 1


@pytest.mark.parametrize(
    "line", ["{}", "[]", "nonsense", '{"device": "d", "workload": "relu(batch=1,size=1)"}', "[" * 100_000, ""]
)
def test_a_table_that_is_none_is_refused(tmp_path, line):
    file = tmp_path / "table.jsonl"
    file.write_text(line and line + "\n")
    storage = f"sqlite:///{tmp_path / 'nas.db'}"
    found = CliRunner().invoke(cli, ["latency", "import", str(file), "--storage", storage])
    assert found.exit_code == 2
    assert ("line 1 of" in found.stderr) != ("is empty" in found.stderr)
    assert found.stderr.count("\n") == 1
    assert not (tmp_path / "nas.db").exists()
