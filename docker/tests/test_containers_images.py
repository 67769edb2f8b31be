"""What an image is made of, what it says of itself, and whether it stays the same."""

import json
import re
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest

from tasks.system.engine_client import docker, inspect
from tasks.system.image_sbom import check_sbom, make_sbom
from tasks.system.images import CannotBuild, build, images, layers, main, prepare

MB = 1e6
# Run by the Python of an image; prints what should not be in it.
SEARCH = """
import os, stat
names = {"sh", "bash", "dash", "busybox", "apt", "apt-get", "dpkg", "pip", "pip3",
         "perl", "gcc", "cc", "ld", "as", "make", "curl", "wget", "su", "mount"}
for folder, folders, files in os.walk("/"):
    if folder == "/":
        folders[:] = set(folders) - {"proc", "sys"}
    for name in files + folders:
        path = os.path.join(folder, name)
        mode = os.lstat(path).st_mode
        if stat.S_ISREG(mode) and mode & (stat.S_ISUID | stat.S_ISGID):
            print("setuid", path)
        if name in names and mode & 0o111 and not stat.S_ISDIR(mode):
            print("program", path)
        if folder.endswith("-packages") or folder == "/app":
            if name in ("pip", "setuptools", "ensurepip"):
                print("package", path)
        if stat.S_ISREG(mode) and mode & 0o002:
            print("writable", path)
"""


def found_in(image: str) -> set[str]:
    """Return the kinds of things in an image that should not be there."""
    code = ["--entrypoint", "python3", "--user", "0", image, "-c", SEARCH]
    return {line.split()[0] for line in docker("run", "--rm", *code).splitlines()}


@pytest.mark.parametrize("name", ["live", "shadow", "router"])
def test_image_has_no_shell_no_pip_and_no_setuid_file_when_searched(
    built: dict[str, str], name: str
) -> None:
    assert found_in(built[name]) == set()


def test_search_finds_what_the_base_has_when_it_is_searched(base: str) -> None:
    assert found_in(base) >= {"setuid", "program"}


@pytest.mark.parametrize("name", ["live", "router"])
def test_layers_are_the_same_when_an_image_is_built_twice(
    built: dict[str, str], base: str, context: Path, name: str
) -> None:
    again = dict(zip(("live", "shadow", "router"), images(context), strict=True))
    nameless = replace(again[name], tags=[])
    twin = build(context, nameless, base, is_fresh=True)
    assert layers(twin) == layers(built[name])


def test_roles_differ_in_one_layer_when_their_models_do(built: dict[str, str]) -> None:
    live, shadow = layers(built["live"]), layers(built["shadow"])
    differing = [a != b for a, b in zip(live, shadow, strict=True)]
    # System, dependencies, code with model, the folder of data, and its place.
    assert differing == [False, False, True, False, False]


def test_image_is_small_when_built(built: dict[str, str]) -> None:
    # With the Python that a base would bring.
    assert int(inspect(built["live"], "{{.Size}}")) < 200 * MB
    assert int(inspect(built["router"], "{{.Size}}")) < 160 * MB


def test_labels_and_tag_say_what_the_service_says_when_asked(
    built: dict[str, str],
) -> None:
    labels = json.loads(inspect(built["live"], "{{json .Config.Labels}}"))
    code = "import iris_api, iris_model; print(iris_api.__version__)"
    code += "; print(iris_model.load().manifest.model_version)"
    said = docker("run", "--rm", "--entrypoint", "python3", built["live"], "-c", code)
    api, model = said.splitlines()
    assert labels["iris.api.version"] == api
    assert labels["iris.model.version"] == model
    assert labels["org.opencontainers.image.version"] == f"{api}-model-{model}"
    assert re.fullmatch(
        "[0-9a-f]{40}(-dirty)?", labels["org.opencontainers.image.revision"]
    )
    pinned = Path("api/requirements/live.txt").read_text()
    assert f"iris_model=={model} --hash=sha256:{labels['iris.model.wheel']}" in pinned
    tags = json.loads(inspect(built["live"], "{{json .RepoTags}}"))
    assert f"iris-api:{api}-model-{model}" in tags


def test_build_fails_when_a_wheel_is_not_the_one_that_was_locked(
    base: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    prepare(tmp_path, is_published=False)
    pinned = tmp_path / "requirements/live.txt"
    pinned.write_text(re.sub(r"sha256:\w{4}", "sha256:0000", pinned.read_text()))
    live, *_ = images(tmp_path)
    with pytest.raises(CannotBuild):
        build(tmp_path, live, base)
    assert "DO NOT MATCH THE HASHES" in capfd.readouterr().err


def test_published_is_refused_when_a_unit_is_not_in_the_index(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tasks.system.images.INDEX", tmp_path / "empty")
    with pytest.raises(CannotBuild, match="does not pin iris_api to a wheel of"):
        main(["--published"])


@pytest.mark.parametrize("name", ["live", "router"])
def test_sbom_lists_all_that_is_installed_when_made(
    built: dict[str, str], name: str
) -> None:
    document = make_sbom(built[name])
    check_sbom(document)
    named = {part["name"]: part for part in json.loads(document)["components"]}
    ours, theirs = ("iris_api", "numpy"), ("shadow_router", "SQLAlchemy")
    for package in ours if name == "live" else theirs:
        assert named[package]["purl"].startswith("pkg:pypi/")
    assert named["libc6"]["purl"].startswith("pkg:deb/debian/libc6@")
    code = "import importlib.metadata as m; print(len(list(m.distributions())))"
    count = docker("run", "--rm", "--entrypoint", "python3", built[name], "-c", code)
    pypi = [part for part in named.values() if part["purl"].startswith("pkg:pypi/")]
    assert len(pypi) == int(count)


def test_both_dockerfiles_have_one_base_by_digest() -> None:
    bases = {
        line
        for name in ("api", "shadow_router")
        for line in Path(f"docker/{name}.Dockerfile").read_text().splitlines()
        if line.startswith("ARG BASE=")
    }
    (base,) = bases
    assert re.fullmatch(r"ARG BASE=\S+/python:3\.11-slim-\w+@sha256:[0-9a-f]{64}", base)


def test_sbom_is_refused_when_a_component_has_no_name(built: dict[str, str]) -> None:
    document = json.loads(make_sbom(built["live"]))
    del document["components"][0]["name"]
    with pytest.raises(ValueError, match="name"):
        check_sbom(json.dumps(document))


def test_compose_file_is_taken_when_docker_compose_reads_it() -> None:
    command = ["docker-compose", "--file", "docker/compose.yaml", "config", "--quiet"]
    done = subprocess.run(command, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")


def test_health_check_needs_no_shell_when_the_engine_runs_it(
    built: dict[str, str],
) -> None:
    for name in ("live", "router"):
        check = json.loads(inspect(built[name], "{{json .Config.Healthcheck.Test}}"))
        assert check[:2] == ["CMD", "python3"]
