"""Rungs: the epochs after which a training may be stopped, judged and gone on with."""

from search_spaces.errors import InvalidInput


def rungs(epochs: int, factor: int = 3) -> tuple[int, ...]:
    """The rungs of a training of so many epochs, from 1 to the last: 27 has 1, 3, 9, 27, and 10 has 1, 3, 10.

    From the last one down, each is the ``factor``-th part of the one above, rounded; the lowest is 1.

    Raises:
        InvalidInput: ``epochs`` is below 1 or ``factor`` below 2.
    """
    for name, value, least in (("epochs", epochs, 1), ("factor", factor, 2)):
        if value < least:
            raise InvalidInput(name, f"{value} is out of range", f"give a whole number of {least} or more")
    found, part = [epochs], factor
    while found[-1] > 1:
        nearest = (2 * epochs + part) // (2 * part)
        found.append(min(max(nearest, 1), found[-1] - 1))
        part *= factor
    return tuple(reversed(found))
