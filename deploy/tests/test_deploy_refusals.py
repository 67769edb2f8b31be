"""When the deploy command refuses, before it asks Terraform for anything."""

import json
import math
import shutil
import subprocess
import time

import pytest
from terraform_runs import DEPLOY

from tasks.deploy import deployed_images
from tasks.deploy.deployed_images import (
    DeployRefused,
    Images,
    check_pins,
    check_tree,
    read_images,
    write_all,
)
from tasks.deploy.deployed_plan import check_one_digest
from tasks.deploy.deployed_verdict import check_verdict

OLD = "iris_model==1.0.0 --hash=sha256:" + "a" * 64
NEW = "iris_model==1.1.0 --hash=sha256:" + "b" * 64
ONE, TWO = "sha256:" + "1" * 64, "sha256:" + "2" * 64


@pytest.fixture
def repository(tmp_path, monkeypatch):
    """A committed repository with two pins; the current folder."""
    monkeypatch.chdir(tmp_path)
    folder = tmp_path / "api/requirements"
    folder.mkdir(parents=True)
    (folder / "live.txt").write_text(f"-r base.txt\n{OLD}\n")
    (folder / "shadow.txt").write_text(f"-r base.txt\n{NEW}\n")
    shutil.copy(DEPLOY.parent / "api/CHANGELOG.md", tmp_path / "api")
    for command in (
        ["init", "--quiet"],
        ["add", "."],
        [
            "-c",
            "user.name=t",
            "-c",
            "user.email=t@t",
            "commit",
            "--quiet",
            "-m",
            "pins",
        ],
    ):
        subprocess.run(["git", *command], check=True)
    return tmp_path


def report(path, **changes):
    """Write a report that allows the promotion, but for some changes."""
    good = {
        "verdict": {"state": "PASS", "reason": "all"},
        "newest_at": time.time(),
        "versions": {"live": ["1.0.0"], "shadow": ["1.1.0"]},
        "unique_inputs": 12,
    }
    path.write_text(json.dumps({**good, **changes}))
    return str(path)


def test_verdict_is_taken_when_it_is_a_fresh_pass_of_both_pins(tmp_path):
    said = check_verdict(report(tmp_path / "r"), OLD, NEW, 60)
    assert said == "verdict PASS on 12 unique inputs"


@pytest.mark.parametrize("state", ["FAIL", "INCONCLUSIVE", "INVALID"])
def test_verdict_is_refused_when_it_is_no_pass(tmp_path, state):
    bad = report(tmp_path / "r", verdict={"state": state, "reason": "why"})
    with pytest.raises(DeployRefused, match=f"the verdict is {state}, not PASS: why"):
        check_verdict(bad, OLD, NEW, 60)


@pytest.mark.parametrize("age_s", [3700, math.nan])
def test_verdict_is_refused_when_it_is_stale(tmp_path, age_s):
    bad = report(tmp_path / "r", newest_at=time.time() - age_s)
    with pytest.raises(DeployRefused, match="the verdict is stale"):
        check_verdict(bad, OLD, NEW, 60)


@pytest.mark.parametrize("seen", [["1.2.0"], [], ["1.1.0", "1.2.0"]])
def test_verdict_is_refused_when_the_shadow_was_another(tmp_path, seen):
    bad = report(tmp_path / "r", versions={"live": ["1.0.0"], "shadow": seen})
    with pytest.raises(DeployRefused, match="shadow of this run was"):
        check_verdict(bad, OLD, NEW, 60)


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"verdict": "PASS"}'])
def test_verdict_is_refused_when_it_is_no_report(tmp_path, text):
    (tmp_path / "r").write_text(text)
    with pytest.raises(DeployRefused, match="no report of the router|no JSON"):
        check_verdict(str(tmp_path / "r"), OLD, NEW, 60)


def test_verdict_is_refused_when_nobody_answers():
    with pytest.raises(DeployRefused, match="refused"):
        check_verdict("http://127.0.0.1:9/report.json", OLD, NEW, 60)


def test_pins_move_when_live_is_where_the_environment_is(repository):
    write_all(check_pins(OLD, NEW)("promote"))
    assert NEW in (repository / "api/requirements/live.txt").read_text()
    assert OLD in (repository / "api/requirements/previous.txt").read_text()
    assert "Serves iris_model==1.1.0" in (repository / "api/CHANGELOG.md").read_text()


def test_pins_stay_when_another_environment_has_moved_them(repository):
    write_all(check_pins(OLD, NEW)("promote"))
    assert check_pins(OLD, NEW)("promote") == {}


def test_pins_are_refused_when_live_pins_something_else(repository):
    other = OLD.replace("1.0.0", "0.9.0")
    with pytest.raises(DeployRefused, match="live runs iris_model==0.9.0"):
        check_pins(other, NEW)


def test_pins_are_refused_when_the_new_one_is_pinned_nowhere(repository):
    other = NEW.replace("1.1.0", "9.9.9")
    with pytest.raises(DeployRefused, match="built from other pins"):
        check_pins(OLD, other)


def test_rollback_puts_the_pins_back(repository):
    write_all(check_pins(OLD, NEW)("promote"))
    write_all(check_pins(NEW, OLD)("rollback"))
    assert OLD in (repository / "api/requirements/live.txt").read_text()
    assert not (repository / "api/requirements/previous.txt").exists()


def test_tree_is_refused_when_a_pin_was_edited(repository):
    check_tree(repository / "api")
    with (repository / "api/requirements/live.txt").open("a") as file:
        file.write("# edited\n")
    with pytest.raises(DeployRefused, match="the working tree has changes in api/req"):
        check_tree(repository / "api")


def test_tree_is_refused_when_there_is_no_repository(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(DeployRefused, match="no git repository"):
        check_tree(tmp_path)


@pytest.mark.parametrize("digest", ["latest", "sha256:12", ONE.upper(), ""])
def test_use_is_refused_when_it_is_no_digest(tmp_path, digest):
    with pytest.raises(DeployRefused, match="is no digest"):
        Images(tmp_path, {}).having("live", {"digest": digest, "pin": OLD})


def test_images_are_refused_when_the_file_is_broken(tmp_path):
    (tmp_path / deployed_images.NAME).write_text("{")
    with pytest.raises(DeployRefused, match="is not as `use` writes it"):
        read_images(tmp_path)


def plan_of(*changed):
    """Return a plan that changes images of services, given as name, before, after."""

    def task(name, before, after):
        def definition(digest):
            return {"container_definitions": json.dumps([{"image": f"r@{digest}"}])}

        change = {"before": definition(before), "after": definition(after)}
        return {
            "address": f"module.stack.module.{name}.aws_ecs_task_definition.this",
            "type": "aws_ecs_task_definition",
            "change": {"actions": ["delete", "create"], **change},
        }

    return {"resource_changes": [task(*one) for one in changed]}


def test_plan_is_taken_when_live_alone_changes():
    check_one_digest(plan_of(("live", ONE, TWO), ("router", ONE, ONE)), ONE, TWO)


@pytest.mark.parametrize(
    "changed",
    [
        [],
        [("shadow", ONE, TWO)],
        [("live", ONE, TWO), ("shadow", ONE, TWO)],
        [("live", TWO, ONE)],
    ],
    ids=["none", "another", "two", "the other way"],
)
def test_plan_is_refused_when_it_changes_anything_else(changed):
    with pytest.raises(DeployRefused, match="not live's alone"):
        check_one_digest(plan_of(*changed), ONE, TWO)


def test_plan_is_refused_when_it_touches_another_resource():
    plan = plan_of(("live", ONE, TWO))
    bucket = {
        "address": "b",
        "type": "aws_s3_bucket",
        "change": {"actions": ["delete"]},
    }
    plan["resource_changes"].append(bucket)
    with pytest.raises(DeployRefused, match="the plan changes b too"):
        check_one_digest(plan, ONE, TWO)
