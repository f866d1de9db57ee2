"""Architectures as JSON: what is written is read back, and what is bad is refused with its path."""

import hashlib
import json
from string import ascii_lowercase, digits

import pytest
from hypothesis import given
from hypothesis import strategies as st

from search_spaces.architecture import Architecture, Block, Head, Stem
from search_spaces.errors import InvalidInput

names = st.text(ascii_lowercase + digits, min_size=1, max_size=8)
channels = st.integers(1, 4096)
kernels = st.sampled_from([1, 3, 5, 7, 9, 11])
blocks = st.builds(
    Block,
    kind=names,
    width=channels,
    kernel=kernels,
    stride=st.integers(1, 4),
    groups=channels,
    precisions=st.dictionaries(names, names, max_size=16),
)
architectures = st.builds(
    Architecture,
    space=names,
    input_shape=st.tuples(channels, channels, channels),
    classes=st.integers(2, 100_000),
    stem=st.builds(Stem, width=channels, kernel=kernels, stride=st.integers(1, 4), precision=names),
    blocks=st.lists(blocks, max_size=3).map(tuple),
    head=st.builds(Head, precision=names),
)


def example(**changes):
    block = Block(
        kind="separable",
        width=32,
        kernel=3,
        stride=2,
        precisions={"pointwise": "binary", "depthwise": "int8"},
    )
    fields = {
        "space": "tiny",
        "input_shape": (1, 8, 8),
        "classes": 10,
        "stem": Stem(width=16, kernel=3, stride=1, precision="float"),
        "blocks": (block, block),
        "head": Head(precision="float"),
    }
    return Architecture(**{**fields, **changes})


@given(architectures)
def test_json_round_trip(architecture):
    text = architecture.to_json()
    again = Architecture.from_json(text)
    assert again == architecture
    assert hash(again) == hash(architecture)
    assert again.to_json() == text
    assert again.digest == architecture.digest


@given(architectures)
def test_json_is_canonical(architecture):
    text = architecture.to_json()
    assert text == json.dumps(json.loads(text), sort_keys=True, separators=(",", ":"))
    assert architecture.digest == hashlib.sha256(text.encode()).hexdigest()


def test_the_order_of_keys_does_not_change_the_digest():
    data = json.loads(example().to_json())
    backwards = {key: data[key] for key in reversed(data)}
    precisions = data["blocks"][0]["precisions"]
    backwards["blocks"][0]["precisions"] = {role: precisions[role] for role in reversed(precisions)}
    assert Architecture.from_json(json.dumps(backwards, indent=2)).digest == example().digest


def test_the_digest_never_changes_between_releases():
    assert example().digest == "9981881f67c8fb26b29fd0f35c18b1f8880f51dae063427804e37c72d2ae2a8e"


@given(architectures, architectures)
def test_digests_tell_architectures_apart(one, other):
    assert (one == other) == (one.digest == other.digest)


def test_architectures_cannot_be_changed():
    architecture = example()
    with pytest.raises(ValueError, match="frozen"):
        architecture.classes = 3
    with pytest.raises(TypeError):
        architecture.blocks[0].precisions["depthwise"] = "float"


BAD = [
    (("classes",), "10", "architecture.classes"),
    (("classes",), 10.0, "architecture.classes"),
    (("classes",), True, "architecture.classes"),
    (("classes",), float("nan"), "architecture.classes"),
    (("classes",), float("inf"), "architecture.classes"),
    (("classes",), 1, "architecture.classes"),
    (("classes",), 10**30, "architecture.classes"),
    (("colour",), 1, "architecture.colour"),
    (("line\nbreak",), 1, r"architecture['line\nbreak']"),
    (("space",), "", "architecture.space"),
    (("space",), "tiny\n", "architecture.space"),
    (("space",), None, "architecture.space"),
    (("input_shape",), [1, 8], "architecture.input_shape[2]"),
    (("input_shape",), [1, 8, 8, 8], "architecture.input_shape"),
    (("input_shape",), [1, 0, 8], "architecture.input_shape[1]"),
    (("input_shape",), [1, 8, 10**6], "architecture.input_shape[2]"),
    (("stem", "width"), 0, "architecture.stem.width"),
    (("stem", "bias"), True, "architecture.stem.bias"),
    (("blocks",), {}, "architecture.blocks"),
    (("blocks", 1), 7, "architecture.blocks[1]"),
    (("blocks", 1, "kernel"), 4, "architecture.blocks[1].kernel"),
    (("blocks", 1, "kernel"), 13, "architecture.blocks[1].kernel"),
    (("blocks", 0, "stride"), -1, "architecture.blocks[0].stride"),
    (("blocks", 0, "width"), 10**9, "architecture.blocks[0].width"),
    (("blocks", 0, "groups"), 0, "architecture.blocks[0].groups"),
    (("blocks", 0, "kind"), "../x", "architecture.blocks[0].kind"),
    (("blocks", 0, "precisions"), [["depthwise", "float"]], "architecture.blocks[0].precisions"),
    (("blocks", 0, "precisions"), {str(n): "float" for n in range(17)}, "architecture.blocks[0].precisions"),
    (("blocks", 0, "precisions", "depthwise"), 3, "architecture.blocks[0].precisions.depthwise"),
    (("blocks", 0, "precisions", "Depth wise"), "float", "architecture.blocks[0].precisions['Depth wise']"),
    (("head", "precision"), "x" * 65, "architecture.head.precision"),
]


@pytest.mark.parametrize(("where", "value", "path"), BAD)
def test_a_bad_value_is_refused_with_its_path(where, value, path):
    data = json.loads(example().to_json())
    target = data
    for step in where[:-1]:
        target = target[step]
    target[where[-1]] = value
    assert refusal(json.dumps(data)).parameter == path


@pytest.mark.parametrize("field", ["space", "input_shape", "classes", "stem", "blocks", "head"])
def test_a_missing_field_is_refused_with_its_path(field):
    data = json.loads(example().to_json())
    del data[field]
    assert str(refusal(json.dumps(data))) == f"architecture.{field}: field required; add it"


@pytest.mark.parametrize(
    "text", ["", "{", "null", "[]", "3", "NaN", '"x"', '{"a":' + "[" * 9999, "\ud800", " " * 1_000_001]
)
def test_what_is_not_an_architecture_is_refused(text):
    assert refusal(text).parameter == "architecture"


@given(st.text())
def test_no_text_gets_past_the_reader(text):
    refusal(text)


def test_too_many_blocks_are_refused():
    data = json.loads(example().to_json())
    data["blocks"] *= 129
    assert refusal(json.dumps(data)).parameter == "architecture.blocks"


def refusal(text):
    """The error of reading ``text``, whose message is one line."""
    with pytest.raises(InvalidInput) as caught:
        Architecture.from_json(text)
    assert len(str(caught.value).splitlines()) == 1
    return caught.value
