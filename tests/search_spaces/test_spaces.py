"""Spaces: every choice builds and trains, seeds decide, and the size is the number of choices."""

from dataclasses import replace
from itertools import product
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F

import runtime
import search_spaces
from latency.model.workloads import checked
from search_spaces.architecture import Architecture
from search_spaces.builder import build
from search_spaces.errors import InvalidInput
from search_spaces.mobile import MOBILE
from search_spaces.search_space import USER_PRECISIONS, space, spaces
from search_spaces.sizing import layers
from tests.runtime.harness import trained

TINY = space("tiny")
CIFAR = space("cifar")


@pytest.mark.parametrize(("architecture_space", "samples"), [(TINY, 300), (CIFAR, 60)])
def test_many_samples_build(architecture_space, samples):
    for seed in range(samples):
        architecture = architecture_space.sample(seed)
        assert len(build(architecture)) == 1 + len(architecture.blocks) + 1, "stem, blocks, head"


@pytest.mark.parametrize("seed", range(5))
def test_samples_for_larger_images_run(seed):
    architecture = CIFAR.sample(seed)
    images = torch.rand(2, *architecture.input_shape)
    assert build(architecture).eval()(images).shape == (2, architecture.classes)


@pytest.mark.parametrize("seed", range(60))
def test_samples_train_a_step(seed):
    torch.manual_seed(seed)
    architecture = TINY.sample(seed)
    network = build(architecture)
    images, labels = torch.rand(8, *architecture.input_shape), torch.randint(architecture.classes, (8,))
    optimizer = torch.optim.Adam(network.parameters(), lr=0.01)
    for _ in range(2):
        loss = F.cross_entropy(network(images), labels)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        assert loss.isfinite()
    gradients = [parameter.grad for parameter in network.parameters()]
    assert all(g is not None and g.isfinite().all() for g in gradients)
    logits = network.eval()(images)
    assert logits.shape == (8, architecture.classes)
    assert logits.isfinite().all()


# one option at each of a stage's choices, whatever is chosen elsewhere
@pytest.mark.parametrize("kind", TINY.kinds)
@pytest.mark.parametrize(("last", "groups"), [(False, 1), (True, 4), (True, 2)])
@pytest.mark.parametrize("stem", TINY.stem_widths)
def test_the_corners_build_and_run(kind, last, groups, stem):
    def choose(name, options):
        wanted = {"block": kind, "groups": groups, "stem.width": stem}
        by_name = wanted.get(name, wanted.get(name.rpartition(".")[2]))
        return by_name if by_name in options else options[-1 if last else 0]

    architecture = TINY.propose(choose)
    assert {block.kind for block in architecture.blocks} == {kind}
    assert build(architecture).eval()(torch.rand(1, 1, 8, 8)).shape == (1, 10)


@pytest.mark.parametrize("shape", list(product(*[range(2)] * 3, TINY.groups, TINY.groups)))
def test_shuffle_blocks_build_at_all_widths_and_groups(shape):
    stem, one, two, first, second = shape
    wanted = {
        "stem.width": TINY.stem_widths[stem],
        "stage1.width": TINY.stages[0][one],
        "stage2.width": TINY.stages[1][two],
        "stage1.groups": first,
        "stage2.groups": second,
        "stage1.block": "shuffle",
        "stage2.block": "shuffle",
    }
    architecture = TINY.propose(lambda name, options: wanted.get(name, options[-1]))
    assert build(architecture).eval()(torch.rand(1, 1, 8, 8)).shape == (1, 10)


def test_the_same_seed_gives_the_same_digest():
    assert [TINY.sample(s).digest for s in range(50)] == [replace(TINY).sample(s).digest for s in range(50)]
    assert len({TINY.sample(s).digest for s in range(50)}) == 50


def test_seeds_give_the_same_architectures_in_every_release():
    assert TINY.sample(7).digest == "f59476969a09315acb043170e4f4c5fcbf7823b27c506531e8bde16955b448f4"


def test_samples_survive_json():
    for seed in range(100):
        architecture = TINY.sample(seed)
        assert Architecture.from_json(architecture.to_json()) == architecture


def recorded(architecture_space, seed):
    """The choices behind a sample, by name, and the options of each."""
    chosen, offered = {}, {}
    generator = torch.Generator().manual_seed(seed)

    def choose(name, options):
        assert name not in chosen, "a name is asked for once"
        pick = int(torch.randint(len(options), (), generator=generator))
        chosen[name], offered[name] = options[pick], options
        return options[pick]

    return architecture_space.propose(choose), chosen, offered


def test_stored_choices_replay():
    for seed in range(50):
        architecture, chosen, _ = recorded(TINY, seed)
        assert TINY.propose(lambda name, _, chosen=chosen: chosen[name]) == architecture


def test_a_choice_always_has_the_same_options():
    seen = {}
    for seed in range(300):
        for name, options in recorded(TINY, seed)[2].items():
            assert seen.setdefault(name, options) == options


def test_every_option_is_reached():
    reached, offered = {}, {}
    for seed in range(600):
        _, chosen, options = recorded(TINY, seed)
        offered.update(options)
        for name, option in chosen.items():
            reached.setdefault(name, set()).add(option)
    assert reached == {name: set(options) for name, options in offered.items()}
    kinds = {"separable", "shuffle", "fire"}
    assert reached["stage1.block"] == reached["stage2.block"] == kinds
    precision_choices = [name for name in reached if name.endswith(".precision")]
    assert (
        len(precision_choices) == 2 * 2 * 7
    )  # stages, repeats, and the three kinds' roles, depthwise shared
    assert all(reached[name] == set(USER_PRECISIONS) for name in precision_choices)


def test_samples_use_every_precision_and_kind():
    samples = [TINY.sample(seed) for seed in range(40)]
    chosen = [block for sample in samples for block in sample.blocks]
    assert {block.kind for block in chosen} == {"separable", "shuffle", "fire"}
    assert {name for block in chosen for name in block.precisions.values()} == set(USER_PRECISIONS)


def test_first_convolution_and_classifier_stay_float():
    for seed in range(20):
        architecture = TINY.sample(seed)
        assert (architecture.stem.precision, architecture.head.precision) == ("float", "float")


def every_architecture(architecture_space):
    """All that a space can propose, by walking its tree of choices."""
    pending = [()]
    while pending:
        path = pending.pop()
        asked = []

        def choose(name, options, path=path, asked=asked):
            asked.append(options)
            return options[path[len(asked) - 1] if len(asked) <= len(path) else 0]

        architecture = architecture_space.propose(choose)
        pending += [
            (*path, *[0] * (depth - len(path)), other)
            for depth in range(len(path), len(asked))
            for other in range(1, len(asked[depth]))
        ]
        yield architecture


SMALL = [
    replace(TINY, stem_widths=(8,), stages=((16,),), kernels=(3,), groups=(1, 2), precisions=("float",)),
    replace(
        TINY,
        strides=(1,),
        groups=(1,),
        repeats=(1,),
        kinds=("separable", "fire"),
        precisions=("float", "binary"),
    ),
    replace(
        TINY, stages=((32,),), kernels=(3,), strides=(1,), kinds=("shuffle",), precisions=("float", "int8")
    ),
]


@pytest.mark.parametrize("small", SMALL)
def test_the_size_is_the_number_of_different_architectures(small):
    everything = [architecture.digest for architecture in every_architecture(small)]
    assert len(set(everything)) == len(everything) == small.size()


def test_unknown_spaces_are_told_with_those_there_are():
    with pytest.raises(InvalidInput, match=f"space: unknown name 'huge'; choose one of {', '.join(spaces)}"):
        space("huge")


@pytest.mark.parametrize("seed", [None, -7, "7", 1.0, True, [1]])
def test_seeds_are_whole_numbers(seed):
    with pytest.raises(InvalidInput, match=r"seed: .* give a whole number of 0 or more"):
        TINY.sample(seed)


FEW = replace(
    MOBILE,
    base=((16, 1, 1), (24, 2, 2)),
    operations=("separable", "inverted3"),
    kernels=(3,),
    widths=(100,),
    extra=(0,),
    precisions=("float",),
)


NARROWING = ((24, 1, 2), (32, 2, 2), (32, 2, 1))


@pytest.mark.parametrize(
    "few",
    [
        FEW,
        replace(FEW, extra=(-1, 0)),
        replace(FEW, precisions=("float", "int8"), squeezes=(0,)),
        replace(FEW, base=NARROWING, operations=("conv",), widths=(75, 125), stem=24),
        replace(FEW, base=NARROWING, operations=("conv",), widths=(75, 125), stem=24, skips=("none",)),
    ],
)
def test_the_mobile_space_counts_each_architecture_once(few):
    everything = [architecture.digest for architecture in every_architecture(few)]
    assert len(set(everything)) == len(everything) == few.size()


def test_mobile_architectures_build_and_lower():
    from latency.model.workloads import workloads_of

    kinds = set()
    for seed in range(30):
        architecture = MOBILE.sample(seed)
        assert architecture.blocks[-1].width == 1280
        assert [block.stride for block in architecture.blocks].count(2) == 4
        assert workloads_of(architecture)
        kinds |= {block.kind for block in architecture.blocks}
    assert kinds == {"conv", "separable", "inverted"}


def pooling(operation, kernel, layers=0):
    """What chooses an operation everywhere, and the pooling as a skip wherever there is one."""
    wanted = {
        "operation": operation,
        "kernel": kernel,
        "skip": "identity",
        "pool": "average",
        "layers": layers,
    }

    def choose(name, options):
        found = wanted.get(name.rpartition(".")[2])
        return found if found in options else options[0]

    return choose


@pytest.mark.parametrize("layers", [1, 2])
def test_a_stage_that_subsamples_may_pool_as_its_skip(layers):
    few = replace(FEW, base=((16, 1, 1), (24, layers, 2), (16, layers, 2)))
    blocks = few.propose(pooling("separable", 3, layers)).blocks[:-1]
    assert [block.pool for block in blocks] == [False, True, *[False] * (2 * layers - 1)], "the third narrows"
    assert [block.skip for block in blocks[1:]] == ([False] + [True] * (layers - 1)) * 2


@pytest.mark.parametrize("operation", ["conv", "separable", "inverted3"])
def test_a_pooled_skip_is_predicted_and_computes_what_torch_computes(operation):
    """Sides are odd, and one pixel in the end; the first stage keeps its channels, the second adds some."""
    few = replace(
        FEW, base=((16, 2, 2), (24, 2, 2), (24, 1, 2)), stem=16, last=32, operations=(operation,)
    ).fitted((3, 18, 22), 4)
    architecture = few.propose(pooling(operation, 3))
    assert [block.pool for block in architecture.blocks] == [True, False, True, False, True, False]
    assert Architecture.from_json(architecture.to_json()) == architecture
    shape = (2, *architecture.input_shape)
    built = trained(checked(architecture), shape)
    families = [work.family for work in runtime.workloads(built, shape)]
    assert families.count("avg_pool2d") == 3
    images = torch.randn(6, *shape[1:])
    with torch.no_grad():
        expected = built(images).numpy()
    found = runtime.compile(built, shape).run(images.numpy())
    np.testing.assert_allclose(found, expected, rtol=1e-3, atol=1e-3)


def test_mobilenetv2_is_in_the_mobile_space():
    """But for its first stage, which has no expansion: there it is a separable block."""

    def choose(name, options):
        wanted = {"operation": "inverted6", "kernel": 3, "squeeze": 0, "width": 100, "skip": "identity"}
        stage, _, what = name.partition(".")
        if what == "layers":
            return {1: 1, 2: 2, 3: 3, 4: 4, 5: 3, 6: 3, 7: 1}[int(stage[-1])]
        if what == "operation" and stage == "stage1":
            return "separable"
        return wanted.get(what, "float")

    with torch.device("meta"):
        built = search_spaces.build(MOBILE.propose(choose))
        published = search_spaces.network("mobilenetv2")
    macs = [sum(layer.macs for layer in layers(m, (3, 224, 224))) for m in (built, published)]
    assert macs[0] == macs[1]


@pytest.mark.parametrize("name", sorted(spaces))
def test_any_space_takes_other_images(name):
    fitted = space(name).fitted((1, 20, 24), 7)
    architecture = fitted.sample(1)
    assert (architecture.input_shape, architecture.classes) == ((1, 20, 24), 7)
    assert search_spaces.build(architecture).eval()(torch.randn(2, 1, 20, 24)).shape == (2, 7)
    assert fitted.size() == space(name).size()


def test_docs_tell_the_size_of_every_space():
    text = (Path(__file__).parents[2] / "docs" / "spaces.md").read_text(encoding="utf-8")
    for name in ("tiny", "cifar", "mobile"):
        assert f"| `{name}` |" in text
        assert f"{space(name).size():.3g}".replace("e+", " x 10^") in text
