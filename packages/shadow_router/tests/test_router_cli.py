"""The command itself."""

import os
import subprocess
import sys

import pytest

import shadow_router


def run(*arguments, **environment):
    env = {k: v for k, v in os.environ.items() if not k.startswith("SHADOW_ROUTER_")}
    return subprocess.run(
        [sys.executable, "-W", "error", "-m", "shadow_router", *arguments],
        env=env | environment,
        capture_output=True,
        text=True,
        timeout=30,
    )


@pytest.mark.slow
def test_help_names_every_command():
    done = run("--help")
    assert done.returncode == 0
    for command in ("serve", "report", "audit", "verdict"):
        assert command in done.stdout
    assert "lifeline" not in run("serve", "--help").stdout


def test_version_is_printed_when_asked():
    assert run("--version").stdout.strip() == shadow_router.__version__


def test_unknown_setting_is_one_line_when_serving():
    done = run("serve", SHADOW_ROUTER_NONSENSE="1")
    assert done.returncode == 78
    assert done.stderr == "shadow-router: unknown setting SHADOW_ROUTER_NONSENSE\n"


@pytest.mark.slow
def test_audit_and_report_say_one_line_when_there_are_no_books(tmp_path):
    for command in ("audit", "report", "verdict"):
        done = run(command, SHADOW_ROUTER_DATA_DIR=str(tmp_path / "none"))
        assert done.returncode == 78
        assert done.stderr.count("\n") == 1
        assert "holds no comparisons yet" in done.stderr
    assert not (tmp_path / "none").exists()


def test_rule_file_is_refused_in_one_line_when_serving(tmp_path):
    path = tmp_path / "rules.yml"
    path.write_text("profile: bold\n")
    done = run("serve", SHADOW_ROUTER_RULES=str(path))
    assert done.returncode == 78
    assert done.stderr.startswith(f"shadow-router: {path}:1: profile: ")
    assert done.stderr.count("\n") == 1
