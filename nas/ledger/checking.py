"""Checks trials that come from a file: architectures, their digests, and the choices that lead there."""

import json

from nas.ledger.lines import TrialLine, damaged
from nas.ledger.plausible import check_values
from nas.ledger.records import TRAINING, SearchConfig
from search_spaces.architecture import Buildable, read_architecture
from search_spaces.errors import InvalidInput
from search_spaces.search_space import Candidate, Option, SearchSpace, spaces

NOT_ITS = "the digest is not the architecture's"


class Checks:
    """Checks the trials of one search.

    Attributes:
        unchecked: how many architectures of a space of one's own could be held against nothing, as the space
            is not here.
    """

    def __init__(self, config: SearchConfig) -> None:
        self._config = config
        self._space = spaces.get(config.space) if config.space in spaces else None
        self._is_bitnas_own = config.evaluator == TRAINING or (
            self._space is not None and isinstance(self._space.sample(0), Buildable)
        )
        self.unchecked = 0

    def check(self, trial: TrialLine, line: int) -> None:
        """InvalidInput, which names the line, where a trial is damaged: its architecture, or its values."""
        check_values(self._config, trial, line)
        if trial.architecture is None:
            if trial.digest is not None or trial.choices is not None:
                raise damaged(line, "it has choices or a digest, and no architecture")
            return
        try:
            stored = json.loads(trial.architecture)
        except ValueError as error:
            raise damaged(line, f"the architecture is no JSON: {error}") from error
        found = self._found(trial, trial.architecture, line)
        if found is not None and json.loads(found.to_json()) != stored:
            raise damaged(line, "its choices lead to another architecture")
        if found is not None and found.digest != trial.digest:
            raise damaged(line, NOT_ITS)

    def _found(self, trial: TrialLine, text: str, line: int) -> Candidate | None:
        """Where the choices lead; None where they cannot be followed here, or there are none."""
        space = self._space
        if trial.choices is None or self._is_bitnas_own:
            architecture = _read(text, trial.digest, line)
            space = None if space is None else _fitted(space, architecture)
        elif space is None:
            self.unchecked += 1
        if space is None or trial.choices is None:
            return None
        return _chosen(space, trial.choices, line)


def _read(text: str, digest: str | None, line: int) -> Buildable:
    """An architecture of bitnas's, which is in the file as a whole."""
    try:
        found = read_architecture(text)
    except InvalidInput as error:
        raise damaged(line, str(error)) from error
    if found.digest != digest:
        raise damaged(line, NOT_ITS)
    return found


def _chosen(space: SearchSpace, choices: dict[str, Option], line: int) -> Candidate:
    """Where choices lead; InvalidInput where the space does not offer them."""

    def choose(name: str, options: tuple[Option, ...]) -> Option:
        if choices[name] not in options:
            raise KeyError(name)
        return choices[name]

    try:
        return space.propose(choose)
    except KeyError as error:
        problem = f"its choices are none of the space '{space.name}' here: see {error.args[0]}"
        fix = "bring the space into the version that the search was made with, or export the search again"
        raise damaged(line, problem, fix) from error


def _fitted(space: SearchSpace, architecture: Buildable) -> SearchSpace | None:
    """The space for the images that an architecture is for; None where it is for other images now."""
    try:
        return space.fitted(architecture.input_shape, architecture.classes)
    except InvalidInput:
        return None
