"""A throwaway root file system, and processes in it."""

import contextlib
import json
import os
import shutil
import socket
import subprocess
import sys
import time
from pathlib import Path

PACKAGES = "ca-certificates,nginx-light,python3,python3-venv,systemd"


@contextlib.contextmanager
def throwaway_root(folder):
    """Make a small Debian, with what programs expect of a kernel; yield its folder."""
    command = ["mmdebstrap", "--variant=minbase", "--mode=root", "--quiet"]
    command += [f"--include={PACKAGES}", "bookworm", str(folder)]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    mounts = [folder / "proc", folder / "dev"]
    subprocess.run(["mount", "-t", "proc", "proc", mounts[0]], check=True)
    subprocess.run(["mount", "--rbind", "--make-rslave", "/dev", mounts[1]], check=True)
    try:
        yield folder
    finally:
        for mount in reversed(mounts):
            subprocess.run(["umount", "--recursive", "--lazy", mount], check=True)
        shutil.rmtree(folder)


@contextlib.contextmanager
def unit(root, name, instance=""):
    """Run what a unit of systemd would run: its user, its settings, its command."""
    text = (root / "etc/systemd/system" / name).read_text().replace("%i", instance)
    fields = dict(line.split("=", 1) for line in text.splitlines() if "=" in line)
    settings = (root / fields["EnvironmentFile"].lstrip("/")).read_text()
    lines = [line for line in settings.splitlines() if not line.startswith("#")]
    environment = dict(line.split("=", 1) for line in lines)
    script = f"cd {fields['WorkingDirectory']} && exec {fields['ExecStart']}"
    command = ["chroot", f"--userspec={fields['User']}:{fields['Group']}", str(root)]
    with running([*command, "/bin/sh", "-c", script], environment):
        yield


@contextlib.contextmanager
def running(command, environment):
    """Run a process while the context lasts."""
    path = {"PATH": os.environ["PATH"]}
    started = subprocess.Popen(command, env={**path, **environment})
    try:
        yield started
    finally:
        started.terminate()
        started.wait(timeout=60)


def wait_for(port):
    """Wait until somebody listens on a port."""
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline:
        with contextlib.suppress(OSError):
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
            return
        time.sleep(0.2)
    raise AssertionError(f"nobody listens on {port}")


def free_ports(count):
    """Return ports that nobody listens on."""
    probes = [socket.socket() for _ in range(count)]
    for probe in probes:
        probe.bind(("127.0.0.1", 0))
    ports = [probe.getsockname()[1] for probe in probes]
    for probe in probes:
        probe.close()
    return ports


def certificate(folder):
    """Make a certificate of localhost; return it and its key."""
    names = [folder / "tls.crt", folder / "tls.key"]
    command = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "9"]
    command += ["-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost"]
    command += ["-out", str(names[0]), "-keyout", str(names[1])]
    subprocess.run(command, check=True, capture_output=True)
    return names


def playbook(root, folder, variables):
    """Run the playbook against a root file system; return what it printed."""
    program = Path(sys.executable).with_name("ansible-playbook")
    inventory = folder / "inventory.json"
    host = {"ansible_connection": "community.general.chroot", **variables}
    host |= {"ansible_python_interpreter": "/usr/bin/python3", "ansible_become": False}
    # A chroot has no name of its own: the host is the folder.
    document = {"iris": {"hosts": {str(root): host}}}
    inventory.write_text(json.dumps(document))
    environment = {**os.environ, "ANSIBLE_NOCOLOR": "1", "LC_ALL": "C.UTF-8"}
    environment |= {"ANSIBLE_HOME": str(folder / "ansible")}
    environment["PATH"] = f"{program.parent}{os.pathsep}{os.environ['PATH']}"
    site = Path(__file__).parents[1] / "host/site.yml"
    command = [str(program), "-i", str(inventory), "-e", f"wheels={folder}/wheels"]
    done = subprocess.run(
        [*command, str(site)],
        env=environment,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout[-6000:] + done.stderr
    return done.stdout
