"""What is adapted: the trained network of a file or a folder, in float, for the classes of other images."""

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from nas.training.job import ARCHITECTURE, MODEL, PUBLISHED, WEIGHTS, TrainJob, job_of
from search_spaces.architecture import Architecture, Buildable, NamedNetwork, read_architecture
from search_spaces.errors import BitnasError, InvalidInput, Parameter
from search_spaces.precision import precisions

if TYPE_CHECKING:
    from torch import nn

    from nas.ledger import Ledger
    from nas.training.pretrained import Pretrained

FLOAT, SAFETENSORS = "float", ".safetensors"


@dataclass(frozen=True)
class Given:
    """Trained weights, and what they are of.

    Attributes:
        title: what users call the network.
        weights: of it.
        architecture: as it was trained, in its own precisions and for its own images.
        image_size: the side of the images that it was trained on; None where these are no squares.
    """

    title: str
    weights: "Pretrained"
    architecture: Buildable
    image_size: int | None

    @property
    def digest(self) -> str:
        """The sha256 of the weights."""
        from safetensors.torch import save

        tensors = {name: tensor.contiguous() for name, tensor in sorted(self.weights.tensors.items())}
        return hashlib.sha256(save(tensors)).hexdigest()

    def size_for(self, data: str) -> int | None:
        """The side that images are to be brought to; None where the data have a size of their own."""
        from nas.data import data_sets

        return None if data in data_sets else self.image_size

    def form_for(self, input_shape: tuple[int, int, int], classes: int) -> Buildable:
        """The float form of the network for images (C, H, W) of so many classes.

        Raises:
            InvalidInput: its images have other channels, or another size than it can take.
        """
        channels = self.architecture.input_shape[0]
        if input_shape[0] != channels:
            problem = f"the images have {input_shape[0]} channels, and the weights are for {channels}"
            raise InvalidInput("data", problem, "give images like those that the network has seen")
        found = float_form(self.architecture)
        fields = {**json.loads(found.to_json()), "input_shape": list(input_shape), "classes": classes}
        form = type(found).from_json(json.dumps(fields))
        _check_images(self.title, form)
        return form

    def own_precisions(self) -> dict[str, str]:
        """The precision of each layer as it was trained, by name, where that is not float, nor of signs in a
        published network: its float form has ReLUs, behind which signs are all +1."""
        import search_spaces
        from search_spaces.recoding import recodable

        with torch.device("meta"):  # names and precisions, without memory
            layers = recodable(search_spaces.build(self.architecture))
        named = {name: getattr(layer, "precision", None) for name, layer in layers.items()}
        known = {name: p.name for name, p in named.items() if p is not None and p.name not in ("", FLOAT)}
        return {name: p for name, p in known.items() if self.takes(p)}

    def takes(self, precision: str) -> bool:
        """Whether layers of the float form can be given a precision."""
        takes_signs = precisions.get(precision).activation == "binary"
        return not (takes_signs and isinstance(self.architecture, NamedNetwork))

    def start(self, module: "nn.Module") -> set[str]:
        """Let a network start from the weights, but for its last layer; gives the names of its parameters
        that were taken over.

        Raises:
            InvalidInput: none of its layers was.
        """
        from nas.training.weights import take_over
        from search_spaces.recoding import recodable

        *_, head = recodable(module)
        body = {name: t for name, t in self.weights.tensors.items() if not name.startswith(f"{head}.")}
        taken = take_over(module, body, self.weights.codes)
        shapes = {name: p.ndim for name, p in module.named_parameters()}
        if not any(shapes.get(name, 0) > 1 for name in taken):
            problem = f"no layer of {self.title} is in '{self.weights.path}'"
            raise InvalidInput("weights", problem, "give the weights of that network")
        return taken & shapes.keys()


def _check_images(title: str, form: Buildable) -> None:
    import search_spaces
    from search_spaces.outputs import outputs

    try:
        with torch.device("meta"):  # shapes without memory
            outputs(search_spaces.build(form), form.input_shape, ())
    except RuntimeError as error:
        _, rows, columns = form.input_shape
        fix = (Parameter("image_size"), " brings images to a size")
        raise InvalidInput("data", f"{title} does not take {columns}x{rows} images", fix) from error


def float_form(architecture: Buildable) -> Buildable:
    """The same network with every layer in float."""
    if isinstance(architecture, NamedNetwork):
        even: dict[str, Any] = {"precision": FLOAT, "classifier": None, "layer_precisions": {}}
        return NamedNetwork.from_json(json.dumps({**json.loads(architecture.to_json()), **even}))
    if not isinstance(architecture, Architecture):
        raise TypeError(f"{type(architecture).__name__} has no float form")
    blocks = (
        block.model_copy(update={"precisions": dict.fromkeys(block.precisions, FLOAT)})
        for block in architecture.blocks
    )
    changed: dict[str, Any] = {
        "stem": architecture.stem.model_copy(update={"precision": FLOAT}),
        "blocks": tuple(blocks),
        "head": architecture.head.model_copy(update={"precision": FLOAT}),
        "layer_precisions": {},
    }
    return Architecture.from_json(architecture.model_copy(update=changed).to_json())


def read_given(path: Path, network: str | None = None) -> Given:
    """Read trained weights: a folder or file of `nas train` or `nas export`, or torchvision's or timm's file.

    Args:
        path: of it.
        network: the name of a published network that the weights are of, where they do not say so.

    Raises:
        InvalidInput: there is nothing, or it is of no network that is known.
        BitnasError: it is damaged.
    """
    from nas.training.pretrained import read_pretrained

    file = _file(path)
    try:
        weights = read_pretrained(file)
    except InvalidInput as error:
        raise error.of("weights") from error
    found, size = _architecture(file, network)
    title = found.title if isinstance(found, NamedNetwork) else f"{found.origin} {found.digest[:12]}"
    return Given(title, weights, found, size)


def given_of_trial(ledger: "Ledger", search: str, number: int) -> Given:
    """The trained weights of a trial.

    Raises:
        InvalidInput: there is no such trial, or it was never trained.
    """
    from safetensors.torch import load

    import search_spaces
    from nas.training.pretrained import Pretrained
    from nas.training.weights import codes_of

    try:
        trial, tensors = ledger.trial(search, number), ledger.weights(search, number)
    except InvalidInput as error:
        raise error.of("weights") from error
    title = f"trial {number} of search {search}"
    if tensors is None or trial.architecture is None:
        raise InvalidInput("weights", f"{title} has no weights", "name one that is complete")
    found = read_architecture(trial.architecture)
    with torch.device("meta"):  # names and codes, without memory
        codes = codes_of(search_spaces.build(found))
    weights = Pretrained(Path(f"{search}/{number}"), load(tensors), codes)
    return Given(title, weights, found, _side(found))


def _file(path: Path) -> Path:
    """The file of weights that a path stands for."""
    if not path.is_dir():
        return path
    for name in (WEIGHTS, MODEL):
        if (path / name).is_file():
            return path / name
    problem = f"there is neither a {WEIGHTS} nor a {MODEL} in '{path}'"
    raise InvalidInput("weights", problem, "name the folder of a training that is done")


def _architecture(file: Path, network: str | None) -> tuple[Buildable, int | None]:
    """What a file's weights are of, and the side of the images that they were trained on."""
    from nas.export.identity import read_told
    from nas.training import checkpoint, foreign

    beside = [name for name in (ARCHITECTURE, PUBLISHED) if file.with_name(name).is_file()]
    note = None if beside or file.suffix != SAFETENSORS else checkpoint.tensors_and_note(file)[1]
    if isinstance(note, dict):
        about = checkpoint.Loaded(file, {}, note).about
        job = job_of(checkpoint.Loaded(file, {}, note))
        _refuse_other(network, job.network)
        return _of_job(job, about.get("classes"), about.get("channels"))
    if beside:
        told = read_told(file.with_name(beside[0]))
        _refuse_other(network, told.origin if isinstance(told, Buildable) else told.network)
        if isinstance(told, Buildable):
            return told, _side(told)
        job = TrainJob(told.network, "", 1, told.precision, told.classifier)
        return _of_job(job, told.classes, told.channels)
    found = foreign.read(file, network)
    shape = 3, found.side, found.side
    return NamedNetwork(network=found.network, input_shape=shape, classes=found.classes), found.side


def _refuse_other(network: str | None, known: str) -> None:
    if network not in (None, known):
        raise InvalidInput("network", f"the weights are of '{known}'", "leave it out")


def _of_job(job: TrainJob, classes: object, channels: object) -> tuple[NamedNetwork, int | None]:
    from search_spaces.networks import networks

    if not isinstance(classes, int):
        raise BitnasError(f"weights: they are a checkpoint's; name the {WEIGHTS} of a training that is done")
    inside, rows, columns = _seen(job) or networks.get(job.network).input_shape
    shape = channels if isinstance(channels, int) else inside, rows, columns
    found = job.architecture(shape, classes)
    return found, _side(found)


def _seen(job: TrainJob) -> tuple[int, int, int] | None:
    """The shape of the images that were trained on; None where they are gone."""
    from nas.training.job import data_of

    try:
        return data_of(job).input_shape if job.data else None
    except InvalidInput:
        return None


def _side(found: Buildable) -> int | None:
    _, rows, columns = found.input_shape
    return rows if rows == columns else None
