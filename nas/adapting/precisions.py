"""Chooses a precision for each layer: what changes the outputs least for each unit of cost that it saves."""

from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

from nas.adapting.sensitivity import Sensitivities
from nas.pruning.greedy import Changed, CostsOf, Greedy
from search_spaces.architecture import Buildable
from search_spaces.errors import InvalidInput, UnsupportedLayerError

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
        self, float_form: Buildable, first: Mapping[str, str], found: Sensitivities, costs_of: CostsOf
    ) -> None:
        """Of a network.

        Args:
            float_form: of it.
            first: the precisions that layers begin with, by name, where these are not float.
            found: how much each change of a layer matters.
            costs_of: what architectures cost.
        """
        self._float_form, self._found = float_form, found
        super().__init__(self._changed(first), costs_of)

    def steps(self) -> list[Recode]:
        """Every layer in every other precision."""
        now = self.now.architecture.layer_precisions
        return [Recode(*key) for key in self._found if now.get(key[0], FLOAT) != key[1]]

    def after(self, step: Recode) -> Changed:
        """What the network is with the layer in its new precision."""
        return self._changed({**self.now.architecture.layer_precisions, step.layer: step.precision})

    def _changed(self, chosen: Mapping[str, str]) -> Changed:
        architecture = self._float_form.recoded(chosen)
        return Changed(architecture, lost=sum(self._found[key] for key in chosen.items()))


def starts(found: Sensitivities, names: Sequence[str]) -> list[dict[str, str]]:
    """What to begin with: all layers in float, then all that can be in each precision."""
    layers = dict.fromkeys(layer for layer, _ in found)
    even = [{layer: name for layer in layers if (layer, name) in found} for name in names]
    return [{}, *even]


def precisions_within(
    float_form: Buildable,
    begins: Sequence[Mapping[str, str]],
    found: Sensitivities,
    costs_of: CostsOf,
    target: float,
    tell: Callable[[str], None] = lambda _: None,
) -> Changed:
    """The precisions that lose least at no more than ``target``, among those that greedy steps lead to.

    Each beginning is brought down by itself: a single layer in 8 bits between layers in float may save
    nothing, where all layers in 8 bits save much. Where none comes to the target, what loses least of all
    that was met and costs hardly more than the cheapest: the rest is left to pruning.
    """
    reached, met = list[Changed](), list[Changed]()
    for begin in begins:
        try:
            chooser = PrecisionChooser(float_form, begin, found, costs_of)
        except (UnsupportedLayerError, InvalidInput) as error:  # no kernel computes it
            tell(str(error))
            continue
        chooser.down_to(target)
        reached.append(chooser.now)
        met += [*chooser.before, chooser.now]
    within = [each for each in reached if each.cost <= target]
    if within:
        return min(within, key=lambda each: (each.lost, each.cost))
    cheap = NEARLY * min(each.cost for each in met)
    return min((each for each in met if each.cost <= cheap), key=lambda each: (each.lost, each.cost))
