"""Which choices a space has, and how many architectures: exactly where there are few, else by an estimate."""

from itertools import islice
from random import Random
from statistics import fmean
from typing import NamedTuple

from search_spaces.search_space import Option, SearchSpace, every

EXACT_UP_TO = 1_000
"""Ways to choose that are counted one by one."""
DESCENTS = 1_000
"""Random ways to choose that an estimate is made of."""
RANDOM_DESCENTS = 100
"""Random ways to choose that are looked through for choices, beside those that follow each option."""
SEED = 0

Options = tuple[Option, ...]


class Size(NamedTuple):
    """How many architectures there are, and whether that is exact."""

    number: int
    is_exact: bool

    def __str__(self) -> str:
        """Such as ``960`` and ``about 5e+11``: an estimate has one digit that counts."""
        return f"{self.number:,}" if self.is_exact else f"about {self.number:.0e}"


def choices_of(space: SearchSpace) -> dict[str, Options]:
    """The choices that a space may ask for, with their options, in the order in which they were met.

    Each option of each choice is followed at least once, with the first options elsewhere; then some random
    ones. A choice that comes only after a rare combination of others may be missed.
    """
    found: dict[str, Options] = {}
    followed: set[tuple[str, Option]] = set()
    waiting: list[dict[str, Option]] = [{}]
    while waiting:
        path = _descent(space, waiting.pop())
        followed |= {(name, chosen) for name, (chosen, _) in path.items()}
        before: dict[str, Option] = {}
        for name, (chosen, options) in path.items():
            found.setdefault(name, options)
            new = [option for option in options if (name, option) not in followed]
            followed |= {(name, option) for option in new}
            waiting += [{**before, name: option} for option in new]
            before[name] = chosen
    generator = Random(SEED)  # noqa: S311 - for sampling, not for secrets
    for _ in range(RANDOM_DESCENTS):
        for name, (_, options) in _descent(space, generator=generator).items():
            found.setdefault(name, options)
    return found


def counted(space: SearchSpace) -> Size:
    """How many ways to choose a space has.

    Beyond ``EXACT_UP_TO`` the mean over random descents of the product of the numbers of options (Knuth 1975,
    "Estimating the efficiency of backtrack programs"), which is right in expectation.
    """
    few = sum(1 for _ in islice(every(space), EXACT_UP_TO + 1))
    if few <= EXACT_UP_TO:
        return Size(few, is_exact=True)
    generator = Random(SEED)  # noqa: S311 - as above
    return Size(round(fmean(_ways(space, generator) for _ in range(DESCENTS))), is_exact=False)


def _ways(space: SearchSpace, generator: Random) -> float:
    """The product of the numbers of options along a random way."""
    ways = 1.0
    for _, options in _descent(space, generator=generator).values():
        ways *= len(options)
    return ways


def _descent(
    space: SearchSpace, prefix: dict[str, Option] | None = None, generator: Random | None = None
) -> dict[str, tuple[Option, Options]]:
    """What is asked and chosen on one way: as ``prefix`` says, then at random, or the first of each."""
    found: dict[str, tuple[Option, Options]] = {}

    def choose(name: str, options: Options) -> Option:
        index = 0 if generator is None else int(generator.random() * len(options))
        chosen = (prefix or {}).get(name, options[index])
        found[name] = (chosen, options)
        return chosen

    space.propose(choose)
    return found
