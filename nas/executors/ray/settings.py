"""What the executor ``ray`` is told: which cluster, and what of it a trial gets."""

import json
import math
import re
from dataclasses import asdict, dataclass
from typing import Self

from search_spaces.errors import InvalidInput

AUTO = "auto"
MAX_PORT = 65_535
_ADDRESS = re.compile(r"[^\s:/]+:\d{1,5}|\[[0-9A-Fa-f:.]+\]:\d{1,5}")


@dataclass(frozen=True)
class RaySettings:
    """Where trials run, and on what.

    Attributes:
        ray_address: of a cluster that runs, as ``HOST:PORT``; ``auto`` is the one that this machine is a node
            of; None starts one of this machine alone, for the search.
        cpus_per_trial: how many CPUs of a node a trial takes.
        gpus_per_trial: likewise; less than 1 where trials share one.

    Raises:
        InvalidInput: one breaks its rule.
    """

    ray_address: str | None = None
    cpus_per_trial: float = 1.0
    gpus_per_trial: float = 0.0

    def __post_init__(self) -> None:
        address = self.ray_address
        if address is not None and address != AUTO and not _ADDRESS.fullmatch(address):
            fix = "give HOST:PORT, or auto for the cluster that this machine is a node of"
            raise InvalidInput("ray_address", f"{address!r} is no address", fix)
        if address not in (None, AUTO) and not 1 <= (port := int(address.rpartition(":")[2])) <= MAX_PORT:
            raise InvalidInput("ray_address", f"{port} is no port", f"give 1 to {MAX_PORT}")
        self._check("cpus_per_trial", self.cpus_per_trial, least=0.001)
        self._check("gpus_per_trial", self.gpus_per_trial, least=0.0)

    def _check(self, name: str, value: float, least: float) -> None:
        if not (math.isfinite(value) and least <= value <= 1024):
            raise InvalidInput(name, f"{value:g} is out of range", f"give {least:g} to 1024")
        if value > 1 and value != int(value):  # as Ray has it
            raise InvalidInput(name, f"{value:g} is no whole number", "above 1, give a whole number")

    @property
    def resources(self) -> dict[str, float]:
        """What Ray is asked for, for each trial."""
        return {"CPU": self.cpus_per_trial, "GPU": self.gpus_per_trial}

    def to_json(self) -> str:
        """For the command line of another process."""
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, text: str) -> Self:
        """What ``to_json`` wrote."""
        return cls(**json.loads(text))
