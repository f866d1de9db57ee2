"""Export of what ``nas compress`` wrote: the network of a network.bnz, compiled, timed and tested."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from nas.export.card import Card
from nas.export.finished import finish
from nas.export.formats.base import DEFAULT, chosen
from nas.export.identity import PublishedNetwork
from nas.export.outputs import check_outputs
from nas.export.writing import write_artifact
from nas.training.job import ARCHITECTURE, PUBLISHED
from search_spaces.errors import BitnasError, InvalidInput

if TYPE_CHECKING:
    from search_spaces import Buildable

NAME, SUFFIX = "network.bnz", ".bnz"

Say = Callable[[str], None]


class Origin(BaseModel):
    """Where the network of a file comes from, as ``nas compress`` notes it."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)
    data: str
    image_size: int | None
    epochs: int = Field(ge=0)
    seed: int = Field(ge=0)
    search: str | None = None
    trial: int | None = None
    validation: float | None = None


def file_of(name: str) -> Path | None:
    """The file that a name means, if it is one of ``nas compress`` or its folder."""
    path = Path(name)
    if path.suffix == SUFFIX:
        return path
    return path / NAME if (path / NAME).is_file() else None


def export_compressed(
    path: Path,
    output: Path,
    *,
    c_source: Path | None = None,
    forms: Sequence[str] = DEFAULT,
    say: Say = lambda _: None,
) -> Card:
    """Write the network of a file for this machine, with its time on ``local``.

    Args:
        path: of the file.
        output: the folder to write, new or empty.
        c_source: a folder for the same network as C, new or empty.
        forms: the names of the forms to write into the output.
        say: is told what is being done.

    Raises:
        InvalidInput: an output is taken.
        BitnasError: the file is damaged, or its data cannot be read.
        DisagreementError: the compiled network does not compute what torch does.
    """
    import runtime
    from latency import LatencyModel, MemoryTable, device
    from nas.data import load
    from runtime.formats.bnz import read_bnz

    forms = chosen(forms)
    check_outputs(output, c_source)
    bnz = read_bnz(path)
    try:
        origin = Origin.model_validate(dict(bnz.about))
    except ValidationError as error:
        raise BitnasError(f"{path}: it does not say what its network was trained on; compress it") from error
    try:
        data = load(origin.data, origin.image_size, validation=origin.validation)
    except InvalidInput as error:
        raise BitnasError(f"data: what the network was trained on cannot be read ({error})") from error
    say(f"{path}: compiling, measuring")
    finished = finish(LatencyModel(device("local"), MemoryTable()), bnz.module, data)
    identity, named = _identity(bnz.architecture, origin)
    unknown = {"search", "trial"} if origin.search is None else set()
    fields = {**named, **origin.model_dump(exclude={"validation", *unknown})}
    card = write_artifact(finished, output, identity, forms=forms, say=say, **fields)
    if c_source is not None:
        runtime.write_c(bnz.module, finished.network.info.input_shape, c_source)
    return card


def _identity(architecture: "Buildable", origin: Origin) -> tuple[tuple[str, str], dict[str, Any]]:
    """The file that says what a network is, and what its card says of that."""
    from search_spaces import NamedNetwork

    if not isinstance(architecture, NamedNetwork):
        return (ARCHITECTURE, architecture.to_json()), {"digest": architecture.digest}
    named = {"network": architecture.network, "precision": architecture.told_precision}
    if origin.search is not None:
        return (ARCHITECTURE, architecture.to_json()), {"digest": architecture.digest, **named}
    published = PublishedNetwork(
        network=architecture.network,
        precision=architecture.precision,
        classifier=architecture.classifier,
        classes=architecture.classes,
        channels=architecture.input_shape[0],
    )
    return (PUBLISHED, published.to_json()), {"digest": published.digest, **named}
