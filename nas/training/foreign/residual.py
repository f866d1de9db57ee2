"""Residual networks of torchvision, whose names timm's have, too: 18 and 50 layers."""

from collections.abc import Iterator

from nas.training.foreign.family import Family, families


def layers(depths: tuple[int, ...], convolutions: int) -> dict[str, str]:
    """Of stages of ``depths`` blocks with so many convolutions each."""
    found = {"conv1": "stem.0", "bn1": "stem.1"}
    places = [(stage, index) for stage, depth in enumerate(depths, start=1) for index in range(depth)]
    for number, (stage, index) in enumerate(places):
        # a bottleneck widens in the first stage, too
        is_projected = index == 0 and (stage > 1 or convolutions == 3)
        found |= dict(_block(f"layer{stage}.{index}", f"blocks.{number}", convolutions, is_projected))
    return {**found, "fc": "classifier"}


def _block(theirs: str, ours: str, convolutions: int, is_projected: bool) -> Iterator[tuple[str, str]]:
    for number in range(1, convolutions + 1):
        yield f"{theirs}.conv{number}", f"{ours}.conv{number}.0"
        yield f"{theirs}.bn{number}", f"{ours}.conv{number}.1"
    for part in (0, 1) if is_projected else ():
        yield f"{theirs}.downsample.{part}", f"{ours}.shortcut.{part}"


families.add("torchvision/resnet18", Family("resnet18", layers((2, 2, 2, 2), 2)))
families.add("torchvision/resnet50", Family("resnet50", layers((3, 4, 6, 3), 3)))
