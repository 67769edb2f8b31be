"""Whatever a workflow runs, a laptop runs; and a release does what it says."""

import os
import re
import subprocess
from pathlib import Path

import pytest
from test_tasks_documents import CHECKS, ENVIRONMENTS
from workflow_steps import FOLDER, INSTALL, ROOT, WORKFLOWS, commands

NAMES = sorted(WORKFLOWS)
ALSO = {
    INSTALL,
    "tox run",
    "sudo .ci/run install",
    "test ${{ needs.tox.result }} = success",
}
AS_ROOT = re.escape('sudo --preserve-env env "PATH=$PATH"')


def test_workflows_are_found() -> None:
    assert NAMES == ["checks", "images", "infrastructure", "release", "scheduled"]


@pytest.mark.parametrize("name", NAMES)
def test_every_command_is_one_that_a_laptop_runs(name: str) -> None:
    for command in commands(name):
        if command in ALSO:
            continue
        found = re.match(rf"({AS_ROOT} )?tox run -e ([a-z-]+)( |$)", command)
        assert found and found[2] in ENVIRONMENTS, command


def test_checks_are_those_of_tox_run_and_of_each_python() -> None:
    ran = [
        re.search(r"-e (\w+) -x testenv.base_python=(.+)", one)
        for one in commands("checks")
    ]
    pairs = [(one[1], one[2]) for one in ran if one]
    assert [env for env, python in pairs if python == "3.11"] == CHECKS
    for python in ("3.12", "3.13"):
        assert [e for e, p in pairs if p == python] == ["model", "api", "router"]


@pytest.mark.parametrize("name", NAMES)
def test_lint_checks_every_workflow_against_its_schema(name: str) -> None:
    assert f".github/workflows/{name}.yml" in (ROOT / "tox.ini").read_text()


@pytest.mark.parametrize("name", NAMES)
def test_actions_are_pinned_by_the_digest_of_a_commit(name: str) -> None:
    used = re.findall(r"uses: (.+)", (FOLDER / f"{name}.yml").read_text())
    assert used
    for action in used:
        assert re.fullmatch(r"[\w/-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+", action)


def test_only_jobs_in_a_protected_environment_have_credentials() -> None:
    for workflow in WORKFLOWS.values():
        assert workflow["permissions"] == {}
        for job in workflow["jobs"].values():
            if "write" in job["permissions"].values():
                assert "environment" in job
    assert WORKFLOWS["release"]["jobs"]["build"]["permissions"] == {"contents": "read"}
    assert "cache:" not in (FOLDER / "release.yml").read_text()


def test_last_job_of_checks_is_red_unless_all_others_are_green() -> None:
    (step,) = WORKFLOWS["checks"]["jobs"]["checks"]["steps"]
    results = {"success": 0, "failure": 1, "cancelled": 1, "skipped": 1, "": 1}
    for result, code in results.items():
        env = {"RESULT": result, "PATH": "/usr/bin:/bin"}
        assert subprocess.run(["bash", "-c", step["run"]], env=env).returncode == code


@pytest.mark.slow
def test_hooks_of_pre_commit_are_red_when_a_file_is_not_formatted(
    tmp_path: Path,
) -> None:
    subprocess.run(["git", "clone", "-q", str(ROOT), str(tmp_path / "c")], check=True)

    def commit() -> int:
        # The environments of this tree will do: they hold nothing of it.
        env = os.environ | {"TOX_WORK_DIR": str(ROOT / ".tox")}
        command = ["pre-commit", "run", "--all-files", "lint"]
        return subprocess.run(command, cwd=tmp_path / "c", env=env).returncode

    assert commit() == 0
    with (tmp_path / "c/conftest.py").open("a") as file:
        file.write("x  =  1\n")
    assert commit() == 1
    config = (ROOT / ".pre-commit-config.yaml").read_text()
    assert re.findall(r"repo: (.+)", config) == ["local"]
