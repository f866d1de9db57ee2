"""A space with some of its options left out: ``fix`` leaves one, ``only`` some, by the names of choices."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from functools import cached_property

from search_spaces.counting import Options, Size, choices_of, counted
from search_spaces.errors import InvalidInput, nearest
from search_spaces.search_space import Candidate, Choose, Option, SearchSpace

FIX, ONLY = "fix", "only"


@dataclass(frozen=True)
class Rule:
    """Leaves some options of every choice that a name means.

    Attributes:
        parameter: ``fix`` or ``only``, for messages.
        name: of choices, whole or in part.
        options: what is left, as text.
    """

    parameter: str
    name: str
    options: tuple[str, ...]

    def means(self, choice: str) -> bool:
        """Whether the name means a choice: its parts are among the choice's in this order, the last one last.

        So ``precision`` means ``stage1.repeat0.expand.precision``, and ``stage1.precision`` does, too. ``*``
        stands for anything in a part.
        """
        *parts, last = self.name.split(".")
        *others, end = choice.split(".")
        rest = iter(others)
        return fnmatchcase(end, last) and all(any(fnmatchcase(o, part) for o in rest) for part in parts)

    def left(self, options: Options) -> Options:
        """The options that it leaves, in their order."""
        return tuple(option for option in options if str(option) in self.options)


class Restricted(SearchSpace):
    """Another space, of which rules leave some options; its architectures are the other's.

    Choices with one option left are asked for as the others: what is chosen replays in the whole space, too.
    """

    def __init__(self, space: SearchSpace, rules: Sequence[Rule]) -> None:
        """``restricted`` also checks that the rules fit the space."""
        self._space, self._rules = space, tuple(rules)
        self.name = space.name
        for attribute in ("description", "input_shape", "classes"):  # which a space may go without
            if hasattr(space, attribute):
                setattr(self, attribute, getattr(space, attribute))
        self._left: dict[str, Options] = {}

    def propose(self, choose: Choose) -> Candidate:
        """What ``choose`` leads to, of the options that are left.

        Raises:
            InvalidInput: none is left of a choice.
        """
        return self._space.propose(lambda name, options: choose(name, self._left_of(name, options)))

    def _left_of(self, name: str, options: Options) -> Options:
        if name not in self._left:
            self._left[name] = left_by(self._rules, name, options)
        return self._left[name]

    def size(self) -> int:
        """Exact where few are left, else an estimate: see ``count``."""
        return self.count.number

    @cached_property
    def count(self) -> Size:
        """How many architectures are left, and whether that is exact."""
        return counted(self)

    def fitted(self, input_shape: tuple[int, int, int], classes: int) -> "Restricted":
        """The same rules for the fitted space."""
        return Restricted(self._space.fitted(input_shape, classes), self._rules)


def restricted(space: SearchSpace, fix: Mapping[str, str], only: Mapping[str, Sequence[str]]) -> SearchSpace:
    """A space with fixed choices, and others among some options; itself where there are none.

    Args:
        space: the whole one.
        fix: the one option, by the name of a choice, whole or in part.
        only: the options, likewise.

    Raises:
        InvalidInput: a name means no choice, an option is not there, or none is left of a choice.
    """
    rules = [Rule(FIX, name, (option,)) for name, option in fix.items()]
    rules += [Rule(ONLY, name, tuple(options)) for name, options in only.items()]
    if not rules:
        return space
    choices = choices_of(space)
    rules = [_exact(rule, choices) for rule in rules]
    for rule in rules:
        _check(rule, {name: options for name, options in choices.items() if rule.means(name)}, choices)
    for name, options in choices.items():
        left_by(rules, name, options)
    return Restricted(space, rules)


def left_by(rules: Iterable[Rule], name: str, options: Options) -> Options:
    """The options of a choice that all rules leave.

    Raises:
        InvalidInput: there is none.
    """
    left = options
    for rule in rules:
        if rule.means(name) and not (left := rule.left(left)):
            fix = f"it has {_told(options)}"
            raise InvalidInput(rule.parameter, f"'{rule.name}' leaves nothing of '{name}'", fix)
    return left


def _exact(rule: Rule, choices: Mapping[str, Options]) -> Rule:
    """The rule as it is; a name that one choice has as a whole means no other that ends alike."""
    return _Exact(rule.parameter, rule.name, rule.options) if rule.name in choices else rule


class _Exact(Rule):
    """A rule of one choice."""

    def means(self, choice: str) -> bool:
        """It has that very name."""
        return choice == self.name


def _check(rule: Rule, meant: Mapping[str, Options], choices: Mapping[str, Options]) -> None:
    """InvalidInput where a rule means no choice, or names an option that none of its choices has."""
    if not meant:
        names = [*choices, *{name.rpartition(".")[2] for name in choices}]
        fix = f"{nearest(rule.name, names)}the space has {_some(choices)}"
        raise InvalidInput(rule.parameter, f"no choice is called '{rule.name}'", fix)
    known = list(dict.fromkeys(str(option) for options in meant.values() for option in options))
    for option in rule.options:
        if option not in known:
            fix = f"{nearest(option, known)}choose among {_told(known)}"
            raise InvalidInput(rule.parameter, f"'{rule.name}' has no option '{option}'", fix)


def _told(options: Iterable[Option]) -> str:
    return ", ".join(str(option) for option in options)


def _some(names: Iterable[str], most: int = 8) -> str:
    """The last parts of the names of choices, each once."""
    parts = list(dict.fromkeys(name.rpartition(".")[2] for name in names))
    return ", ".join(parts[:most]) + (", ..." if len(parts) > most else "")
