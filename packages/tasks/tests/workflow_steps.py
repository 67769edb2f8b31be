"""Run the steps of a workflow here: commands for real, of actions what they hand on."""

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).parents[3]
FOLDER = ROOT / ".github/workflows"
WORKFLOWS = {path.stem: yaml.safe_load(path.read_text()) for path in FOLDER.iterdir()}
INSTALL = 'python -m pip install --require-hashes --only-binary=":all:" '
INSTALL += "-r packages/tasks/requirements/tox.txt"


def matrix_of(job: dict[str, Any]) -> Iterator[dict[str, str]]:
    """Yield the combinations of a job's matrix; one empty when it has none."""
    matrix = dict(job.get("strategy", {}).get("matrix", {}))
    included = matrix.pop("include", [])
    rows: list[dict[str, str]] = [{}]
    for name, values in matrix.items():
        rows = [row | {name: value} for row in rows for value in values]
    yield from [*rows, *included]


def filled(text: str, row: dict[str, str]) -> str:
    """Return text with the matrix filled in."""
    return re.sub(r"\$\{\{ matrix\.(\w+) \}\}", lambda found: row[found[1]], text)


def commands(workflow: str) -> Iterator[str]:
    """Yield what each `run:` of a workflow runs, one line for each combination."""
    for job in WORKFLOWS[workflow]["jobs"].values():
        for row in matrix_of(job):
            for step in job["steps"]:
                if "run" in step:
                    yield expanded(step, row)


def expanded(step: dict[str, Any], row: dict[str, str]) -> str:
    """Return the command of a step as its shell would read it."""
    values = {k: filled(v, row) for k, v in step.get("env", {}).items()}
    return re.sub(
        r"\"?\$(\w+)\"?", lambda found: values.get(found[1], found[0]), step["run"]
    )


class Runner:
    """A machine of CI: a new clone for each job, and a place for what is handed on."""

    def __init__(self, source: Path, folder: Path, **environment: str) -> None:
        self.source, self.folder = source, folder
        kept = {k: v for k, v in os.environ.items() if not k.startswith("TOX_")}
        tools = Path(sys.executable).parent
        self.environment = kept | {"PATH": f"{tools}:{kept['PATH']}"} | environment
        self.said = ""

    def run(self, workflow: str, job: str, variables: dict[str, str]) -> int:
        """Run a job's steps in order until one fails; return its exit code."""
        clone = self.folder / job
        for step in WORKFLOWS[workflow]["jobs"][job]["steps"]:
            if "run" in step:
                code = self._command(clone, step, variables)
                if code:
                    return code
            else:
                self._action(clone, step)
        return 0

    def _action(self, clone: Path, step: dict[str, Any]) -> None:
        action, options = step["uses"].partition("@")[0], step.get("with", {})
        if action == "actions/checkout":
            command = ["git", "clone", "--quiet", str(self.source), str(clone)]
            subprocess.run(command, check=True)
        elif action == "actions/upload-artifact":
            shutil.copytree(clone / options["path"], self.folder / "handed on")
        elif action == "actions/download-artifact":
            shutil.copytree(self.folder / "handed on", clone / options["path"])
        else:
            # Interpreters are here; an attestation needs the real service.
            assert action in {"actions/setup-python", "actions/attest-build-provenance"}

    def _command(
        self, clone: Path, step: dict[str, Any], variables: dict[str, str]
    ) -> int:
        if step["run"] == INSTALL:
            return 0  # tox and its plug-in come with these tests
        own = {
            name: variables[value.removeprefix("${{ ").removesuffix(" }}")]
            for name, value in step.get("env", {}).items()
        }
        done = subprocess.run(
            ["bash", "-e", "-o", "pipefail", "-c", step["run"]],
            cwd=clone,
            env=self.environment | own,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        self.said += done.stdout
        return done.returncode
