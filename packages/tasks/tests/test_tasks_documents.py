"""What the documents promise, held against the repository."""

import configparser
import re
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
TOX = configparser.ConfigParser(interpolation=None)
TOX.read(ROOT / "tox.ini")
CHECKS = [name.strip() for name in TOX["tox"]["env_list"].split(",")]
ENVIRONMENTS = {
    name.removeprefix("testenv:")
    for name in TOX.sections()
    if name.startswith("testenv:") and not name.startswith("testenv:.")
}
TRACKED = subprocess.run(
    ["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True
).stdout.splitlines()
DOCUMENTS = [name for name in TRACKED if name.endswith(".md")]


def test_documents_are_found() -> None:
    assert "README.md" in DOCUMENTS
    assert {"lint", "types", "model", "api", "router", "up", "train"} <= ENVIRONMENTS


@pytest.mark.parametrize("name", DOCUMENTS)
def test_document_names_only_tox_envs_that_exist(name: str) -> None:
    named = re.findall(r"tox run -e ([a-z_]+)", (ROOT / name).read_text())
    assert set(named) <= ENVIRONMENTS


@pytest.mark.parametrize("name", DOCUMENTS)
def test_document_links_only_to_what_is_there(name: str) -> None:
    text = (ROOT / name).read_text()
    for target in re.findall(r"\]\(([^)#]+)[^)]*\)", text):
        if not target.startswith("http"):
            assert ((ROOT / name).parent / target).exists(), target


@pytest.mark.parametrize("name", ["README.md", "CONTRIBUTING.md"])
def test_document_names_only_paths_that_are_there(name: str) -> None:
    for path in re.findall(r"`((?:[\w.-]+/)+[\w.-]*)`", (ROOT / name).read_text()):
        assert (ROOT / path).exists(), path


@pytest.mark.parametrize("env", sorted(ENVIRONMENTS))
def test_tox_env_has_one_line_of_description(env: str) -> None:
    assert 10 < len(TOX[f"testenv:{env}"]["description"]) < 90


@pytest.mark.parametrize("env", sorted(ENVIRONMENTS))
def test_tox_env_has_the_tasks_that_it_runs(env: str) -> None:
    section = TOX[f"testenv:{env}"]
    modules = re.findall(r"python -m (tasks\.[\w.]+)", section["commands"])
    for module in modules:
        path = ROOT / "packages/tasks/src" / module.replace(".", "/")
        assert path.with_suffix(".py").exists(), module
    is_packaged = (section.get("package"), section.get("package_env")) == (
        "editable",
        ".pkg-tasks",
    )
    is_asked_for = "-e packages/tasks" in section.get("deps", "")
    assert not modules or is_packaged or is_asked_for


def test_only_the_model_names_a_measurement_or_a_species() -> None:
    domain = re.compile(r"sepal|petal|setosa|versicolor|virginica", re.I)
    reusable = (
        "api/src/",
        "packages/shadow_router/src/",
        "packages/tasks/src/",
        "docker/",
    )
    for name in TRACKED:
        if name.startswith(reusable) and "/tests/" not in name:
            assert not domain.search((ROOT / name).read_text()), name
