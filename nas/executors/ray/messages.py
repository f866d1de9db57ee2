"""What goes between the driver, which decides and records, and the nodes of a cluster, which evaluate."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Self

from nas.data.data_set import DataSet, Source, Split
from nas.ledger.records import SearchConfig


@dataclass(frozen=True)
class Assignment:
    """A trial that a node is to evaluate, as plain data.

    Attributes:
        choices: those that led to the architecture; None where it does not come from the space.
        architecture: its JSON.
        budget: the last step that there may be.
        seeds: of each of its evaluations.
        pauses: after which steps it may be paused.
        checkpoint: what the first evaluation goes on from, if it was paused before.
    """

    choices: dict[str, str | int] | None
    architecture: str
    budget: int
    seeds: tuple[int, ...]
    pauses: tuple[int, ...] = ()
    checkpoint: bytes | None = None


@dataclass(frozen=True)
class Message:
    """Something that a node tells of a trial.

    Attributes:
        kind: ``begun``, ``step``, ``ended`` of an evaluation, ``failed`` of a trial, ``exited`` of an
            evaluator that would have ended its process, ``unfit`` of the node.
        fields: what it says.
        tensors: a checkpoint after a step, weights after an evaluation.
    """

    kind: str
    fields: Mapping[str, Any] = field(default_factory=dict)
    tensors: bytes | None = None

    def to_report(self) -> dict[str, Any]:
        """What ``tune.report`` takes; the text is one field, as Tune takes nested ones apart."""
        return {"told": json.dumps({"kind": self.kind, **self.fields}), "tensors": self.tensors}

    @classmethod
    def of_report(cls, report: Mapping[str, Any]) -> Self:
        """What ``to_report`` wrote."""
        fields = json.loads(report["told"])
        return cls(fields.pop("kind"), fields, report["tensors"])


@dataclass(frozen=True)
class Given:
    """Reads a data set that is in memory."""

    source: Source

    def __call__(self) -> Source:
        """The images."""
        return self.source


@dataclass(frozen=True)
class Shipment:
    """What every node gets once: all that is needed to evaluate candidates of a search.

    Attributes:
        key: tells it from that of another search.
        version: of bitnas on the driver; a node's must be the same.
        config: the settings of the search.
        data: its images, if it has any.
        plugins: the files that plug in: the name and the text of each.
    """

    key: str
    version: str
    config: SearchConfig
    data: DataSet | None
    plugins: tuple[tuple[str, str], ...] = ()


def in_memory(data: DataSet) -> DataSet:
    """A data set that any process can read: as arrays, where it was files of this machine."""
    source = data.read()
    splits = (None if split is None else _plain(split) for split in (source.validation, source.test))
    return replace(data, read=Given(Source(_plain(source.train), *splits)))


def _plain(split: Split) -> Split:
    import numpy as np

    return replace(split, pixels=np.asarray(split.pixels), all_labels=np.asarray(split.all_labels))
