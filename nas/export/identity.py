"""What an exported network is, as a file beside it: an architecture, or a published network by its name."""

import hashlib
import json
from pathlib import Path
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from search_spaces.architecture import read_architecture
from search_spaces.errors import PLUGINS, BitnasError, InvalidInput

ARCHITECTURE, PUBLISHED = "architecture.json", "network.json"


class PublishedNetwork(BaseModel):
    """A published network for some data; the arguments of ``search_spaces.network``."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)
    network: str
    precision: str
    classifier: str | None
    classes: Annotated[int, Field(ge=2, le=100_000)]
    channels: Annotated[int, Field(ge=1, le=4096)]

    def to_json(self) -> str:
        """Canonical JSON."""
        return json.dumps(self.model_dump(), sort_keys=True, separators=(",", ":"))

    @property
    def digest(self) -> str:
        """The sha256 of its canonical JSON, in hexadecimal."""
        return hashlib.sha256(self.to_json().encode()).hexdigest()

    def kilobytes(self) -> float:
        """Its parameters, each at the bits of its code, in kB of 1000 bytes.

        Raises:
            InvalidInput: there is no network or precision of that name.
        """
        import torch

        import search_spaces

        with torch.device("meta"):  # shapes without memory
            module = search_spaces.network(
                self.network, self.precision, self.classes, self.classifier, self.channels
            )
        return search_spaces.size(module).kilobytes


def digest_and_kilobytes(path: Path) -> tuple[str, float]:
    """The digest of what an ``ARCHITECTURE`` or ``PUBLISHED`` file tells of, and how large that is, in kB.

    Raises:
        BitnasError: it is missing or malformed, or nothing of that name is known.
    """
    import search_spaces

    try:
        text = path.read_text(encoding="utf-8")
        if path.name == ARCHITECTURE:
            architecture = read_architecture(text)
            return architecture.digest, search_spaces.size(architecture).kilobytes
        published = PublishedNetwork.model_validate_json(text)
        return published.digest, published.kilobytes()
    except InvalidInput as error:
        fix = "export it again, or, if a plug-in brings it, give it by "
        raise BitnasError(f"{path}: {error.parameter}: {error.problem}; {fix}", PLUGINS) from error
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"])) or "the file"
        raise BitnasError(f"{path}: {where}: {first['msg'].lower()}; export it again") from error
