"""Whether the trainings of a search can start from the weights that it names, and how much they take over."""

from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, NamedTuple

from nas.ledger.records import TRAINING, SearchConfig, SearchRecord
from search_spaces.errors import InvalidInput

if TYPE_CHECKING:
    from search_spaces.search_space import SearchSpace

SAMPLED = 64
"""Architectures of a space, of which one at least must take something over."""


class Fit(NamedTuple):
    """Weights beside the networks of a search.

    Attributes:
        digest: of the file; empty where trainings start anew.
        share: of a network's parameters that it takes over, 0..1, the median of the space; None likewise.
    """

    digest: str = ""
    share: float | None = None


def fit_of(config: SearchConfig, space: "SearchSpace") -> Fit:
    """Compare names and shapes with those of what the search begins with and of a sample of its space.

    Raises:
        InvalidInput: no training of the search could start from the weights, or they cannot be read.
    """
    if not config.pretrained:
        return Fit()
    if config.evaluator != TRAINING:
        problem = f"'{config.evaluator}' trains in its own way"
        raise InvalidInput("pretrained", problem, "leave it out, or let bitnas train")
    import torch

    from nas.training.pretrained import digest_of, read_pretrained
    from search_spaces import build
    from search_spaces.architecture import read_architecture
    from search_spaces.search_space import buildable

    path = Path(config.pretrained)
    weights = read_pretrained(path)
    with torch.device("meta"):  # names and shapes, without memory
        first = [weights.share(build(read_architecture(text))) for text in config.first]
        sampled = [weights.share(build(buildable(space.sample(seed)))) for seed in range(SAMPLED)]
    if not any([*first, *sampled]):
        problem = f"no layer of '{path}' has the name and shape of one that the search builds"
        raise InvalidInput("pretrained", problem, "give weights of a network of this space")
    return Fit(digest_of(path), median(sampled))


def check_weights(record: SearchRecord, space: "SearchSpace") -> None:
    """InvalidInput where the file that trainings start from is not here, or is another now."""
    if fit_of(record.config, space).digest != record.origin.pretrained:
        problem = f"'{record.config.pretrained}' of this machine is not what '{record.name}' was made with"
        raise InvalidInput("pretrained", problem, "copy it from a machine that works on the search")
