"""checkov finds nothing, and each check that is left out says why."""

import json
import re
import shutil
import subprocess
import sys

import pytest
from terraform_runs import DEPLOY

CHECKOV = "checkov==3.3.30"


def checked(folder):
    """Return what checkov says of a folder of Terraform."""
    # An environment of its own: it wants other versions of what the tests run on.
    command = [sys.executable, "-m", "uv", "tool", "run", "--quiet"]
    command += ["--python", sys.executable, "--from", CHECKOV, "checkov"]
    command += ["--directory", str(folder), "--framework", "terraform"]
    command += ["--skip-download", "--quiet", "--compact", "--output", "json"]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode in (0, 1), done.stderr
    return json.loads(done.stdout)


@pytest.fixture(scope="module")
def modules(tmp_path_factory):
    """Environments and modules together, so that values are followed into modules."""
    folder = tmp_path_factory.mktemp("checkov") / "deploy"
    shutil.copytree(
        DEPLOY, folder, ignore=shutil.ignore_patterns(".terraform*", "host")
    )
    return checked(folder)


def test_checkov_finds_nothing(modules):
    failed = modules["results"]["failed_checks"]
    found = {(one["check_id"], one["check_name"], one["resource"]) for one in failed}
    assert not found
    assert modules["summary"]["passed"] > 200


def test_checkov_finds_something_in_a_bad_module(tmp_path):
    bucket = 'resource "aws_s3_bucket" "open" {\n  bucket = "open"\n}\n'
    (tmp_path / "main.tf").write_text(bucket)
    found = {one["check_id"] for one in checked(tmp_path)["results"]["failed_checks"]}
    assert "CKV2_AWS_6" in found


def test_each_check_that_is_left_out_says_why():
    skips = [
        line
        for path in DEPLOY.glob("*/*/*.tf")
        for line in path.read_text().splitlines()
        if "checkov:skip" in line
    ]
    assert skips
    for line in skips:
        assert re.search(r"# checkov:skip=CKV2?_AWS_\d+: .{20,}$", line), line
