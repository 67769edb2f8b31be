"""``tox run -e replay``: the documented exit codes, on real versions of the API."""

import gzip
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from running import after_preparing

from tasks.measure.mutant import exchange
from tasks.measure.replay import DAMAGED, RECORDED, write_damaged

ROOT = Path(__file__).parents[3]
README = (ROOT / "packages/shadow_router/README.md").read_text()
CODES = {"PASS": 0, "FAIL": 1, "INCONCLUSIVE": 2, "INVALID": 3}


def replay(*arguments: str) -> subprocess.CompletedProcess[str]:
    environment = {k: v for k, v in os.environ.items() if "SHADOW_ROUTER" not in k}
    return subprocess.run(
        [sys.executable, "-m", "tasks.measure.replay", *arguments],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        timeout=900,
    )


@pytest.mark.slow
@pytest.mark.parametrize("verdict", ["pass", "fail", "inconclusive", "invalid"])
def test_show_ends_with_the_code_of_its_verdict(verdict: str) -> None:
    done = replay("--show", verdict)
    assert after_preparing(done.stdout).startswith(f"{verdict.upper()}: "), (
        done.stdout + done.stderr
    )
    assert done.returncode == CODES[verdict.upper()]
    row = rf"^\| `tox run -e replay -- --show {verdict}` \| .* \| (\d) \|$"
    assert int(re.search(row, README, re.M)[1]) == done.returncode


@pytest.mark.slow
def test_pins_get_the_verdict_that_the_readme_tells(tmp_path: Path) -> None:
    report = tmp_path / "report.html"
    done = replay("--report", str(report))
    code, state = re.search(r"Today it ends with (\d), ([A-Z]+)", README).groups()
    assert after_preparing(done.stdout).startswith(f"{state}: "), (
        done.stdout + done.stderr
    )
    assert done.returncode == int(code) == CODES[state]
    assert state in report.read_text()


def test_wheel_that_is_not_there_is_one_clear_line() -> None:
    done = replay("--live", "http://127.0.0.1:1", "--shadow", "dist/none.whl")
    assert done.returncode == 78
    assert done.stderr == "cannot start: dist/none.whl is not there\n"


def test_recording_is_small_and_whole() -> None:
    assert RECORDED.stat().st_size < 200_000
    with gzip.open(RECORDED, "rt") as file:
        header, *lines = map(json.loads, file)
    assert header["recording"] == 1 and header["redacted"] == []
    assert header["requests"] == len(lines) == 2000
    assert {line["live"]["status"] for line in lines} == {200}
    # Nothing of a client but what it asked, and of no machine anything at all.
    names = {name for line in lines for name, _ in line["headers"]}
    assert names <= {"accept", "content-type", "x-request-id"}


def test_damaged_recording_has_lost_twice_what_a_verdict_allows(tmp_path: Path) -> None:
    path = tmp_path / "damaged.jsonl.gz"
    write_damaged(path)
    broken = 0
    with gzip.open(path, "rt") as file:
        for line in file:
            try:
                json.loads(line)
            except ValueError:
                broken += 1
    assert broken == 2000 / DAMAGED == 40


def test_mutant_exchanges_label_and_probabilities_of_two_classes() -> None:
    table = {"a": 0.7, "b": 0.2, "c": 0.1}
    prediction = {"label": "a", "probabilities": table}
    exchange(prediction)
    assert prediction == {
        "label": "b",
        "probabilities": {"a": 0.2, "b": 0.7, "c": 0.1},
    }
    prediction = {"label": "c", "probabilities": {"a": 0.1, "b": 0.2, "c": 0.7}}
    exchange(prediction)
    assert prediction["label"] == "c"
