"""A start after the first needs no network: in a namespace that has none."""

import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
from running import ROOT, Running, health

from tasks.system import environments

# Its own network, of which loopback is all there is.
NOWHERE = (
    *("unshare", "--map-root-user", "--net"),
    *("sh", "-c", 'ip link set lo up && exec "$@"', "sh"),
)


def alone(tmp_path: Path) -> dict[str, str]:
    """Return an environment in which nothing that was fetched before is found."""
    return {**os.environ, "UV_CACHE_DIR": str(tmp_path / "cache")}


def test_nothing_is_reached_from_nowhere() -> None:
    code = "import socket; socket.create_connection(('192.0.2.1', 443), 5)"
    done = subprocess.run(
        [*NOWHERE, sys.executable, "-c", code], capture_output=True, text=True
    )
    assert "Network is unreachable" in done.stderr


@pytest.mark.slow
@pytest.mark.parametrize("command", ["up", "serve"])
def test_second_start_needs_no_network(tmp_path: Path, command: str) -> None:
    environments.prepare_router()
    for role in ("live", "shadow"):
        environments.prepare_api(role)
    running = Running(tmp_path, command, under=NOWHERE, **alone(tmp_path))
    try:
        running.wait_for("  report   http" if command == "up" else "serves iris_model")
        assert "preparing" not in running.output.read_text()
        assert health(running) == "", "what runs there is reached from here"
    finally:
        assert running.stop() == 0


@pytest.mark.slow
def test_second_replay_needs_no_network(tmp_path: Path) -> None:
    for number in (1, 2):
        before = NOWHERE if number == 2 else ()
        done = subprocess.run(
            [*before, sys.executable, "-m", "tasks.measure.replay", "--show", "fail"],
            cwd=ROOT,
            env=alone(tmp_path) if number == 2 else None,
            capture_output=True,
            text=True,
        )
        assert done.returncode == 1, done.stdout + done.stderr
        assert "FAIL: " in done.stdout
    assert "preparing" not in done.stdout + done.stderr


def test_changed_source_is_built_and_installed_without_a_network(
    tmp_path: Path,
) -> None:
    shutil.copytree(ROOT / "api/src", tmp_path / "api/src")
    for name in ("pyproject.toml", "README.md"):
        shutil.copy(ROOT / "api" / name, tmp_path / "api" / name)
    code = (
        "from tasks.system import environments;"
        "wheel = environments.build(environments.API);"
        "step = ['--no-deps', '--reinstall-package', 'iris_api', str(wheel)];"
        "environments.fill('live', 'live', [step]); print(wheel)"
    )

    def build() -> str:
        done = subprocess.run(
            [*NOWHERE, sys.executable, "-c", code],
            cwd=tmp_path,
            env=alone(tmp_path),
            capture_output=True,
            text=True,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    first = build()
    assert first.startswith("preparing live\n")
    # Unchanged: nothing is built, and nothing installed.
    assert build() == first.removeprefix("preparing live\n")
    source = tmp_path / "api/src/iris_api/__init__.py"
    source.write_text(source.read_text() + "CHANGED = True\n")
    second = build()
    assert second.startswith("preparing live\n")
    wheel = tmp_path / second.splitlines()[1]
    with zipfile.ZipFile(wheel) as archive:
        assert b"CHANGED" in archive.read("iris_api/__init__.py")
    installed = tmp_path.glob(".tox/services/live/lib/*/site-packages/iris_api")
    assert "CHANGED" in (next(installed) / "__init__.py").read_text()


def test_only_the_steps_that_differ_are_taken_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    taken: list[str] = []

    def uv(*arguments: str) -> None:
        taken.append(arguments[-1])
        if arguments[0] == "venv":
            (Path(arguments[-1]) / "bin").mkdir(parents=True, exist_ok=True)
            (Path(arguments[-1]) / "bin/python").touch()
        if arguments[-1] == "broken":
            raise environments.CannotStart("as asked")

    monkeypatch.setattr(environments, "uv", uv)
    (tmp_path / "locked.txt").write_text("one")

    def fill(*steps: str) -> list[str]:
        taken.clear()
        environments.fill("name", "name", [["-r", step] for step in steps])
        return taken[:]

    assert fill("locked.txt", "b", "c") == [
        ".tox/services/name",
        "locked.txt",
        "b",
        "c",
    ]
    assert fill("locked.txt", "b", "c") == []
    assert fill("locked.txt", "other", "c") == ["other", "c"]
    (tmp_path / "locked.txt").write_text("two")
    assert fill("locked.txt", "other", "c") == ["locked.txt", "other", "c"]
    # What failed is not taken, nor is what it has changed.
    with pytest.raises(environments.CannotStart):
        fill("locked.txt", "broken", "c")
    assert fill("locked.txt", "other", "c") == ["other", "c"]
    monkeypatch.setattr(sys, "version", "3.99")
    assert fill("locked.txt", "other", "c")[0] == ".tox/services/name"
