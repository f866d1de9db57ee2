"""`nas device serve` in a process of its own, for tests of devices behind RPC."""

import re
import signal
import subprocess
import sys
from pathlib import Path

NAS = Path(sys.executable).with_name("nas")
KEY = "pi4"


def port_told_by(process):
    """The port of this machine that a process says it listens on."""
    told = ""
    while not (found := re.search(r"127\.0\.0\.1:(\d+)", told)):
        line = process.stderr.readline()
        assert line, told
        told += line
    return int(found[1])


class Serving:
    """`nas device serve` in a process of its own."""

    def __init__(self, *options, port=0, env=None):
        self.process = subprocess.Popen(
            [NAS, "device", "serve", "--port", str(port), "--key", KEY, *options],
            stderr=subprocess.PIPE,
            text=True,
            env=env,
        )
        self.port = port_told_by(self.process)

    def end(self):
        """As Ctrl-C does."""
        self.process.send_signal(signal.SIGINT)
        try:
            self.process.wait(60)
        finally:
            self.process.kill()
            self.process.stderr.close()

    def sessions(self):
        """The processes that serve a session."""
        children = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text()
        threads = Path(f"/proc/{self.process.pid}/task").iterdir()
        found = {pid for task in threads for pid in (task / "children").read_text().split()}
        return sorted(int(pid) for pid in found | set(children.split()))
