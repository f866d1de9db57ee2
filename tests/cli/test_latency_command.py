"""nas device and nas latency, on this machine: what they print, write and refuse."""

import json

import pytest
from click.testing import CliRunner

import search_spaces
from nas.cli.main import cli


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
    "line", ["{}", "[]", "nonsense", '{"device": "d", "workload": "relu(batch=1,size=1)"}']
)
def test_a_table_that_is_none_is_refused(tmp_path, line):
    file = tmp_path / "table.jsonl"
    file.write_text(line + "\n")
    storage = f"sqlite:///{tmp_path / 'nas.db'}"
    found = CliRunner().invoke(cli, ["latency", "import", str(file), "--storage", storage])
    assert found.exit_code == 2
    assert "line 1 of" in found.stderr
    assert found.stderr.count("\n") == 1
    assert not (tmp_path / "nas.db").exists()
