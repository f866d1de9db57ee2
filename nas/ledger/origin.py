"""What a search was made with: versions, data, and which machines its devices are."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Self


@dataclass(frozen=True)
class Origin:
    """What a search was made with, where that is known; whoever joins it is held against this.

    Attributes:
        versions: of bitnas and of what results depend on, by the names of the distributions.
        data: a digest of the files that its data were read from; empty where they are built in.
        pretrained: a digest of the weights that its trainings start from; empty where they start anew.
        devices: the key in the latency table of each device, by name: of the first worker that found it.
        steps: what was asked for, where one command makes its trials one after the other (``nas.steps``);
            empty where workers claim them.
    """

    versions: Mapping[str, str] = field(default_factory=dict)
    data: str = ""
    devices: Mapping[str, str] = field(default_factory=dict)
    pretrained: str = ""
    steps: Mapping[str, Any] = field(default_factory=dict)

    @property
    def made_by(self) -> str:
        """What makes its trials one after the other, such as ``adapt of base``; empty where workers do."""
        if not self.steps:
            return ""
        of = self.steps.get("of")
        return f"{self.steps['command']} of {of}" if of else str(self.steps["command"])

    def to_dict(self) -> dict[str, Any]:
        """The fields as JSON-able values."""
        return asdict(self)

    @classmethod
    def from_dict(cls, fields: Mapping[str, Any] | None) -> Self:
        """What ``to_dict`` gave; nothing is known of an older search."""
        return cls(**(fields or {}))
