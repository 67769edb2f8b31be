"""The life of an environment in moto's cloud, by the commands that people use."""

import contextlib
import json
import os
import re
import shutil
import socket
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path

import boto3
from standing import what_stands
from terraform_runs import DEPLOY, environment, plugin_arguments, terraform

ROOT = DEPLOY.parent
REGION = "eu-central-1"
DIGESTS = {role: "sha256:" + digit * 64 for role, digit in
           {"live": "1", "shadow": "2", "router": "3"}.items()}  # fmt: skip


@dataclass
class Life:
    """What was said and what stood after each step."""

    environment: str
    folder: Path
    endpoint: str
    said: dict[str, str] = field(default_factory=dict)
    stood: dict[str, dict] = field(default_factory=dict)
    plans: dict[str, dict] = field(default_factory=dict)
    took_s: dict[str, float] = field(default_factory=dict)
    secrets: dict[str, str] = field(default_factory=dict)

    @property
    def settings(self):
        """Return the environment variables that lead to moto's cloud."""
        arguments = " ".join(plugin_arguments())
        return environment(
            AWS_ENDPOINT_URL=self.endpoint,
            AWS_ACCESS_KEY_ID="test",
            AWS_SECRET_ACCESS_KEY="test",
            AWS_EC2_METADATA_DISABLED="true",
            TF_CLI_ARGS_init=arguments,
        )

    def client(self, service):
        """Return boto3's client of moto's cloud."""
        return boto3.client(
            service,
            region_name=REGION,
            endpoint_url=self.endpoint,
            aws_access_key_id="test",
            aws_secret_access_key="test",
        )

    def deploy(self, step, *arguments, code=0):
        """Run the command of a step; keep what it says and what stands then."""
        began = time.monotonic()
        done = subprocess.run(
            [sys.executable, "-m", "tasks.deploy.deploy", self.environment, *arguments],
            cwd=self.folder,
            env=self.settings,
            capture_output=True,
            text=True,
        )
        self.took_s[step] = time.monotonic() - began
        self.said[step] = done.stdout + done.stderr
        print(f"{self.environment} {step}: {self.took_s[step]:.0f} s", file=sys.stderr)
        assert done.returncode == code, f"{step}: {self.said[step]}"
        kept = self.folder / "deploy/environments" / self.environment
        if arguments[0] in ("apply", "promote", "rollback") and code == 0:
            self.stood[step] = what_stands(self.client)
            shown = terraform(kept, "show", "-json", "kept.tfplan")
            self.plans[step] = json.loads(shown)

    def read_secrets(self):
        """Keep what each secret holds, as those who may read them see it."""
        manager = self.client("secretsmanager")
        for one in manager.list_secrets()["SecretList"]:
            value = manager.get_secret_value(SecretId=one["ARN"])["SecretString"]
            self.secrets[one["Name"].partition("/")[2]] = value

    def commit(self):
        """Commit everything, as the commands ask."""
        git(self.folder, "add", "--all")
        git(self.folder, "commit", "--quiet", "--message", "A step")


def git(folder, *arguments):
    """Run git as nobody in particular."""
    who = ["-c", "user.name=test", "-c", "user.email=test@example.com"]
    subprocess.run(["git", *who, *arguments], cwd=folder, check=True)


@contextlib.contextmanager
def cloud():
    """Run moto's server; yield its URL."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    script = str(Path(__file__).with_name("cloud.py"))
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    server = subprocess.Popen([sys.executable, script, str(port)], **quiet)
    try:
        deadline = time.monotonic() + 120
        while time.monotonic() < deadline:
            with contextlib.suppress(OSError):
                socket.create_connection(("127.0.0.1", port), timeout=1).close()
                break
            assert server.poll() is None, "moto's server ended"
            time.sleep(0.2)
        yield f"http://127.0.0.1:{port}"
    finally:
        server.terminate()
        server.wait()


def copied(folder):
    """Copy what the commands need into a repository of its own."""
    for name in ("api/requirements", "api/CHANGELOG.md", "deploy"):
        target = folder / name
        target.parent.mkdir(parents=True, exist_ok=True)
        if (ROOT / name).is_dir():
            left_out = shutil.ignore_patterns(".terraform*", "*.tfplan", "__pycache__")
            shutil.copytree(ROOT / name, target, ignore=left_out)
        else:
            shutil.copy(ROOT / name, target)
    shutil.copy(ROOT / ".gitignore", folder)
    git(folder, "init", "--quiet")
    return folder


def prepare(life):
    """Make what a person makes beforehand: bucket, certificate, settings."""
    place = {"LocationConstraint": REGION}
    life.client("s3").create_bucket(
        Bucket="iris-state", CreateBucketConfiguration=place
    )
    key, certificate = life.folder.parent / "key.pem", life.folder.parent / "cert.pem"
    command = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "9"]
    command += ["-subj", "/CN=iris.example.com", "-keyout", str(key)]
    subprocess.run([*command, "-out", certificate], check=True, capture_output=True)
    arn = life.client("acm").import_certificate(
        Certificate=certificate.read_bytes(), PrivateKey=key.read_bytes()
    )["CertificateArn"]
    place = life.folder / "deploy/environments" / life.environment
    settings = place / "settings.auto.tfvars"
    text = re.sub('"arn:aws:acm.*"', f'"{arn}"', settings.read_text())
    text = text.replace("example.org", "example.com")
    settings.write_text(text.replace("[]", '["203.0.113.0/24"]'))
    backend = place / "backend.hcl"
    backend.write_text(
        backend.read_text().replace("-terraform-state-000000000000", "-state")
    )
    life.commit()


def write_report(path, **changes):
    """Write a report that lets the shadow be promoted, or does not."""
    report = {
        "verdict": {"state": "PASS", "reason": "every gate passed"},
        "newest_at": time.time(),
        "versions": {"live": ["1.0.0"], "shadow": ["1.1.0"]},
        "unique_inputs": 60000,
    }
    path.write_text(json.dumps({**report, **changes}))


def return_to_old_addresses(life, place):
    """Make the state one of before modules/stack; what stands does not change."""
    state = json.loads(life.said["state"])
    state["serial"] += 1
    for resource in state["resources"]:
        module = resource["module"].removeprefix("module.stack.")
        resource["module"] = module.replace("module.store[0]", "module.store")
    (life.folder.parent / f"{life.environment}.old.tfstate").write_text(
        json.dumps(state)
    )
    terraform(
        place,
        *("state", "push", str(life.folder.parent / f"{life.environment}.old.tfstate")),
        **life.settings,
    )


def live_a_life(name, folder, endpoint):
    """Go through all steps; return what was seen."""
    life = Life(name, copied(folder), endpoint)
    place = life.folder / "deploy/environments" / name
    prepare(life)
    life.deploy("registry", "apply")
    for role, digest in DIGESTS.items():
        life.deploy(f"use {role}", "use", role, digest)
    life.commit()
    life.deploy("apply", "apply")
    life.read_secrets()
    life.said["output"] = terraform(place, "output", "-json", **life.settings)
    life.said["state"] = terraform(place, "state", "pull", **life.settings)
    life.deploy("again", "plan")
    return_to_old_addresses(life, place)
    life.deploy("moved", "plan")
    life.plans["moved"] = json.loads(terraform(place, "show", "-json", "kept.tfplan"))
    report = life.folder.parent / f"{name}.json"
    write_report(report)
    life.deploy("promote", "promote", "--report", str(report))
    life.deploy("uncommitted", "rollback", code=78)
    life.commit()
    life.deploy("rollback", "rollback")
    life.commit()
    main = place / "main.tf"
    main.write_text(re.sub(r"max_tasks( +)= \d+", r"max_tasks\1= 7", main.read_text()))
    life.deploy("pending", "promote", "--report", str(report), code=78)
    life.commit()
    life.deploy("unapplied", "promote", "--report", str(report), code=78)
    life.deploy("change", "apply")
    life.deploy("unconfirmed", "destroy", code=78)
    life.deploy("destroy", "destroy", "--confirm", name)
    life.stood["destroy"] = what_stands(life.client)
    return life


def main_life(name, folder):
    """Go through all steps in a cloud of one's own."""
    os.makedirs(folder, exist_ok=True)
    with cloud() as endpoint:
        return live_a_life(name, Path(folder), endpoint)
