"""What an architecture is made of, as a person reads it: its parts, its precisions, its name."""

from collections import Counter
from collections.abc import Mapping
from typing import TYPE_CHECKING, NamedTuple

from nas.figures.labels import TIMES
from search_spaces.errors import BitnasError

if TYPE_CHECKING:
    from nas.ledger import TrialRecord
    from search_spaces.architecture import Architecture, NamedNetwork


Layers = tuple[tuple[str, str], ...]
"""Names of layers and their precisions."""


class LayerRow(NamedTuple):
    """One part of an architecture, as a person reads it."""

    part: str  # "stem", "block 1", "head"
    kind: str
    width: int | None  # output channels
    kernel: int | None
    stride: int | None
    groups: int | None
    precisions: tuple[tuple[str, str], ...]  # (layer, precision)


def layer_rows(architecture_json: str) -> list[LayerRow]:
    """The stem, blocks and head of an architecture; BitnasError when the text is none.

    A published network is one row: ``nas size`` lists its layers. Widths are those before pruning; the kind
    says where layers were pruned, or a block left out.
    """
    from search_spaces.architecture import NamedNetwork, read_architecture

    network = read_architecture(architecture_json)
    if isinstance(network, NamedNetwork):
        return [_named_row(network)]
    stem, head = network.stem, network.head
    rows = [
        LayerRow(
            *("stem", "conv", stem.width, stem.kernel, stem.stride, 1),
            _only("conv", stem.precision, _own(network, "stem.")),
        ),
    ]
    for index, block in enumerate(network.blocks):
        layers = _with_own(block.precisions, _own(network, f"block{index}."))
        shape = (block.width, block.kernel, block.stride, block.groups)
        kind = block.kind + _pruned(network, f"block{index}")
        rows.append(LayerRow(f"block {index + 1}", kind, *shape, layers))
    classifier = _only("classifier", head.precision, _own(network, "head."))
    return [*rows, LayerRow("head", "pool, linear", network.classes, None, None, None, classifier)]


def _own(network: "Architecture | NamedNetwork", part: str) -> Layers:
    """The layers of a part that have precisions of their own, and which; all of the network's without one."""
    mine = (name for name in network.layer_precisions if name.startswith(part))
    return tuple((name.removeprefix(part), network.layer_precisions[name]) for name in mine)


def _with_own(roles: Mapping[str, str], own: Layers) -> Layers:
    """The layers of a block with their precisions; a layer's own one is in place of that of its role."""
    found = dict(roles)
    for name, precision in own:
        role = name.partition(".")[0]
        found[role if role in roles else name] = precision
    return tuple(found.items())


def _only(role: str, precision: str, own: Layers) -> Layers:
    """The same of a part with one layer."""
    return ((role, own[0][1] if own else precision),)


def _pruned(network: "Architecture", part: str) -> str:
    """What pruning has done to a part of an architecture's network, to be put behind its kind."""
    if part in network.without:
        return ", left out"
    return ", pruned" if any(name.startswith(f"{part}.") for name in network.widths) else ""


def _named_row(network: "NamedNetwork") -> LayerRow:
    layers = [("layers", network.precision)]
    layers += [] if network.classifier is None else [("classifier", network.classifier)]
    layers += _own(network, "")
    kind = network.network + (", pruned" if network.is_pruned else "")
    return LayerRow("network", kind, None, None, None, None, tuple(layers))


def published_name(trial: "TrialRecord") -> str:
    """What a trial's network is called, such as ``resnet20 in int8``; empty where it is no published one."""
    from search_spaces.architecture import NamedNetwork, names_network

    if trial.choices is not None or trial.architecture is None or not names_network(trial.architecture):
        return ""
    try:
        return NamedNetwork.from_json(trial.architecture).title
    except BitnasError:
        return ""


def count_precisions(architecture_json: str) -> str:
    """Such as ``binary x4, int8 x2``: how many layers have each precision, the most frequent first.

    Of a published network its name: ``resnet20 in int8``.
    """
    from search_spaces.architecture import NamedNetwork, read_architecture

    network = read_architecture(architecture_json)
    if isinstance(network, NamedNetwork):
        return network.title
    layers = [precision for row in layer_rows(architecture_json) for _, precision in row.precisions]
    return ", ".join(f"{name} {TIMES}{count}" for name, count in Counter(layers).most_common())
