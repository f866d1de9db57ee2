"""A search as JSON lines, one for itself and one for each of its trials: how they are written and checked."""

import base64
import json
from datetime import datetime
from typing import Annotated, Any, Literal, NotRequired, TypeVar

from pydantic import (
    AfterValidator,
    Base64Encoder,
    BaseModel,
    ConfigDict,
    EncodedBytes,
    Field,
    JsonValue,
    TypeAdapter,
    ValidationError,
)
from typing_extensions import TypedDict  # of 3.12, which pydantic needs

from nas.ledger.mistakes import Predictions
from nas.ledger.records import SearchConfig, TrialState, config_from_dict
from search_spaces.architecture import MAX_JSON
from search_spaces.errors import InvalidInput


class _Strict(Base64Encoder):
    """As base64 is, but nothing else is skipped."""

    @classmethod
    def decode(cls, data: bytes) -> bytes:
        """ValueError where it is no base64."""
        return base64.b64decode(data, validate=True)

    @classmethod
    def encode(cls, value: bytes) -> bytes:
        """Without line breaks."""
        return base64.b64encode(value)


Tensors = Annotated[bytes, EncodedBytes(encoder=_Strict)]
"""A safetensors file, as base64."""


Share = Annotated[float, Field(ge=0, le=1)]
Positive = Annotated[float, Field(ge=0)]
"""What was measured or counted: milliseconds, seconds, kB."""


class _Line(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, allow_inf_nan=False)

    def to_text(self) -> str:
        """One line of JSON, without what is as it is anyway."""
        return self.model_dump_json(exclude_defaults=True)


L = TypeVar("L", bound=_Line)


class OriginOf(TypedDict):
    """What a search was made with, as ``nas.ledger.origin.Origin``."""

    versions: dict[str, str]
    data: str
    devices: dict[str, str]
    pretrained: NotRequired[str]  # files of before have none
    steps: NotRequired[dict[str, JsonValue]]


class SearchLine(_Line):
    """The first line: a search and what it was asked for."""

    bitnas_search: Literal[1]  # the version; first, so that a reader sees what the file is
    name: str
    created_at: datetime
    config: dict[str, JsonValue]
    trials: Annotated[int, Field(ge=0)]
    ended: str | None = None
    origin: OriginOf | None = None


class CostOf(TypedDict):
    """A value of an objective, as ``nas.objectives.ObjectiveValue``."""

    value: float
    low: float
    high: float
    estimated: int


class EpochLine(_Line):
    """One epoch of a trial's training."""

    epoch: Annotated[int, Field(ge=1)]
    train_loss: float | None
    accuracy: Share | None
    seconds: Positive
    reported: dict[str, float] | None = None


class CheckpointLine(_Line):
    """Where the training of a paused trial goes on."""

    epoch: Annotated[int, Field(ge=0)]
    tensors: Tensors


class MistakeOf(TypedDict):
    """An image of a wrong class, as ``nas.ledger.mistakes.Mistake``."""

    image: int
    true: int
    predicted: int
    probability: Share


class PredictionsOf(TypedDict):
    """What a network gets wrong, as ``nas.ledger.mistakes.Predictions``."""

    classes: int
    images: int
    right: Annotated[int, Field(ge=0)]
    counts: list[tuple[int, int, int]]
    worst: list[MistakeOf]


def _agreeing(fields: Any) -> Any:
    """Predictions that do not contradict themselves."""
    Predictions.from_dict(fields)
    return fields


AgreeingPredictions = Annotated[PredictionsOf, AfterValidator(_agreeing)]


class TrialLine(_Line):
    """A trial; the names are those of the columns of ``nas.ledger.tables.Trial``."""

    number: Annotated[int, Field(ge=0)]
    state: TrialState
    owner: str | None = None
    choices: dict[str, str | int] | None = None
    parents: list[Annotated[int, Field(ge=0)]] | None = None
    architecture: Annotated[str, Field(max_length=MAX_JSON)] | None = None
    digest: Annotated[str, Field(min_length=1, max_length=64)] | None = None
    latency_ms: Positive | None = None
    latency_by_workload: list[tuple[str, Positive]] | None = None
    latency_low_ms: Positive | None = None
    latency_high_ms: Positive | None = None
    estimated: list[str] | None = None
    measuring_s: Positive | None = None
    costs: dict[str, CostOf] | None = None
    budget: Annotated[int, Field(ge=1)] | None = None
    epochs_done: Annotated[int, Field(ge=0)] | None = None
    accuracies: list[Share] | None = None
    same_as: str | None = None
    passed_over: Annotated[int, Field(ge=0)] = 0
    passed_samples: list[dict[str, JsonValue]] | None = None
    size_kb: Positive | None = None
    accuracy: Share | None = None
    measured_latency_ms: Positive | None = None
    measured_low_ms: Positive | None = None
    measured_high_ms: Positive | None = None
    measured_disturbed: str | None = None
    error: str | None = None
    started_at: datetime | None = None
    finished_at: datetime | None = None
    epochs: list[EpochLine] = []
    weights: Tensors | None = None
    predictions: AgreeingPredictions | None = None
    checkpoint: CheckpointLine | None = None

    def again(self) -> "TrialLine":
        """The same proposal, of which nothing was run: what another ledger makes of one that runs."""
        proposed = {"choices", "parents", "architecture", "digest", "budget"}
        kept = {"number", *proposed, "passed_over", "passed_samples"}
        return TrialLine(**{name: getattr(self, name) for name in kept}, state=TrialState.QUEUED)

    def left(self) -> "TrialLine":
        """The same trial as if whoever runs it had left it: paused where its checkpoint is."""
        if self.state is not TrialState.RUNNING or self.checkpoint is None:
            return self
        epochs = [epoch for epoch in self.epochs if epoch.epoch <= self.checkpoint.epoch]
        done = self.checkpoint.epoch
        return self.model_copy(
            update={"state": TrialState.PAUSED, "owner": None, "epochs": epochs, "epochs_done": done}
        )


def read_search(text: str | bytes) -> tuple[SearchLine, SearchConfig]:
    """The first line, and the config in it.

    Raises:
        InvalidInput: it is no such line, or of a later version.
    """
    line = _read(SearchLine, text, 1)
    try:
        config = config_from_dict(line.config)
        TypeAdapter(type(config)).validate_json(json.dumps(config.to_dict()), strict=True)
    except (ValidationError, TypeError, AttributeError, InvalidInput) as error:
        raise damaged(1, f"config: {_told(error)}") from error
    return line, config


def read_trial(text: str | bytes, number: int) -> TrialLine:
    """The trial of a number, from its line: the second one holds trial 0.

    Raises:
        InvalidInput: it is no such line, or of another trial.
    """
    line = number + 2
    found = _read(TrialLine, text, line)
    if found.number != number:
        raise damaged(line, f"trial {found.number} stands where trial {number} is to be")
    if found.state is TrialState.RUNNING:
        raise damaged(line, "a trial that runs is queued in a file")
    if found.state is TrialState.PAUSED and found.checkpoint is None:
        raise damaged(line, "a paused trial has a checkpoint")
    if found.predictions is not None and found.state is not TrialState.COMPLETE and found.same_as is None:
        raise damaged(line, "predictions are of a trial that is complete")
    if found.state.finished and found.state is not TrialState.FAILED and found.digest is None:
        raise damaged(line, f"a trial that is {found.state} has an architecture and a digest")
    return found


def damaged(line: int, problem: str, fix: str = "export the search again") -> InvalidInput:
    """What to say of a line."""
    return InvalidInput("file", f"line {line}: {problem}", f"{fix}; nothing was imported")


def _read(kind: type[L], text: str | bytes, line: int) -> L:
    try:
        return kind.model_validate_json(text)
    except ValidationError as error:
        raise damaged(line, _told(error)) from None


def _told(error: Exception) -> str:
    """What is wrong, in one line."""
    if not isinstance(error, ValidationError):
        return " ".join(str(error).split())
    first = error.errors(include_url=False, include_input=False)[0]
    return ": ".join(filter(None, (".".join(map(str, first["loc"])), first["msg"])))
