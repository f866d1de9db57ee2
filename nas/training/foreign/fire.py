"""SqueezeNets of torchvision, which has them as their authors do."""

from nas.training.foreign.family import Family, families
from search_spaces.networks.squeezenet import FIRES_1_0, FIRES_1_1


def layers(fires: tuple[tuple[int, int] | None, ...]) -> dict[str, str]:
    """Of fire modules, and poolings between them; a ReLU there is where a batch norm may be here."""
    found = {"features.0": "features.0"}
    for place, fire in enumerate(fires, start=2):
        if fire is not None:
            names = (("squeeze", "squeeze"), ("expand1x1", "expand1"), ("expand3x3", "expand3"))
            found |= {f"features.{place}.{theirs}": f"features.{place}.{ours}.0" for theirs, ours in names}
    return {**found, "classifier.1": "classifier"}


families.add("torchvision/squeezenet1_0", Family("squeezenet1.0-original", layers(FIRES_1_0)))
families.add("torchvision/squeezenet1_1", Family("squeezenet1.1-original", layers(FIRES_1_1)))
