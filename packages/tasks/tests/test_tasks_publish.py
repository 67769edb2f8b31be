import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import publish
import pytest

ROOT = Path(__file__).parents[3]
PUBLISHED = ROOT / "packages/index/iris_model/iris_model-1.0.0-py3-none-any.whl"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Return a package folder whose CHANGELOG begins with 1.0.0."""
    folder = tmp_path / "iris_model"
    folder.mkdir()
    (folder / "CHANGELOG.md").write_text("# Changelog\n\n## [1.0.0] - 2026-11-23\n")
    return folder


@pytest.fixture
def wheel(tmp_path: Path) -> Path:
    """Return a copy of a real wheel, with the receipt of its tests."""
    wheel = tmp_path / PUBLISHED.name
    shutil.copy(PUBLISHED, wheel)
    publish.receipt(wheel).write_text(publish.digest(wheel))
    return wheel


def rewrite(wheel: Path, change: dict[str, bytes | None]) -> None:
    """Change or drop members of a wheel, and give it a receipt."""
    with zipfile.ZipFile(wheel) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    with zipfile.ZipFile(wheel, "w") as archive:
        for name, content in {**members, **change}.items():
            if content is not None:
                archive.writestr(name, content)
    publish.receipt(wheel).write_text(publish.digest(wheel))


def test_place_copies_the_bytes_when_the_wheel_was_tested(
    wheel: Path, folder: Path, tmp_path: Path
) -> None:
    placed = publish.place(wheel, folder, tmp_path / "index")
    assert placed == tmp_path / "index/iris_model/iris_model-1.0.0-py3-none-any.whl"
    assert placed.read_bytes() == PUBLISHED.read_bytes()
    assert [path.name for path in placed.parent.iterdir()] == [placed.name]


def test_place_refuses_when_the_version_is_there(
    wheel: Path, folder: Path, tmp_path: Path
) -> None:
    placed = publish.place(wheel, folder, tmp_path / "index")
    with pytest.raises(publish.Refused, match="1.0.0 is published and never changes"):
        publish.place(wheel, folder, tmp_path / "index")
    assert placed.read_bytes() == PUBLISHED.read_bytes()


def test_place_refuses_when_the_wheel_was_not_tested(
    wheel: Path, folder: Path, tmp_path: Path
) -> None:
    publish.receipt(wheel).unlink()
    with pytest.raises(publish.Refused, match="was not tested"):
        publish.place(wheel, folder, tmp_path / "index")
    assert not (tmp_path / "index").exists()


def test_place_refuses_when_a_byte_changed_after_the_tests(
    wheel: Path, folder: Path, tmp_path: Path
) -> None:
    content = bytearray(wheel.read_bytes())
    content[1000] ^= 1
    wheel.write_bytes(content)
    with pytest.raises(publish.Refused, match="not the wheel that was tested"):
        publish.place(wheel, folder, tmp_path / "index")
    assert not (tmp_path / "index").exists()


@pytest.mark.parametrize(
    ("changelog", "found"), [("## [1.0.1] - 2026-11-23\n", "1.0.1"), ("", "nothing")]
)
def test_place_refuses_when_the_changelog_disagrees(
    wheel: Path, folder: Path, tmp_path: Path, changelog: str, found: str
) -> None:
    (folder / "CHANGELOG.md").write_text(changelog)
    with pytest.raises(publish.Refused, match=f"begins with {found}"):
        publish.place(wheel, folder, tmp_path / "index")


def test_place_refuses_when_the_wheel_holds_no_artefact(
    wheel: Path, folder: Path, tmp_path: Path
) -> None:
    rewrite(wheel, {"iris_model/trained/manifest.json": None})
    with pytest.raises(publish.Refused, match="no trained artefact"):
        publish.place(wheel, folder, tmp_path / "index")


def test_place_refuses_when_the_artefact_is_of_another_version(
    wheel: Path, folder: Path, tmp_path: Path
) -> None:
    rewrite(wheel, {"iris_model/trained/manifest.json": b'{"model_version": "0.9.0"}'})
    with pytest.raises(publish.Refused, match="artefact of version 0.9.0"):
        publish.place(wheel, folder, tmp_path / "index")


def test_test_gives_no_receipt_when_the_tests_do_not_pass(wheel: Path) -> None:
    publish.receipt(wheel).unlink()
    wheel.write_bytes(b"not a wheel")
    with pytest.raises(publish.Refused, match="nothing was published"):
        publish.test(wheel, "model")
    assert not publish.receipt(wheel).exists()


@pytest.mark.parametrize(
    ("package", "says"),
    [
        ("iris_model", "iris_model 1.0.0 is published and never changes"),
        ("lily_model", "'lily_model' is not a published package: iris_model"),
    ],
)
def test_publish_says_why_in_one_line_when_it_refuses(
    tmp_path: Path, package: str, says: str
) -> None:
    # In a tree of its own: in this one it might have something to publish.
    shelf = tmp_path / "packages/index/iris_model"
    shelf.mkdir(parents=True)
    shutil.copy(PUBLISHED, shelf)
    source = tmp_path / "packages/iris_model/src/iris_model"
    source.mkdir(parents=True)
    (source / "__init__.py").write_text('__version__ = "1.0.0"\n')
    done = subprocess.run(
        [sys.executable, str(ROOT / "packages/tasks/publish.py"), package],
        cwd=tmp_path,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 1
    assert done.stderr.startswith("publish: ")
    assert says in done.stderr
    assert done.stderr.count("\n") == 1
    assert [wheel.name for wheel in shelf.iterdir()] == [PUBLISHED.name]


@pytest.mark.parametrize("role", ["live", "shadow"])
def test_pin_names_a_published_wheel_by_its_hash(role: str) -> None:
    locked = (ROOT / f"api/requirements/{role}.txt").read_text().splitlines()
    wheels = (ROOT / "packages/index/iris_model").glob("*.whl")
    assert locked[0] == "-r base.txt"
    assert locked[1] in [publish.pin(wheel) for wheel in wheels]
    assert len(locked) == 2
