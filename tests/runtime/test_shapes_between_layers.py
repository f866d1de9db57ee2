"""Random joints between layers: what two write, how it is joined, shaped and coded, and what two others read.

Few channels and one plane of 16 pixels, so that shapes agree by chance as often as may be: a convolution of
one channel, flattened, is as wide as a dense layer of 16.
"""

import numpy as np
import pytest
import torch
from torch import nn

import runtime
from runtime.workload import Conv2d, SignPack
from search_spaces import plain_layers, precisions
from search_spaces.layers import QuantConv2d, QuantLinear
from tests.runtime.harness import DISTINCT, trained

CHANNELS = (1, 2, 16, 16, 32)
PLANE = 4, 4
SEEDS = (*range(14), 35, 79, 359, 420)
"""The last ones once compiled to something else than was trained."""

IMAGES = 8
NOISE = 3e-6
"""By such a part inputs and weights are changed: where torch's own result then is another one, a value lies
at a threshold or between two steps, and either side is right."""


class Joint(nn.Module):
    """Two layers, what joins them, and two layers that read it; (N, 3, 4, 4) -> (N, F)."""

    def __init__(self, pick):
        super().__init__()
        self.pick = pick
        self.palette = ["float", self.choice(DISTINCT), self.choice(DISTINCT)]
        channels = int(pick.choice(CHANNELS))
        self.left, self.right = self.layer(3, channels), self.layer(3, channels)
        self.again = self.layer(channels, channels)
        self.joint = str(
            pick.choice(["add", "concat", "twice", "residual", "rows", "rows and dense", "wide"])
        )
        self.dense = nn.Linear(48, channels * 16)
        joined = channels * {"concat": 2, "twice": 2, "wide": 3}.get(self.joint, 1)
        self.is_rows = self.joint.startswith("rows")
        self.features = joined * 16
        self.between = self.steps(joined)
        self.readers = nn.ModuleList([self.reader(joined), self.reader(joined)])

    def choice(self, options):
        return options[int(self.pick.integers(len(options)))]

    def layer(self, channels, out):
        """A convolution that keeps the size, in any precision and number of groups."""
        precision = precisions.get(self.choice(self.palette))
        groups = self.choice([g for g in (1, 2, 16) if channels % g == 0 and out % g == 0])
        options = {"groups": groups, "relu": bool(self.pick.integers(2))}
        return QuantConv2d(channels, out, self.choice([1, 3]), precision, **options)

    def steps(self, channels):
        """None, one or two steps that keep the shape."""
        norm, width = (nn.BatchNorm1d, self.features) if self.is_rows else (nn.BatchNorm2d, channels)
        kinds = [norm(width), nn.ReLU(), nn.ReLU6(), nn.PReLU(width)]
        if not self.is_rows:
            groups = self.choice([g for g in (1, 2) if channels % g == 0])
            pool = self.choice([nn.MaxPool2d, nn.AvgPool2d])(3, 1, 1)
            kinds += [
                plain_layers.ChannelShuffle(groups),
                plain_layers.OutputScale(channels, *PLANE, 3),
                pool,
            ]
        return nn.Sequential(*(self.choice(kinds) for _ in range(int(self.pick.integers(3)))))

    def reader(self, channels):
        precision = precisions.get(self.choice(self.palette))
        if self.is_rows or self.pick.integers(2):
            plane = self.choice([PLANE, (1, 1)])
            flatten = [] if self.is_rows else [nn.Flatten()]
            return nn.Sequential(*flatten, QuantLinear(self.features, 5, precision, plane=plane))
        return nn.Sequential(self.layer(channels, 16), nn.Flatten())

    def forward(self, x):
        left, right = self.left(x), self.right(x)
        joined = {
            "add": lambda: left + right,
            "concat": lambda: torch.cat([left, right], 1),
            "twice": lambda: torch.cat([left, left], 1),
            "residual": lambda: self.again(left) + left,
            "rows": lambda: torch.flatten(left, 1) + torch.flatten(right, 1),
            "rows and dense": lambda: torch.flatten(left, 1) + self.dense(torch.flatten(x, 1)),
            "wide": lambda: torch.cat([left, right, self.again(left)], 1),
        }[self.joint]()
        joined = self.between(joined)
        return torch.cat([reader(joined) for reader in self.readers], 1)


class Side(nn.Module):
    """Models side by side, so that they compile at once."""

    def __init__(self, models):
        super().__init__()
        self.models = nn.ModuleList(models)

    def forward(self, x):
        return torch.cat([model(x) for model in self.models], 1)


def close(found, expected):
    return np.isclose(found, expected, rtol=1e-4, atol=1e-4 * max(1.0, float(np.abs(expected).max())))


@torch.no_grad()
def is_stable(model, images):
    """Which images' outputs stay what they are under some noise, (N,)."""
    expected, found = model(images).numpy(), np.ones(len(images), bool)
    before = {name: value.clone() for name, value in model.state_dict().items()}
    for _ in range(6):
        for value in model.state_dict().values():
            if value.is_floating_point():
                value *= 1 + NOISE * torch.randn_like(value)
        found &= close(model(images * (1 + NOISE * torch.randn_like(images))).numpy(), expected).all(1)
        model.load_state_dict(before)
    return found


@pytest.fixture(scope="module")
def joints():
    """Models, images, and what the compiled code makes of these for each model."""
    models = []
    for seed in SEEDS:
        torch.manual_seed(seed)
        model = Joint(np.random.default_rng(seed))
        for norm in (m for m in model.modules() if isinstance(m, nn.BatchNorm1d | nn.BatchNorm2d)):
            nn.init.normal_(norm.weight)
        models.append(trained(model, (8, 3, *PLANE)))
    images = torch.randn(IMAGES, 3, *PLANE)
    found = runtime.compile(Side(models).eval(), (2, 3, *PLANE)).run(images.numpy())
    return models, images, found


def test_what_is_read_is_what_was_written(joints):
    models, images, found = joints
    start, judged = 0, 0
    for index, model in enumerate(models):
        with torch.no_grad():
            expected = model(images).numpy()
        own = found[:, start : start + expected.shape[1]]
        start += expected.shape[1]
        agree = close(own, expected).all(1)
        stable = np.ones(IMAGES, bool) if agree.all() else is_stable(model, images)
        judged += bool(stable.any())
        assert not stable.any() or agree[stable].mean() > 0.7, (index, model.joint)  # noise may miss a tie
    assert judged >= 0.9 * len(SEEDS)


class OneChannel(nn.Module):
    """Rows of 16 features that are a flattened image of one channel, and signs of these."""

    def __init__(self):
        super().__init__()
        self.convolution, self.dense = nn.Conv2d(3, 1, 3, padding=1), nn.Linear(48, 16)
        self.signs = QuantLinear(16, 5, precisions.get("binary"))

    def forward(self, x):
        return self.signs(torch.flatten(self.convolution(x), 1) + self.dense(torch.flatten(x, 1)))


def test_a_convolution_of_one_channel_writes_no_bits():
    kernels = {type(w): w for w in runtime.workloads(OneChannel(), (2, 3, *PLANE))}
    assert kernels[Conv2d].residual and kernels[Conv2d].output == "float"
    assert kernels[SignPack].channels == 16


class AddsWhatItReads(nn.Module):
    """A float convolution between layers of bytes, and a shortcut around it."""

    def __init__(self):
        super().__init__()
        precision = precisions.get("int8")
        self.first, self.last = QuantConv2d(3, 16, 1, precision), QuantConv2d(16, 16, 1, precision)
        self.convolution = nn.Conv2d(16, 16, 3, padding=1)

    def forward(self, x):
        x = self.first(x)
        return self.last(self.convolution(x) + x)


def test_a_float_convolution_reads_no_fixed_point_number():
    first, convolution, *_ = (
        w for w in runtime.workloads(AddsWhatItReads(), (2, 3, *PLANE)) if isinstance(w, Conv2d)
    )
    assert convolution.input == "float" and convolution.residual
    assert (first.output, first.arithmetic, convolution.arithmetic) == ("float", "float", "float")
