"""The house: who may import whom, and that entering a room loads nothing heavy."""

import ast
import subprocess
import sys
import tomllib
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
MAY_IMPORT = {
    "search_spaces": set(),
    "runtime": {"search_spaces"},
    "latency": {"search_spaces", "runtime"},
    "nas": {"search_spaces", "runtime", "latency"},
    "dashboards": {"nas", "search_spaces"},  # of the latter only the errors
}
LAYERS = {
    "nas": (
        {"cli", "testing"},
        {"adapting"},
        {"searching", "pruning"},
        {"executors", "analysis", "compression", "steps"},
        {"trials", "export"},
        {"evaluators"},
        {"algorithms", "measuring", "training", "figures"},
        {"ledger", "data"},
        {"objectives"},
    ),
    "latency": ({"model"}, {"hardware"}, {"timing"}),
    "runtime": ({"formats"}, {"codegen", "lowering"}, {"kernels"}),
}
"""The rooms within a room, the highest first: each may import those of lower layers, and what lies beside."""
BESIDE = {
    "nas": {"__init__", "arguments", "bars", "formatting", "hints", "ranges", "rungs", "seeds", "versions"},
    "latency": {"__init__", "record", "testing"},
    "runtime": {
        *("__init__", "cpu", "folders", "graph", "light_tvm", "network_info", "parent", "processes"),
        *("target", "testing", "tile_permission", "tvm_types", "workload"),
    },
}
"""What lies beside such rooms and imports none of them, save ``__init__``, and ``testing`` for plug-ins."""
PUBLIC_API = {"nas": {"api", "result"}, "runtime": {"network"}}
"""What users call: it imports the rooms; of these only the top one imports it."""
OF_DASHBOARDS = {"analysis", "figures", "ledger", "objectives"}
"""The rooms of nas that dashboards show; what lies beside these serves as well."""
HEAVY = {"torch", "tvm", "optuna", "sqlalchemy", "plotly", "dash", "sklearn", "ray", "pydantic"}


@cache
def nodes_of(path):
    """The syntax of a file: imports alone, which is all that is asked for."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    return [node for node in ast.walk(tree) if isinstance(node, ast.Import | ast.ImportFrom)]


def imported(path):
    """The top-level packages that a file imports, anywhere in it."""
    for node in nodes_of(path):
        if isinstance(node, ast.Import):
            yield from (alias.name.split(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield node.module.split(".")[0]


def test_imports_are_absolute():
    """Relative ones would pass unseen by all that follows."""
    files = (path for room in MAY_IMPORT for path in (ROOT / room).rglob("*.py"))
    trees = ((path, nodes_of(path)) for path in files)
    assert not {path for path, nodes in trees if any(getattr(node, "level", 0) for node in nodes)}


@pytest.mark.parametrize("room", MAY_IMPORT)
def test_arrows_go_one_way(room):
    forbidden = set(MAY_IMPORT) - MAY_IMPORT[room] - {room}
    wrong = {
        f"{path.relative_to(ROOT)} imports {name}"
        for path in (ROOT / room).rglob("*.py")
        for name in imported(path)
        if name in forbidden
    }
    assert not wrong


def rooms_within(package, path):
    """The rooms of a package that a file imports, anywhere in it; what lies beside them has an empty name."""
    for node in nodes_of(path):
        names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
        if isinstance(node, ast.ImportFrom):
            names = [f"{node.module}.{alias.name}" for alias in node.names]
        for top, _, rest in (name.partition(".") for name in names):
            if top == package:
                room = rest.split(".")[0]
                yield room if is_room(package, room) else ""


def is_room(package, name):
    """Whether it is a room, or the public API, which nothing that lies beside may import either."""
    is_package = (ROOT / package / name).is_dir() and name not in BESIDE[package]
    return bool(name) and (is_package or name in PUBLIC_API.get(package, ()))


@pytest.mark.parametrize("package", LAYERS)
def test_every_room_has_its_layer(package):
    rooms = {path.parent.name for path in (ROOT / package).glob("*/__init__.py")} - BESIDE[package]
    assert rooms == set().union(*LAYERS[package])
    files = {path.stem for path in (ROOT / package).glob("*.py")} - PUBLIC_API.get(package, set())
    assert files == {name for name in BESIDE[package] if (ROOT / package / f"{name}.py").exists()}


@pytest.mark.parametrize(
    ("package", "layer"), [(p, i) for p, layers in LAYERS.items() for i in range(len(layers))]
)
def test_arrows_between_rooms_go_down(package, layer):
    """A room imports no other room of its layer, and none above."""
    public = [PUBLIC_API.get(package, set())] if layer == 0 else []
    below = set().union(*LAYERS[package][layer + 1 :], *public)
    wrong = {
        f"{path.relative_to(ROOT)} imports {package}.{name}"
        for room in LAYERS[package][layer]
        for path in (ROOT / package / room).rglob("*.py")
        for name in rooms_within(package, path)
        if name not in below | {room, ""}
    }
    assert not wrong


def files_of(package, name):
    """The file of a module, or all of a package."""
    return [*(ROOT / package).glob(f"{name}.py"), *(ROOT / package / name).rglob("*.py")]


@pytest.mark.parametrize("package", BESIDE)
def test_what_lies_beside_rooms_imports_none(package):
    names = BESIDE[package] - {"__init__", "testing"}
    files = (path for name in names for path in files_of(package, name))
    assert not {f"{path} imports {name}" for path in files for name in rooms_within(package, path) if name}


def test_what_python_calls_does_not_import_the_command_line():
    files = (path for name in PUBLIC_API["nas"] for path in files_of("nas", name))
    top = LAYERS["nas"][0]
    assert not {f"{path} imports {n}" for path in files for n in rooms_within("nas", path) if n in top}


def test_dashboards_import_the_rooms_that_they_show():
    wrong = {
        f"{path.relative_to(ROOT)} imports nas.{name}"
        for path in (ROOT / "dashboards").rglob("*.py")
        for name in rooms_within("nas", path)
        if name not in OF_DASHBOARDS | {""}
    }
    assert not wrong


def test_nothing_imports_a_suite_of_tests():
    """Such a module needs pytest, which installations lack."""
    graph = {name: others for name, others in module_graph().items() if "testing" not in name.split(".")}
    assert not {name for name, others in graph.items() if any("testing" in o.split(".") for o in others)}
    files = (path for room in MAY_IMPORT for path in (ROOT / room).rglob("*.py"))
    others = (path for path in files if "testing" not in (path.stem, path.parent.name))
    assert not {path for path in others if "pytest" in imported(path)}


def circles(graph):
    """The modules of each circle of imports, if there are any."""
    found, state = [], {}

    def visit(name, path):
        state[name] = "open"
        for other in sorted(graph.get(name, ())):
            if state.get(other) == "open":
                found.append([*path[path.index(other) :], other] if other in path else [name, other])
            elif other not in state:
                visit(other, [*path, other])
        state[name] = "done"

    for name in sorted(graph):
        if name not in state:
            visit(name, [name])
    return found


def imported_modules(source, known):
    """The modules among those known that a source imports: as it is loaded, in functions, and for types."""
    found = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names} & known
        elif isinstance(node, ast.ImportFrom):
            inner = {f"{node.module}.{alias.name}" for alias in node.names} & known
            found |= inner or ({node.module} & known)
    return found


def module_graph():
    """What each module imports of ours."""
    files = {
        ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__"): path
        for room in MAY_IMPORT
        for path in (ROOT / room).rglob("*.py")
    }
    sources = {name: path.read_text(encoding="utf-8") for name, path in files.items()}
    return {name: imported_modules(source, files.keys()) for name, source in sources.items()}


def test_no_module_imports_itself_through_others():
    texts = {
        "a": "import b",
        "b": "def f():\n    from c import x",
        "c": "if TYPE_CHECKING:\n    from a import X",
    }
    graph = {name: imported_modules(text, texts.keys()) for name, text in texts.items()}
    assert circles(graph) == [["a", "b", "c", "a"]], "one is found where there is one"
    assert circles(module_graph()) == []


@pytest.mark.parametrize("room", MAY_IMPORT)
def test_entering_a_room_loads_nothing_heavy(room):
    code = f"import sys, {room}; print(*sys.modules)"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)
    assert not HEAVY & set(found.stdout.split())


def test_every_package_is_installed():
    """pyproject lists packages one by one: one left out would be missing from every installation but ours."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    found = {
        ".".join(path.parent.relative_to(ROOT).parts)
        for room in MAY_IMPORT
        for path in (ROOT / room).rglob("__init__.py")
    }
    assert set(project["tool"]["setuptools"]["packages"]) == found


def test_every_other_file_of_a_package_is_installed():
    listed = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    data = listed["tool"]["setuptools"]["package-data"]
    found = {
        (".".join(path.parent.relative_to(ROOT).parts), path.name)
        for room in MAY_IMPORT
        for path in (ROOT / room).rglob("*.*")
        if path.is_file() and path.suffix not in (".py", ".pyc")
    }
    assert found == {(package, name) for package, names in data.items() for name in names}
