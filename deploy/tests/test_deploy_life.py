"""Both environments applied, changed, promoted, rolled back and destroyed."""

import hashlib
import json
import re
from concurrent.futures import ThreadPoolExecutor

import pytest
from life import DIGESTS, main_life
from terraform_runs import DEPLOY

NAMES = ["production", "staging"]


@pytest.fixture(scope="session")
def lives(tmp_path_factory):
    """Both lives, at the same time, each in a cloud of its own."""
    folders = {name: tmp_path_factory.mktemp(name) / "repository" for name in NAMES}
    with ThreadPoolExecutor(2) as pool:
        running = {name: pool.submit(main_life, name, folders[name]) for name in NAMES}
        return {name: one.result() for name, one in running.items()}


@pytest.fixture(params=NAMES)
def life(lives, request):
    """Each life."""
    return lives[request.param]


def digests(stood):
    """Return what each service runs."""
    return {
        name: {one["image"].split("@")[1] for one in definition["containerDefinitions"]}
        for name, definition in stood["definitions"].items()
    }


def changed_images(plan):
    """Return the addresses of task definitions that get another image."""
    found = []
    for one in plan["resource_changes"]:
        if one["type"] == "aws_ecs_task_definition":
            images = [
                {
                    c["image"]
                    for c in json.loads(one["change"][side]["container_definitions"])
                }
                for side in ("before", "after")
            ]
            found += [one["address"]] if images[0] != images[1] else []
    return found


def test_first_apply_makes_the_registry_alone_when_there_are_no_images(life):
    stood = life.stood["registry"]
    assert len(stood["repositories"]) == 2 and not stood["services"]
    assert "push the images" in life.said["registry"]


def test_apply_runs_each_service_by_its_digest(life):
    assert digests(life.stood["apply"]) == {
        "api-live": {DIGESTS["live"]},
        "api-shadow": {DIGESTS["shadow"]},
        "router": {DIGESTS["router"]},
    }


def test_no_secret_is_ever_printed_or_kept_by_terraform(life):
    expected = {"api_keys", "control_keys", "first_api_key"}
    if life.environment == "production":
        expected.add("store_password")
    assert set(life.secrets) == expected
    for name, value in life.secrets.items():
        canary = value.split()[-1]
        assert len(canary) >= 40, name
        for step, said in life.said.items():
            # A hash lets nobody in, but is nobody's business either.
            assert canary not in said, f"{name} after {step}"
        for step, plan in life.plans.items():
            assert canary not in json.dumps(plan), f"{name} in the plan of {step}"


def test_first_key_can_be_read_from_the_secrets_and_is_the_one_of_the_api(life):
    key = life.secrets["first_api_key"]
    digest = hashlib.sha256(key.encode()).hexdigest()
    assert life.secrets["api_keys"] == f"first sha256:{digest}"
    readme = (DEPLOY / "README.md").read_text()
    for name in ("first_api_key", "control_keys"):
        command = "aws secretsmanager get-secret-value --secret-id"
        assert f"{command} iris-staging/{name} --query SecretString" in readme


def test_no_task_may_read_the_key_that_people_have(life):
    policies = json.dumps(life.stood["apply"]["policies"], default=str)
    definitions = json.dumps(life.stood["apply"]["definitions"], default=str)
    assert "iris-" in policies and "/api_keys" in definitions
    assert "first_api_key" not in policies + definitions


def test_second_plan_is_empty_after_apply(life):
    assert life.said["again"].endswith("no changes\n")


def test_state_of_before_the_stack_is_taken_as_it_is(life):
    assert life.said["moved"].endswith("no changes\n")
    found = life.plans["moved"]["resource_changes"]
    managed = [one for one in found if one["mode"] == "managed"]
    assert len(managed) > 50
    assert all("previous_address" in one for one in managed)


def test_listeners_are_https_with_tls_1_2_or_newer(life):
    found = {one["Port"]: one for one in life.stood["apply"]["listeners"]}
    assert set(found) == {443, 8443}
    for one in found.values():
        assert one["Protocol"] == "HTTPS"
        assert one["SslPolicy"] == "ELBSecurityPolicy-TLS13-1-2-2021-06"


def test_only_the_public_port_is_open_to_everybody(life):
    rules = life.stood["apply"]["rules"]
    ours = [one for one in rules if one.get("Description")]
    opened = {
        one["FromPort"]
        for one in ours
        if not one["IsEgress"] and one.get("CidrIpv4") == "0.0.0.0/0"
    }
    assert opened == {443}


def test_tasks_cannot_leave_the_network(life):
    rules = [one for one in life.stood["apply"]["rules"] if one.get("Description")]
    assert not [one for one in rules if one["IsEgress"] and one.get("CidrIpv4")]


def test_nothing_has_a_public_address(life):
    stood = life.stood["apply"]
    assert stood["subnets"] and not stood["nat"]
    assert not [one for one in stood["subnets"] if one["MapPublicIpOnLaunch"]]
    for service in stood["services"].values():
        network = service["networkConfiguration"]["awsvpcConfiguration"]
        assert network["assignPublicIp"] == "DISABLED"
    assert not [one for one in stood["databases"] if one["PubliclyAccessible"]]


def test_no_policy_allows_everything(life):
    statements = [s for role in life.stood["apply"]["policies"].values() for s in role]
    assert len(statements) > 10
    for one in statements:
        assert not [action for action in one["Action"] if "*" in action]
        if "*" in one["Resource"]:
            # The one action for which AWS knows nothing narrower.
            assert one["Action"] == ["ecr:GetAuthorizationToken"]


def test_tasks_are_hardened(life):
    for name, definition in life.stood["apply"]["definitions"].items():
        containers = {one["name"]: one for one in definition["containerDefinitions"]}
        assert all(one["readonlyRootFilesystem"] for one in containers.values())
        assert not any(one["privileged"] for one in containers.values())
        assert containers[name]["user"] == "10001:10001"
        assert containers[name]["linuxParameters"]["capabilities"]["drop"] == ["ALL"]
        assert containers[name]["ulimits"][0]["hardLimit"] >= 4224
        assert containers[name]["stopTimeout"] in (30, 60)
        assert containers[name]["healthCheck"]["command"][:2] == ["CMD", "python3"]


def test_api_sends_no_telemetry(life):
    for name in ("api-live", "api-shadow"):
        containers = life.stood["apply"]["definitions"][name]["containerDefinitions"]
        service = next(one for one in containers if one["name"] == name)
        settings = {one["name"]: one["value"] for one in service["environment"]}
        assert settings["ORT_DISABLE_TELEMETRY"] == "1"


def test_secrets_are_not_in_the_environment_of_a_task(life):
    for definition in life.stood["apply"]["definitions"].values():
        for container in definition["containerDefinitions"]:
            names = {one["name"] for one in container["environment"]}
            assert not names & {"PGPASSWORD", "FILE_API_KEYS", "FILE_CONTROL_KEYS"}
            for secret in container.get("secrets", []):
                assert ":secretsmanager:" in secret["valueFrom"]


def test_a_bad_version_goes_away_by_itself(life):
    for service in life.stood["apply"]["services"].values():
        breaker = service["deploymentConfiguration"]["deploymentCircuitBreaker"]
        assert breaker == {"enable": True, "rollback": True}


def test_every_alarm_tells_somebody(life):
    stood = life.stood["apply"]
    assert len(stood["alarms"]) >= 14
    assert all(one["AlarmActions"] and one["OKActions"] for one in stood["alarms"])
    assert [one["Endpoint"] for one in stood["subscriptions"]] == ["ops@example.com"]


def test_runbook_explains_every_alarm_and_no_other(lives):
    stood = [
        one["AlarmName"].removeprefix(f"iris-{name}-")
        for name, life in lives.items()
        for one in life.stood["apply"]["alarms"]
    ]
    alarms = {
        re.sub("-(api-live|api-shadow|router)$", "-SERVICE", one) for one in stood
    }
    runbook = (DEPLOY / "runbook.md").read_text()
    explained = runbook[
        runbook.index("\n## Alarms") : runbook.index("\n## What it costs")
    ]
    assert set(re.findall(r"^### (\S+)$", explained, re.M)) == alarms


def test_logs_are_kept_a_year_and_not_for_ever(life):
    kept = {one["logGroupName"]: one for one in life.stood["apply"]["groups"]}
    assert len(kept) >= 5
    assert all(one["retentionInDays"] >= 365 for one in kept.values())


def test_images_cannot_be_replaced(life):
    for one in life.stood["apply"]["repositories"]:
        assert one["imageTagMutability"] == "IMMUTABLE"
        assert one["imageScanningConfiguration"]["scanOnPush"]


def test_only_production_has_a_store(lives):
    assert len(lives["production"].stood["apply"]["databases"]) == 1
    assert not lives["staging"].stood["apply"]["databases"]


def test_budget_is_that_of_the_environment(lives):
    limits = {
        name: one.stood["apply"]["budgets"][0]["BudgetLimit"]["Amount"]
        for name, one in lives.items()
    }
    assert limits == {"production": "1500.0", "staging": "300.0"}


def test_promote_changes_exactly_one_digest(life):
    assert changed_images(life.plans["promote"]) == [
        "module.stack.module.live.aws_ecs_task_definition.this"
    ]
    before, after = digests(life.stood["apply"]), digests(life.stood["promote"])
    assert after == {**before, "api-live": {DIGESTS["shadow"]}}


def test_rollback_changes_exactly_one_digest_and_is_where_it_was(life):
    assert changed_images(life.plans["rollback"]) == [
        "module.stack.module.live.aws_ecs_task_definition.this"
    ]
    assert digests(life.stood["rollback"]) == digests(life.stood["apply"])


def test_rollback_is_refused_when_the_tree_has_changes(life):
    assert life.said["uncommitted"].startswith(
        "deploy: the working tree has changes in"
    )


def test_promote_is_refused_when_what_runs_is_not_what_is_described(life):
    assert "the working tree has changes" in life.said["pending"]
    assert "what runs is not what is described" in life.said["unapplied"]


def test_change_changes_what_was_asked_for(life):
    assert {one["MaxCapacity"] for one in life.stood["change"]["scaling"]} == {7}
    assert digests(life.stood["change"]) == digests(life.stood["apply"])


def test_destroy_is_refused_without_its_name(life):
    assert f"--confirm {life.environment}" in life.said["unconfirmed"]


def test_destroy_leaves_nothing_behind(life):
    stood = life.stood["destroy"]
    active = [one for one in stood["services"].values() if one["status"] == "ACTIVE"]
    assert not active and stood["buckets"] == ["iris-state"]
    for what in ("listeners", "targets", "alarms", "subnets", "repositories", "groups",
                 "databases", "scaling", "budgets"):  # fmt: skip
        assert not stood[what], what
    ours = [name for name in stood["policies"] if name.startswith("iris-")]
    assert not ours
