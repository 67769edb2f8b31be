"""Run an image of the API in the place of a process, for the same tests."""

import json
import os
import subprocess
from contextlib import contextmanager
from pathlib import Path

from api_server import Server, free_port, wait_until_ready

CLIENT = "/usr/bin/docker" if Path("/usr/bin/docker").exists() else "docker"
# As docker/compose.yaml has it.
HARDENED = ["--read-only", "--cap-drop", "ALL", "--tmpfs", "/tmp", "--memory", "256m"]
HARDENED += ["--security-opt", "no-new-privileges:true", "--pids-limit", "64"]
HARDENED += ["--ulimit", "nofile=8192:8192"]


class Running:
    """A container, with what the tests ask a process for."""

    def __init__(self, name):
        self.name = name
        self.pid = int(docker("inspect", "--format", "{{.State.Pid}}", name))

    def poll(self):
        """Return the exit code, or None while it runs."""
        state = json.loads(docker("inspect", "--format", "{{json .State}}", self.name))
        return None if state["Running"] else state["ExitCode"]

    def send_signal(self, number):
        """Send a signal to the service, which is process 1."""
        docker("kill", "--signal", str(number), self.name)

    def wait(self, timeout_s):
        """Return the exit code once it has ended."""
        return int(docker("wait", self.name, timeout_s=timeout_s))


class Container(Server):
    """A server in a container; it talks to the engine's log."""

    def talk(self):
        """Return what the server said on standard error."""
        done = subprocess.run(
            [CLIENT, "logs", self.process.name], capture_output=True, text=True
        )
        return done.stderr


def docker(*arguments, timeout_s=60):
    """Run the engine's client and return what it prints."""
    done = subprocess.run(
        [CLIENT, *arguments], capture_output=True, text=True, timeout=timeout_s
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


@contextmanager
def start_container(image, records):
    """Run an image until the block ends; ready when this returns."""
    # Its user has no name here; the folder is of a test alone.
    records.parent.chmod(0o777)
    port, mount = free_port(), f"{records.parent}:/data"
    name = docker(
        "run", "--detach", *HARDENED, "--publish", f"127.0.0.1:{port}:8001",
        "--env", f"IRIS_API_RECORDS=/data/{records.name}", "--volume", mount, image,
    )  # fmt: skip
    server = Container(port, Running(name), str(records), None)
    try:
        wait_until_ready(server)
        yield server
    finally:
        docker("rm", "--force", name)
        os.chmod(records.parent, 0o700)
