"""The tree of errors, and what their messages may name: parameters that there are, and no options."""

import ast
import pickle
import re
from pathlib import Path

import click
import pytest

from nas.cli.main import cli
from search_spaces import errors
from search_spaces.errors import PLUGINS, BitnasError, InvalidInput, Parameter, StorageError

ROOT = Path(__file__).parents[1]
ROOMS = ("search_spaces", "runtime", "latency", "nas", "dashboards")
NAME_OPTIONS = {
    "nas/hints.py": "makes command lines",
    "dashboards/command.py": "is a command",
    "runtime/formats/predict.py": "is a program of its own",
    "runtime/codegen/linking.py": "the linker's",
}
"""Files outside ``nas/cli`` with options in their texts, and why."""
OF_RAY = re.compile(r"\bray start --\w+")
"""Another program's command, with its options."""


def modules():
    """Path from the root and syntax tree of every module."""
    for path in (path for room in ROOMS for path in (ROOT / room).rglob("*.py")):
        yield str(path.relative_to(ROOT)), ast.parse(path.read_text(encoding="utf-8"))


MODULES = list(modules())


def calls(*names):
    """Every call of these names: where, and its node."""
    for path, tree in MODULES:
        for node in ast.walk(tree):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in names:
                yield f"{path}:{node.lineno}", node


def commands(group, *path):
    """Every command by the words that call it."""
    yield path, group
    if isinstance(group, click.Group):
        for name in group.list_commands(click.Context(group)):
            yield from commands(group.get_command(click.Context(group), name), *path, name)


COMMANDS = dict(commands(cli))


def drawn():
    """Name and depth of each class in the docstring's drawing."""
    line = re.compile(r"^((?:[│├└]?[─ ]+)*)(\w+) {2,}\w", re.MULTILINE)
    return [(name, len(stem) // 4) for stem, name in line.findall(errors.__doc__)]


def tree(of=BitnasError, depth=0):
    """Name and depth of each class, those beneath right after it."""
    yield of.__name__, depth
    for below in of.__subclasses__():
        if below.__module__ == errors.__name__:
            yield from tree(below, depth + 1)


def test_the_tree_is_drawn_and_has_no_branch_elsewhere():
    assert sorted(drawn()) == sorted(tree())
    names = {name for name, _ in tree()}
    elsewhere = [
        f"{path}: {node.name}"
        for path, module in MODULES
        for node in ast.walk(module)
        if isinstance(node, ast.ClassDef) and path != "search_spaces/errors.py"
        if names & {ast.unparse(base).split(".")[-1] for base in node.bases}
    ]
    assert elsewhere == []


def test_messages_name_parameters_until_a_command_names_its_options():
    data = Parameter("data")
    given = InvalidInput("image_size", "there are no images", ("give ", data, " too, or ", PLUGINS))
    assert str(given) == (
        "image_size: there are no images; give data too, or search_spaces.add_plugin_file(FILE)"
    )
    assert (given.parameter, given.problem) == ("image_size", "there are no images")
    about = given.of("blocks.0")
    stored = StorageError(Parameter("storage"), ": it is full")
    for error in (given, about, stored):
        error.name_of = lambda parameter: f"--{parameter.name}"
    assert str(given) == "--image_size: there are no images; give --data too, or --plugins"
    assert str(about).startswith("--blocks.0: there are no images; give --data too")
    assert str(stored) == "--storage: it is full"


def test_errors_travel_between_processes():
    for error in (
        InvalidInput("data", "it is empty", ("give ", Parameter("image_size"))),
        StorageError(Parameter("storage"), ": it is full"),
    ):
        copy = pickle.loads(pickle.dumps(error))
        copy.name_of = error.name_of = lambda parameter: parameter.name.upper()
        assert (type(copy), str(copy)) == (type(error), str(error))


def test_a_parameter_within_a_text_is_refused():
    with pytest.raises(TypeError, match="word of its own"):
        f"give {Parameter('data')}"


def test_no_text_outside_the_command_line_names_an_option():
    found = []
    for path, module in MODULES:
        if path.startswith("nas/cli/") or path in NAME_OPTIONS:
            continue
        # those of attributes, too
        docstrings = {node.value for node in ast.walk(module) if isinstance(node, ast.Expr)}
        for node in ast.walk(module):
            if isinstance(node, ast.Constant) and isinstance(node.value, str) and node not in docstrings:
                text = OF_RAY.sub("", node.value)
                found += [f"{path}:{node.lineno}"] if re.search(r"(?<!-)--(?![-\s])", text) else []
    assert found == []


def test_every_parameter_that_a_message_names_is_one():
    """A misspelt one would never become an option; a variable of the environment stands for itself."""
    options = {parameter.name for command in COMMANDS.values() for parameter in command.params}
    known = set(options)
    for _, module in MODULES:
        known |= {node.arg for node in ast.walk(module) if isinstance(node, ast.arg)}
        known |= {node.target.id for node in ast.walk(module) if is_field(node)}
    said = [(where, node.func.id, node.args[0]) for where, node in calls("Parameter", "InvalidInput")]
    named = [(where, call, name.value) for where, call, name in said if isinstance(name, ast.Constant)]
    assert len(named) > 100
    wrong = [
        f"{where}: {name}"
        for where, call, name in named
        if name.split(".")[-1] not in (options if call == "Parameter" else known)
        and not name.startswith("NAS_")
    ]
    assert wrong == []


def is_field(node):
    """Whether it is a field of a class, or some other name with a type."""
    return isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name)


def test_every_command_that_a_message_names_is_one():
    """Of ``command("device", "add", name, key="KEY")``, the command is there and has such an option."""
    checked = 0
    for where, node in calls("command"):
        words = [word.value if isinstance(word, ast.Constant) else None for word in node.args]
        path = next((tuple(words[:n]) for n in (2, 1) if tuple(words[:n]) in COMMANDS), None)
        if not words or words[0] is None:
            continue  # passed on from where its words are
        assert path, f"{where}: there is no command {words}"
        options = {form for parameter in COMMANDS[path].params for form in parameter.opts}
        named = {word for word in words if word and word.startswith("-")}
        named |= {
            f"--{key.arg.replace('_', '-')}"
            for key in node.keywords
            if key.arg and key.arg not in ("debug", "lacks_plugin")
        }
        assert named <= options, f"{where}: {path} has no {named - options}"
        checked += 1
    assert checked > 20
