"""Bundles and the embedded index: digests that hold, files that never change."""

import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest
from release_tree import ROOT, WHEELS

from tasks.refusal import Refused
from tasks.wheels.bundle import Bundle, digest, read_bundle, write_bundle
from tasks.wheels.shelf import Shelf


def test_bundle_is_refused_when_the_wheel_changed_while_it_was_tested(
    tmp_path: Path,
) -> None:
    wheel = Path(shutil.copy(WHEELS[0], tmp_path))
    with pytest.raises(Refused, match="is not the wheel that was tested"):
        write_bundle(wheel, wheel, digest(WHEELS[1]))
    with pytest.raises(Refused, match="holds no bundle"):
        read_bundle(tmp_path)


def test_shelf_keeps_what_is_there_when_two_publish_at_once(tmp_path: Path) -> None:
    wheel = tmp_path / "a" / WHEELS[0].name
    wheel.parent.mkdir()
    shutil.copy(WHEELS[0], wheel)
    sbom = wheel.with_suffix(".cdx.json")
    sbom.write_text("{}")
    shelf = Shelf(tmp_path / "index")
    shelf.add("iris_model", Bundle(wheel, sbom))
    wheel.write_bytes(b"other")
    with pytest.raises(Refused, match="is published and never changes"):
        shelf.add("iris_model", Bundle(wheel, sbom))
    placed = tmp_path / "index/iris_model" / wheel.name
    assert placed.read_bytes() == WHEELS[0].read_bytes()
    assert len(list(placed.parent.iterdir())) == 2


def test_shelf_forgets_an_sbom_when_its_wheel_never_arrived(tmp_path: Path) -> None:
    sbom = tmp_path / WHEELS[0].with_suffix(".cdx.json").name
    sbom.write_text("new")
    orphan = tmp_path / "index/iris_model" / sbom.name
    orphan.parent.mkdir(parents=True)
    orphan.write_text("old")
    Shelf(tmp_path / "index").add("iris_model", Bundle(WHEELS[0], sbom))
    assert orphan.read_text() == "new"


@pytest.mark.parametrize("role", ["live", "shadow"])
def test_pin_names_a_published_wheel_by_its_hash(role: str) -> None:
    locked = (ROOT / f"api/requirements/{role}.txt").read_text().splitlines()
    assert locked[0] == "-r base.txt"
    assert locked[1] in [Bundle(wheel, wheel).pin for wheel in WHEELS]
    assert len(locked) == 2


PUBLISH = """\
import sys, time
from pathlib import Path
from tasks.wheels.bundle import Bundle
from tasks.refusal import Refused
from tasks.wheels.shelf import Shelf
root, wheel, start = Path(sys.argv[1]), Path(sys.argv[2]), float(sys.argv[3])
time.sleep(max(0, start - time.time()))
try:
    Shelf(root).add("iris_model", Bundle(wheel, wheel.with_suffix(".cdx.json")))
except Refused as refusal:
    sys.exit(str(refusal))
"""


def publishers(index: Path, wheels: list[Path]) -> list[tuple[int, str]]:
    """Start a process for each wheel, have them publish at once, say how they ended."""
    start = str(time.time() + 1.5)
    command = [sys.executable, "-c", PUBLISH, str(index)]
    running = [
        subprocess.Popen(
            [*command, str(wheel), start],
            stderr=subprocess.PIPE,
            text=True,
        )
        for wheel in wheels
    ]
    said = [process.communicate()[1] for process in running]
    return [(p.returncode, text) for p, text in zip(running, said, strict=True)]


def wheel_of(folder: Path, name: str, content: bytes) -> Path:
    """Return a wheel with its SBOM beside it, as after its tests."""
    folder.mkdir()
    (folder / name).write_bytes(content)
    (folder / name).with_suffix(".cdx.json").write_bytes(content[:100])
    return folder / name


@pytest.mark.slow
def test_one_of_two_wins_when_they_publish_a_version_at_once(tmp_path: Path) -> None:
    name = "iris_model-7.0.0-py3-none-any.whl"
    size = 30_000_000
    wheels = [wheel_of(tmp_path / sign, name, sign.encode() * size) for sign in "abcd"]
    index = tmp_path / "index"
    ended = publishers(index, wheels)
    assert sorted(code for code, _ in ended) == [0, 1, 1, 1]
    won = wheels[[code for code, _ in ended].index(0)]
    placed = index / "iris_model" / name
    assert placed.read_bytes() == won.read_bytes()
    assert placed.with_suffix(".cdx.json").read_bytes() == won.read_bytes()[:100]
    assert len(list(placed.parent.iterdir())) == 2
    refusal = f"{placed} is published and never changes: raise the version"
    assert [text for code, text in ended if code] == [
        f"{refusal} to publish again\n"
    ] * 3


@pytest.mark.slow
def test_all_win_when_they_publish_several_versions_at_once(tmp_path: Path) -> None:
    names = [f"iris_model-7.0.{patch}-py3-none-any.whl" for patch in range(4)]
    wheels = [wheel_of(tmp_path / name, name, name.encode()) for name in names]
    assert publishers(tmp_path / "index", wheels) == [(0, "")] * 4
    placed = tmp_path / "index/iris_model"
    assert sorted(path.name for path in placed.glob("*.whl")) == names
    assert len(list(placed.iterdir())) == 8


def test_shelf_removes_what_a_publisher_left_that_was_killed(tmp_path: Path) -> None:
    wheel = wheel_of(tmp_path / "a", WHEELS[0].name, WHEELS[0].read_bytes())
    folder = tmp_path / "index/iris_model"
    folder.mkdir(parents=True)
    left = folder / f".{wheel.name}.x1y2.draft"
    left.write_bytes(b"half")
    shelf = Shelf(tmp_path / "index")
    assert shelf.wheels("iris_model") == {}
    shelf.add("iris_model", Bundle(wheel, wheel.with_suffix(".cdx.json")))
    assert not left.exists() and len(list(folder.iterdir())) == 2
