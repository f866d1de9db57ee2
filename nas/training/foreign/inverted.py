"""Networks of inverted residuals as torchvision and timm name them: MobileNets, MnasNet, EfficientNet."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from itertools import groupby

from nas.training.foreign.family import Family, families
from search_spaces.networks import efficientnet, mnasnet, mobilenet, mobilenetv3

V3_EPS = 1e-3
"""Of the batch norms in torchvision's MobileNetV3; timm's have torch's usual one."""


@dataclass(frozen=True)
class Block:
    """What of an inverted residual decides the names of its layers.

    Attributes:
        number: of the network's, from 0.
        stage: whose blocks have equally many output channels, from 0.
        index: within its stage.
        expands: whether it begins with a 1x1 convolution.
        squeezes: whether it has squeeze-and-excitation.
    """

    number: int
    stage: int
    index: int
    expands: bool
    squeezes: bool

    @property
    def ours(self) -> list[str]:
        """The names of its layers here, in the order in which images meet them."""
        parts = ["expand.0", "expand.1"] if self.expands else []
        parts += ["depthwise.0", "depthwise.1"]
        parts += ["attention.squeeze", "attention.excite"] if self.squeezes else []
        return [f"features.{self.number + 1}.{part}" for part in (*parts, "project.0", "project.1")]


def blocks(rows: Iterable[tuple[int, bool, bool]]) -> list[Block]:
    """Of the output channels of each, and of whether it expands and squeezes."""
    found: list[Block] = []
    for stage, (_, group) in enumerate(groupby(rows, key=lambda row: row[0])):
        for index, (_, expands, squeezes) in enumerate(group):
            found.append(Block(len(found), stage, index, expands, squeezes))
    return found


Names = Callable[[Block], list[str]]
"""Tells what a library calls the layers of a block, in the order in which images meet them."""


def layers(
    found: list[Block], stem: tuple[str, str], names: Names, last: tuple[str, str], dense: dict[str, str]
) -> dict[str, str]:
    """Our names by another library's.

    Args:
        found: the blocks.
        stem: its names for the first convolution and its batch norm.
        names: for the layers of the blocks.
        last: for the last 1x1 convolution and its batch norm.
        dense: our names of the dense layers by its ones.
    """
    end = len(found) + 1
    known = dict(zip(stem, ("features.0.0", "features.0.1"), strict=True))
    for block in found:
        known |= dict(zip(names(block), block.ours, strict=True))
    return {**known, **dict(zip(last, (f"features.{end}.0", f"features.{end}.1"), strict=True)), **dense}


def timm_names(block: Block) -> list[str]:
    """timm's; all of its networks agree on them."""
    attention = ["se.conv_reduce", "se.conv_expand"] if block.squeezes else []
    parts = ["conv_dw", "bn1", *attention, "conv_pw", "bn2"]
    if block.expands:
        parts = ["conv_pw", "bn1", "conv_dw", "bn2", *attention, "conv_pwl", "bn3"]
    return [f"blocks.{block.stage}.{block.index}.{part}" for part in parts]


def v2_names(block: Block) -> list[str]:
    """Of torchvision's MobileNetV2."""
    numbers = ["0.0", "0.1", "1.0", "1.1", "2", "3"] if block.expands else ["0.0", "0.1", "1", "2"]
    return [f"features.{block.number + 1}.conv.{number}" for number in numbers]


def mnasnet_names(block: Block) -> list[str]:
    """Of torchvision's MnasNet, whose first block stands in the network itself."""
    if not block.expands:
        return [f"layers.{number}" for number in (3, 4, 6, 7)]
    return [f"layers.{block.stage + 7}.{block.index}.layers.{number}" for number in (0, 1, 3, 4, 6, 7)]


def v3_names(block: Block) -> list[str]:
    """Of torchvision's MobileNetV3."""
    return _numbered(block, f"features.{block.number + 1}")


def efficientnet_names(block: Block) -> list[str]:
    """Of torchvision's EfficientNet."""
    return _numbered(block, f"features.{block.stage + 1}.{block.index}")


def _numbered(block: Block, place: str) -> list[str]:
    normed, attention = ("0", "1"), ("fc1", "fc2")
    parts = [normed] * block.expands + [normed] + [attention] * block.squeezes + [normed]
    return [f"{place}.block.{number}.{name}" for number, names in enumerate(parts) for name in names]


STEM, CLASSIFIER = ("features.0.0", "features.0.1"), {"classifier.1": "classifier"}
TIMM_STEM, TIMM_LAST = ("conv_stem", "bn1"), ("conv_head", "bn2")
TIMM_DENSE = {"classifier": "classifier"}


def _add_mobilenetv2() -> None:
    found = blocks(
        (channels, expansion > 1, False)
        for expansion, channels, repeats, _ in mobilenet.V2_STAGES
        for _ in range(repeats)
    )
    last = "features.18.0", "features.18.1"
    ours = "mobilenetv2"
    families.add("torchvision/mobilenet_v2", Family(ours, layers(found, STEM, v2_names, last, CLASSIFIER)))
    in_timm = layers(found, TIMM_STEM, timm_names, TIMM_LAST, TIMM_DENSE)
    families.add("timm/mobilenetv2_100", Family(ours, in_timm))


def _add_mobilenetv3(size: str, rows: tuple[mobilenetv3.Row, ...]) -> None:
    incoming = [mobilenetv3.STEM, *(row.channels for row in rows)]
    expands = [row.expanded != before for row, before in zip(rows, incoming, strict=False)]
    found = blocks((row.channels, wider, row.squeezes) for row, wider in zip(rows, expands, strict=True))
    end = f"features.{len(found) + 1}"
    dense = {"classifier.0": "hidden", "classifier.3": "classifier"}
    ours = f"mobilenetv3-{size}"
    in_torchvision = layers(found, STEM, v3_names, (f"{end}.0", f"{end}.1"), dense)
    families.add(f"torchvision/mobilenet_v3_{size}", Family(ours, in_torchvision, V3_EPS))
    end = f"blocks.{found[-1].stage + 1}.0"
    dense = {"conv_head": "hidden", **TIMM_DENSE}
    in_timm = layers(found, TIMM_STEM, timm_names, (f"{end}.conv", f"{end}.bn1"), dense)
    families.add(f"timm/mobilenetv3_{size}_100", Family(ours, in_timm))


def _add_efficientnet() -> None:
    found = blocks(
        (channels, expansion > 1, True)
        for expansion, _, channels, repeats, _ in efficientnet.STAGES
        for _ in range(repeats)
    )
    last, ours = ("features.8.0", "features.8.1"), "efficientnet-b0"
    in_torchvision = layers(found, STEM, efficientnet_names, last, CLASSIFIER)
    families.add("torchvision/efficientnet_b0", Family(ours, in_torchvision))
    in_timm = layers(found, TIMM_STEM, timm_names, TIMM_LAST, TIMM_DENSE)
    families.add("timm/efficientnet_b0", Family(ours, in_timm))


def _add_mnasnet() -> None:
    found = blocks(
        (channels, expansion > 1, False)
        for expansion, _, _, channels, repeats, _ in mnasnet.B1
        for _ in range(repeats)
    )
    stem, last = ("layers.0", "layers.1"), ("layers.14", "layers.15")
    in_torchvision = layers(found, stem, mnasnet_names, last, CLASSIFIER)
    in_timm = layers(found, TIMM_STEM, timm_names, TIMM_LAST, TIMM_DENSE)
    for ours, theirs, timms in (
        ("mnasnet-b1", "mnasnet1_0", "mnasnet_100"),
        ("mnasnet-b1-0.5", "mnasnet0_5", "mnasnet_050"),
    ):
        families.add(f"torchvision/{theirs}", Family(ours, in_torchvision))
        families.add(f"timm/{timms}", Family(ours, in_timm))


_add_mobilenetv2()
_add_mobilenetv3("small", mobilenetv3.SMALL)
_add_mobilenetv3("large", mobilenetv3.LARGE)
_add_efficientnet()
_add_mnasnet()
