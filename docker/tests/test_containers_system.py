"""One contract of the whole system, kept by plain processes and by containers."""

import json
import re
import shlex
import subprocess
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Protocol

import pytest
from stack import Stack, get_json, status, wait_until
from test_tasks_services import Running
from traffic_beside import recorded_bodies

README = Path("README.md")


class Target(Protocol):
    """What the tests know of a running system: two ports."""

    public: int
    private: int


@pytest.fixture(scope="module")
def processes(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """The system as `tox run -e up` starts it."""
    running = Running(tmp_path_factory.mktemp("up"), "up")
    try:
        running.wait_for("\nready")
        private = f"http://127.0.0.1:{running.private}/readyz"
        wait_until(lambda: status(private) == 200, timeout_s=120)
        yield running
    finally:
        running.stop()


@pytest.fixture(scope="module", params=["processes", "containers"])
def target(request: pytest.FixtureRequest) -> Target:
    """Each way of running the system in turn."""
    name = {"processes": "processes", "containers": "stack"}[request.param]
    found: Target = request.getfixturevalue(name)
    return found


def answers(target: Target, bodies: list[bytes]) -> list[bytes]:
    """Return the bytes of the answers to some bodies, in order."""
    found = []
    for body in bodies:
        request = urllib.request.Request(
            f"http://127.0.0.1:{target.public}/v1/predict",
            body,
            {"Content-Type": "application/json"},
        )
        with urllib.request.urlopen(request, timeout=10) as answer:
            found.append(answer.read())
    return found


def report(target: Target) -> dict[str, object]:
    """Return the report once every request has found its fate."""
    url = f"http://127.0.0.1:{target.private}/report.json"
    wait_until(lambda: get_json(url)["open"] == 0)
    return get_json(url)


def test_curl_of_the_readme_gives_the_answer_it_shows(target: Target) -> None:
    found = re.search(
        r"```\n(curl .+?)\n```\n\n```json\n(.+?)\n```", README.read_text(), re.S
    )
    assert found is not None
    command = found.group(1).replace("\\\n", "")
    here = command.replace("127.0.0.1:8000", f"127.0.0.1:{target.public}")
    done = subprocess.run(shlex.split(here), capture_output=True, check=True)
    assert json.loads(done.stdout) == json.loads(found.group(2))


def test_live_is_the_version_that_is_pinned_when_asked(target: Target) -> None:
    pinned = Path("api/requirements/live.txt").read_text()
    version = get_json(f"http://127.0.0.1:{target.public}/health")["model_version"]
    assert f"iris_model=={version} " in pinned


def test_versions_differ_and_books_balance_when_traffic_has_passed(
    target: Target,
) -> None:
    answers(target, recorded_bodies()[:300])
    found = report(target)
    fates = found["fates"]
    assert isinstance(fates, dict)
    assert sum(fates.values()) == found["received"]
    assert fates["proba_shift"] + fates["label_flip"] > 100
    assert fates["match"] < fates["proba_shift"]


def test_private_port_serves_the_report_when_opened(target: Target) -> None:
    url = f"http://127.0.0.1:{target.private}/"
    with urllib.request.urlopen(url, timeout=5) as answer:
        page = answer.read().decode()
    assert "1.0.0" in page
    assert "1.1.0" in page


def test_answers_are_equal_bit_for_bit_on_both_targets(
    processes: Running, stack: Stack
) -> None:
    bodies = recorded_bodies()[:1000]
    in_processes, in_containers = (answers(t, bodies) for t in (processes, stack))
    assert in_processes == in_containers
    # Equal because they must be, not because all answers are one.
    assert len(set(in_processes)) > 500
