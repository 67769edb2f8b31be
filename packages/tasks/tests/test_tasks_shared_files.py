"""What two servers have in common is the same in both, until it is one package."""

from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]
API, ROUTER = ROOT / "api", ROOT / "packages" / "shadow_router"


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
