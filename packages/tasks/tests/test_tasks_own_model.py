"""What docs/your-own-model.md says, done with 13 measurements of wine."""

import csv
import hashlib
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from sklearn.datasets import load_wine

from shadow_router.watch.drift import drift_between
from shadow_router.watch.exposition import parse_sample
from tasks.release.building import build
from tasks.release.sbom import write_sbom
from tasks.system.addresses import free_port
from tasks.wheels.bundle import Bundle
from tasks.wheels.shelf import Shelf
from tasks.wheels.units import find_unit
from tasks.wheels.verifier import check_wheel

# Two models are trained, published and served for it.
pytestmark = pytest.mark.slow
ROOT = Path(__file__).parents[3]
SOURCE = "packages/iris_model/src/iris_model"
COPIED = (
    "api",
    "docker/prometheus",
    "packages/iris_model",
    "packages/shadow_router",
    "packages/tasks",
)

CONFIG = """\
card:
  purpose: Name the cultivar of a wine from its chemical analysis.
  limits: 178 wines of three cultivars of one region.

table:
  file: wine.csv
  sha256: {sha256}
  target: cultivar

features:
{features}

{steps}

classifier:
  name: {classifier}

seed: 7

cross_validation:
  folds: 5
  repeats: 2

quality:
  minimum_accuracy: 0.9
  minimum_macro_f1: 0.9
  maximum_log_loss: 0.3
"""
SCALED = """\
steps:
  - name: scale
    transformer: StandardScaler
  - name: ratio
    transformer: RelativeFeatures
    options:
      variables:
        - flavanoids
      reference:
        - total_phenols
      func:
        - div
      fill_value: 0
"""


def ignored(folder: str, names: list[str]) -> list[str]:
    return [n for n in names if n in {"trained", "__pycache__", "report.html"}]


def write_table(tree: Path) -> list[str]:
    """Replace the flowers by the wines; return the names of the measurements."""
    wine = load_wine(as_frame=True)
    names = [re.sub(r"[^a-z0-9]+", "_", name) for name in wine.data.columns]
    frame = wine.data.set_axis(names, axis=1)
    frame["cultivar"] = wine.target.map({0: "barolo", 1: "grignolino", 2: "barbera"})
    datasets = tree / SOURCE / "datasets"
    (datasets / "iris.csv").unlink()
    frame.to_csv(datasets / "wine.csv", index=False)
    return names


def release(tree: Path, version: str, steps: str, classifier: str) -> str:
    """Configure, build and publish one version; return its pin."""
    datasets = tree / SOURCE / "datasets"
    content = (datasets / "wine.csv").read_bytes()
    names = content.splitlines()[0].decode().split(",")[:-1]
    features = "\n".join(f"  - name: {name}\n    unit: g" for name in names)
    config = CONFIG.format(
        sha256=hashlib.sha256(content).hexdigest(),
        features=features,
        steps=steps,
        classifier=classifier,
    )
    (tree / SOURCE / "config.yml").write_text(config)
    init = tree / SOURCE / "__init__.py"
    text = re.sub(r'__version__ = ".+"', f'__version__ = "{version}"', init.read_text())
    init.write_text(text)
    folder = tree / "packages/iris_model"
    (folder / "CHANGELOG.md").write_text(f"## [{version}] - 2026-11-23\n")
    built = tree / "built"
    wheel = build(replace(find_unit("iris_model"), folder=folder), built)
    check_wheel(wheel.name, wheel.read_bytes())
    # Its own tests are the owner's to write.
    bundle = Bundle(wheel, write_sbom(wheel, folder / "requirements.txt"))
    Shelf(tree / "packages/index").add("iris_model", bundle)
    pinned = bundle.pin
    shutil.rmtree(built)
    return pinned


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a copy of the repository with two published versions for wine."""
    tree = tmp_path_factory.mktemp("own") / "repository"
    for name in COPIED:
        shutil.copytree(ROOT / name, tree / name, ignore=ignored)
    write_table(tree)
    requirements = tree / "api/requirements"
    for role, version, steps, classifier in (
        ("live", "2.0.0", "steps:", "LinearDiscriminantAnalysis"),
        ("shadow", "2.1.0", SCALED, "LogisticRegression"),
    ):
        pinned = release(tree, version, steps.strip(), classifier)
        (requirements / f"{role}.txt").write_text(f"-r base.txt\n{pinned}\n")
    return tree


@pytest.fixture(scope="module")
def ports(tree: Path) -> Iterator[tuple[int, int]]:
    """Run the system of that tree under traffic; yield its two ports."""
    public, private, live, shadow, prometheus = (free_port() for _ in range(5))
    environment = {
        **os.environ,
        "UV_FIND_LINKS": str(tree / "packages/index/iris_model"),
        "SHADOW_ROUTER_PUBLIC_PORT": str(public),
        "SHADOW_ROUTER_PRIVATE_PORT": str(private),
        "SHADOW_ROUTER_LIVE_URL": f"http://127.0.0.1:{live}",
        "SHADOW_ROUTER_SHADOW_URL": f"http://127.0.0.1:{shadow}",
        "PROMETHEUS_PORT": str(prometheus),
    }
    output = tree / "output.txt"
    with output.open("w") as file:
        process = subprocess.Popen(
            [sys.executable, "-m", "tasks.system.services", "up", "--traffic", "300"],
            cwd=tree,
            env=environment,
            stdout=file,
            stderr=subprocess.STDOUT,
        )
    try:
        deadline = time.monotonic() + 120
        while "requests a second" not in output.read_text():
            assert process.poll() is None, output.read_text()
            assert time.monotonic() < deadline, output.read_text()
            time.sleep(0.1)
        assert "traffic: 300 of 300 answered 200" in output.read_text()
        yield public, private
    finally:
        process.send_signal(signal.SIGINT)
        assert process.wait(timeout=40) == 0, output.read_text()


def read(port: int, path: str) -> bytes:
    url = f"http://127.0.0.1:{port}{path}"
    with urllib.request.urlopen(url, timeout=5) as answer:
        return answer.read()


def get(port: int, path: str) -> dict:
    return json.loads(read(port, path))


def test_api_speaks_of_the_other_table_when_it_is_another(
    ports: tuple[int, int],
) -> None:
    model = get(ports[0], "/v1/model")
    assert model["version"] == "2.0.0"
    assert model["classes"] == ["barbera", "barolo", "grignolino"]
    assert len(model["features"]) == 13
    schema = json.dumps(get(ports[0], "/openapi.json"))
    assert "flavanoids" in schema
    assert "petal" not in schema
    page = get(ports[0], "/page/data.json")
    assert len(page["rows"]) == 178
    assert {"barbera", "barolo", "grignolino"} == {
        example["label"] for example in page["examples"]
    }


def test_router_compares_the_two_versions_when_the_labels_are_others(
    ports: tuple[int, int],
) -> None:
    deadline = time.monotonic() + 30
    report = get(ports[1], "/report.json")
    while report["open"] and time.monotonic() < deadline:
        time.sleep(0.1)
        report = get(ports[1], "/report.json")
    assert report["received"] == 300 + report["fates"]["skipped_method"]
    assert report["compared"] == 300
    assert {entry["live"] for entry in report["confusion"]} == {
        "barbera",
        "barolo",
        "grignolino",
    }
    assert report["versions"] == {"live": ["2.0.0"], "shadow": ["2.1.0"]}


def test_drift_is_none_when_the_table_is_sent_unchanged(
    tree: Path, ports: tuple[int, int]
) -> None:
    # Magnesium and proline are whole numbers, and lie on the edges of their bins.
    with (tree / SOURCE / "datasets/wine.csv").open(newline="") as file:
        lines = list(csv.DictReader(file))
    rows = [{k: float(v) for k, v in x.items() if k != "cultivar"} for x in lines]
    samples = [parse_sample(read(ports[0], "/metrics"), 0.0)]
    body = json.dumps({"inputs": rows}).encode()
    for _ in range(7):
        url = f"http://127.0.0.1:{ports[0]}/v1/predict"
        headers = {"Content-Type": "application/json"}
        with urllib.request.urlopen(urllib.request.Request(url, body, headers)):
            pass
    samples.append(parse_sample(read(ports[0], "/metrics"), 1.0))
    drift = drift_between(samples)
    found = {
        one.reference.name: (one.rows, one.psi, one.js, one.ks)
        for one in drift.comparisons
        if one.reference.kind == "feature"
    }
    assert found == dict.fromkeys(rows[0], (7 * 178, 0.0, 0.0, 0.0))


def test_document_names_the_files_that_this_test_changes() -> None:
    document = (ROOT / "docs/your-own-model.md").read_text()
    for changed in (
        f"{SOURCE}/datasets/",
        f"{SOURCE}/config.yml",
        f"{SOURCE}/__init__.py",
        "packages/iris_model/CHANGELOG.md",
        "api/requirements/",
    ):
        assert f"`{changed}`" in document
