"""Types of arguments: each wrong one is refused in one line, for every parameter that there is."""

import inspect
from pathlib import Path
from typing import Any

import pytest

import nas
from nas.arguments import KINDS, MAY_BE_NONE, checked
from nas.result import LimitSettings
from search_spaces.errors import InvalidInput

CALLABLES = (
    nas.search,
    nas.resume,
    nas.load,
    nas.Result.trials,
    nas.Result.trial,
    nas.Result.export,
    nas.Result.figure,
    nas.Result.pareto,
)


def parameters() -> dict[str, inspect.Parameter]:
    found = [p for of in CALLABLES for p in inspect.signature(of).parameters.values()]
    return {p.name: p for p in found if p.name != "self" and p.kind is not inspect.Parameter.VAR_KEYWORD}


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("trials", "3", "'3' (str) is not a whole number; give one such as 3"),
        ("trials", 1.5, "1.5 (float) is not a whole number; give one such as 3"),
        ("workers", True, "True (bool) is not a whole number; give one such as 3"),
        ("seed", None, "None (NoneType) is not a whole number; give one such as 3"),
        ("max_size_kb", "10", "'10' (str) is not a number; give one such as 0.5, or None"),
        ("name", 3, "3 (int) is not a string; give a string, or None"),
        ("verbose", 1, "1 (int) is not True or False; give one of them"),
        ("data", b"x", "b'x' (bytes) is not a path; give a string or a pathlib.Path"),
        ("folder", "a\0", "'a\\x00' (str) is not a path; give a string or a pathlib.Path"),
        (
            "limits",
            [3],
            "[3] (list) is not a dict of names and numbers; give one such as {'latency@pi': 3.0}",
        ),
        ("objectives", [3], "[3] (list) is not a list of names; give one such as ['accuracy', 'size']"),
        ("plugins", {"a.py"}, "{'a.py'} (set) is not a list of paths; give one such as ['mine.py']"),
    ],
)
def test_a_wrong_type_is_told_with_what_was_given_and_what_is_wanted(
    name: str, value: Any, message: str
) -> None:
    with pytest.raises(InvalidInput) as caught:
        checked({name: value})
    assert str(caught.value) == f"{name}: {message}"
    with pytest.raises(InvalidInput, match=f"^{name}: "):
        nas.search(**{name: value}) if name != "folder" else nas.Result("", "").export(value)


def test_every_parameter_refuses_what_has_no_meaning() -> None:
    for name, parameter in parameters().items():
        with pytest.raises(InvalidInput, match=f"^{name}: <object"):
            checked({name: object()})
        assert (name in MAY_BE_NONE) or parameter.default is not None, name
    assert set(KINDS) == set(parameters()) | set(LimitSettings.__annotations__)


def test_what_is_right_becomes_plain() -> None:
    given = {"plugins": Path("a.py"), "objectives": ["size"], "limits": {"size": 1}, "max_macs": 3}
    assert checked(given) == {
        "plugins": ("a.py",),
        "objectives": ("size",),
        "limits": {"size": 1.0},
        "max_macs": 3.0,
    }
    assert checked({"max_size_kb": None}) == {"max_size_kb": None}
    with pytest.raises(InvalidInput, match=r"^name: None"):
        checked({"name": None}, required=["name"])
