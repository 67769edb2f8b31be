"""
Plan, apply, promote, roll back or destroy an environment of deploy/.

Every verb but `plan` asks Terraform for a plan, says what it changes, and applies just
that. `promote` and `rollback` change one digest; they refuse when working tree, pins
and what runs disagree.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import secrets
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from shadow_router.promotion.replacing import turn
from tasks.arguments import given
from tasks.deploy.deployed_images import (
    CHANGELOG,
    PINS,
    REQUIREMENTS,
    DeployRefused,
    Images,
    check_pins,
    check_tree,
    read_images,
    roles_pin,
    write_all,
)
from tasks.deploy.deployed_plan import check_one_digest, summarised
from tasks.deploy.deployed_verdict import check_verdict
from tasks.exit_codes import REFUSED, exit_code

ENVIRONMENTS = Path("deploy/environments")
VERBS = ("plan", "apply", "use", "promote", "rollback", "destroy")
NOTHING_YET = {"digest": "sha256:" + "0" * 64, "pin": ""}


class Terraform:
    """Terraform in the folder of one environment."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._first = json.dumps(first_values())

    def run(self, *arguments: str, quiet: bool = False) -> str:
        """
        Run a command; return what it printed, or let it print.

        Raises
        ------
        DeployRefused
            If it fails; Terraform has said why.
        """
        try:
            done = subprocess.run(
                ["terraform", *arguments],
                cwd=self._folder,
                env=environment(self._first),
                stdout=subprocess.PIPE if quiet else None,
                text=True,
            )
        except FileNotFoundError:
            reason = "terraform is not on the path; install 1.11 or newer"
            raise DeployRefused(reason) from None
        if done.returncode:
            raise DeployRefused(
                f"terraform {arguments[0]} ended with {done.returncode}"
            )
        return done.stdout or ""

    def init(self) -> None:
        """Make the folder ready: provider, modules and state."""
        self.run("init", "-input=false", "-backend-config=backend.hcl", quiet=True)

    def plan(self, *arguments: str) -> dict[str, object]:
        """Make a plan, keep it as `kept.tfplan`, and return it as JSON."""
        self.run("plan", "-input=false", "-out=kept.tfplan", *arguments, quiet=True)
        document = json.loads(self.run("show", "-json", "kept.tfplan", quiet=True))
        return dict(document)

    def apply(self) -> None:
        """Apply the plan that was kept."""
        self.run("apply", "-input=false", "-auto-approve", "kept.tfplan", quiet=True)

    def output(self, name: str) -> str:
        """Return one output of the environment."""
        return self.run("output", "-raw", name, quiet=True)


def first_values() -> dict[str, str]:
    """
    Return what new secrets are to hold.

    None is ever printed: a log of CI is read by more people than may have a key, and
    kept. The API knows its key by the hash; `first_api_key` is for people, and no
    task may read it.
    """
    # Shaped as `iris-api key` makes them.
    api = f"iris_{secrets.token_urlsafe(32)}"
    return {
        "api_keys": f"first sha256:{hashlib.sha256(api.encode()).hexdigest()}",
        "control_keys": f"first {secrets.token_urlsafe(32)}",
        "first_api_key": api,
        "store_password": secrets.token_urlsafe(32),
    }


def environment(values: str) -> dict[str, str]:
    """
    Return the environment of Terraform: ours, and what secrets hold at first.

    In CI without its log, which holds what is sent to the cloud.
    """
    is_ci = bool(os.environ.get("CI"))
    ours = {k: v for k, v in os.environ.items() if not (is_ci and k[:6] == "TF_LOG")}
    return {**ours, "TF_IN_AUTOMATION": "1", "TF_VAR_first_values": values}


def plan(terraform: Terraform, images: Images, options: argparse.Namespace) -> None:
    """Say what apply would change, and change nothing."""
    made = terraform.plan(*first_steps(images))
    terraform.run("show", "-no-color", "kept.tfplan")
    print(summarised(made))


def apply(terraform: Terraform, images: Images, options: argparse.Namespace) -> None:
    """Make what runs what is described; without images, the registry alone."""
    made = terraform.plan(*first_steps(images))
    print(summarised(made))
    terraform.apply()
    if not images.current:
        print("the registry is there: push the images and `use` each, then apply again")


def first_steps(images: Images) -> list[str]:
    """Return what limits a plan to the registry where there are no images yet."""
    if images.current:
        return []
    nothing = dict.fromkeys(("live", "shadow", "router"), NOTHING_YET)
    return [
        "-target=module.stack.module.registry",
        f"-var=images={json.dumps(nothing)}",
    ]


def use(terraform: Terraform, images: Images, options: argparse.Namespace) -> None:
    """Write down the digest that a role is to run, with the pin that is in it."""
    if not options.role or not options.digest:
        raise DeployRefused("use ROLE DIGEST: say which role, and the digest it runs")
    entry = {"digest": options.digest, "pin": roles_pin(options.role)}
    write_all({images.path: images.having(options.role, entry)})
    print(f"{options.role}: {options.digest}; commit it, then apply")


def promote(terraform: Terraform, images: Images, options: argparse.Namespace) -> None:
    """Make the shadow's digest live's, on a fresh PASS for exactly these two."""
    before, after = images.entry("live"), images.entry("shadow")
    if before["digest"] == after["digest"]:
        raise DeployRefused("nothing to promote: live runs the shadow's digest already")
    pins = check_pins(before["pin"], after["pin"])
    report = options.report
    if report is None:
        report = f"{terraform.output('report_url')}/report.json"
    said = check_verdict(report, before["pin"], after["pin"], options.max_age_minutes)
    move(terraform, images, after, {"previous": before}, pins(f"promote: {said}"))


def rollback(terraform: Terraform, images: Images, options: argparse.Namespace) -> None:
    """Make the digest that was live's before the last promotion live's again."""
    if "previous" not in images.current:
        raise DeployRefused("nothing to roll back to: images has no previous")
    before, after = images.entry("live"), images.entry("previous")
    pins = check_pins(before["pin"], after["pin"])
    move(terraform, images, after, {"previous": None}, pins("rollback"))


def move(
    terraform: Terraform,
    images: Images,
    after: dict[str, str],
    more: dict[str, dict[str, str] | None],
    pins: dict[Path, bytes | None],
) -> None:
    """Change live's digest, and nothing else; undo the files if that fails."""
    check_tree(images.path.parent)
    if summarised(terraform.plan()) != "no changes":
        reason = "what runs is not what is described; `plan` says how it differs"
        raise DeployRefused(f"{reason}, `apply` makes it so")
    changed = {images.path: images.having("live", after, **more), **pins}
    kept = {path: path.read_bytes() if path.exists() else None for path in changed}
    write_all(changed)
    try:
        made = terraform.plan()
        check_one_digest(made, images.entry("live")["digest"], after["digest"])
    except BaseException:
        write_all(kept)
        raise
    # From here on the files say what is wanted, so that `apply` can finish it.
    terraform.apply()
    print(f"live: {after['digest']} instead of {images.entry('live')['digest']}")
    print("commit the files that changed")


def destroy(terraform: Terraform, images: Images, options: argparse.Namespace) -> None:
    """Destroy everything, after lifting what protects data from it."""
    if options.confirm != options.environment:
        raise DeployRefused(
            f"destroy takes everything of {options.environment} away, its store and "
            f"images too; say so with --confirm {options.environment}"
        )
    lifted = ["-var=is_protected=false", *first_steps(images)[1:]]
    for wanted in (lifted, ["-destroy", *lifted]):
        terraform.plan(*wanted)
        terraform.apply()
    print(f"{options.environment} is gone")


def main(arguments: list[str]) -> int:
    """Parse the command line and do one thing to one environment."""
    parser = argparse.ArgumentParser(prog="tox run -e deploy --", description=__doc__)
    names = sorted(path.name for path in ENVIRONMENTS.iterdir() if path.is_dir())
    parser.add_argument("environment", choices=names)
    parser.add_argument("verb", choices=VERBS)
    parser.add_argument("role", nargs="?", choices=[*PINS, "router"], help="for use")
    parser.add_argument("digest", nargs="?", help="for use: sha256:…")
    parser.add_argument("--report", help="for promote: URL or file of report.json")
    parser.add_argument("--max-age-minutes", type=float, default=60.0)
    parser.add_argument("--confirm", help="for destroy: the environment, once more")
    options = parser.parse_args(arguments)
    folder = ENVIRONMENTS / options.environment
    verbs: dict[str, Callable[[Terraform, Images, argparse.Namespace], None]] = {
        "plan": plan,
        "apply": apply,
        "use": use,
        "promote": promote,
        "rollback": rollback,
        "destroy": destroy,
    }
    terraform = Terraform(folder)
    if options.verb != "use":
        terraform.init()
    # One environment may be waiting for Terraform while another moves the same pins.
    with turn(folder, REQUIREMENTS, CHANGELOG.parent):
        verbs[options.verb](terraform, read_images(folder), options)
    return 0


if __name__ == "__main__":
    codes: dict[type[Exception], int] = {DeployRefused: REFUSED}
    sys.exit(exit_code("deploy", lambda: main(given()), codes))
