"""The package as others see it: names, types, version, what is in it."""

from __future__ import annotations

import inspect
import re
import tomllib
from pathlib import Path

import pytest

import p2pcli
from p2pcli.errors import UsageError

ROOT = Path(__file__).parents[1]


def project() -> dict[str, object]:
    """The pyproject.toml's values."""
    return tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))


def test_the_public_names_are_these():
    assert sorted(p2pcli.__all__) == [
        "Translator", "__version__", "cluster", "export_weights", "import_weights", "load_model",
        "make_pairs", "train", "translate",
    ]  # fmt: skip


@pytest.mark.parametrize("name", p2pcli.__all__)
def test_every_public_name_is_there_and_documented(name):
    value = getattr(p2pcli, name)
    assert name == "__version__" or inspect.getdoc(value)


def test_dir_shows_the_public_names():
    assert set(p2pcli.__all__) <= set(dir(p2pcli))


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: p2pcli.make_pairs("edges", 5), "sources: expected a path or several"),
        (lambda: p2pcli.make_pairs("edges", ["a.png", 5]), "sources: expected a path, as a string or"),
        (lambda: p2pcli.make_pairs("edges", ""), "sources: an empty string"),
        (lambda: p2pcli.make_pairs("edges", ".", "x", options="xdog"), "options: expected a dict"),
        (lambda: p2pcli.make_pairs("edges", ".", ""), "output: an empty string"),
        (lambda: p2pcli.make_pairs("edges", ".", "x", preview=3), "preview: expected a path"),
        (lambda: p2pcli.make_pairs(5, "."), "maker: expected a name"),
        (lambda: p2pcli.train(5), "data: expected a path"),
        (lambda: p2pcli.train("x", recipe=5), "recipe: expected a path"),
        (lambda: p2pcli.train("x", overrides={"train.steps": 5}), "overrides: expected a list"),
        (lambda: p2pcli.train(5, output="x"), "data: expected a path"),
        (lambda: p2pcli.train("", output="x"), "data: an empty string"),
        (lambda: p2pcli.train("x", overrides="train.steps=5"), "overrides: expected a list"),
        (lambda: p2pcli.train("x", init=5), "init: expected a path or several"),
        (lambda: p2pcli.load_model(5), "model: expected a path"),
        (lambda: p2pcli.load_model(""), "model: an empty string"),
        (lambda: p2pcli.translate(".", model={}), "model: expected a path"),
        (lambda: p2pcli.export_weights(5, "x.pth"), "model: expected a path"),
        (lambda: p2pcli.import_weights(5, "x"), "weights: expected a path or several"),
        (lambda: p2pcli.cluster(5, model="x"), "data: expected a path"),
    ],
)
def test_a_wrong_type_is_one_clear_error(call, message, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UsageError, match=re.escape(message)):
        call()


def test_an_unknown_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="module 'p2pcli' has no attribute 'tranlsate'"):
        p2pcli.tranlsate  # noqa: B018


def test_the_version_is_the_one_of_the_project():
    assert p2pcli.__version__ == project()["project"]["version"]


def test_uvx_and_pipx_find_a_script_of_the_packages_name():
    values = project()["project"]
    assert values["scripts"]["p2p"] == values["scripts"][values["name"]]


def test_an_index_can_lead_to_the_project():
    urls = project()["project"]["urls"]
    assert set(urls) == {"Homepage", "Documentation", "Changelog", "Issues"}
    assert all(url.startswith(urls["Homepage"]) for url in urls.values())


def test_no_dependency_has_a_ceiling_that_is_not_explained():
    ceilings = [need for need in project()["project"]["dependencies"] if "<" in need]
    assert ceilings == ["opencv-python-headless>=4.14,<6"]


def test_every_extra_is_told_of_in_a_page():
    pages = "".join(
        path.read_text(encoding="utf-8") for path in [*ROOT.glob("docs/*.md"), ROOT / "README.md"]
    )
    extras = project()["project"]["optional-dependencies"]
    assert [name for name in extras if f"[{name}]" not in pages and f"`{name}`" not in pages] == []


def test_the_sdist_holds_all_that_these_tests_read():
    folders = {"/.ci", "/benchmarks", "/docs", "/p2pcli", "/recipes", "/tests"}
    build = project()["tool"]["hatch"]["build"]["targets"]["sdist"]
    assert folders <= set(build["include"])
    assert [name for name in build["include"] if not (ROOT / name[1:]).exists()] == []


def test_the_package_says_that_it_is_typed():
    assert (ROOT / "p2pcli" / "py.typed").is_file()


@pytest.mark.parametrize("verb", ["make_pairs", "train", "translate"])
def test_a_verb_of_the_api_takes_all_but_its_subject_by_name(verb):
    parameters = list(inspect.signature(getattr(p2pcli, verb)).parameters.values())
    positional = [one.name for one in parameters if one.kind is inspect.Parameter.POSITIONAL_OR_KEYWORD]
    assert positional in (["maker", "sources", "output"], ["data"], ["sources"])
    assert {"observe", "stop", "dry_run", "overwrite", "limit", "seed"} <= {one.name for one in parameters}
