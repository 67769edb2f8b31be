"""
Rehearse a release from an empty registry to an API that answers with the new version.

Everything is real and temporary: a clone, a registry, a wheel, an API. One line a step.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from tasks.exit_codes import exit_code
from tasks.refusal import RED_GATE, Refused
from tasks.system.addresses import free_port
from tasks.system.lifeline import child
from tasks.system.lineage import end_with_starters
from tasks.wheels.units import find_unit, source_version
from tasks.wheels.versions import Version

UNIT = find_unit("iris_model")
# The release proper runs every test of the unit; these show the wheel at work.
TESTS = ["promises", "predict", "artefact"]
WAIT_S = 30.0


class Rehearsal:
    """A clone, the registry beside it, and a log of what the servers say."""

    def __init__(self, folder: Path, version: Version) -> None:
        self.clone = folder / "clone"
        self.packages = folder / "registry"
        self.packages.mkdir()
        self.log = folder / "log.txt"
        self.version = version
        self.port, self.api_port = free_port(), free_port()
        self.pin = ""

    @property
    def registry(self) -> str:
        """The URL of the registry."""
        return f"http://127.0.0.1:{self.port}/"

    def run(self, *command: str, **settings: str) -> str:
        """Run a command in the clone and return what it prints."""
        kept = {k: v for k, v in os.environ.items() if not k.startswith("TOX_")}
        # The wheels of the repository are not to be found here.
        kept.pop("UV_FIND_LINKS", None)
        done = subprocess.run(
            command,
            cwd=self.clone,
            env={**kept, **settings},
            capture_output=True,
            text=True,
        )
        said = done.stdout + done.stderr
        if done.returncode:
            print(said, file=sys.stderr)
            last = said.rstrip().splitlines()[-1]
            raise Refused(f"{Path(command[0]).name} failed, see above: {last}")
        return done.stdout


def main() -> None:
    """Run every step; raise Refused at the first that fails."""
    began = time.monotonic()
    last = source_version(UNIT)
    version = Version(last.major, last.minor + 1, 0)
    with TemporaryDirectory(prefix="rehearsal-") as folder:
        rehearsal = Rehearsal(Path(folder), version)
        with step("clone"):
            clone(rehearsal)
        with serving(rehearsal):
            with step(f"release {UNIT.name} {version}"):
                release(rehearsal)
            with step("publish: lint, build, gates, test, upload"):
                publish(rehearsal)
            with step("pin, and check the locks"):
                pin(rehearsal)
            with step("install the API from the registry, by hash"):
                commands = install(rehearsal)
            with step(f"ask the API: {version} answers"):
                predict(rehearsal, commands)
    print(f"{'together':45} {time.monotonic() - began:6.1f} s")


@contextlib.contextmanager
def step(name: str) -> Iterator[None]:
    """Print the name of a step and how long it took."""
    began = time.monotonic()
    yield
    print(f"{name:45} {time.monotonic() - began:6.1f} s", flush=True)


def clone(rehearsal: Rehearsal) -> None:
    """Clone what is committed here, and make up something to release."""
    root = str(Path.cwd())
    command = ["git", "clone", "--quiet", root, str(rehearsal.clone)]
    if subprocess.run(command).returncode:
        raise Refused(f"{root} cannot be cloned: see above")
    rehearsal.run("git", "config", "user.name", "Rehearsal")
    rehearsal.run("git", "config", "user.email", "rehearsal@example.org")
    path = rehearsal.clone / UNIT.changelog
    text = path.read_text()
    if "## [Unreleased]" not in text:
        news = "## [Unreleased]\n\nRehearsed: predictions are identical.\n\n## "
        path.write_text(text.replace("## ", news, 1))
        rehearsal.run("git", "commit", "--quiet", "--all", "--message", "Rehearse")


@contextlib.contextmanager
def serving(rehearsal: Rehearsal) -> Iterator[None]:
    """Run a registry that is empty and knows no package but ours."""
    command = [sys.executable, "-m", "pypiserver", "run", "--disable-fallback"]
    command += ["--interface", "127.0.0.1", "--port", str(rehearsal.port)]
    command += ["--authenticate", ".", "--passwords", ".", str(rehearsal.packages)]
    with running(command, rehearsal, {}):
        wait_for(f"{rehearsal.registry}simple/")
        yield


@contextlib.contextmanager
def running(
    command: list[str], rehearsal: Rehearsal, settings: dict[str, str]
) -> Iterator[None]:
    """Run a server until the block ends."""
    environment = {**os.environ, **settings}
    with rehearsal.log.open("a") as log:
        with child(command, env=environment, stdout=log, stderr=log):
            yield


def release(rehearsal: Rehearsal) -> None:
    """Raise the version, commit and tag it."""
    version = str(rehearsal.version)
    rehearsal.run(sys.executable, "-m", "tasks.release.release", UNIT.name, version)
    message = f"Release {UNIT.name} {version}"
    rehearsal.run("git", "commit", "--quiet", "--all", "--message", message)
    rehearsal.run("git", "tag", f"{UNIT.name}-v{version}")


def publish(rehearsal: Rehearsal) -> None:
    """Publish the tag to the registry, with some of the unit's tests."""
    what = [f"{UNIT.name}-v{rehearsal.version}", "--to", rehearsal.registry]
    tests = [f"{UNIT.folder}/tests/test_model_{name}.py" for name in TESTS]
    code = f"from tasks.release import publish; publish.command({what!r}, {tests!r})"
    said = rehearsal.run(
        sys.executable,
        "-c",
        code,
        TWINE_USERNAME="rehearsal",
        TWINE_PASSWORD="rehearsal",
    )
    found = re.search(r"^to pin it: (.+)$", said, re.M)
    if found is None:
        raise Refused("publish printed no pin")
    rehearsal.pin = found[1]


def pin(rehearsal: Rehearsal) -> None:
    """Put the new pin into the live API's requirements; the locks must hold."""
    live = rehearsal.clone / "api/requirements/live.txt"
    live.write_text(f"-r base.txt\n{rehearsal.pin}\n")
    index = f"{rehearsal.registry}simple/"
    rehearsal.run(sys.executable, "-m", "tasks.release.lock", "--check", UV_INDEX=index)


def install(rehearsal: Rehearsal) -> Path:
    """Install the API with its pin; return the folder of its commands."""
    environment = rehearsal.clone.parent / "environment"
    rehearsal.run("uv", "venv", "--python", sys.executable, str(environment))
    command = ["uv", "pip", "install", "--python", str(environment / "bin/python")]
    hashed = ["--require-hashes", "-r", "api/requirements/live.txt"]
    index = f"{rehearsal.registry}simple/"
    rehearsal.run(*command, *hashed, UV_INDEX=index)
    rehearsal.run(*command, "--no-deps", "./api")
    return environment / "bin"


def predict(rehearsal: Rehearsal, commands: Path) -> None:
    """Start the API and ask it for the middle of each feature's range."""
    url = f"http://127.0.0.1:{rehearsal.api_port}"
    settings = {"IRIS_API_PORT": str(rehearsal.api_port)}
    with running([str(commands / "iris-api")], rehearsal, settings):
        wait_for(f"{url}/readyz")
        features = ask(f"{url}/v1/model")["features"]
        row = {f["name"]: (f["minimum"] + f["maximum"]) / 2 for f in features}
        answer = ask(f"{url}/v1/predict", {"inputs": [row]})
    told = answer["model"]["version"]
    if told != str(rehearsal.version) or not answer["predictions"][0]["label"]:
        raise Refused(f"the API answered with {told}, not with {rehearsal.version}")


def ask(url: str, document: object = None) -> Any:  # Any: JSON
    """Return the JSON that a URL answers; with a document, to a POST of it."""
    body = None if document is None else json.dumps(document).encode()
    request = urllib.request.Request(url, body, {"Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=WAIT_S) as answer:
        return json.load(answer)


def wait_for(url: str) -> None:
    """Wait until a URL answers with success."""
    end = time.monotonic() + WAIT_S
    while time.monotonic() < end:
        with contextlib.suppress(OSError):
            with urllib.request.urlopen(url, timeout=1):
                return
        time.sleep(0.05)
    raise Refused(f"{url} does not answer")


if __name__ == "__main__":
    end_with_starters()
    sys.exit(exit_code("rehearse", main, RED_GATE))
