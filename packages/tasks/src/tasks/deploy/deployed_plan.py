"""What a plan of Terraform's would change."""

from __future__ import annotations

import json
from collections import Counter
from typing import Any

from tasks.deploy.deployed_images import DeployRefused

TASK = "aws_ecs_task_definition"


def changes(plan: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the resources that a plan would change."""
    listed = plan.get("resource_changes", [])
    return [
        one for one in listed if one["change"]["actions"] not in (["no-op"], ["read"])
    ]


def summarised(plan: dict[str, Any]) -> str:
    """Return one line for each kind of change, or `no changes`."""
    counted = Counter("+".join(one["change"]["actions"]) for one in changes(plan))
    named = [f"{one['address']}" for one in changes(plan)]
    if not counted:
        return "no changes"
    total = ", ".join(f"{verb} {n}" for verb, n in sorted(counted.items()))
    return "\n".join([total, *sorted(named)])


def images_of(definition: dict[str, Any] | None) -> set[str]:
    """Return the digests that a task definition runs."""
    text = (definition or {}).get("container_definitions") or "[]"
    return {one["image"].partition("@")[2] for one in json.loads(text)}


def digest_changes(plan: dict[str, Any]) -> dict[str, tuple[set[str], set[str]]]:
    """Return the task definitions that would run another image: before and after."""
    found = {}
    for one in changes(plan):
        if one["type"] == TASK:
            before = images_of(one["change"]["before"])
            after = images_of(one["change"]["after"])
            if before != after:
                found[one["address"]] = (before, after)
    return found


def check_one_digest(plan: dict[str, Any], before: str, after: str) -> None:
    """
    Raise unless exactly live's digest changes, as is meant.

    Raises
    ------
    DeployRefused
        If another one changes, more than one, none, or something is destroyed.
    """
    found = digest_changes(plan)
    expected = {
        "module.stack.module.live.aws_ecs_task_definition.this": ({before}, {after})
    }
    if found != expected:
        named = ", ".join(sorted(found)) or "none"
        raise DeployRefused(f"the plan changes the images of {named}, not live's alone")
    for one in changes(plan):
        if one["type"] not in (TASK, "aws_ecs_service"):
            raise DeployRefused(
                f"the plan changes {one['address']} too; apply that first"
            )
