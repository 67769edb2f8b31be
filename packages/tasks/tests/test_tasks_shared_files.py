"""What several units have in common is the same in all, until it is one package."""

from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]
API, ROUTER = ROOT / "api", ROOT / "packages" / "shadow_router"
TASKS = ROOT / "packages/tasks/src/tasks"


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [
        (
            "src/iris_api/access/permissions.py",
            "src/shadow_router/files/permissions.py",
        ),
        ("src/iris_api/environment.py", "src/shadow_router/environment.py"),
        ("src/iris_api/hosts.py", "src/shadow_router/hosts.py"),
        ("src/iris_api/http/cork.py", "src/shadow_router/http/cork.py"),
        ("src/iris_api/http/descriptors.py", "src/shadow_router/http/descriptors.py"),
        ("src/iris_api/http/holder.py", "src/shadow_router/http/holder.py"),
        ("src/iris_api/http/http1.py", "src/shadow_router/http/http1.py"),
        ("tests/http_cases.py", "tests/http_cases.py"),
    ],
)
def test_file_is_the_same_to_the_letter_when_both_servers_have_it(ours, theirs):
    assert (API / ours).read_bytes() == (ROUTER / theirs).read_bytes()


def test_commands_of_all_units_end_in_the_same_way():
    units = [API / "src" / "iris_api", ROUTER / "src" / "shadow_router"]
    model = ROOT / "packages" / "iris_model" / "src" / "iris_model"
    expected = (model / "exit_codes.py").read_bytes()
    for folder in (*units, TASKS):
        assert (folder / "exit_codes.py").read_bytes() == expected, folder
    for folder in units:
        systems = (folder / "systems.py").read_bytes()
        assert systems == (model / "systems.py").read_bytes(), folder
