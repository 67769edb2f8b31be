"""Locks, SBOMs and the audit: each is red when it is stale, invalid or blind."""

import contextlib
import json
import re
import threading
import zipfile
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from release_tree import ROOT, WHEELS, copy_tree

from tasks.checks import audit
from tasks.refusal import Refused
from tasks.release import lock, sbom
from tasks.release.lock import LOCKS, Lock
from tasks.system.addresses import free_port
from tasks.wheels.units import UNITS

VULNERABLE = {("pyyaml", "5.3"): "PYSEC-2020-96"}
Known = dict[tuple[str, str], str]


class Answer(BaseHTTPRequestHandler):
    """Answers one question of OSV's interface."""

    server: "Vulnerabilities"

    def do_POST(self) -> None:
        question = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        pin = question["package"]["name"], question["version"]
        self.server.asked.append(pin)
        known = self.server.known.get(pin)
        advisory = {"id": known, "affected": [], "summary": "Bad."}
        body = json.dumps({"vulns": [advisory]} if known else {}).encode()
        self.send_response(self.server.status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""


class Vulnerabilities(ThreadingHTTPServer):
    """A service that knows what it was told."""

    daemon_threads = True

    def __init__(self, known: Known, status: int) -> None:
        super().__init__(("127.0.0.1", 0), Answer)
        self.known, self.status = known, status
        self.asked: list[tuple[str, str]] = []


@contextlib.contextmanager
def service(known: Known, status: int = 200) -> Iterator[tuple[list[str], list[str]]]:
    """Run a service; yield the options that lead to it, and what it was asked."""
    server = Vulnerabilities(known, status)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    url = f"http://127.0.0.1:{server.server_address[1]}/v1/query"
    try:
        yield ["--osv-url", url], server.asked
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


@pytest.fixture(autouse=True)
def root(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)


@pytest.mark.slow
def test_audit_asks_for_every_locked_version_when_all_is_well(
    capsys: pytest.CaptureFixture[str],
) -> None:
    with service(VULNERABLE) as (options, asked):
        audit.main(options)
    locked = {
        (name.lower().replace("_", "-"), version)
        for locked in LOCKS
        for name, version in re.findall(
            r"^([\w.-]+)==([^\s;]+)", locked.target.read_text(), re.M
        )
    }
    assert set(asked) == locked | {("pyyaml", "5.3")}
    # Of the same package for other Pythons, and of other systems, too.
    assert {("deprecated", "1.3.1"), ("deprecated", "3.0.1")} <= set(asked)
    assert "colorama" in dict(asked)
    said = capsys.readouterr().out
    assert said == f"{len(locked)} locked versions, none with a known vulnerability\n"


@pytest.mark.slow
def test_audit_is_red_when_something_locked_is_vulnerable() -> None:
    known = {**VULNERABLE, ("deprecated", "3.0.1"): "CVE-2026-1"}
    with service(known) as (options, _):
        with pytest.raises(Refused) as caught:
            audit.main(options)
    assert str(caught.value) == "known vulnerabilities: deprecated 3.0.1: CVE-2026-1"


@pytest.mark.slow
def test_audit_is_red_when_the_service_knows_nothing() -> None:
    with service({}) as (options, _):
        with pytest.raises(Refused, match="blind: the service knows nothing against"):
            audit.main(options)


@pytest.mark.slow
def test_audit_is_red_when_the_service_fails() -> None:
    with service(VULNERABLE, status=503) as (options, _):
        with pytest.raises(Refused, match="the audit is blind: "):
            audit.main(options)


def test_audit_is_red_when_the_service_cannot_be_reached() -> None:
    options = ["--osv-url", f"http://127.0.0.1:{free_port()}/"]
    with pytest.raises(Refused, match="the audit is blind: .*ConnectionError"):
        audit.main(options)


@pytest.mark.slow
def test_audit_is_red_when_pip_audit_would_not_ask() -> None:
    with service(VULNERABLE) as (options, asked):
        with pytest.raises(Refused, match="the audit is blind: "):
            audit.main([*options, "--dry-run"])
    assert asked == []


@pytest.mark.slow
def test_locks_are_fresh() -> None:
    lock.main(["--check"])


@pytest.mark.slow
@pytest.mark.parametrize(
    ("unit", "old", "new"),
    [
        ("iris_api", "dependencies = [", 'dependencies = [\n    "zipp>=3",'),
        ("iris_api", '"orjson>=3.11,<4"', '"orjson>=3.11,<3.11.1"'),
        ("shadow_router", '  "jinja2>=3.1.6,<4",\n', ""),
        ("iris_model", "dependencies = [", 'dependencies = [\n    "zipp>=3",'),
    ],
)
def test_lock_is_stale_when_the_requirements_changed(
    tmp_path: Path, unit: str, old: str, new: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    tree = copy_tree(tmp_path / "tree")
    monkeypatch.chdir(tree)
    project = tree / UNITS[unit].folder / "pyproject.toml"
    assert old in project.read_text()
    project.write_text(project.read_text().replace(old, new, 1))
    locked = next(one for one in LOCKS if one.target == UNITS[unit].requirements)
    before = locked.target.read_bytes()
    assert lock.is_stale(locked)
    assert locked.target.read_bytes() == before


@pytest.mark.slow
def test_lock_takes_nothing_from_a_stranger_who_has_our_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    name, version = "iris_model", "99.0.0"
    said = f"Name: {name}\nVersion: {version}\nRequires-Dist: zipp\n"
    with zipfile.ZipFile(tmp_path / f"{name}-{version}-py3-none-any.whl", "w") as wheel:
        folder = f"{name}-{version}.dist-info"
        wheel.writestr(f"{folder}/METADATA", f"Metadata-Version: 2.1\n{said}")
        wheel.writestr(f"{folder}/WHEEL", "Wheel-Version: 1.0\nTag: py3-none-any\n")
        wheel.writestr(f"{folder}/RECORD", "")
    monkeypatch.setenv("UV_FIND_LINKS", str(tmp_path))
    lock.resolve(LOCKS[0], tmp_path / "locked.txt", [])
    assert LOCKS[0].target == UNITS["iris_api"].requirements
    names = [one.name for one in lock.read_lock((tmp_path / "locked.txt").read_text())]
    assert "onnxruntime" in names and "zipp" not in names and "iris-model" not in names


def test_lock_is_stale_when_it_is_not_there(tmp_path: Path) -> None:
    with contextlib.chdir(tmp_path):
        assert all(map(lock.is_stale, LOCKS))
        with pytest.raises(Refused, match="stale: .*shadow_router/requirements.txt, "):
            lock.main(["--check"])


@pytest.mark.parametrize("locked", LOCKS, ids=lambda locked: str(locked.target))
def test_lock_holds_hashes_and_names_no_index(locked: Lock) -> None:
    text = locked.target.read_text()
    assert len(lock.read_lock(text)) >= 5
    assert "--index" not in text and "://" not in text


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("--index-url https://example.org/\n", "a lock has the line '--index-url"),
        ("numpy>=2\n", "a lock has the line 'numpy>=2'"),
        ("numpy==2.4.6\n", "numpy is locked without a hash"),
    ],
)
def test_lock_is_refused_when_a_line_is_not_locked(text: str, says: str) -> None:
    with pytest.raises(Refused, match=says):
        lock.read_lock(text)


@pytest.mark.slow
def test_sbom_names_the_wheel_and_all_that_is_locked(tmp_path: Path) -> None:
    wheel = tmp_path / WHEELS[-1].name
    wheel.write_bytes(WHEELS[-1].read_bytes())
    written = sbom.write_sbom(wheel, UNITS["iris_model"].requirements)
    version = wheel.name.split("-")[1]
    assert written.name == f"iris_model-{version}-py3-none-any.cdx.json"
    document = json.loads(written.read_text())
    assert document["specVersion"] == "1.6"
    root = f"pkg:pypi/iris-model@{version}"
    assert document["metadata"]["component"]["purl"] == root
    purls = {component["purl"] for component in document["components"]}
    # For Python 3.11 and for those after it.
    assert {"pkg:pypi/numpy@2.4.6", "pkg:pypi/numpy@2.5.5"} <= purls
    hashes = [h["alg"] for c in document["components"] for h in c["hashes"]]
    assert set(hashes) == {"SHA-256"}
    depends = {d["ref"]: d.get("dependsOn", []) for d in document["dependencies"]}
    assert set(depends[root]) == purls


def test_sbom_is_the_same_when_written_again() -> None:
    locked = lock.read_lock(UNITS["shadow_router"].requirements.read_text())
    wheel = "shadow_router-0.2.0-py3-none-any.whl"
    first = sbom.sbom_of(wheel, "0" * 64, locked)
    assert sbom.sbom_of(wheel, "0" * 64, list(reversed(locked))) == first
    assert "serialNumber" not in first and "timestamp" not in first


@pytest.mark.parametrize(
    "text",
    [
        "{}",
        '{"bomFormat": "CycloneDX", "specVersion": "1.6", "components": [{}]}',
        '{"bomFormat": "CycloneDX", "specVersion": "1.6", "unknown": 1}',
    ],
)
def test_sbom_is_refused_when_it_is_not_valid(text: str) -> None:
    with pytest.raises(Refused, match="the SBOM is not valid CycloneDX"):
        sbom.check_valid(text)
