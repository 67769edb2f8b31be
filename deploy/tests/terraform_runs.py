"""Running Terraform in the tests: where its provider is, and what it says."""

import json
import os
import shutil
import subprocess
from pathlib import Path

DEPLOY = Path(__file__).parents[1]
PROVIDER = "registry.terraform.io/hashicorp/aws"


def plugin_arguments():
    """
    Return what `terraform init` needs to find the provider.

    TF_PLUGIN_DIR names a mirror; without it, Terraform's own configuration and registry
    are asked, unless a mirror lies in one of the places where software is installed.
    """
    if named := os.environ.get("TF_PLUGIN_DIR"):
        return [f"-plugin-dir={named}"]
    if Path(os.environ.get("TF_CLI_CONFIG_FILE") or "/nonexistent").is_file():
        return []
    for place in ("/opt", "/usr/share", "/usr/local/share"):
        for found in sorted(Path(place).glob(f"*/{PROVIDER}")):
            return [f"-plugin-dir={found.parents[2]}"]
    return []


def environment(**more):
    """Return the environment of Terraform in the tests, with nothing of a person's."""
    kept = {name: value for name, value in os.environ.items() if name[:4] != "AWS_"}
    config = kept.get("TF_CLI_CONFIG_FILE")
    if config and not Path(config).is_file():
        kept["TF_CLI_CONFIG_FILE"] = os.devnull
    quiet = {"TF_IN_AUTOMATION": "1", "CHECKPOINT_DISABLE": "1", "TF_INPUT": "0"}
    return {**kept, **quiet, **more}


def terraform(folder, *arguments, code=0, **more):
    """Run Terraform in a folder; return what it printed, and fail on another code."""
    program = shutil.which("terraform")
    assert program, "terraform 1.11 or newer must be on the path"
    done = subprocess.run(
        [program, *arguments],
        cwd=folder,
        env=environment(**more),
        capture_output=True,
        text=True,
    )
    said = done.stdout + done.stderr
    assert code is None or done.returncode == code, f"{arguments}\n{said}"
    return done.stdout


def diagnostics(output):
    """Return the diagnostics of `plan -json` or `test -json`, one line each."""
    lines = [json.loads(line) for line in output.splitlines() if line.startswith("{")]
    return [line["diagnostic"] for line in lines if line["type"] == "diagnostic"]
