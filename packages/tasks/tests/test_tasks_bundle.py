"""Bundles and the embedded index: digests that hold, files that never change."""

import shutil
from pathlib import Path

import pytest
from bundle import Bundle, digest, read_bundle, write_bundle
from refusal import Refused
from release_tree import ROOT, WHEELS
from shelf import Shelf


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
