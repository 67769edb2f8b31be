"""Bad values are refused with their message; the good ones beside them are not."""

import json
import shutil
from pathlib import Path

import pytest
from bad_values import BAD, GOOD
from terraform_runs import DEPLOY, diagnostics, plugin_arguments, terraform

NAMES = [f"{module}-{variable}-{n}" for n, (module, variable, *_) in enumerate(BAD)]


def call(folder, name, module, values):
    """Write a file that calls a module."""
    document = {"module": {name: {"source": f"./modules/{module}", **values}}}
    (folder / f"{name}.tf.json").write_text(json.dumps(document))


def refusals(folder):
    """Return what a plan says of each file, by the file's name."""
    # Nothing is asked of anybody: there is no AWS at this address.
    nowhere = {"AWS_ENDPOINT_URL": "http://127.0.0.1:9", "AWS_ACCESS_KEY_ID": "test"}
    nowhere |= {"AWS_SECRET_ACCESS_KEY": "test", "AWS_REGION": "eu-central-1"}
    provider = {"skip_requesting_account_id": True, "max_retries": 1}
    provider |= {"skip_credentials_validation": True, "skip_metadata_api_check": True}
    (folder / "aws.tf.json").write_text(json.dumps({"provider": {"aws": provider}}))
    terraform(folder, "init", "-no-color", *plugin_arguments())
    said = {}
    output = terraform(folder, "plan", "-json", "-refresh=false", code=1, **nowhere)
    for one in diagnostics(output):
        if "range" in one:
            name = Path(one["range"]["filename"]).name.removesuffix(".tf.json")
            said.setdefault(name, []).append(" ".join(one["detail"].split()))
    return said


@pytest.fixture(scope="session")
def said(tmp_path_factory):
    """
    All rows together, each in a call of its own: what was said of each.

    Terraform looks at values alone first, and at values beside others only when nothing
    is wrong with any of them; so the rows that are left are asked about again.
    """
    rows = dict(zip(NAMES, BAD))
    alone, beside = (tmp_path_factory.mktemp(name) for name in ("alone", "beside"))
    for folder in (alone, beside):
        # One module calls others, which Terraform looks for within one folder.
        left_out = shutil.ignore_patterns(".t*", "*.tftest.hcl")
        shutil.copytree(DEPLOY / "modules", folder / "modules", ignore=left_out)
    for name, (module, variable, value, _) in rows.items():
        call(alone, name, module, {**GOOD[module], variable: value})
    for module, values in GOOD.items():
        call(alone, f"good-{module}", module, values)
    told = refusals(alone)
    for name, (module, variable, value, _) in rows.items():
        if name not in told:
            call(beside, name, module, {**GOOD[module], variable: value})
    return told | refusals(beside)


def test_there_are_sixty_bad_values_and_more():
    assert len(BAD) >= 60
    assert {module for module, *_ in BAD} == set(GOOD)


@pytest.mark.parametrize(("name", "row"), list(zip(NAMES, BAD)), ids=NAMES)
def test_bad_value_is_refused_with_its_message(said, name, row):
    message = row[3]
    told = said.get(name, [])
    assert any(detail.startswith(message) for detail in told), told


@pytest.mark.parametrize("module", sorted(GOOD))
def test_good_values_are_not_refused(said, module):
    assert f"good-{module}" not in said


def test_good_values_are_of_every_module():
    folders = {path.name for path in (DEPLOY / "modules").iterdir()}
    assert set(GOOD) == folders
