"""Spaces with options left out: what names mean, what is refused, and how many architectures are left."""

import pytest

from search_spaces.architecture import Architecture
from search_spaces.counting import choices_of, counted
from search_spaces.errors import InvalidInput
from search_spaces.restricted import Restricted, restricted
from search_spaces.search_space import TINY, Choose, SearchSpace, every
from tests.small_space import SMALL_SPACE

NAMES = sorted(choices_of(TINY))


def test_every_choice_is_found() -> None:
    """Also those that come with one kind of block, or with a second repeat."""
    shapes = [name for name in NAMES if not name.endswith("precision")]
    assert len(shapes) == 2 * len(["block", "width", "kernel", "stride", "groups", "repeats"]) + 1
    layers = {name.split(".")[2] for name in NAMES if name.endswith("precision")}
    assert layers == {"depthwise", "pointwise", "reduce", "expand", "squeeze", "expand1", "expand3"}
    assert len(NAMES) == len(shapes) + 2 * 2 * len(layers)


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("stage1.block", ["stage1.block"]),
        ("block", ["stage1.block", "stage2.block"]),
        ("stage2.precision", [n for n in NAMES if n.startswith("stage2") and n.endswith("precision")]),
        ("expand.precision", [n for n in NAMES if n.endswith(".expand.precision")]),
        ("repeat1.precision", [n for n in NAMES if ".repeat1." in n]),
        ("stage*.w*", ["stage1.width", "stage2.width"]),
        ("stem.width", ["stem.width"]),
    ],
)
def test_a_name_means_the_choices_that_have_its_parts(name: str, meant: list[str]) -> None:
    whole = choices_of(TINY)
    option = str(whole[meant[0]][0])
    least = {m: 1 if option in map(str, whole[m]) else len(whole[m]) for m in meant}
    if all(option in map(str, whole[m]) for m in meant):
        left = choices_of(restricted(TINY, {name: option}, {}))
        assert {n for n, options in left.items() if len(options) < len(whole[n])} == set(meant) & set(left)
        assert all(len(left[m]) == least[m] for m in meant if m in left)
    else:
        with pytest.raises(InvalidInput, match="leaves nothing of"):
            restricted(TINY, {name: option}, {})


def test_what_is_left_is_proposed_and_replays_in_the_whole_space() -> None:
    rules = {"stage1.block": "separable", "repeats": "1"}, {"precision": ("int8", "binary")}
    space = restricted(TINY, *rules)
    assert isinstance(space, Restricted)
    for seed in range(20):
        architecture = space.sample(seed)
        assert architecture.blocks[0].kind == "separable"
        assert len(architecture.blocks) == 2
        assert {p for b in architecture.blocks for p in b.precisions.values()} <= {"int8", "binary"}
    choices = next(every(space))
    assert choices["stage1.block"] == "separable"
    whole = TINY.propose(lambda name, _: choices[name])
    assert whole == space.propose(lambda name, _: choices[name])
    assert space.fitted((3, 16, 16), 5).sample(0).classes == 5
    assert restricted(TINY, {}, {}) is TINY


def test_few_are_counted_and_many_are_estimated() -> None:
    assert counted(SMALL_SPACE) == (SMALL_SPACE.size(), True)
    few = restricted(SMALL_SPACE, {"stage1.depthwise.precision": "float"}, {})
    assert isinstance(few, Restricted)
    assert (few.size(), str(few.count)) == (SMALL_SPACE.size() // 2, f"{SMALL_SPACE.size() // 2}")
    many = counted(TINY)
    assert not many.is_exact
    assert TINY.size() / 1.5 < many.number < TINY.size() * 1.5
    assert str(many).startswith("about ")


@pytest.mark.parametrize(
    ("fix", "only", "message"),
    [
        ({"blok": "fire"}, {}, "fix: no choice is called 'blok'; did you mean 'block'? the space has width,"),
        (
            {"stag1.block": "fire"},
            {},
            "fix: no choice is called 'stag1.block'; did you mean 'stage1.block'? ",
        ),
        ({}, {"block": ("fir",)}, "only: 'block' has no option 'fir'; did you mean 'fire'? choose among sep"),
        ({"width": "32"}, {}, "fix: 'width' leaves nothing of 'stage2.width'; it has 64, 96"),
        ({"stage1.block": "fire"}, {"block": ("shuffle",)}, "only: 'block' leaves nothing of 'stage1.block'"),
    ],
)
def test_what_cannot_be_is_refused_in_one_line(
    fix: dict[str, str], only: dict[str, tuple[str, ...]], message: str
) -> None:
    with pytest.raises(InvalidInput) as caught:
        restricted(TINY, fix, only)
    assert str(caught.value).startswith(message)


class Confusing(SearchSpace):
    """Has a choice whose name ends another's."""

    name = "confusing"

    def propose(self, choose: Choose) -> Architecture:
        """Width by width, in an architecture of TINY's."""
        widths = [choose("width", (32, 48)), choose("stage1.width", (32, 48))]
        found = TINY.sample(0)
        return found.model_copy(update={"classes": 10 + int(widths[0] == 48) + 2 * int(widths[1] == 48)})


def test_the_whole_name_of_a_choice_means_no_other() -> None:
    left = choices_of(restricted(Confusing(), {"width": "48"}, {}))
    assert left == {"width": (48,), "stage1.width": (32, 48)}
