"""The rules of the house that a machine can check: floors, registries, lazy start, no printing in jobs."""

from __future__ import annotations

import ast
import json
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[1] / "p2pcli"
MODULES = sorted(path for path in PACKAGE.rglob("*.py") if path.name != "conftest.py")

# docs/architecture.md. Within floor 2, tasks < inference < training.
FLOORS = {
    "cores": 0,
    "errors": 0,
    "events": 0,
    "free_memory": 0,
    "groups": 0,
    "image": 0,
    "kept_memory": 0,
    "plan": 0,
    "randomness": 0,
    "synonyms": 0,
    "recipe": 0,
    "untrusted": 0,
    "visible": 0,
    "io": 1,
    "pairs": 1,
    "nets": 1,
    "augment": 1,
    "losses": 1,
    "metrics": 1,
    "tensors": 1,
    "stored_tensors": 1,
    "conditions": 1,
    "tasks": 2.0,
    "inference": 2.1,
    "training": 2.2,
    "jobs": 3,
    "cli": 4,
    "__init__": 5,
    "__main__": 5,
}
# On floor 1 the four worlds stay apart.
WORLDS = {
    "io": "io",
    "pairs": "pairs",
    "nets": "torch",
    "augment": "torch",
    "losses": "torch",
    "metrics": "torch",
    "tensors": "torch",
    "stored_tensors": "torch",
    "conditions": "torch",
}


def test_every_module_has_a_floor():
    assert sorted({_unit(path) for path in MODULES} - FLOORS.keys()) == []


@pytest.mark.parametrize("path", MODULES, ids=lambda path: path.relative_to(PACKAGE).as_posix())
def test_imports_only_go_down(path):
    here = _unit(path)
    wrong = []
    for module in _imports_of_ours(path):
        there = module.split(".")[1]
        if there == here:
            continue
        is_beside = FLOORS[there] == FLOORS[here] and WORLDS.get(there) == WORLDS.get(here)
        if FLOORS[there] >= FLOORS[here] and not is_beside:
            wrong.append(module)
    assert wrong == []


@pytest.mark.parametrize("path", sorted((PACKAGE / "jobs").glob("*.py")), ids=lambda path: path.name)
def test_jobs_know_neither_typer_nor_rich(path):
    tree = ast.parse(path.read_text(encoding="utf-8"))
    roots = {name.split(".")[0] for name in _imports(tree)}
    assert roots & {"typer", "rich", "click"} == set()


@pytest.mark.parametrize("path", MODULES, ids=lambda path: path.relative_to(PACKAGE).as_posix())
def test_nothing_prints(path):
    tree = ast.parse(path.read_text(encoding="utf-8"))
    calls = [node for node in ast.walk(tree) if isinstance(node, ast.Call)]
    prints = [call.lineno for call in calls if isinstance(call.func, ast.Name) and call.func.id == "print"]
    assert prints == []


@pytest.mark.parametrize("path", MODULES, ids=lambda path: path.relative_to(PACKAGE).as_posix())
def test_every_module_and_public_definition_has_a_docstring(path):
    tree = ast.parse(path.read_text(encoding="utf-8"))
    bare = [] if ast.get_docstring(tree) else ["the module"]
    bare += [name for name, node in _public_definitions(tree) if not ast.get_docstring(node)]
    assert bare == []


@pytest.mark.parametrize("path", MODULES, ids=lambda path: path.relative_to(PACKAGE).as_posix())
def test_no_file_outgrows_400_lines(path):
    assert len(path.read_text(encoding="utf-8").splitlines()) <= 400


def test_no_file_is_called_after_nothing():
    assert [path for path in MODULES if path.stem in {"utils", "common", "helpers", "manager"}] == []


@pytest.mark.parametrize(
    ("module", "name"),
    [
        ("pairs/__init__.py", "MAKERS"),
        ("nets/__init__.py", "GENERATORS"),
        ("nets/__init__.py", "DISCRIMINATORS"),
        ("io/__init__.py", "SOURCES"),
    ],
)
def test_registries_are_literal_dicts(module, name):
    tree = ast.parse((PACKAGE / module).read_text(encoding="utf-8"))
    values = [
        node.value
        for node in tree.body
        if isinstance(node, ast.AnnAssign | ast.Assign) and _assigned_name(node) == name
    ]
    assert [type(value) for value in values] == [ast.Dict]
    assert all(isinstance(key, ast.Constant) for key in values[0].keys)


@pytest.mark.parametrize(
    "words",
    [
        ["--help"],
        ["--version"],
        ["train", "--help"],
        ["make-pairs", "edges", "--help"],
        ["recipes", "--help"],
    ],
    ids=" ".join,
)
def test_help_imports_nothing_heavy(words):
    program = (
        "import json, sys\n"
        "from p2pcli.cli import main\n"
        f"code = main({words!r})\n"
        "heavy = {'torch', 'cv2', 'av', 'pyarrow', 'numpy', 'kornia', 'PIL', 'safetensors'}\n"
        "sys.stderr.write(json.dumps([code, sorted(heavy & set(sys.modules))]))\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60)
    assert json.loads(done.stderr) == [0, []]


@pytest.mark.parametrize("words", [["--help"], ["train", "--help"], ["make-pairs", "--help"]], ids=" ".join)
def test_help_imports_neither_rich_nor_pydantic_nor_another_verb(words):
    program = (
        "import json, sys\n"
        "from p2pcli.cli import main\n"
        f"main({words!r})\n"
        "tops = {name.split('.')[0] for name in sys.modules} & {'rich', 'pydantic'}\n"
        "verbs = {f'p2pcli.cli.{name}' for name in ('make_pairs', 'train', 'translate')} & set(sys.modules)\n"
        "sys.stderr.write(json.dumps([sorted(tops), sorted(verbs)]))\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60)
    called = [f"p2pcli.cli.{words[0].replace('-', '_')}"] if len(words) > 1 else []
    assert json.loads(done.stderr) == [[], called]


def test_importing_the_package_imports_nothing_heavy():
    program = "import sys, p2pcli; print(sorted({'torch', 'cv2', 'av', 'numpy'} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60)
    assert done.stdout == "[]\n"


def test_every_verb_has_its_own_tests():
    from p2pcli.cli.verbs import VERBS

    verbs = {name.replace("-", "_") for name in VERBS}
    tested = {path.stem.removeprefix("test_cli_") for path in (Path(__file__).parent / "cli").glob("*.py")}
    assert sorted(verbs - tested) == []


def test_every_command_of_the_program_opens_its_help_with_an_example():
    without = [path for path, command in _commands() if not (command.help or "").startswith("\b\np2p ")]
    assert without == []


def test_no_help_page_shows_a_type_of_python():
    import typer

    pages = [command.get_help(typer.Context(command, info_name=path)) for path, command in _commands()]
    assert [page for page in pages if re.search(r"<(list\b|\w+ range>)", page)] == []


def test_one_option_name_means_one_thing_everywhere():
    meanings: dict[str, set[str]] = {}
    for _, command in _commands():
        for parameter in command.params:
            for name in parameter.opts:
                if len(name) == 2:
                    meanings.setdefault(name, set()).add(parameter.opts[0])
    assert {name: longs for name, longs in meanings.items() if len(longs) > 1} == {}


def _commands() -> Iterator[tuple[str, object]]:
    from typer.main import get_command

    from p2pcli.cli import app
    from p2pcli.cli.verbs import VERBS, command_of

    root = get_command(app)
    waiting = [("p2p", root), *((f"p2p {verb}", command_of(verb)) for verb in VERBS)]
    while waiting:
        path, command = waiting.pop()
        yield path, command
        if command is not root:
            children = getattr(command, "commands", {})
            waiting += [(f"{path} {name}", child) for name, child in children.items()]


def _unit(path: Path) -> str:
    """The package or module directly below p2pcli that `path` belongs to."""
    parts = path.relative_to(PACKAGE).parts
    return parts[0] if len(parts) > 1 else path.stem


def _imports(tree: ast.AST) -> list[str]:
    """Every module imported anywhere in the file, also inside functions; not for type checking alone."""
    names = []
    for node in _walk_what_runs(tree):
        if isinstance(node, ast.Import):
            names += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module:
            assert node.level == 0, f"relative import in line {node.lineno}"
            names += [f"{node.module}.{alias.name}" for alias in node.names]
    return names


def _walk_what_runs(tree: ast.AST) -> Iterator[ast.AST]:
    yield tree
    if isinstance(tree, ast.If) and ast.unparse(tree.test) == "TYPE_CHECKING":
        return
    for child in ast.iter_child_nodes(tree):
        yield from _walk_what_runs(child)


def _imports_of_ours(path: Path) -> list[str]:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    ours = [name for name in _imports(tree) if name.split(".")[0] == "p2pcli"]
    return [name for name in ours if name not in ("p2pcli", "p2pcli.__version__")]


def _assigned_name(node: ast.Assign | ast.AnnAssign) -> str:
    target = node.target if isinstance(node, ast.AnnAssign) else node.targets[0]
    return target.id if isinstance(target, ast.Name) else ""


def _public_definitions(tree: ast.Module) -> Iterator[tuple[str, ast.FunctionDef | ast.ClassDef]]:
    for node in tree.body:
        if isinstance(node, ast.FunctionDef | ast.ClassDef) and not node.name.startswith("_"):
            yield node.name, node
            if isinstance(node, ast.ClassDef):
                for inner in node.body:
                    if isinstance(inner, ast.FunctionDef) and not inner.name.startswith("_"):
                        yield f"{node.name}.{inner.name}", inner


def test_the_rule_against_imports_that_go_up_catches_one(tmp_path):
    file = tmp_path / "a.py"
    file.write_text("def f():\n    from p2pcli.jobs import train\n")
    assert _imports_of_ours(file) == ["p2pcli.jobs.train"]
