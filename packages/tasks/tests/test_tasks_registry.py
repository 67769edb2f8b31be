"""A registry by URL: real uploads and refusals, and servers that misbehave."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from registries import KNOWN, TOKEN, bad_registry, real_registry
from release_tree import WHEELS

from tasks.refusal import Refused
from tasks.release.registry import Registry
from tasks.system.addresses import free_port
from tasks.wheels.bundle import Bundle, digest

NEWEST = WHEELS[-1]
VERSION = (1, 2, 1)


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with real_registry(tmp_path_factory.mktemp("registry")) as url:
        yield url


@pytest.fixture(autouse=True)
def token(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in KNOWN.items():
        monkeypatch.setenv(name, value)


def bundle(wheel: Path) -> Bundle:
    return Bundle(wheel, wheel.with_suffix(".cdx.json"))


def test_upload_can_be_installed_by_pip_and_uv_by_its_hash(
    url: str, tmp_path: Path
) -> None:
    seen = Registry(url).add("iris_model", bundle(NEWEST))
    assert seen == f"{url}simple/iris_model/{NEWEST.name}"
    (tmp_path / "pin.txt").write_text(f"{bundle(NEWEST).pin}\n")
    index = url.replace("//", f"//__token__:{TOKEN}@") + "simple/"
    common = ["install", "--no-deps", "--require-hashes", "-r", "pin.txt"]
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("UV_", "PIP_"))}
    for tool in (["uv", "pip"], [sys.executable, "-m", "pip", "--isolated"]):
        target = tmp_path / tool[-1]
        command = [*tool, *common, "--target", str(target), "--index-url", index]
        subprocess.run(command, cwd=tmp_path, env=kept, check=True)
        assert (target / "iris_model/trained/model.onnx").exists()


@pytest.mark.slow
def test_upload_is_refused_when_the_version_is_there(url: str) -> None:
    Registry(url).add("iris_model", bundle(WHEELS[0]))
    # As PyPI does, it answers 400 to twine, and 409 to others.
    with pytest.raises(Refused, match=f"did not take {WHEELS[0].name}: .*400"):
        Registry(url).add("iris_model", bundle(WHEELS[0]))


def test_versions_and_bytes_are_read_back_when_there(url: str, tmp_path: Path) -> None:
    registry = Registry(url)
    registry.add("iris_model", bundle(WHEELS[1]))
    assert (1, 1, 0) in registry.versions("iris_model")
    fetched = registry.fetch("iris_model", registry.versions("iris_model")[0], tmp_path)
    assert digest(fetched) in [digest(wheel) for wheel in WHEELS]
    assert registry.versions("shadow_router") == []


def test_registry_is_refused_when_the_token_is_wrong(
    url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TWINE_PASSWORD", "wrong")
    with pytest.raises(Refused, match="did not take"):
        Registry(url).add("iris_model", bundle(WHEELS[2]))
    with pytest.raises(Refused, match="simple/ cannot be read: HTTPError"):
        Registry(url).versions("iris_model")


@pytest.mark.parametrize(
    ("behaviour", "says"),
    [
        ("400", "did not take .*400"),
        ("403", "did not take .*403"),
        ("409", "did not take .*409"),
        ("500", "did not take .*500"),
        ("dies", "did not take .*ConnectionError"),
    ],
)
@pytest.mark.slow(after=1)
def test_upload_is_refused_when_the_registry_fails(behaviour: str, says: str) -> None:
    with bad_registry(behaviour) as url:
        with pytest.raises(Refused, match=says) as caught:
            Registry(url).add("iris_model", bundle(NEWEST))
    assert "\n" not in str(caught.value)
    assert TOKEN not in str(caught.value)


@pytest.mark.slow
def test_upload_is_refused_when_the_registry_only_says_that_it_took_it() -> None:
    with bad_registry("200") as url:
        with pytest.raises(Refused, match="and does not list it"):
            Registry(url, patience_s=0.5).add("iris_model", bundle(NEWEST))


@pytest.mark.slow
def test_upload_is_refused_when_the_registry_gives_other_bytes() -> None:
    with bad_registry("200", lists=NEWEST.name) as url:
        with pytest.raises(Refused, match=f"gives other bytes for {NEWEST.name}"):
            Registry(url).add("iris_model", bundle(NEWEST))


def test_registry_is_refused_when_nobody_listens() -> None:
    url = f"http://127.0.0.1:{free_port()}/"
    with pytest.raises(Refused, match="did not take"):
        Registry(url).add("iris_model", bundle(NEWEST))
    with pytest.raises(Refused, match="cannot be read: ConnectionError"):
        Registry(url).versions("iris_model")


@pytest.mark.parametrize(
    ("url", "says"),
    [
        ("ftp://example.org/", "is not the URL of a registry"),
        ("pypi", "is not the URL of a registry"),
        ("https://[x", "is not the URL of a registry"),
        ("https://x:port/", "is not the URL of a registry"),
        ("https://me:secret@example.org/", "a URL with a password is logged"),
        ("htps://me:secret@example.org/", "a URL with a password is logged"),
        ("https://example.org/?token=secret", "a URL with a password is logged"),
    ],
)
def test_registry_is_refused_when_its_url_is_not_one(url: str, says: str) -> None:
    with pytest.raises(Refused, match=says) as caught:
        Registry(url)
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize(
    ("url", "simple"),
    [
        ("https://upload.example.org/legacy/", "https://example.org/simple/"),
        ("https://test.example.org/legacy/", "https://test.example.org/simple/"),
        ("https://example.org/pypi", "https://example.org/pypi/simple/"),
    ],
)
def test_simple_index_is_found_by_the_url_of_uploads(url: str, simple: str) -> None:
    assert Registry(url).simple == simple
