"""What somebody who is inside a container can do, as the compose file starts it."""

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from stack import Stack, wait_until

from tasks.system.engine_client import CLIENT, docker, inspect

SERVICES = ["api-live", "api-shadow", "router", "collector"]
METADATA = "169.254.169.254"
# Each prints one word for what it could do, so an empty answer is a good one.
WRITE = """
import os
for folder, folders, _ in os.walk("/", topdown=True):
    if folder == "/":
        folders[:] = set(folders) - {"proc", "sys", "dev"}
    try:
        open(os.path.join(folder, ".probe"), "x").close()
        os.unlink(os.path.join(folder, ".probe"))
        print(folder)
    except OSError:
        pass
"""
BECOME_ROOT = """
import os
acts = [
    lambda: os.setuid(0),
    lambda: os.chroot("/tmp"),
    lambda: os.mknod("/tmp/d", 0o20600, os.makedev(1, 3)),
    lambda: os.chown("/tmp", 0, 0),
    lambda: os.nice(-1),
]
for act in acts:
    try:
        act()
        print("allowed")
    except OSError:
        pass
"""
STATUS = "print(open('/proc/1/status').read())"
REACH = f"""
import urllib.request
try:
    print(urllib.request.urlopen("http://{METADATA}/", timeout=2).read().decode())
except OSError as error:
    print("unreachable")
"""
# A namespace that knows no way to containers, as a cloud's metadata service: it
# answers the machine itself, and whom the machine lends its address.
NAMESPACE = "metadata"


@pytest.fixture(params=SERVICES)
def service(request: pytest.FixtureRequest) -> str:
    """Each of our services in turn."""
    return str(request.param)


def process_status(text: str) -> dict[str, str]:
    """Return the fields of /proc/PID/status."""
    return {
        name: value.strip()
        for name, _, value in (line.partition(":") for line in text.splitlines())
    }


def test_process_has_no_name_no_power_and_no_way_to_either(
    stack: Stack, service: str
) -> None:
    status = process_status(stack.python(service, STATUS))
    assert status["Uid"].split() == ["10001"] * 4
    assert status["Gid"].split() == ["10001"] * 4
    for name in ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"):
        assert int(status[name], 16) == 0
    assert status["NoNewPrivs"] == "1"
    assert status["Seccomp"] == "2"
    assert stack.python(service, BECOME_ROOT) == ""


def test_only_data_and_temporary_files_can_be_written(
    stack: Stack, service: str
) -> None:
    written = set(stack.python(service, WRITE).split())
    assert {folder.split("/")[1] for folder in written} == {"data", "tmp"}


def test_probes_find_what_a_container_may_do_by_default(base: str) -> None:
    run = ["run", "--rm", base, "python3", "-c"]
    assert int(process_status(docker(*run, STATUS))["CapEff"], 16) != 0
    assert "/usr/bin" in docker(*run, WRITE).split()
    assert "allowed" in docker(*run, BECOME_ROOT)


def test_limits_are_those_of_the_compose_file(stack: Stack, service: str) -> None:
    container = stack.container(service)
    memory = 256 if service.startswith("api") else 512
    limits = "{{.HostConfig.Memory}} {{.HostConfig.NanoCpus}} {{.HostConfig.PidsLimit}}"
    assert inspect(container, limits) == f"{memory * 2**20} 1000000000 64"
    files = "import resource; print(resource.getrlimit(resource.RLIMIT_NOFILE)[1])"
    assert int(stack.python(service, files)) >= 4224


def test_too_many_processes_are_refused_when_somebody_starts_them(
    stack: Stack,
) -> None:
    fork = (
        "import os, time\n"
        "for _ in range(100):\n"
        "  if not os.fork():\n"
        "    time.sleep(1)\n"
        "    os._exit(0)"
    )

    def run(code: str) -> subprocess.CompletedProcess[str]:
        command = ["exec", stack.container("api-shadow"), "python3", "-c", code]
        return subprocess.run(
            [CLIENT, *command], capture_output=True, text=True, timeout=60
        )

    assert "Resource temporarily unavailable" in run(fork).stderr
    # Their room is needed by whoever is next.
    wait_until(lambda: run("").returncode == 0)


@contextmanager
def metadata_service() -> Iterator[None]:
    """Serve the metadata address as a cloud does, until the block ends."""

    def ip(*arguments: str) -> None:
        subprocess.run(["ip", *arguments], check=True)

    inside = ["netns", "exec", NAMESPACE]
    ip("netns", "add", NAMESPACE)
    try:
        ip("link", "add", "metadata0", "type", "veth", "peer", "name", "eth0",
           "netns", NAMESPACE)  # fmt: skip
        ip("address", "add", "169.254.169.253/30", "dev", "metadata0")
        ip("link", "set", "metadata0", "up")
        ip(*inside, "ip", "address", "add", f"{METADATA}/30", "dev", "eth0")
        ip(*inside, "ip", "link", "set", "eth0", "up")
        command = ["ip", *inside, "python3", "-m", "http.server", "80"]
        server = subprocess.Popen(
            command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, cwd="/var"
        )
        try:
            yield
        finally:
            server.terminate()
            server.wait()
    finally:
        ip("netns", "delete", NAMESPACE)


def test_metadata_address_is_out_of_reach_where_another_container_reaches_it(
    stack: Stack, base: str
) -> None:
    with metadata_service():
        # As a container of nobody in particular would: the machine lends its address.
        open_to_all = ["run", "--rm", base, "python3", "-c", REACH]
        for _ in range(20):
            if "Directory listing" in docker(*open_to_all):
                break
        assert "Directory listing" in docker(*open_to_all)
        for service in SERVICES:
            assert stack.python(service, REACH) == "unreachable"
