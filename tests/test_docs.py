"""What the README and the pages promise: every command parses, every file exists, both set-ups are there."""

from __future__ import annotations

import ast
import re
import shlex
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from typer.main import get_command

from p2pcli.cli import app
from p2pcli.cli.verbs import VERBS, command_of

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
README = (ROOT / "README.md").read_text(encoding="utf-8")


def blocks(text: str, language: str) -> list[str]:
    """The fenced blocks of a language."""
    fences = re.findall(r"^```(\w*)\n(.*?)^```", text, flags=re.DOTALL | re.MULTILINE)
    return [body for name, body in fences if re.fullmatch(language, name)]


def commands_of(text: str) -> list[str]:
    """Every `p2p …` command in the shell blocks of a page, and in its inline code where it has a value."""
    lines = [line for block in blocks(text, "(?:bash|sh|console)") for line in block.splitlines()]
    joined = "\n".join(lines).replace("\\\n", " ")
    parts = re.split(r"&&|\||;|\n|\$\(|\)", joined)
    found = [part.split(" #")[0].strip().strip('"') for part in parts]
    return [part.removeprefix("$ ") for part in found if part.removeprefix("$ ").startswith("p2p ")]


COMMANDS = [
    (page.name, command) for page in PAGES for command in commands_of(page.read_text(encoding="utf-8"))
]


@pytest.mark.parametrize(("page", "command"), COMMANDS, ids=[f"{page}:{text}" for page, text in COMMANDS])
def test_every_command_of_a_page_parses(page, command):
    words = shlex.split(command)[1:]
    parsed, context = get_command(app), None
    if words and words[0] in VERBS:
        parsed, words = command_of(words[0]), words[1:]
    if words and words[0] in getattr(parsed, "commands", {}):
        parsed, words = parsed.commands[words[0]], words[1:]
    context = parsed.make_context("p2p", words, resilient_parsing=False)
    assert context.command is parsed


@pytest.mark.parametrize("verb", VERBS)
def test_the_readme_has_an_example_of_every_verb(verb):
    inline = re.findall(r"`(p2p [^`]+)`", README)
    assert any(command.split()[1] == verb for command in [*commands_of(README), *inline])


def test_the_readme_has_exactly_two_set_up_blocks_on_its_first_screen():
    set_ups = [block for block in blocks(README, "bash") if "pip install" in block]
    assert [block.count("\n") for block in set_ups] == [1, 1]
    assert set_ups[0].strip().endswith("p2p quickstart")
    assert set_ups[1].strip().endswith("pytest")
    assert README.index(set_ups[1]) < len("\n".join(README.splitlines()[:25]))


@pytest.mark.parametrize("word", ["quickstart", "pytest"])
def test_the_checks_run_the_readmes_own_command(word):
    done = subprocess.run(
        [sys.executable, ".ci/readme_command.py", word], cwd=ROOT, capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 0
    assert done.stdout in README


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_linked_file_exists(page):
    links = re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", page.read_text(encoding="utf-8"))
    assert [link for link in links if not (page.parent / link).exists()] == []


def test_the_readmes_links_are_absolute_and_lead_to_files_that_exist():
    # An index of packages shows the README where there is no docs/ beside it.
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    home = f"{project['urls']['Homepage']}/blob/main/"
    inline = re.findall(r"\]\(([^)]+)\)", README)
    defined = dict(re.findall(r"^\[([^\]]+)\]: (\S+)$", README, flags=re.MULTILINE))
    targets = [*inline, *defined.values()]
    assert len(targets) > 10
    assert [target for target in targets if not target.startswith("https://")] == []
    ours = [target.removeprefix(home).partition("#")[0] for target in targets if target.startswith(home)]
    assert [name for name in ours if not (ROOT / name).is_file()] == []
    used = set(re.findall(r"\[([^\]\[]+)\](?![\]:(])", re.sub(r"```.*?```", "", README, flags=re.DOTALL)))
    assert used >= defined.keys()


def test_the_readme_says_how_torch_comes_without_gpus():
    assert "pip install torch --index-url https://download.pytorch.org/whl/cpu" in README
    assert "uv pip install --torch-backend=cpu p2pcli" in README


def test_the_tree_in_the_readme_names_what_there_is():
    tree = next(block for block in blocks(README, "") if "p2pcli/\n" in block)
    folders = re.findall(r"^(  )?(\w+)/", tree, flags=re.MULTILINE)
    named = {("p2pcli/" if indent else "") + name for indent, name in folders}
    real = {
        f"p2pcli/{path.name}"
        for path in (ROOT / "p2pcli").iterdir()
        if path.is_dir() and path.name not in ("__pycache__", "quickstart_data", "recipes")
    }
    assert real <= named
    assert [name for name in named if not (ROOT / name).is_dir()] == []


def test_the_python_of_the_readme_calls_what_there_is():
    import inspect

    import p2pcli

    [source] = blocks(README, "python")
    # Unguarded, it would be refused as soon as make_pairs starts processes.
    assert all(isinstance(node, ast.ImportFrom | ast.If) for node in ast.parse(source).body)
    calls = [node for node in ast.walk(ast.parse(source)) if isinstance(node, ast.Call)]
    for call in calls:
        if isinstance(call.func, ast.Name) and call.func.id in p2pcli.__all__:
            signature = inspect.signature(getattr(p2pcli, call.func.id))
            signature.bind(*call.args, **{word.arg: word.value for word in call.keywords})


def test_the_options_table_names_options_that_exist():
    page = (ROOT / "docs" / "cli.md").read_text(encoding="utf-8")
    table = page.split("## The same names everywhere")[1].split("##")[0]
    rows = re.findall(r"^\| `(.+?)` \|.*\| (.+?) \|$", table, flags=re.MULTILINE)
    assert len(rows) > 10
    verbs = {verb: command_of(verb) for verb in VERBS}
    for names, listed in rows:
        long = re.findall(r"--[a-z-]+", names)[0]
        for verb in re.findall("|".join(verbs), listed.split("but")[0]):
            command = verbs[verb].commands["edges"] if verb == "make-pairs" else verbs[verb]
            assert long in {name for param in command.params for name in param.opts}, (verb, long)


def test_the_page_of_the_command_line_names_every_verb_and_maker():
    page = (ROOT / "docs" / "cli.md").read_text(encoding="utf-8")
    verbs = {verb: command_of(verb) for verb in VERBS}
    named = set(re.findall(r"^p2p ([a-z-]+)", blocks(page, "")[0], flags=re.MULTILINE))
    makers = re.search(r"^p2p make-pairs (\S+) ", page, flags=re.MULTILINE)[1].split("|")
    assert (named, makers) == (set(verbs), list(verbs["make-pairs"].commands))
