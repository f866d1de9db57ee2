"""What an exported network is, as a file beside it: an architecture, or a published network by its name."""

import hashlib
import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from nas.training.job import PUBLISHED
from search_spaces.architecture import read_architecture
from search_spaces.errors import PLUGINS, BitnasError, InvalidInput

if TYPE_CHECKING:
    from torch import nn

    from search_spaces import Buildable


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
            return search_spaces.size(self.build()).kilobytes

    def build(self) -> "nn.Module":
        """The network, with random weights.

        Raises:
            InvalidInput: there is no network or precision of that name.
        """
        import search_spaces

        return search_spaces.network(
            self.network, self.precision, self.classes, self.classifier, self.channels
        )


def digest_and_kilobytes(path: Path) -> tuple[str, float]:
    """The digest of what an ``ARCHITECTURE`` or ``PUBLISHED`` file tells of, and how large that is, in kB.

    Raises:
        BitnasError: it is missing or malformed, or nothing of that name is known.
    """
    import search_spaces

    with _told_of(path):
        found = _read(path)
        if isinstance(found, PublishedNetwork):
            return found.digest, found.kilobytes()
        return found.digest, search_spaces.size(found).kilobytes


def module_of(path: Path) -> "nn.Module":
    """The network that an ``ARCHITECTURE`` or ``PUBLISHED`` file tells of, with random weights.

    Raises:
        BitnasError: it is missing or malformed, or nothing of that name is known.
    """
    import search_spaces

    with _told_of(path):
        found = _read(path)
        return found.build() if isinstance(found, PublishedNetwork) else search_spaces.build(found)


def read_told(path: Path) -> "PublishedNetwork | Buildable":
    """What an ``ARCHITECTURE`` or ``PUBLISHED`` file tells of.

    Raises:
        BitnasError: it is missing or malformed.
    """
    with _told_of(path):
        return _read(path)


def _read(path: Path) -> "PublishedNetwork | Buildable":
    text = path.read_text(encoding="utf-8")
    if path.name == PUBLISHED:
        return PublishedNetwork.model_validate_json(text)
    return read_architecture(text)


@contextmanager
def _told_of(path: Path) -> Iterator[None]:
    """Have errors about what a file tells of name the file."""
    try:
        yield
    except OSError as error:
        raise BitnasError(f"{path}: it cannot be read ({error.strerror}); export it again") from error
    except InvalidInput as error:
        fix = "export it again, or, if a plug-in brings it, give it by "
        raise BitnasError(f"{path}: {error.parameter}: {error.problem}; {fix}", PLUGINS) from error
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"])) or "the file"
        raise BitnasError(f"{path}: {where}: {first['msg'].lower()}; export it again") from error
