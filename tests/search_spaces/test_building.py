"""Blocks and the builder: shapes, shortcuts, tracing, and what is refused with which path."""

import pytest
import torch
from torch import fx, nn

import runtime
from latency.model.workloads import workloads_of
from search_spaces.architecture import Architecture, Block, Head, Stem
from search_spaces.block import blocks
from search_spaces.block.shuffle import bottleneck
from search_spaces.builder import build, parts
from search_spaces.errors import InvalidInput
from search_spaces.layers import QuantConv2d, QuantLinear
from search_spaces.plain_layers import ChannelShuffle, Subsample
from search_spaces.precision import precisions


def block(kind="separable", **changes):
    shape = {"width": 16, "kernel": 3, "stride": 1}
    roles = dict.fromkeys(blocks.get(kind).roles, "float")
    if kind == "inverted":
        shape["expansion"] = 3
    return Block(kind=kind, **{**shape, "precisions": roles, **changes})


def module(in_channels, data):
    chosen = {role: precisions.get(name) for role, name in data.precisions.items()}
    return blocks.get(data.kind)(in_channels, data, chosen)


def network(*chosen, stem="float", head="float"):
    return Architecture(
        space="tiny",
        input_shape=(3, 9, 7),
        classes=4,
        stem=Stem(width=8, kernel=3, stride=1, precision=stem),
        blocks=chosen,
        head=Head(precision=head),
    )


@pytest.mark.parametrize("kernel", [1, 3, 5, 7])
@pytest.mark.parametrize("stride", [1, 2, 3])
@pytest.mark.parametrize("widths", [(16, 16), (8, 24)])
@pytest.mark.parametrize("kind", sorted(blocks))
def test_every_kind_keeps_its_shape_contract(kind, widths, stride, kernel):
    in_channels, width = widths
    built = module(in_channels, block(kind, width=width, stride=stride, kernel=kernel))
    out = built(torch.randn(2, in_channels, 9, 7))
    assert out.shape == (2, width, -(-9 // stride), -(-7 // stride))


@pytest.mark.parametrize("kind", sorted(blocks))
def test_every_kind_gives_each_role_its_precision(kind):
    roles = blocks.get(kind).roles
    names = dict(zip(roles, ("binary", "int8", "dithered"), strict=False))
    built = module(16, block(kind, precisions=names))
    convolutions = [m for m in built.modules() if isinstance(m, QuantConv2d)]
    assert [m.precision.name for m in convolutions] == list(names.values())


@pytest.mark.parametrize("kind", sorted(blocks))
def test_a_batch_norm_follows_every_convolution(kind):
    for name, part in module(16, block(kind)).named_modules():
        if isinstance(part, nn.Sequential):
            assert [type(p) for p in part] == [QuantConv2d, nn.BatchNorm2d], name


def convolution(built, role):
    return getattr(built, role)[0]


def test_separable_is_depthwise_then_pointwise():
    built = module(8, block(width=24, stride=2, kernel=5))
    depthwise, pointwise = (convolution(built, role) for role in built.roles)
    assert (depthwise.groups, depthwise.kernel, depthwise.stride, depthwise.activation.relu) == (
        8,
        5,
        2,
        True,
    )
    assert (pointwise.groups, pointwise.kernel, pointwise.stride, pointwise.out_channels) == (1, 1, 1, 24)


def test_shuffle_groups_its_pointwise_convolutions_and_shuffles_between():
    built = module(16, block("shuffle", width=32, groups=4))
    reduce, depthwise, expand = (convolution(built, role) for role in built.roles)
    assert (reduce.groups, reduce.out_channels, depthwise.groups, expand.groups) == (4, 8, 8, 4)
    assert isinstance(built.shuffle, ChannelShuffle)
    assert (reduce.activation.relu, depthwise.activation.relu, expand.activation.relu) == (True, True, False)


def test_shuffle_adds_where_it_keeps_the_channels():
    built, x = module(16, block("shuffle", groups=2)).eval(), torch.randn(1, 16, 5, 5)
    branch = built.expand(built.depthwise(built.shuffle(built.reduce(x))))
    torch.testing.assert_close(built(x), x + branch)


def test_shuffle_concatenates_where_it_widens():
    built, x = module(16, block("shuffle", width=24, stride=2)).eval(), torch.randn(1, 16, 6, 6)
    branch = built.expand(built.depthwise(built.reduce(x)))
    pooled = nn.functional.avg_pool2d(x, 3, 2, 1)
    torch.testing.assert_close(built(x), torch.cat([pooled, branch], 1))


def test_fire_squeezes_once_and_expands_twice():
    built = module(16, block("fire", width=128, kernel=5))
    squeeze, expand1, expand3 = (convolution(built, role) for role in built.roles)
    assert squeeze.out_channels == expand1.in_channels == expand3.in_channels == 16
    assert (expand1.out_channels, expand1.kernel) == (64, 1)
    assert (expand3.out_channels, expand3.kernel) == (64, 5)


@pytest.mark.parametrize("squeeze", ["float", "ternary", "binary", "dithered"])
def test_a_binary_squeeze_sees_both_signs_behind_a_max_pooling(squeeze):
    torch.manual_seed(0)
    roles = {"squeeze": squeeze, "expand1": "float", "expand3": "float"}
    built = module(16, block("fire", stride=2, precisions=roles))
    seen = built.norm(built.pool(torch.randn(8, 16, 9, 9)))
    negative = (seen < 0).float().mean().item()
    assert 0.4 < negative < 0.6 if squeeze in ("binary", "dithered") else negative < 0.05


@pytest.mark.parametrize(
    ("width", "groups", "middle"), [(32, 1, 8), (32, 4, 8), (24, 4, 8), (2, 1, 1), (2, 3, 3)]
)
def test_bottleneck(width, groups, middle):
    assert bottleneck(width, groups) == middle


LEAVES = QuantConv2d, QuantLinear, ChannelShuffle, Subsample


@pytest.mark.parametrize("kind", sorted(blocks))
def test_networks_can_be_traced(kind):
    built = build(network(block(kind), block(kind, width=32, stride=2))).eval()

    class Tracer(fx.Tracer):
        def is_leaf_module(self, m, name):
            return isinstance(m, LEAVES) or super().is_leaf_module(m, name)

    traced = fx.GraphModule(built, Tracer().trace(built))
    x = torch.randn(2, 3, 9, 7)
    assert torch.equal(traced(x), built(x))
    assert traced(x).shape == (2, 4)


@pytest.mark.parametrize("name", sorted(precisions))
def test_every_precision_can_be_stem_and_head(name):
    built = build(network(stem=name, head=name))
    logits = built(torch.randn(8, 3, 9, 7))
    assert logits.shape == (8, 4)
    assert logits.std(0).min() > 0  # the classifier tells images apart, also when binary


def test_the_image_meets_no_relu():
    stem = build(network()).stem[0]
    assert not stem.activation.relu


def test_the_same_seed_builds_the_same_network():
    def weights(seed):
        torch.manual_seed(seed)
        return torch.cat([p.flatten() for p in build(network(block("fire"))).parameters()])

    assert torch.equal(weights(1), weights(1))
    assert not torch.equal(weights(1), weights(2))


ROLES = {"depthwise": "float", "pointwise": "float"}
REFUSED = [
    (network(stem="int3"), "architecture.stem.precision"),
    (network(head="int3"), "architecture.head.precision"),
    (
        network(block(), Block(kind="dense", width=8, kernel=3, stride=1, precisions={})),
        "architecture.blocks[1].kind",
    ),
    (
        network(block(precisions={**ROLES, "depthwise": "int3"})),
        "architecture.blocks[0].precisions.depthwise",
    ),
    (network(block(precisions={"depthwise": "float"})), "architecture.blocks[0].precisions.pointwise"),
    (network(block(precisions={**ROLES, "squeeze": "float"})), "architecture.blocks[0].precisions.squeeze"),
    (network(block(), block("shuffle", width=8)), "architecture.blocks[1].width"),
    (network(block("shuffle", groups=3)), "architecture.blocks[0].groups"),
    (network(block("fire", width=1)), "architecture.blocks[0].width"),
]


@pytest.mark.parametrize(("architecture", "path"), REFUSED)
def test_what_cannot_be_built_is_refused_with_its_path(architecture, path):
    with pytest.raises(InvalidInput) as caught:
        build(architecture)
    assert caught.value.parameter == path
    assert len(str(caught.value).splitlines()) == 1


def test_an_unknown_block_is_told_with_those_there_are():
    architecture = network(Block(kind="dense", width=8, kernel=3, stride=1, precisions={}))
    with pytest.raises(InvalidInput, match="unknown name 'dense'; choose one of conv, fire, inverted, res"):
        build(architecture)


def test_an_outline_shares_layers_with_others_but_not_with_itself():
    twins = network(block("fire", kernel=1))  # its two expansions are alike
    fire = list(parts(twins))[1]
    one, other, trained = fire.outline(), fire.outline(), fire.build()
    assert one.expand1 is other.expand1 is not one.expand3
    assert one.expand3 is other.expand3 is not trained.expand3
    assert workloads_of(twins) == runtime.workloads(build(twins), (1, *twins.input_shape))


@pytest.mark.parametrize("kind", ["separable", "inverted", "fire", "conv"])
def test_a_skip_adds_the_input_where_the_shape_is_kept(kind):
    x = torch.randn(2, 16, 9, 7)
    torch.manual_seed(0)
    plain = module(16, block(kind)).eval()
    torch.manual_seed(0)
    skipping = module(16, block(kind, skip=True)).eval()
    torch.testing.assert_close(skipping(x), plain(x) + x)
    for changes in ({"stride": 2}, {"width": 24}):
        torch.manual_seed(0)
        plain = module(16, block(kind, **changes)).eval()
        torch.manual_seed(0)
        torch.testing.assert_close(module(16, block(kind, skip=True, **changes)).eval()(x), plain(x))


@pytest.mark.parametrize("kind", ["separable", "inverted", "fire", "conv"])
@pytest.mark.parametrize(("width", "stride"), [(16, 2), (24, 2), (24, 3)])
def test_a_pooled_skip_adds_means_where_the_block_subsamples(kind, width, stride):
    x = torch.randn(2, 16, 9, 7)
    shape = {"width": width, "stride": stride}
    torch.manual_seed(0)
    plain = module(16, block(kind, **shape)).eval()
    torch.manual_seed(0)
    added = module(16, block(kind, pool=True, **shape)).eval()(x) - plain(x)
    torch.testing.assert_close(added[:, :16], nn.functional.avg_pool2d(x, 3, stride, 1))
    assert not added[:, 16:].any()
    for changes in ({}, {"width": 24}, {"width": 8, "stride": 2}):  # nothing to pool, or it narrows
        torch.manual_seed(0)
        plain = module(16, block(kind, **changes)).eval()
        torch.manual_seed(0)
        torch.testing.assert_close(module(16, block(kind, pool=True, **changes)).eval()(x), plain(x))


def test_a_residual_block_subsamples_its_shortcut():
    residual = module(16, block("residual", width=24, stride=2)).eval()
    x = torch.randn(2, 16, 9, 7)
    shortcut = residual(x) - residual.conv2(residual.conv1(x))
    torch.testing.assert_close(shortcut[:, :16], x[:, :, ::2, ::2])
    assert not shortcut[:, 16:].any()
    with pytest.raises(InvalidInput, match="width: 8 is below the 16 channels that come in"):
        module(16, block("residual", width=8))


@pytest.mark.parametrize("precision", ["float", "int8", "binary"])
def test_squeeze_and_excitation_stands_behind_the_depthwise_convolution(precision):
    roles = dict.fromkeys(("expand", "depthwise", "project"), precision)
    built = module(16, block("inverted", squeeze=0.25, precisions=roles))
    attention = built.attention[1]
    assert (attention.squeeze.out_channels, attention.excite.out_channels) == (4, 48)
    assert attention.squeeze.precision.name == ("int8" if precision == "int8" else "float")
    assert isinstance(built.attention[0], nn.Identity) == (precision == "binary")
    with pytest.raises(InvalidInput, match="expansion: 1 is below 2"):
        module(16, block("inverted", expansion=1))


def test_fields_that_came_later_change_no_older_digest():
    older = block("separable")
    assert set(older.model_dump()) == {"kind", "width", "kernel", "stride", "groups", "precisions"}
    newer = network(block("inverted", squeeze=0.25, skip=True), block("conv", pool=True))
    assert newer.to_json().count('"pool":') == 1
    assert Architecture.from_json(newer.to_json()) == newer
    assert '"expansion":3' in newer.to_json()
    with pytest.raises(InvalidInput, match=r"architecture\.blocks\[0\]\.squeeze"):
        Architecture.from_json(newer.to_json().replace("0.25", "1.25"))
