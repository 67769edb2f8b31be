"""One host, installed by the playbook into a throwaway root, and asked over TLS."""

import json
import re
import ssl
import subprocess
import urllib.request

import pytest
from host_root import (
    certificate,
    free_ports,
    playbook,
    running,
    throwaway_root,
    unit,
    wait_for,
)
from terraform_runs import DEPLOY

NAME = "iris.example.org"
PORTS = ["https_port", "public_port", "private_port", "live_port", "shadow_port"]
ROW = {
    "sepal_length_cm": 5.1,
    "sepal_width_cm": 3.5,
    "petal_length_cm": 1.4,
    "petal_width_cm": 0.2,
}


@pytest.fixture(scope="module")
def host(tmp_path_factory):
    """The root file system, its settings, and what two runs of the playbook said."""
    folder = tmp_path_factory.mktemp("host")
    crt, key = certificate(folder)
    # Operators come to https_port + 8000.
    ports = dict(zip(PORTS, free_ports(len(PORTS)), strict=True))
    ports["https_port"] = 20000 + ports["https_port"] % 20000
    variables = {**ports, "certificate": str(crt), "certificate_key": str(key)}
    # Not that of the listeners behind the proxy: they have to be told of it.
    variables |= {"server_name": NAME}
    with throwaway_root(folder / "root") as root:
        said = [playbook(root, folder, variables) for _ in range(2)]
        yield root, variables, said


def changed(said):
    """Return how many tasks changed something on the host."""
    return [int(n) for n in re.findall(r"root\s+: ok=\d+\s+changed=(\d+)", said)]


def test_first_run_installs_and_second_changes_nothing(host):
    _, _, (first, second) = host
    assert changed(first) == [10]
    assert changed(second) == [0]


def test_proxy_is_configured_as_nginx_wants_it(host):
    root, _, _ = host
    done = subprocess.run(
        ["chroot", root, "/usr/sbin/nginx", "-t"], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr


def test_units_are_as_systemd_wants_them(host):
    root, _, _ = host
    names = ["iris-api@live.service", "iris-router.service"]
    units = [f"/etc/systemd/system/{name}" for name in names]
    done = subprocess.run(
        ["chroot", root, "systemd-analyze", "verify", "--man=no", *units],
        capture_output=True,
        text=True,
    )
    ours = [line for line in done.stderr.splitlines() if "iris" in line]
    assert done.returncode == 0 and not ours, done.stderr


def test_units_start_with_the_machine(host):
    root, _, _ = host
    wanted = root / "etc/systemd/system/multi-user.target.wants"
    assert {path.name for path in wanted.glob("iris*")} == {
        "iris-api@live.service",
        "iris-api@shadow.service",
        "iris-router.service",
    }


def test_key_of_the_certificate_is_roots_alone(host):
    root, _, _ = host
    found = (root / "etc/iris/tls.key").stat()
    assert (found.st_mode & 0o777, found.st_uid) == (0o600, 0)


def ask(port, folder, path, body=None):
    """Ask over TLS, trusting the host's certificate alone."""
    context = ssl.create_default_context(cafile=str(folder / "etc/iris/tls.crt"))
    request = urllib.request.Request(
        f"https://localhost:{port}{path}",
        data=json.dumps(body).encode() if body else None,
        headers={"Content-Type": "application/json", "Host": NAME},
    )
    with urllib.request.urlopen(request, context=context, timeout=30) as answer:
        return json.load(answer)


def test_prediction_comes_through_tls_proxy_and_router(host):
    root, settings, _ = host
    proxy = ["chroot", str(root), "/usr/sbin/nginx", "-g", "daemon off;"]
    with unit(root, "iris-api@.service", "live"):
        with unit(root, "iris-api@.service", "shadow"):
            for role in ("live_port", "shadow_port"):
                wait_for(settings[role])
            with unit(root, "iris-router.service"), running(proxy, {}):
                wait_for(settings["public_port"])
                wait_for(settings["private_port"])
                wait_for(settings["https_port"])
                body = {"inputs": [ROW]}
                answer = ask(settings["https_port"], root, "/v1/predict", body)
                operators = settings["https_port"] + 8000
                report = ask(operators, root, "/report.json")
    assert answer["model"]["version"] == "1.0.0"
    assert answer["predictions"][0]["label"] == "setosa"
    assert report["format"] == 1
    assert (root / "var/lib/iris/live/records.jsonl").stat().st_size > 0


def test_units_are_hardened():
    for path in sorted((DEPLOY / "host/files").glob("*.service")):
        text = path.read_text()
        for line in ("NoNewPrivileges=yes", "ProtectSystem=strict", "User=iris"):
            assert f"\n{line}\n" in text, (path.name, line)
        limit = int(re.search(r"LimitNOFILE=(\d+)", text)[1])
        assert limit >= 4224
