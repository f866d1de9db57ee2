"""Low-bit networks learn: real digits, three epochs, for every precision that users know."""

import pytest
import torch
import torch.nn.functional as F
from sklearn.datasets import load_digits

from search_spaces.builder import build
from search_spaces.search_space import USER_PRECISIONS, space
from tests.thinning import each_nth

# what chance alone gives is 0.10; what networks with a broken gradient or start reach stays below 0.5
AT_LEAST = {"float": 0.9, "int8": 0.9, "ternary": 0.9, "binary": 0.6, "dithered": 0.7}


@pytest.fixture(scope="module")
def digits():
    data = load_digits()
    order = torch.randperm(len(data.target), generator=torch.Generator().manual_seed(0))
    images = torch.from_numpy(data.images).float()[order, None] / 16
    return images, torch.from_numpy(data.target)[order]


def architecture(kind, precision):
    wanted = {"block": kind, "precision": precision, "stage2.stride": 2, "stem.width": 16, "groups": 2}

    def choose(name, options):
        by_name = wanted.get(name, wanted.get(name.rpartition(".")[2]))
        return by_name if by_name in options else options[0]

    return space("tiny").propose(choose)


@pytest.mark.parametrize(
    ("kind", "precision"), each_nth(2, ["separable", "shuffle", "fire"], USER_PRECISIONS)
)
def test_three_epochs_teach(precision, kind, digits):
    torch.manual_seed(0)
    images, labels = digits
    network = build(architecture(kind, precision))
    optimizer = torch.optim.Adam(network.parameters(), lr=0.01)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, 3 * 37)
    for _ in range(3):
        for batch in torch.randperm(1184).split(32):
            optimizer.zero_grad()
            F.cross_entropy(network(images[batch]), labels[batch]).backward()
            optimizer.step()
            schedule.step()
    guesses = network.eval()(images[1184:]).argmax(1)
    assert (guesses == labels[1184:]).float().mean() > AT_LEAST[precision]
