"""What several units have in common is the same in all, until it is one package."""

from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]
API, ROUTER = ROOT / "api", ROOT / "packages" / "shadow_router"
TASKS = ROOT / "packages" / "tasks"


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [
        ("src/iris_api/http1.py", "src/shadow_router/http1.py"),
        ("src/iris_api/cork.py", "src/shadow_router/cork.py"),
        ("tests/http_cases.py", "tests/http_cases.py"),
    ],
)
def test_file_is_the_same_to_the_letter_when_both_servers_have_it(ours, theirs):
    assert (API / ours).read_bytes() == (ROUTER / theirs).read_bytes()


def test_commands_of_all_units_end_in_the_same_way():
    model = ROOT / "packages" / "iris_model" / "src" / "iris_model"
    folders = [API / "src" / "iris_api", ROUTER / "src" / "shadow_router", TASKS]
    expected = (model / "exit_codes.py").read_bytes()
    for folder in folders:
        assert (folder / "exit_codes.py").read_bytes() == expected, folder
