"""What ``tox run -e publish`` refuses, and what is where when it does not."""

import contextlib
import re
import shutil
import subprocess
from functools import partial
from pathlib import Path

import pytest
from registries import KNOWN, bad_registry, real_registry
from release_tree import (
    WHEELS,
    commit,
    copy_tree,
    git,
    index_of,
    refusal,
    task,
    tell,
)

from tasks.refusal import Refused
from tasks.release import publish
from tasks.release.registry import Registry
from tasks.wheels.bundle import digest, write_bundle

# Each of them has a repository of its own, and most start a process in it.
pytestmark = pytest.mark.slow

UNIT = "shadow_router"
CHANGELOG = "packages/shadow_router/CHANGELOG.md"
VERSION = "7.0.0"
WHEEL = "shadow_router-7.0.0-py3-none-any.whl"


def refused(tree: Path, *arguments: str) -> str:
    """Publish in a tree and return why that was refused."""
    with contextlib.chdir(tree), pytest.raises(Refused) as caught:
        publish.main(list(arguments), [])
    return str(caught.value)


@pytest.fixture(autouse=True)
def token(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in KNOWN.items():
        monkeypatch.setenv(name, value)


@pytest.fixture(scope="module")
def released(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Return a repository with a tagged release of the router, and its bundle."""
    folder = tmp_path_factory.mktemp("publish")
    tree = copy_tree(folder / "tree")
    tell(tree, CHANGELOG, "### Removed\n\n- Everything.\n")
    commit(tree, "Change")
    assert task(tree, "release", UNIT, VERSION).returncode == 0
    commit(tree, "Release")
    git(tree, "tag", f"{UNIT}-v{VERSION}")
    bundle = folder / "bundle"
    done = task(tree, "publish", UNIT, "--build-only", str(bundle))
    assert done.returncode == 0, done.stdout + done.stderr
    return tree, bundle


@pytest.fixture
def tree(released: tuple[Path, Path], tmp_path: Path) -> Path:
    """Return a copy of that repository."""
    return shutil.copytree(released[0], tmp_path / "tree")


@pytest.fixture
def bundle(released: tuple[Path, Path], tmp_path: Path) -> Path:
    """Return a copy of that bundle."""
    return shutil.copytree(released[1], tmp_path / "bundle")


def test_build_only_publishes_nothing_and_leaves_three_files(
    released: tuple[Path, Path],
) -> None:
    tree, bundle = released
    names = ["SHA256SUMS", "shadow_router-7.0.0-py3-none-any.cdx.json", WHEEL]
    assert sorted(path.name for path in bundle.iterdir()) == names
    assert git(tree, "status", "--porcelain") == ""
    check = subprocess.run(["sha256sum", "--check", "--quiet", names[0]], cwd=bundle)
    assert check.returncode == 0


def test_from_places_exactly_those_bytes_when_all_agrees(
    tree: Path, bundle: Path
) -> None:
    done = task(tree, "publish", f"{UNIT}-v{VERSION}", "--from", str(bundle))
    assert done.returncode == 0, done.stderr
    placed = tree / "packages/index/shadow_router" / WHEEL
    assert placed.read_bytes() == (bundle / WHEEL).read_bytes()
    assert sorted(path.suffix for path in placed.parent.iterdir()) == [".json", ".whl"]
    pin = f"shadow_router==7.0.0 --hash=sha256:{digest(placed)}"
    assert done.stdout.splitlines() == [
        f"published packages/index/shadow_router/{WHEEL}",
        f"to pin it: {pin}",
    ]


def test_from_uploads_exactly_those_bytes_when_a_registry_is_named(
    tree: Path, bundle: Path, tmp_path: Path
) -> None:
    arguments = ["publish", UNIT, "--from", str(bundle), "--to"]
    with real_registry(tmp_path / "registry") as url:
        done = task(tree, *arguments, url)
        assert done.returncode == 0, done.stderr
        again = refusal(task(tree, *arguments, url))
    arrived = tmp_path / "registry/packages" / WHEEL
    assert arrived.read_bytes() == (bundle / WHEEL).read_bytes()
    assert f"shadow_router 7.0.0 is published in {url} and never changes" in again


@pytest.mark.parametrize("behaviour", ["200", "400", "403", "409", "500", "dies"])
def test_publish_claims_nothing_when_the_upload_fails(
    tree: Path,
    bundle: Path,
    behaviour: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    # For the one that says 200 and keeps nothing.
    monkeypatch.setattr(publish, "Registry", partial(Registry, patience_s=0.5))
    before = index_of(tree)
    with bad_registry(behaviour) as url:
        said = refused(tree, UNIT, "--from", str(bundle), "--to", url)
    assert WHEEL in said
    assert "published" not in capsys.readouterr().out
    assert index_of(tree) == before


def test_publish_places_nothing_when_the_registry_is_empty_text(
    tree: Path, bundle: Path
) -> None:
    before = index_of(tree)
    said = refused(tree, UNIT, "--from", str(bundle), "--to", "")
    assert said == "that is not the URL of a registry, such as https://…"
    assert index_of(tree) == before


def test_publish_exits_with_1_and_one_line_when_the_upload_fails(
    tree: Path, bundle: Path
) -> None:
    with bad_registry("403") as url:
        done = task(tree, "publish", UNIT, "--from", str(bundle), "--to", url)
    assert "did not take" in refusal(done)
    assert done.stderr.count("\n") == 1
    assert done.stdout == ""


def test_publish_refuses_when_a_tag_of_this_commit_disagrees(
    tree: Path, bundle: Path
) -> None:
    git(tree, "tag", f"{UNIT}-v7.0.1")
    said = refused(tree, UNIT, "--from", str(bundle))
    assert said.endswith("tag shadow_router-v7.0.1 disagrees with the source: 7.0.0")


def test_publish_refuses_when_the_tag_that_is_released_disagrees(
    tree: Path, bundle: Path
) -> None:
    what = f"{UNIT}-v7.0.1"
    said = refused(tree, what, "--from", str(bundle))
    assert said.endswith("tag shadow_router-v7.0.1 disagrees with the source: 7.0.0")


def test_publish_refuses_when_the_tag_is_of_another_commit(
    tree: Path, bundle: Path
) -> None:
    commit(tree, "Go on")
    said = refused(tree, UNIT, "--from", str(bundle))
    assert "tag shadow_router-v7.0.0 is of another commit: check it out" in said


def test_publish_refuses_when_the_tree_is_not_committed(
    tree: Path, bundle: Path
) -> None:
    (tree / "README.md").write_text("changed\n")
    said = refused(tree, UNIT, "--from", str(bundle))
    assert "not committed: README.md" in said


def test_publish_refuses_when_the_version_is_in_the_index(
    tree: Path, bundle: Path
) -> None:
    arguments = [UNIT, "--from", str(bundle)]
    assert task(tree, "publish", *arguments).returncode == 0
    before = index_of(tree)
    said = refused(tree, *arguments)
    assert "7.0.0 is published in packages/index and never changes" in said
    assert index_of(tree) == before


def test_publish_refuses_when_the_index_has_other_bytes_of_the_version(
    tree: Path, bundle: Path
) -> None:
    shelf = tree / "packages/index/shadow_router"
    shelf.mkdir()
    (shelf / WHEEL).write_bytes(b"other")
    with bad_registry("200") as url:
        said = refused(tree, UNIT, "--from", str(bundle), "--to", url)
    assert said.endswith("has other bytes: a version is published once")


@pytest.mark.parametrize(
    ("heading", "says"),
    [
        ("## [Unreleased]\n\n", "begins with Unreleased, not with 7.0.0"),
        ("## [7.1.0]\n\n", "begins with 7.1.0, not with 7.0.0"),
    ],
)
def test_publish_refuses_when_the_changelog_disagrees(
    tree: Path, bundle: Path, heading: str, says: str
) -> None:
    path = tree / CHANGELOG
    path.write_text(path.read_text().replace("## ", f"{heading}## ", 1))
    commit(tree, "Say more")
    git(tree, "tag", "--force", f"{UNIT}-v{VERSION}")
    assert says in refused(tree, UNIT, "--from", str(bundle))


def test_publish_refuses_when_the_version_is_too_low_for_its_changes(
    tree: Path,
) -> None:
    path = tree / CHANGELOG
    before = r"(?<=^## \[)(?!7\.0\.0)[\d.]+(?=\])"
    path.write_text(re.sub(before, "6.4.0", path.read_text(), count=1, flags=re.M))
    init = tree / "packages/shadow_router/src/shadow_router/__init__.py"
    init.write_text(init.read_text().replace("7.0.0", "6.5.0"))
    path.write_text(path.read_text().replace("[7.0.0]", "[6.5.0]"))
    commit(tree, "Claim less")
    said = refused(tree, UNIT)
    assert said.endswith("tells of a major change, which needs at least 7.0.0")


@pytest.mark.parametrize("spoilt", [WHEEL, WHEEL.replace(".whl", ".cdx.json")])
def test_publish_refuses_when_a_file_changed_after_the_tests(
    tree: Path, bundle: Path, spoilt: str
) -> None:
    content = bytearray((bundle / spoilt).read_bytes())
    content[1000] ^= 1
    (bundle / spoilt).write_bytes(content)
    before = index_of(tree)
    said = refused(tree, UNIT, "--from", str(bundle))
    assert f"{spoilt} is not the file that was tested: its bytes differ" in said
    assert index_of(tree) == before


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda b: (b / "SHA256SUMS").unlink(), "holds no bundle (No such file"),
        (lambda b: (b / WHEEL).unlink(), "holds no bundle (No such file"),
        (lambda b: (b / "x.whl").write_text("x"), "holds other files than one tested"),
        (lambda b: (b / "SHA256SUMS").write_text(""), "holds other files than one"),
    ],
)
def test_publish_refuses_when_the_folder_holds_no_bundle(
    tree: Path, bundle: Path, change: object, says: str
) -> None:
    change(bundle)
    assert says in refused(tree, UNIT, "--from", str(bundle))


def test_publish_refuses_when_the_bundle_is_of_another_unit(
    tree: Path, tmp_path: Path
) -> None:
    wheel = Path(shutil.copy(WHEELS[0], tmp_path))
    sbom = tmp_path / "sbom.cdx.json"
    sbom.write_text("{}")
    write_bundle(wheel, sbom, digest(wheel))
    (tmp_path / "other").mkdir()
    for file in (wheel, sbom, tmp_path / "SHA256SUMS"):
        file.rename(tmp_path / "other" / file.name)
    said = refused(tree, UNIT, "--from", str(tmp_path / "other"))
    assert said.endswith("iris_model 1.0.0 is not shadow_router 7.0.0")


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["lily_model"], "'lily_model' is not a released unit: iris_model, shadow"),
        ([UNIT, "--to", "nowhere"], "that is not the URL of a registry"),
        ([UNIT, "--to", "http:///x"], "is not the URL of a registry"),
        ([UNIT, "--build-only", "docs"], "docs is there and not empty"),
    ],
)
def test_publish_says_why_in_one_line_when_it_is_asked_for_nonsense(
    tree: Path, arguments: list[str], says: str
) -> None:
    done = task(tree, "publish", *arguments)
    assert says in refusal(done)
    assert done.stderr.count("\n") == 1
