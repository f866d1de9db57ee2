"""The card of an exported network: what it states of itself, and the file that holds it."""

import json
import math
from pathlib import Path
from typing import Any, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from runtime.formats.artifact import COMPILED
from search_spaces.errors import BitnasError

CARD = "card.json"
CARD_TEXT = "README.md"
"""The card for people, which ``nas.export.readme`` writes; older artifacts have ``card.md``."""

Row = tuple[str, str, str]
"""A figure, its value, and how it was come by."""
BOTH_OR_NONE = ([True, True], [False, False])


class FormFigures(BaseModel):
    """One form of the network in the folder.

    Attributes:
        name: as the registry of forms has it.
        files: of the folder, that only this form has.
        holds_code: whether there is code among them.
        kilobytes: of the files, in kB of 1000 bytes.
        right: how many test images it gave their class; None where it could not be run when it was exported.
        differing: how many test images it puts into another class than torch does, and than each other form.
        not_run: why it could not be run.
        figures: rows of its own: a figure, its value, how it was come by.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)
    name: str
    files: list[str]
    holds_code: bool
    kilobytes: float = Field(ge=0)
    right: int | None = Field(None, ge=0)
    differing: dict[str, int] = {}
    not_run: str = ""
    figures: list[Row] = []


MOST_NUMBERS = 1 << 26
"""In one image. The card may be somebody else's, and images are brought to the size that it tells."""


class Card(BaseModel):
    """What an artifact states about itself; ``nas verify`` checks the figures.

    Accuracies are shares of 0..1, times milliseconds for ``batch`` images, sizes kB of 1000 bytes.
    ``input_shape`` is (C, H, W), ``largest`` the greatest value that a pixel of the data can have; ``mean``
    and ``deviation`` are what pixels are scaled by, channel by channel, in 0..``largest``.
    ``size_kb`` counts the parameters, each at the bits of its code, ``artifact_kb`` the library and the
    constants where the folder has them, ``memory_kb`` the workspace of activations, ``macs`` the
    multiply-accumulates for one image. ``forms`` tells of each form of the network in the folder.
    ``measured_low_ms`` and ``measured_high_ms`` are the interval that the device's own repeats give, at the
    speed at which its reference takes ``measured_reference_ms``; ``measured_disturbed`` is what made the time
    worthless. ``measured_drift`` is the share by which the device was slower than usual, if for long.
    ``same_class`` is how many test images torch puts into the same class; None is all of them. Of the images
    of each class there are ``class_images``, and ``class_right`` of them get it, in the order of the classes.
    ``kb_by_code`` are the kB of the layers' weights by their code; what is left of ``size_kb`` is all else.

    ``repeated_accuracies`` are those on the validation split of a search's trainings with other seeds, the
    network's own first. ``predicted_elsewhere_ms`` is what further devices of the search would take, by name.

    A network comes from a ``trial`` of a ``search``, or is a published ``network`` in a
    ``precision``, or both. ``digest`` is of the file that says what it is.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)
    search: str | None = None
    trial: int | None = Field(None, ge=0)
    network: str | None = None
    precision: str | None = None
    digest: str
    data: str
    image_size: int | None = None
    data_digest: str
    input_shape: list[int] = []
    largest: int = Field(255, ge=1, le=255)
    mean: list[float] = []
    deviation: list[float] = []
    class_names: list[str] = []
    epochs: int = Field(ge=0)
    seed: int
    validation_accuracy: float | None = Field(ge=0, le=1)
    repeated_accuracies: list[float] = []
    test_accuracy: float = Field(ge=0, le=1)
    test_images: int = Field(gt=0)
    same_class: int | None = Field(None, ge=0)
    class_right: list[int] = []
    class_images: list[int] = []
    size_kb: float = Field(gt=0)
    kb_by_code: dict[str, float] = {}
    memory_kb: float | None = Field(None, ge=0)
    macs: int | None = Field(None, ge=0)
    artifact_kb: float | None = Field(None, gt=0)
    forms: list[FormFigures] = []
    predicted_ms: float = Field(gt=0)
    predicted_elsewhere_ms: dict[str, float] = {}
    measured_ms: float = Field(gt=0)
    measured_iqr_ms: float = Field(ge=0)
    measured_at: str
    measured_drift: float | None = Field(None, gt=0)
    measured_low_ms: float | None = Field(None, ge=0)
    measured_high_ms: float | None = Field(None, gt=0)
    measured_reference_ms: float | None = Field(None, gt=0)
    measured_disturbed: str | None = None
    batch: int = Field(gt=0)
    device: dict[str, Any]
    precisions: dict[str, int]
    space: str | None = None
    exported_at: str | None = None
    versions: dict[str, str] = {}

    @model_validator(mode="after")
    def _describes_images(self) -> Self:
        if min(self.input_shape, default=1) < 1 or math.prod(self.input_shape) > MOST_NUMBERS:
            raise ValueError("input_shape is not that of an image")
        if any(deviation <= 0 for deviation in self.deviation):
            raise ValueError("a deviation is not above 0")
        if self.mean and self.input_shape and len(self.mean) != self.input_shape[0]:
            raise ValueError("it has not one mean for each channel")
        if len(self.mean) != len(self.deviation):
            raise ValueError("it has not one deviation for each mean")
        if self.class_names and self.class_images and len(self.class_names) != len(self.class_images):
            raise ValueError("it has not one name for each class")
        return self

    @model_validator(mode="after")
    def _has_one_origin(self) -> Self:
        given = [value is not None for value in (self.search, self.trial, self.network, self.precision)]
        of_trial, of_network = given[:2], given[2:]
        if of_trial not in BOTH_OR_NONE or of_network not in BOTH_OR_NONE or not any(given):
            raise ValueError("it names neither a search's trial nor a published network")
        return self

    @property
    def right(self) -> int:
        """How many test images get their class."""
        return round(self.test_accuracy * self.test_images)

    @property
    def judged(self) -> str:
        """The form that the accuracy is of: the first that could be run, of an older card the library."""
        return next((form.name for form in self.forms if form.right is not None), COMPILED)

    @property
    def title(self) -> str:
        """What the network is called."""
        trial = f"rial {self.trial} of search {self.search}"
        if self.network is None:
            return f"T{trial}"
        return f"{self.network} in {self.precision}" + ("" if self.search is None else f", t{trial}")

    def to_json(self) -> str:
        """The card for machines."""
        return json.dumps(self.model_dump(), indent=1, sort_keys=True) + "\n"

    @property
    def interval(self) -> tuple[float, float]:
        """Low and high end of the latency; by the samples alone in a card of before intervals were stated."""
        if self.measured_low_ms is not None and self.measured_high_ms is not None:
            return self.measured_low_ms, self.measured_high_ms
        return max(0.0, self.measured_ms - self.measured_iqr_ms), self.measured_ms + self.measured_iqr_ms

    @property
    def disturbed(self) -> str | None:
        """What made the latency worthless; None where nothing did. Older cards tell but a drift."""
        if self.measured_disturbed is None and self.measured_drift is not None:
            return f"it was {self.measured_drift:.0%} slower than usual"
        return self.measured_disturbed


def read_card(folder: Path) -> Card:
    """The card of an artifact.

    Raises:
        BitnasError: it is missing or malformed.
    """
    path = folder / CARD
    try:
        return card_of(path.read_bytes(), path)
    except OSError as error:
        raise BitnasError(
            f"{path}: it cannot be read ({error.strerror}); pass what `nas export` wrote"
        ) from error


def card_of(content: bytes, path: Path) -> Card:
    """What ``card.json`` at a path holds.

    Raises:
        BitnasError: it is malformed.
    """
    try:
        return Card.model_validate_json(content)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"])) or "the file"
        raise BitnasError(f"{path}: {where}: {first['msg'].lower()}; export it again") from error
