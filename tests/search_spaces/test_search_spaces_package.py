"""The package's face: every public name is there, and importing it loads nothing heavy."""

import subprocess
import sys
from pkgutil import iter_modules

import pytest

import search_spaces

HEAVY = ("torch", "pydantic", "numpy")


def loaded_after(statement):
    """Which of the heavy packages a fresh interpreter has loaded after ``statement``."""
    script = f"import sys\n{statement}\nprint(*[name for name in {HEAVY!r} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    return done.stdout.split()


def test_importing_the_package_loads_nothing_heavy():
    assert loaded_after("import search_spaces") == []


@pytest.mark.parametrize(
    "statement",
    [
        "import search_spaces; search_spaces.space('tiny')",
        "import search_spaces; list(search_spaces.precisions)",
        "from search_spaces import Architecture",
    ],
)
def test_names_and_data_do_not_need_torch(statement):
    assert "torch" not in loaded_after(statement)


def test_public_names_are_not_hidden_by_modules():
    """A module called like a public name would replace it once it is imported."""
    modules = {module.name for module in iter_modules(search_spaces.__path__)}
    assert not modules & set(search_spaces.__all__)


@pytest.mark.parametrize("name", search_spaces.__all__)
def test_public_names_are_there(name):
    assert getattr(search_spaces, name) is not None


def test_unknown_names_are_attribute_errors():
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = search_spaces.nothing


def test_the_way_through():
    architecture = search_spaces.space("tiny").sample(seed=7)
    assert search_spaces.Architecture.from_json(architecture.to_json()) == architecture
    assert search_spaces.size(architecture) == search_spaces.size(search_spaces.build(architecture))
    assert architecture.input_shape == (1, 8, 8)
