"""What the deploy command hands to Terraform, and what it must never say."""

import json
import re

import pytest
from terraform_runs import DEPLOY

from tasks.deploy import deploy


@pytest.mark.parametrize(("ci", "kept"), [("true", False), ("", True)])
def test_log_of_terraform_is_off_in_ci(ci, kept, monkeypatch):
    monkeypatch.setenv("CI", ci)
    monkeypatch.setenv("TF_LOG", "TRACE")
    monkeypatch.setenv("TF_LOG_PROVIDER", "TRACE")
    found = deploy.environment(json.dumps(deploy.first_values()))
    assert ("TF_LOG" in found, "TF_LOG_PROVIDER" in found) == (kept, kept)


def test_first_values_are_new_each_time():
    first, second = deploy.first_values(), deploy.first_values()
    assert all(first[name] != second[name] for name in first)


@pytest.mark.parametrize(
    "path", sorted(DEPLOY.glob("environments/*/outputs.tf")), ids=str
)
def test_output_that_may_hold_a_secret_is_sensitive(path):
    for block in re.split(r"^output ", path.read_text(), flags=re.M)[1:]:
        is_secret = re.search(r"first_values|password|_keys|secret_string", block)
        assert not is_secret or "sensitive" in block, block


@pytest.mark.parametrize("path", sorted(DEPLOY.rglob("variables.tf")), ids=str)
def test_variable_that_holds_secrets_is_kept_nowhere(path):
    for block in re.split(r"^variable ", path.read_text(), flags=re.M)[1:]:
        if re.match(r'"(first_values|password)"', block):
            assert re.search(r"ephemeral +=\s+true|sensitive +=\s+true", block), block
