"""What Terraform itself says of the modules: format, validity, and their own tests."""

import re
import shutil
from pathlib import Path

import pytest
from terraform_runs import DEPLOY, plugin_arguments, terraform

MODULES = sorted(path.name for path in (DEPLOY / "modules").iterdir())
ENVIRONMENTS = ["production", "staging"]
FILES = ["main.tf", "outputs.tf", "variables.tf", "versions.tf"]


def test_everything_is_formatted():
    assert terraform(DEPLOY, "fmt", "-check", "-diff", "-recursive") == ""


@pytest.mark.parametrize("name", MODULES)
def test_module_passes_its_own_tests(tmp_path, name):
    # All of them: the stack is made of the others.
    left_out = shutil.ignore_patterns(".t*")
    folder = Path(shutil.copytree(DEPLOY / "modules", tmp_path / "m", ignore=left_out))
    folder /= name
    terraform(folder, "init", *plugin_arguments())
    said = terraform(folder, "test", "-no-color")
    assert re.search(r"Success! [1-9]\d* passed, 0 failed\.", said), said


def test_a_failing_test_of_a_module_is_noticed(tmp_path):
    folder = tmp_path / "cost"
    left_out = shutil.ignore_patterns(".t*")
    shutil.copytree(DEPLOY / "modules/cost", folder, ignore=left_out)
    main = folder / "main.tf"
    main.write_text(main.read_text().replace('"DAILY"', '"WEEKLY"'))
    terraform(folder, "init", *plugin_arguments())
    said = terraform(folder, "test", "-no-color", code=1)
    assert 'run "somebody_is_told_before_the_budget_is_spent"... fail' in said


@pytest.mark.parametrize("name", ENVIRONMENTS)
def test_environment_is_valid(tmp_path, name):
    folder = tmp_path / "deploy"
    shutil.copytree(
        DEPLOY, folder, ignore=shutil.ignore_patterns(".terraform*", "tests")
    )
    place = folder / "environments" / name
    terraform(place, "init", "-backend=false", *plugin_arguments())
    terraform(place, "validate")


@pytest.mark.parametrize("name", ENVIRONMENTS)
def test_environment_holds_module_calls_alone(name):
    text = "".join(p.read_text() for p in (DEPLOY / "environments" / name).glob("*.tf"))
    blocks = set(re.findall(r"^(\w+)\b.*{$", text, re.M))
    assert blocks == {"terraform", "provider", "module", "variable", "output", "moved"}
    assert re.findall(r'^module "(\w+)"', text, re.M) == ["stack"]


@pytest.mark.parametrize("name", MODULES)
def test_module_has_four_files_and_its_tests(name):
    found = sorted(path.name for path in (DEPLOY / "modules" / name).glob("*.tf"))
    assert found == FILES
    assert (DEPLOY / "modules" / name / f"{name}.tftest.hcl").exists()


@pytest.mark.parametrize("path", sorted(DEPLOY.glob("modules/*/variables.tf")), ids=str)
def test_variable_has_description_type_and_validation(path):
    blocks = re.split(r"^variable ", path.read_text(), flags=re.M)[1:]
    assert blocks
    for block in blocks:
        assert "  description" in block and "  type" in block, block
        # There is no wrong value of a bool.
        assert "  validation {" in block or re.search(r"type += bool", block), block


@pytest.mark.parametrize("file", ["variables.tf", "outputs.tf", "moved.tf"])
def test_environments_differ_in_numbers_alone(file):
    first, second = (DEPLOY / "environments" / name / file for name in ENVIRONMENTS)
    assert first.read_text() == second.read_text()


@pytest.mark.parametrize("name", ENVIRONMENTS)
def test_environment_hands_on_all_that_it_is_given(name):
    folder, stack = DEPLOY / "environments" / name, DEPLOY / "modules/stack"
    given = re.findall(
        r'^variable "(\w+)"', (folder / "variables.tf").read_text(), re.M
    )
    main = (folder / "main.tf").read_text()
    handed = re.findall(r"^  (\w+) += var\.(\w+)$", main, re.M)
    assert handed == [(one, one) for one in given]
    # Whatever is wrong with one is said by the stack.
    for one in given:
        assert f'variable "{one}"' in (stack / "variables.tf").read_text()
