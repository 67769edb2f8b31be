"""A wheel says what its pyproject.toml says: a built one passes, a changed one not."""

from collections.abc import Callable
from pathlib import Path

import pytest
from release_tree import ROOT

from tasks.refusal import Refused
from tasks.release.building import build
from tasks.wheels.declared import check_declared
from tasks.wheels.units import find_unit, source_version
from tasks.wheels.verifier import Contents, check_wheel

# A wheel is built for them.
pytestmark = pytest.mark.slow
UNIT = find_unit("shadow_router")
Change = Callable[[str], str]


@pytest.fixture(autouse=True)
def root(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Contents:
    """Return the router's wheel, built from this tree."""
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(ROOT)
        built: Path = build(UNIT, tmp_path_factory.mktemp("built"))
    return check_wheel(built.name, built.read_bytes())


def changed(wheel: Contents, file: str, change: Change) -> Contents:
    """Return a wheel with one of its own files changed."""
    path = f"{wheel.dist_info}/{file}"
    text = change(wheel.members[path].decode())
    assert text != wheel.members[path].decode()
    members = {**wheel.members, path: text.encode()}
    return Contents(wheel.name, wheel.version, members)


def test_built_wheel_is_what_is_declared(wheel: Contents) -> None:
    check_declared(UNIT, wheel)
    assert wheel.version == str(source_version(UNIT))


@pytest.mark.parametrize("unit", ["iris_api", "iris_model"])
def test_wheel_of_another_unit_is_refused(unit: str, wheel: Contents) -> None:
    with pytest.raises(Refused, match=f"^shadow_router .* is not {unit}"):
        check_declared(find_unit(unit), wheel)


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ("httptools<1,>=0.6.4", "httptools<1,>=0.6.3", "on Requires-Dist: httptools"),
        ("Requires-Dist: orjson<4,>=3.11\n", "", "on Requires-Dist: orjson<4,>=3.11"),
        ("\nRequires-Dist: orj", "\nRequires-Dist: x\nRequires-Dist: orj", ": x"),
        ("; extra == 'postgresql'", "", "on Requires-Dist: psycopg"),
        ("Provides-Extra: postgresql\n", "", "on Provides-Extra: postgresql"),
        ("Summary: ", "Summary: Not ", "on Summary: "),
        (">=3.11\n", ">=3.8\n", "on Requires-Python: >=3.11"),
        ("Classifier: Typing :: Typed\n", "", "on Classifier: Typing"),
        ("\nSummary", "\nLicense-Expression: MIT\nSummary", "License-Expression: MIT"),
        ("text/markdown", "text/html", "on Description-Content-Type"),
        ("# ", "# Not ", "another text than README.md"),
    ],
)
def test_metadata_is_refused_when_it_is_not_what_is_declared(
    old: str, new: str, says: str, wheel: Contents
) -> None:
    bad = changed(wheel, "METADATA", lambda text: text.replace(old, new, 1))
    with pytest.raises(Refused) as caught:
        check_declared(UNIT, bad)
    assert says in str(caught.value)


@pytest.mark.parametrize(
    "change",
    [
        lambda text: text.replace("cli:main", "writer:main"),
        lambda text: text + "pip = shadow_router.cli:main\n",
        lambda text: text + "\n",
        lambda text: "",
    ],
)
def test_commands_are_refused_when_they_are_not_those_declared(
    change: Change, wheel: Contents
) -> None:
    with pytest.raises(Refused, match="is not what pyproject.toml declares"):
        check_declared(UNIT, changed(wheel, "entry_points.txt", change))


def test_commands_are_refused_when_they_are_missing(wheel: Contents) -> None:
    kept = {k: v for k, v in wheel.members.items() if "entry_points" not in k}
    with pytest.raises(Refused, match="entry_points.txt is missing"):
        check_declared(UNIT, Contents(wheel.name, wheel.version, kept))
