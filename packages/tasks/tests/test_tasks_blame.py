"""``tox run -e blame``: which pipeline step of two published versions differs first."""

import hashlib
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from running import after_preparing

from shadow_router.compare.comparisons import comparison_of
from shadow_router.rules.rules import DEFAULT
from shadow_router.store import Batch, Store
from shadow_router.values import Comparison, Exchange, Observation
from tasks.measure import blame
from tasks.system.addresses import free_port
from tasks.system.environments import CannotStart

ROOT = Path(__file__).parents[3]
ROW = {
    "sepal_length_cm": 6.1,
    "sepal_width_cm": 2.9,
    "petal_length_cm": 4.9,
    "petal_width_cm": 1.7,
}


def step(name: str, **columns: list[float]) -> dict[str, Any]:
    return {"name": name, "columns": columns}


def run(directory: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "tasks.measure.blame", *arguments],
        cwd=ROOT,
        env=os.environ | {"SHADOW_ROUTER_DATA_DIR": str(directory)},
        capture_output=True,
        text=True,
    )


def keep(directory: Path, *rows: dict[str, float]) -> None:
    """Have the router's own store keep inputs that flip."""
    store = Store(directory)
    for row in rows:
        body = json.dumps({"inputs": [row]}).encode()
        store.write(Batch([compare(body, "versicolor", "virginica")]))
    store.close()


def compare(body: bytes, live: str, shadow: str) -> Comparison:
    def answer(label: str) -> bytes:
        shares = {name: float(name == label) for name in (live, shadow)}
        row = {"label": label, "probabilities": shares}
        return json.dumps({"predictions": [row]}).encode()

    kind = "application/json"
    exchange = Exchange(
        *("id", 1, "POST", b"/v1/predict", (), body, 200, {"content-type": kind}),
        *(1.0, answer(live)),
    )
    other = Observation(200, kind, "", answer(shadow), 1.0)
    return comparison_of("r", exchange, other, DEFAULT)


def test_first_step_is_blamed_when_a_later_one_differs_too() -> None:
    live = [
        step("cap", x=[1.0, 2.0]),
        step("scale", x=[0.1, 0.2]),
        step("ask", a=[0.5]),
    ]
    shadow = [
        step("cap", x=[1.0, 2.0]),
        step("scale", x=[0.1, 0.3]),
        step("ask", a=[1]),
    ]
    found = blame.compare_steps(live, shadow)
    assert found["first"] == "scale"
    assert found["steps"] == [
        {"name": "cap", "differs": False, "said": "the same"},
        {
            "name": "scale",
            "differs": True,
            "said": "up to 0.1 apart, in x; on 1 of 2 inputs",
        },
        {
            "name": "ask",
            "differs": True,
            "said": "up to 0.5 apart, in a; on 1 of 1 inputs",
        },
    ]


def test_step_of_one_version_alone_is_blamed() -> None:
    live, shadow = [step("scale", x=[1.0])], [
        step("cap", x=[1.0]),
        step("scale", y=[1]),
    ]
    found = blame.compare_steps(live, shadow)
    assert found["first"] == "cap"
    assert found["steps"] == [
        {"name": "cap", "differs": True, "said": "only the shadow has this step"},
        {"name": "scale", "differs": True, "said": "columns: x is missing, y is extra"},
    ]


@pytest.mark.slow
def test_published_versions_are_told_apart_in_their_own_environments(
    tmp_path: Path,
) -> None:
    keep(tmp_path, ROW, ROW | {"petal_width_cm": 1.4})
    done = run(tmp_path, "--live", "1.0.0", "--shadow", "1.1.0")
    assert done.returncode == 0, done.stderr
    assert after_preparing(done.stdout).startswith(
        "iris_model 1.0.0 and 1.1.0 on 2 flips: the first"
    )
    found = json.loads((tmp_path / "blame.json").read_text())
    assert found["inputs"] == 2 and found["first"] == "cap"
    assert {s["name"]: s["differs"] for s in found["steps"]}["classify"] is True
    same = run(tmp_path, "--live", "1.0.0", "--shadow", "1.0.0")
    assert "no step differs" in same.stdout


@pytest.mark.slow
def test_blame_says_what_is_missing(tmp_path: Path) -> None:
    done = run(tmp_path)
    assert done.returncode == 78
    assert done.stderr.splitlines()[-1].startswith("cannot blame: ")
    assert "--data" in done.stderr and "Traceback" not in done.stderr
    keep(tmp_path)
    assert "nobody to blame" in run(tmp_path).stderr


@pytest.mark.slow
def test_blame_asks_the_shared_store_when_there_is_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    keep(tmp_path, ROW)
    # Nobody listens there: what lies in the directory must not be taken instead.
    url = f"postgresql+psycopg://nobody@127.0.0.1:{free_port()}/run"
    monkeypatch.setenv("SHADOW_ROUTER_STORE_URL", url)
    done = run(tmp_path)
    assert done.returncode == 78
    assert "shadow-router: postgresql at 127.0.0.1/run: " in done.stderr
    assert done.stderr.splitlines()[-1].startswith("cannot blame: ")


@pytest.mark.parametrize("version", ["1.0.0", "1.2.1"])
def test_version_is_installed_by_its_hash(version: str) -> None:
    wheel = blame.INDEX / f"iris_model-{version}-py3-none-any.whl"
    digest = hashlib.sha256(wheel.read_bytes()).hexdigest()
    line = f"iris_model[train]=={version} --hash=sha256:{digest}\n"
    assert blame.requirement(version) == line


@pytest.mark.parametrize("version", ["9.9.9", "", "1.0", "../1.0.0"])
def test_version_is_refused_when_nobody_knows_its_hash(version: str) -> None:
    with pytest.raises(CannotStart, match="is neither pinned nor in"):
        blame.requirement(version)
