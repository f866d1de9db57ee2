"""Memory: what the activations of a compiled network take at once."""

from typing import TYPE_CHECKING

from nas.formatting import kilobytes
from nas.objectives.base import ArchitectureCost

if TYPE_CHECKING:
    from search_spaces import Buildable


class Memory(ArchitectureCost):
    """The workspace that the compiled network asks for, in kB of 1000 bytes, for one image.

    It holds every activation and all scratch of kernels, each while it is needed (``runtime``'s plan); the
    image, the output and the parameters come on top.
    """

    name, title, unit, limit = "memory", "memory", "kB", "max_memory_kb"

    def cost(self, architecture: "Buildable") -> float:
        """From the plan alone; nothing is compiled."""
        from latency.model.workloads import activation_bytes

        return activation_bytes(architecture) / 1000

    def show(self, value: float | None) -> str:
        """Two decimals."""
        return kilobytes(value)
