"""From a run of two published versions to another live, and back, in a copy."""

import json
import re
import shutil
import subprocess
from pathlib import Path

import pytest
from test_tasks_services import ROOT, Running, get, health, wait_until

# Limits that a few seconds of traffic can meet; what the real ones ask is tested with
# the router. The two versions answer the same to the last bit.
RULES = """\
profile: retrain
client_share: 1
thresholds:
  contract: 0.05
  errors: 0.05
  flips: 0.05
  confident_flips: 0.05
  distance: 0.05
  class_mix: 0.05
  latency: 50
"""
PARTS = ("api", "docker/prometheus", "packages/index", "packages/shadow_router")
PARTS += ("packages/tasks",)


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """Return a copy of the repository with 1.2.0 live and 1.2.1 as its shadow."""
    root = tmp_path / "repository"
    ignored = shutil.ignore_patterns("build", "__pycache__", ".tox", ".*_cache")
    for part in PARTS:
        shutil.copytree(ROOT / part, root / part, ignore=ignored)
    for role, version in (("live", "1.2.0"), ("shadow", "1.2.1")):
        (wheel,) = (root / "packages/index/iris_model").glob(f"*-{version}-*.whl")
        pin = f"iris_model=={version} --hash=sha256:{sha256(wheel)}"
        (root / f"api/requirements/{role}.txt").write_text(f"-r base.txt\n{pin}\n")
    return root


def sha256(path: Path) -> str:
    done = subprocess.run(["sha256sum", path], capture_output=True, text=True)
    return done.stdout.split()[0]


def pins(root: Path) -> dict[str, bytes]:
    return {
        path.name: path.read_bytes() for path in (root / "api/requirements").iterdir()
    }


def router(running: Running, root: Path, *arguments: str) -> str:
    """Run a command of the router in the copy and return what it printed."""
    done = subprocess.run(
        [".tox/services/router/bin/shadow-router", *arguments],
        cwd=root,
        env=running.environment,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stderr == ""
    return done.stdout


@pytest.mark.slow
def test_another_version_is_live_after_promote_and_none_after_rollback(
    copy: Path, tmp_path: Path
) -> None:
    before = pins(copy)
    rules = tmp_path / "rules.yml"
    rules.write_text(RULES)
    settings = {"SHADOW_ROUTER_RULES": str(rules)}
    up = Running(tmp_path, "up", "--traffic", "2000", root=copy, **settings)
    try:
        up.wait_for("requests a second")
        assert health(up) == "1.2.0"
        wait_until(lambda: not json.loads(get(up.private, "/report.json"))["open"])
        # Beside the running system; its books hold the digests of both artefacts.
        assert router(up, copy, "promote") == (
            "live: iris_model 1.2.1 instead of 1.2.0\n"
        )
    finally:
        assert up.stop() == 0
    assert pins(copy)["live.txt"] == pins(copy)["shadow.txt"] == before["shadow.txt"]
    assert pins(copy)["previous.txt"] == before["live.txt"]
    assert re.search(
        r"^- Serves iris_model 1\.2\.1 instead of 1\.2\.0; verdict PASS on [\d,]+ "
        r"unique inputs, \d{4}-\d\d-\d\d\.$",
        (copy / "api/CHANGELOG.md").read_text(),
        re.M,
    )
    again = Running(tmp_path, "up", root=copy)
    try:
        wait_until(lambda: health(again) == "1.2.1", timeout_s=90)
        router(again, copy, "rollback")
    finally:
        assert again.stop() == 0
    assert pins(copy) == before
    # The books began anew with the pins; the story of the pins went on.
    assert (tmp_path / "data-1/comparisons.sqlite").exists()
    lines = (tmp_path / "data/promotions.jsonl").read_text().splitlines()
    assert [json.loads(line)["event"] for line in lines] == ["promote", "rollback"]
