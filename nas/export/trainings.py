"""Export of what ``nas train`` wrote: a published network with its weights, compiled, timed and tested."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from nas.export.card import Card
from nas.export.finished import finish
from nas.export.formats.base import DEFAULT, chosen
from nas.export.formats.c_form import images_of
from nas.export.identity import PublishedNetwork
from nas.export.outputs import check_outputs
from nas.export.writing import write_artifact
from nas.hints import command
from nas.training.job import CHECKPOINT, PUBLISHED, RESULT, WEIGHTS, TrainJob, data_of, images_digest, job_of
from nas.training.weights import network_of
from search_spaces.errors import BitnasError, InvalidInput, Parameter

if TYPE_CHECKING:
    from nas.data import DataSet
    from nas.training.checkpoint import Loaded

Say = Callable[[str], None]


def is_training(name: str) -> bool:
    """Whether a name is that of a training's folder rather than a search's, which is no path."""
    return "/" in name or any((Path(name) / file).exists() for file in (WEIGHTS, CHECKPOINT, RESULT))


def export_trained(
    folder: Path,
    output: Path,
    *,
    c_source: Path | None = None,
    forms: Sequence[str] = DEFAULT,
    say: Say = lambda _: None,
) -> Card:
    """Write the network of a training for this machine, with its time on ``local``.

    Args:
        folder: what ``nas train`` wrote.
        output: the folder to write, new or empty.
        c_source: a folder for the same network as C, new or empty.
        forms: the names of the forms to write into the output.
        say: is told what is being done.

    Raises:
        InvalidInput: the folder holds no weights, or an output is taken.
        BitnasError: the weights are damaged, or their data is gone or another.
        DisagreementError: the compiled network does not compute what torch does.
    """
    import runtime
    from latency import LatencyModel, MemoryTable, device
    from nas.training import checkpoint

    forms = chosen(forms)
    weights = weights_in(folder)
    check_outputs(output, c_source)
    loaded = checkpoint.read(weights)
    job, module = job_of(loaded), network_of(loaded)
    data = known_data(loaded, job)
    say(f"{job.network}: compiling, measuring")
    model = LatencyModel(device("local"), MemoryTable())
    finished = finish(model, module, data)
    say(f"{job.network}: judging by {len(data.test):,} test images")
    identity = PublishedNetwork(
        network=job.network,
        precision=job.precision,
        classifier=job.classifier,
        classes=data.classes,
        channels=data.input_shape[0],
    )
    card = write_artifact(
        finished,
        output,
        (PUBLISHED, identity.to_json()),
        forms=forms,
        say=say,
        network=job.network,
        precision=job.precision,
        digest=identity.digest,
        data=job.data,
        image_size=job.image_size,
        epochs=job.epochs,
        seed=job.seed,
    )
    if c_source is not None:
        runtime.write_c(module, finished.network.info.input_shape, c_source, images_of(finished))
    return card


def weights_in(folder: Path) -> Path:
    """The weights of a training that is done."""
    if (folder / WEIGHTS).is_file():
        return folder / WEIGHTS
    if (folder / CHECKPOINT).is_file():
        raise InvalidInput(
            "search",
            f"the training in '{folder}' is not done",
            f"go on with: {command('train', resume=folder)}",
        )
    problem, fix = f"'{folder}' has no {WEIGHTS}", "name a search, or the folder of a training that is done"
    if folder.name.isdecimal():  # SEARCH/NUMBER, as `nas adapt` takes it
        raise InvalidInput(
            "search", problem, (f"{fix}; one trial of a search is named by ", Parameter("number"))
        )
    raise InvalidInput("search", problem, fix)


def known_data(loaded: "Loaded", job: TrainJob) -> "DataSet":
    """What the weights were trained on.

    Raises:
        BitnasError: it is gone or another.
    """
    try:
        data = data_of(job)
    except InvalidInput as error:
        raise BitnasError(f"data: what the network was trained on cannot be read ({error})") from error
    digest = images_digest(data)
    if loaded.about.get("images_digest", digest) != digest:
        raise BitnasError(f"data: '{job.data}' is no longer what the network was trained on; train again")
    return data
