import json
import subprocess
import sys
from pathlib import Path

import pytest

from iris_model.artefact import TRAINED

ROWS = [
    {
        "sepal_length_cm": 5.1,
        "sepal_width_cm": 3.5,
        "petal_length_cm": 1.4,
        "petal_width_cm": 0.2,
    }
]


def run(*arguments: str, stdin: str = "") -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "iris_model", *arguments],
        input=stdin,
        capture_output=True,
        text=True,
        timeout=120,
    )


def test_predict_prints_one_json_line_a_row_when_asked(tmp_path: Path) -> None:
    done = run("predict", stdin=json.dumps(ROWS * 2))
    assert (done.returncode, done.stderr) == (0, "")
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    assert [line["label"] for line in lines] == ["setosa", "setosa"]
    path = tmp_path / "rows.json"
    path.write_text(json.dumps(ROWS))
    assert run("predict", str(path)).stdout.splitlines() == done.stdout.splitlines()[:1]


@pytest.mark.slow(after=1)
@pytest.mark.parametrize(
    ("stdin", "says"),
    [
        ("", "not JSON"),
        ("[" * 100_000, "not JSON"),
        ("{}", "not a JSON list"),
        ("[{}]", "row 0, sepal_length_cm: is missing"),
        ('[{"a": 1, "a": 2}]', "occurs twice"),
        ("[NaN]", "row 0"),
    ],
)
def test_predict_says_why_in_one_line_when_rows_are_bad(stdin: str, says: str) -> None:
    done = run("predict", stdin=stdin)
    assert (done.returncode, done.stdout) == (78, "")
    assert done.stderr.startswith("iris-model: ")
    assert says in done.stderr
    assert done.stderr.count("\n") == 1


def test_predict_says_why_when_the_file_is_missing() -> None:
    done = run("predict", "none.json")
    assert done.returncode == 78
    assert "No such file" in done.stderr


@pytest.mark.slow
def test_train_prints_scores_and_digests_and_writes_when_it_ends(
    tmp_path: Path,
) -> None:
    report = tmp_path / "report.html"
    done = run("train", "--output", str(tmp_path / "out"), "--report", str(report))
    assert done.returncode == 0
    for needed in ("accuracy", "macro-F1", "log-loss", "F1 of virginica", "parity"):
        assert needed in done.stdout
    manifest = json.loads((tmp_path / "out" / "manifest.json").read_text())
    for face in manifest["faces"].values():
        assert face["sha256"] in done.stdout
    assert report.exists()
    assert "\x1b" not in done.stdout + done.stderr


@pytest.mark.slow
def test_train_says_file_line_and_key_when_the_config_is_bad(tmp_path: Path) -> None:
    bad = tmp_path / "bad.yml"
    bad.write_text("seed: x\n")
    done = run("train", "--config", str(bad), "--output", str(tmp_path / "out"))
    assert done.returncode == 78
    assert f"iris-model: {bad}, line 1, seed" in done.stderr
    assert "Traceback" not in done.stderr


def test_usage_is_shown_when_the_command_is_unknown() -> None:
    done = run("fly")
    assert done.returncode == 64
    assert "Traceback" not in done.stderr


def test_card_prints_the_card_of_the_wheel_when_asked() -> None:
    done = run("card")
    assert done.returncode == 0
    assert done.stdout == (TRAINED / "MODEL_CARD.md").read_text()


@pytest.mark.slow
def test_train_says_why_when_the_model_is_numbered_too_low(
    tmp_path: Path, workspace: Path
) -> None:
    # A table that answers to another unit is another contract.
    path = workspace / "config.yml"
    path.write_text(path.read_text().replace("unit: cm", "unit: mm"))
    output = tmp_path / "out"
    shelf = str(Path(__file__).parents[2] / "index" / "iris_model")
    done = run(
        "train", "--config", str(path), "--output", str(output), "--published", shelf
    )
    assert done.returncode == 1
    assert "must be 2.0.0 or higher" in done.stderr
    assert not output.exists()
