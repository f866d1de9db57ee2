"""Whether a Ray cluster lets us in: asked before a search is written, by a process that imports Ray."""

import json
import os
import socket
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache
from pathlib import Path

from nas.executors.ray.settings import AUTO
from search_spaces.errors import InvalidInput, Parameter

KNOCK_S = 5.0
"""How long an address may take to answer."""
ANSWER_S = 30.0
"""How long a cluster may take to let somebody in; importing Ray is a part of it."""
MODE, GIVEN, PATH = "RAY_AUTH_MODE", "RAY_AUTH_TOKEN", "RAY_AUTH_TOKEN_PATH"
TOKEN = MODE, GIVEN, PATH, "HOME"
"""What in the environment says with which token one comes."""
REFUSED = "authentication token"
"""Is in what Ray says where a token is wrong or lacks; it tells by its words alone."""
ASK = """
import json, sys
sys.path = json.loads(sys.argv[2])
import ray
try:
    from ray._raylet import GcsClient
except ImportError:  # it is Ray's own, and may move; then the driver will find out
    sys.exit()
GcsClient(address=sys.argv[1])
"""
"""What another process runs, as Ray prints, waits and aborts where it is not let in."""


def address_of(told: str) -> str:
    """HOST:PORT of a cluster; ``auto`` is that which this machine is a node of.

    Raises:
        InvalidInput: this machine is a node of none.
    """
    return _own() if told == AUTO else told


def token_mode() -> dict[str, str]:
    """The setting with which Ray comes with the token that is here, where there is one.

    By itself it does so for the address ``auto`` alone. A mode that the user has set stays.
    """
    return {MODE: "token"} if MODE not in os.environ and _has_token() else {}


def _has_token() -> bool:
    """Whether a token is where Ray looks for one."""
    file = Path(os.environ.get(PATH) or Path.home() / ".ray" / "auth_token")
    return bool(os.environ.get(GIVEN)) or file.is_file()


def asks_for_token(address: str) -> bool:
    """Whether the cluster at HOST:PORT, which lets this process in, asks for a token.

    Raises:
        InvalidInput: nobody answers there, it is no cluster, or it does not let us in.
    """
    _knock(address)
    return _asks(address, tuple(map(os.environ.get, TOKEN)))


@lru_cache
def _asks(address: str, _with: tuple[str | None, ...]) -> bool:
    with ThreadPoolExecutor() as pool:
        without = pool.submit(_refusal, address, {MODE: "disabled"})
        refusal = _refusal(address, token_mode())
    if not refusal:
        return REFUSED in without.result()
    if REFUSED in refusal:
        fix = "set RAY_AUTH_MODE=token, and RAY_AUTH_TOKEN or the file ~/.ray/auth_token to its token"
        other = "asks for another token than is given here"
        told = other if _has_token() else "asks for a token, not given here"
        raise InvalidInput("ray_address", f"the cluster at '{address}' {told}", fix)
    fix = "give the address of a cluster of the Ray that is installed here; ray status shows if it runs"
    raise InvalidInput("ray_address", f"no cluster of Ray's lets us in at '{address}' ({refusal})", fix)


def _refusal(address: str, environment: dict[str, str]) -> str:
    """What Ray says where it does not let a process in; nothing where it does."""
    command = [sys.executable, "-P", "-c", ASK, address, json.dumps(sys.path)]
    try:
        found = subprocess.run(  # noqa: S603 - our own Python
            command,
            env={**os.environ, **environment},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=ANSWER_S,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return f"no answer in {ANSWER_S:g} s"
    if found.returncode == 0:
        return ""
    told = found.stderr.strip()
    return (
        REFUSED if REFUSED in told.lower() else (told.splitlines() or [f"exit code {found.returncode}"])[-1]
    )


def is_on_loopback_alone(address: str) -> bool:
    """Whether what answers at HOST:PORT, on this machine, does not answer at the machine's own address.

    Ray takes that address in place of a loopback one, unless it is told not to.
    """
    host, _, port = address.rpartition(":")
    if host not in ("localhost", "127.0.0.1", "[::1]"):
        return False
    try:
        socket.create_connection((_own_ip(), int(port)), KNOCK_S).close()
    except OSError:
        return True
    return False


def _own_ip() -> str:
    """Where others reach this machine, found as Ray does: no packet is sent."""
    try:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as unused:
            unused.connect(("8.8.8.8", 53))
            return str(unused.getsockname()[0])
    except OSError:  # there is no network
        return socket.gethostbyname(socket.gethostname())


def _own() -> str:
    """The cluster that this machine is a node of, as Ray writes it down where it starts one."""
    if told := os.environ.get("RAY_ADDRESS"):
        return told
    note = Path(os.environ.get("RAY_TMPDIR") or "/tmp") / "ray" / "ray_current_cluster"  # noqa: S108 - Ray's
    try:
        return note.read_text(encoding="utf-8").strip()
    except OSError as error:
        fix = "start one: ray start --head, or join one: ray start --address HOST:PORT"
        raise InvalidInput("ray_address", "this machine is a node of no cluster", fix) from error


def _knock(address: str) -> None:
    host, _, port = address.rpartition(":")
    try:
        socket.create_connection((host.strip("[]"), int(port)), KNOCK_S).close()
    except (OSError, ValueError, OverflowError) as error:
        fix = "start it there: ray start --head; or leave out ", Parameter("ray_address")
        raise InvalidInput("ray_address", f"nobody answers at '{address}' ({error})", fix) from error
