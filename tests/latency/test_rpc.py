"""Devices behind TVM's RPC, with a real server in another process: what works, and every known fault."""

import contextlib
import json
import logging
import os
import re
import signal
import socket
import struct
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
from click.testing import CliRunner
from torch import nn

import latency
import runtime
import search_spaces
from latency import DeviceRecord, LatencyModel, MemoryTable, NoDeviceError
from latency.hardware import client
from latency.hardware.rpc import RpcDevice
from latency.hardware.runner import listen
from latency.hardware.server import MAGIC, Server, ServerOptions
from nas.cli.main import cli
from runtime.workload import Relu
from search_spaces import BitnasError, InvalidInput
from tests.latency.proxy import Proxy
from tests.latency.serving import KEY, Serving, port_told_by


@pytest.fixture(scope="module")
def serving():
    found = Serving("--idle-s", "4")
    yield found
    found.end()


@pytest.fixture
def on():
    """Makes devices that are closed in the end."""
    made = []

    def device(port, reach="rpc", key=KEY):
        made.append(RpcDevice(DeviceRecord("pi", reach, f"127.0.0.1:{port}", key)))
        return made[-1]

    yield device
    for one in made:
        one.close()


def test_a_remote_device_measures_kernels_and_networks(serving, on):
    device = on(serving.port)
    known = device.describe()
    assert known["cpu"] == latency.device("local").describe()["cpu"]
    assert known["memory_mb"] > 0
    assert known["tvm_on_device"] == known["tvm"]
    model = LatencyModel(device, MemoryTable())
    architecture = search_spaces.space("tiny").sample(11)
    predicted = model.predict(architecture)
    measured = model.measure_network(architecture)
    assert 0.2 < measured.milliseconds / predicted.milliseconds < 5
    conditions = measured.conditions
    assert conditions.reference_ms > 0
    assert conditions.usual_ms > 0
    assert (conditions.load, conditions.affinity) > (0, ""), "as the session's process has it"
    row = model.table.rows(device.identity)[predicted.by_workload[0][0].key]
    assert row.cold_ms > 0


def test_one_session_measures_many_batches(on):
    serving = Serving()  # one that bears with a slow compiler between two batches
    kernels = [Relu(1, size) for size in (100, 200, 300)]
    small = nn.Sequential(nn.Conv2d(3, 16, 3), nn.ReLU())
    networks = [runtime.compile(small, (1, 3, size, size)) for size in (8, 64)]
    try:
        device = on(serving.port)
        device.look()
        before = serving.sessions()
        for _ in range(3):  # libraries of the same name, while those before are still loaded
            assert all(found.milliseconds > 0 for found in device.measure_kernels(kernels))
            first, second = device.measure_networks(networks)
            assert first.milliseconds < second.milliseconds
        assert serving.sessions() == before, "none died on the way"
    finally:
        serving.end()


@pytest.mark.parametrize(
    "words",
    [
        b"GET / HTTP/1.0\r\n\r\n",
        struct.pack("<ii", MAGIC, 0),
        struct.pack("<ii", MAGIC, -5),
        struct.pack("<ii", MAGIC, 3) + b"\xff\xfe\xfd",
        struct.pack("<ii", MAGIC, 1 << 30),
        struct.pack("<ii", MAGIC, 7) + b"client:",
        b"",
    ],
    ids=["http", "empty key", "negative", "not utf-8", "long", "no key", "nothing"],
)
def test_a_wrong_handshake_hurts_nobody(serving, words):
    with socket.create_connection(("127.0.0.1", serving.port)) as stranger:
        stranger.sendall(words)
        begin_session(serving.port).close()  # while the stranger is still connected


def begin_session(port):
    """A client that has shaken hands, and says nothing more."""
    key = f"client:{KEY}".encode()
    client = socket.create_connection(("127.0.0.1", port), timeout=60)
    client.sendall(struct.pack("<ii", MAGIC, len(key)) + key)
    assert struct.unpack("<i", client.recv(4))[0] == MAGIC
    return client


def test_a_handshake_has_its_time_however_it_dribbles(serving):
    with socket.create_connection(("127.0.0.1", serving.port), timeout=60) as stranger:
        started = time.monotonic()
        with contextlib.suppress(OSError):  # a closed connection may be told by either side
            for byte in struct.pack("<ii", MAGIC, 200) + b"client:" + b"x" * 100:
                stranger.sendall(bytes([byte]))
                time.sleep(0.2)
        assert time.monotonic() - started < 20  # all bytes take 24 s


def test_a_stopped_service_leaves_no_session_and_no_folder(tmp_path):
    serving = Serving(env={**os.environ, "TMPDIR": str(tmp_path)})
    with begin_session(serving.port):
        deadline = time.monotonic() + 60
        while not (sessions := serving.sessions()) and time.monotonic() < deadline:
            time.sleep(0.1)
        (session,) = sessions
        assert [path.name.startswith("bitnas-session-") for path in tmp_path.iterdir()] == [True]
        serving.process.send_signal(signal.SIGTERM)
        assert serving.process.wait(60) == 0
        assert not Path(f"/proc/{session}").exists()
        assert list(tmp_path.iterdir()) == []
    serving.end()


def test_where_no_process_can_be_made_the_next_client_is_served_later(monkeypatch):
    server = Server(ServerOptions(port=0, key=KEY))
    monkeypatch.setattr(server, "_session", lambda connection: next(tries)())
    served = threading.Event()

    def full():
        raise BlockingIOError("no room for a process")

    tries = iter([full, lambda: served.set() or "done"])
    thread = threading.Thread(target=server.run)
    thread.start()
    try:
        for _ in range(2):
            begin_session(server.port).close()
        assert served.wait(60)
    finally:
        server.stop()
        thread.join(60)
    assert not thread.is_alive()


def test_an_idle_session_ends_and_the_next_is_served(serving, on):
    with begin_session(serving.port):
        assert on(serving.port).look()["cores"] > 0


def test_a_session_that_dies_is_replaced(serving, on):
    device = on(serving.port)
    device.look()
    (session,) = serving.sessions()
    os.kill(session, signal.SIGKILL)
    assert device.measure(Relu(1, 1000)).milliseconds > 0


def test_a_cut_connection_is_replaced(serving, on):
    with Proxy(serving.port) as proxy:
        device = on(proxy.port)
        device.look()
        proxy.cut_after = 0
        assert device.measure(Relu(1, 100_000)).milliseconds > 0
        assert proxy.cuts == 1


def test_a_slow_connection_is_slow_and_right(serving, on):
    with Proxy(serving.port) as proxy:
        proxy.delay_s = 0.005
        slow = on(proxy.port).measure(Relu(1, 100_000)).milliseconds
    fast = on(serving.port).measure(Relu(1, 100_000)).milliseconds
    # a packet is 5 ms late, the kernel takes a hundredth of one
    assert max(slow, fast) < 1, "the network is not in the time"


def test_a_black_hole_ends_in_no_device(on, monkeypatch):
    monkeypatch.setattr(client, "CONNECT_S", 3.0)
    with socket.create_server(("127.0.0.1", 0)) as hole:  # which lets clients in, and says nothing
        started = time.monotonic()
        with pytest.raises(
            NoDeviceError, match=r"'pi' at 127.0.0.1:.* does not answer .no answer within 3 s"
        ):
            on(hole.getsockname()[1]).measure(Relu(1, 100))
        assert time.monotonic() - started < 40


def test_nobody_there_and_a_wrong_key_end_in_no_device(serving, on):
    with socket.create_server(("127.0.0.1", 0)) as nobody:
        port = nobody.getsockname()[1]
    for device in (on(port), on(serving.port, key="other")):
        with pytest.raises(NoDeviceError, match="does not answer") as told:
            device.look()
        assert "\n" not in str(told.value)


def test_code_that_the_device_cannot_run_is_refused(serving):
    record = DeviceRecord("pi", "rpc", f"127.0.0.1:{serving.port}", KEY, "diamondrapids")
    device = RpcDevice(record)
    with pytest.raises(BitnasError, match=r"target: 'diamondrapids' does not fit 'pi'.* without .*avx10_2"):
        device.look()
    device.close()


@contextlib.contextmanager
def tracker():
    """TVM's own tracker, on a port of this machine."""
    command = [sys.executable, "-m", "tvm.exec.rpc_tracker", "--host", "127.0.0.1", "--port", "9190"]
    process = subprocess.Popen(
        [*command, "--port-end", "9290"],
        stderr=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        text=True,
        start_new_session=True,
    )
    try:
        yield port_told_by(process)
    finally:
        os.killpg(process.pid, signal.SIGKILL)  # it has a worker that would live on
        process.wait()
        process.stderr.close()


def test_devices_of_a_tracker(on):
    pytest.importorskip("tornado", reason="TVM's tracker needs tornado")
    with tracker() as port:
        serving = Serving("--tracker", f"127.0.0.1:{port}")
        try:
            for _ in range(2):  # each session has a key of its own
                device = on(port, "tracker")
                assert device.measure(Relu(1, 100)).milliseconds > 0
                device.close()
        finally:
            serving.end()


def nas(folder, *arguments, code=0):
    """Run `nas` on the folder's ledger, in this process, and give what it printed."""
    told = CliRunner().invoke(cli, [*map(str, arguments), "--storage", f"sqlite:///{folder}/nas.db"])
    assert told.exit_code == code, told.output
    return told.stdout if "--json" in arguments else told.stderr


@pytest.mark.slow
def test_a_search_predicts_while_its_device_is_away_and_verifies_when_it_is_back(tmp_path):
    serving = Serving()
    nas(tmp_path, "device", "add", "pi", "--rpc", f"127.0.0.1:{serving.port}", "--key", KEY)
    nas(tmp_path, "latency", "measure", "--device", "pi", "--networks", "1")
    serving.end()
    search = ["search", "--name", "away", "--device", "pi", "--trials", "1", "--epochs", "1"]
    told = nas(tmp_path, *search, "--max-latency-ms", "1", "--when-away", "predict")
    assert "nas latency verify away" in told
    trials = json.loads(nas(tmp_path, "trials", "away", "--json"))
    assert {trial["state"] for trial in trials} == {"complete"}
    assert {trial["measured_latency_ms"] for trial in trials} == {None}
    assert any(trial["estimated"] for trial in trials)
    assert "does not answer" in nas(tmp_path, "latency", "verify", "away", code=1)
    explained = nas(tmp_path, "latency", "explain", f"away:{trials[0]['number']}", "--device", "pi", "--json")
    layers, recorded = (json.loads(explained)[key] for key in ("layers", "recorded"))
    assert recorded == {"predicted_ms": trials[0]["latency_ms"], "measured_ms": None}
    assert {layer["how"] for layer in layers} <= {"measured", "estimated"}
    assert "Wrote" in nas(tmp_path, "latency", "export", "--device", "pi", "-o", tmp_path / "pi.jsonl")

    back = Serving(port=serving.port)
    try:
        found = json.loads(nas(tmp_path, "latency", "verify", "away", "--json"))
    finally:
        back.end()
    shown = json.loads(nas(tmp_path, "pareto", "away", "--json"))
    front = {trial["number"]: trial for trial in shown["front"]}
    assert {member["number"]: member["measured_ms"] for member in found} == {
        number: trial["measured_latency_ms"] for number, trial in front.items()
    }
    assert all(0.2 < member["predicted_ms"] / member["measured_ms"] < 5 for member in found)


def test_notes_of_a_session_are_told():
    log = logging.getLogger("nas.latency")
    before = log.level
    told = listen()
    log.info("disturbed: %d %%", 12)
    log.debug("all is well")
    log.setLevel(before)
    assert told == ["disturbed: 12 %"]
    log.handlers.pop()


def test_tvms_own_server_serves_as_well(on):
    command = [
        sys.executable,
        "-m",
        "tvm.exec.rpc_server",
        "--host",
        "127.0.0.1",
        "--port",
        "9390",
        "--port-end",
        "9490",
        "--key",
        KEY,
    ]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True, start_new_session=True)
    try:
        assert on(port_told_by(process)).measure(Relu(1, 100)).milliseconds > 0
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        process.stderr.close()


@pytest.mark.parametrize(
    ("fields", "says"),
    [
        ({"name": "no spaces"}, "name: "),
        ({"reach": "rpc", "address": "host", "key": KEY}, "rpc: 'host' is not HOST:PORT"),
        ({"reach": "rpc", "address": "host:0", "key": KEY}, "rpc: "),
        ({"reach": "tracker", "address": "host:99999", "key": KEY}, "tracker: "),
        ({"reach": "rpc", "address": "host:1", "key": ""}, "key: '' is not a key"),
        ({"reach": "rpc", "address": "host:1", "key": "\udcff"}, "key: "),
        ({"threads": 0}, "threads: "),
    ],
)
def test_a_record_that_is_none_is_refused(fields, says):
    with pytest.raises(InvalidInput, match=re.escape(says)):
        DeviceRecord(**{"name": "pi", **fields})
