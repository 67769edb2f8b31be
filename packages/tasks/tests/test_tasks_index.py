"""The embedded index holds good wheels with their SBOMs, and nothing besides."""

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from hostile import GOOD, NAME, adding
from release_tree import ROOT

from tasks.checks.index_check import check_index
from tasks.refusal import Refused

MODEL = "iris_model"
BUILD_TAGGED = "iris_model-1.2.1-999-py3-none-any.whl"
SBOM = "iris_model-1.3.0-py3-none-any.cdx.json"


@pytest.fixture
def index(tmp_path: Path) -> Path:
    """Return a copy of the index."""
    return Path(shutil.copytree(ROOT / "packages/index", tmp_path / "index"))


def test_index_is_good(index: Path) -> None:
    check_index(index)


def test_index_is_good_when_a_publisher_was_killed(index: Path) -> None:
    (index / MODEL / ".x.whl.draft").touch()
    (index / MODEL / "iris_model-9.9.9-py3-none-any.cdx.json").touch()
    check_index(index)


@pytest.mark.parametrize(
    ("spoil", "says"),
    [
        (lambda i: shutil.copy(GOOD, i / MODEL / BUILD_TAGGED), "its tag is 999-py3"),
        (lambda i: (i / MODEL / NAME).write_bytes(adding("x.pth")), "would run at"),
        (lambda i: shutil.copy(GOOD, i / "iris_api"), "the folder of another unit"),
        (lambda i: shutil.copy(GOOD, i), "has no place in the index"),
        (lambda i: (i / "numpy").mkdir(), "has no place in the index"),
        (lambda i: (i / MODEL / "deep").mkdir(), "neither a wheel nor the SBOM"),
        (lambda i: (i / MODEL / "x.tar.gz").touch(), "neither a wheel nor the SBOM"),
        (lambda i: (i / MODEL / "x.whl").symlink_to(GOOD), "has no place in the"),
        (
            lambda i: (i / MODEL).symlink_to((i / MODEL).rename(i.parent / "m")),
            "has no place in the",
        ),
        (lambda i: (i / MODEL / SBOM).write_text("{}"), "is not as publish writes it"),
        (
            lambda i: shutil.copy(
                i / MODEL / SBOM, i / MODEL / f"{GOOD.stem}.cdx.json"
            ),
            "is the SBOM of other bytes",
        ),
    ],
)
def test_index_is_refused_when_something_else_lies_there(
    index: Path, spoil: Callable[[Path], object], says: str
) -> None:
    spoil(index)
    with pytest.raises(Refused, match=says):
        check_index(index)
