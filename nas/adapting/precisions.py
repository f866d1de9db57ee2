"""Chooses a precision for each layer: what changes the outputs least for each unit of cost that it saves."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import NamedTuple

from nas.adapting.sensitivity import Sensitivities
from nas.pruning.greedy import Changed, Costs, Greedy, OnWay
from search_spaces.architecture import Buildable
from search_spaces.errors import InvalidInput, UnsupportedLayerError
from search_spaces.precision import precisions

FLOAT = "float"
NEARLY = 1.05
"""How many times as much as the cheapest network another may cost that loses less."""


class Recode(NamedTuple):
    """Giving one layer another precision."""

    layer: str
    precision: str


class PrecisionChooser(Greedy[Changed, Recode]):
    """Gives layers of a network other precisions, one at a time. A layer's new precision is cheaper by
    measured kernels, or not taken; what is lost is the sum of the layers' sensitivities."""

    def __init__(
        self,
        float_form: Buildable,
        first: Mapping[str, str],
        found: Sensitivities,
        costs: Costs,
    ) -> None:
        """Of a network.

        Args:
            float_form: of it.
            first: the precisions that layers begin with, by name, where these are not float.
            found: how much each change of a layer matters.
            costs: what architectures cost.
        """
        self._float_form, self._found = float_form, found
        super().__init__(self._changed(first), costs)

    def steps(self) -> list[Recode]:
        """Every layer in every other precision of as many bits or fewer."""
        now = self.now.architecture.layer_precisions
        return [Recode(*key) for key in self._found if _is_further(now.get(key[0], FLOAT), key[1])]

    def after(self, step: Recode) -> Changed:
        """What the network is with the layer in its new precision."""
        return self._changed({**self.now.architecture.layer_precisions, step.layer: step.precision})

    def _changed(self, chosen: Mapping[str, str]) -> Changed:
        architecture = self._float_form.recoded(chosen)
        return Changed(architecture, lost=sum(self._found[key] for key in chosen.items()))


def _is_further(now: str, other: str) -> bool:
    return now != other and precisions.get(other).weight_bits <= precisions.get(now).weight_bits


def starts(found: Sensitivities, names: Sequence[str]) -> list[dict[str, str]]:
    """What to begin with beside float: all layers that can be in each precision."""
    layers = dict.fromkeys(layer for layer, _ in found)
    return [{layer: name for layer in layers if (layer, name) in found} for name in names]


def precisions_within(
    float_form: Buildable,
    begins: Sequence[Mapping[str, str]],
    found: Sensitivities,
    costs: Costs,
    target: float,
    tell: Callable[[str], None] = lambda _: None,
    on_way: OnWay = lambda _: None,
) -> Changed:
    """The precisions that lose least at no more than ``target``, among those that are met.

    Where a beginning is within it, that is enough: layer by layer not much accuracy would be won back, and
    hundreds of kernels be measured. Those that lose less come first, and kernels of the others are not
    measured then. Else each beginning that is cheaper than float is brought down by itself: a single layer in
    8 bits between layers in float may save nothing, where all layers in 8 bits save much. Where none comes to
    the target, what loses least of all that was met and costs hardly more than the cheapest: the rest is left
    to pruning.
    """
    begun = []
    for each in _choosers(float_form, begins, found, costs, tell):
        if each.now.cost <= target:
            return each.now
        begun.append(each)
    plain, *others = begun
    choosers = [each for each in others if each.now.cost < plain.now.cost] or [plain]
    reached = [each.now for each in choosers if each.down_to(target, on_way)]
    if reached:
        return min(reached, key=_by_loss)
    met = [state for each in choosers for state in (*each.before, each.now)]
    cheap = NEARLY * min(state.cost for state in met)
    return min((state for state in met if state.cost <= cheap), key=_by_loss)


def _choosers(
    float_form: Buildable,
    begins: Sequence[Mapping[str, str]],
    found: Sensitivities,
    costs: Costs,
    tell: Callable[[str], None],
) -> Iterator[PrecisionChooser]:
    """Of the float form, then of each beginning that the device has kernels for, by what it loses; each is
    measured when it is asked for."""
    yield PrecisionChooser(float_form, {}, found, costs)
    for begin in sorted(begins, key=lambda begin: sum(found[key] for key in begin.items())):
        try:
            chooser = PrecisionChooser(float_form, begin, found, costs)
        except (UnsupportedLayerError, InvalidInput) as error:
            tell(str(error))
        else:
            yield chooser


def _by_loss(state: Changed) -> tuple[float, float]:
    return state.lost, state.cost
