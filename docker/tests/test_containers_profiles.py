"""The optional parts of compose.yaml: PostgreSQL, Prometheus and Grafana."""

import json
import subprocess
import urllib.parse
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml
from bases import make_base
from stack import Stack, get_json, status, wait_until
from traffic_beside import Traffic

from tasks.system.engine_client import CLIENT, docker

PASSWORD = "of-a-test-alone"
STORE = f"postgresql+psycopg://shadow_router:{PASSWORD}@postgresql/shadow_router"
# What the public image's entry point does, as far as compose.yaml relies on it.
START_POSTGRESQL = r"""
set -eu
bin=$(echo /usr/lib/postgresql/*/bin)
data=/var/lib/postgresql/data
if [ ! -s $data/PG_VERSION ]; then
  echo "$POSTGRES_PASSWORD" > /tmp/password
  $bin/initdb --username "$POSTGRES_USER" --pwfile /tmp/password \
    --auth scram-sha-256 --encoding UTF8 $data
  echo "host all all all scram-sha-256" >> $data/pg_hba.conf
  echo "create database $POSTGRES_DB" | $bin/postgres --single -D $data template1
fi
exec $bin/postgres -D $data -c listen_addresses='*'
"""


def stand_in(name: str, folder: str, owner: int, command: list[str]) -> str:
    """Return an image of Debian's packages that starts as the public one does."""
    tag = f"{name}:test"
    # initdb wants a user that has a name.
    user = f"id {owner} || useradd --uid {owner} owner"
    place = f"mkdir -p {folder} && chown {owner} {folder} && chmod 700 {folder}"
    # As the public image has it; a temporary file system takes the mode over.
    socket = "mkdir -p /var/run/postgresql && chmod 3777 /var/run/postgresql"
    lines = [
        f"FROM {make_base(f'base-{name}')}",
        f"RUN ({user}) && {place} && {socket}",
        f"ENTRYPOINT {json.dumps(command)}",
    ]
    subprocess.run(
        [CLIENT, "build", "--tag", tag, "-"],
        input="\n".join(lines).encode(),
        check=True,
        capture_output=True,
    )
    return tag


@pytest.fixture(scope="module")
def stack(
    pins: dict[str, str], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Stack]:
    """The system with its optional parts, less Grafana, which Debian does not have."""
    data = "/var/lib/postgresql/data"
    start = ["sh", "-c", START_POSTGRESQL]
    variables = {
        **pins,
        "POSTGRESQL_IMAGE": stand_in("postgresql", data, 999, start),
        "POSTGRES_PASSWORD": PASSWORD,
        "SHADOW_ROUTER_STORE_URL": STORE,
        "PROMETHEUS_IMAGE": stand_in(
            "prometheus", "/prometheus", 65534, ["/usr/bin/prometheus"]
        ),
    }
    running = Stack(tmp_path_factory.mktemp("stack"), variables)
    try:
        running.up("postgresql", "prometheus", "router", "collector", "api-shadow")
        yield running
    finally:
        running.down()


def test_store_is_postgresql_and_survives_its_end_when_its_profile_is_on(
    stack: Stack, traffic: Traffic
) -> None:
    docker("kill", stack.container("postgresql"))
    traffic.go_on()
    docker("start", stack.container("postgresql"))
    wait_until(lambda: stack.is_healthy("postgresql"))
    traffic.go_on()
    traffic.end()
    assert traffic.failures == []
    books = stack.audit()
    assert books["balances"] is True
    files = stack.python("collector", "import os; print(os.listdir('/data/first'))")
    assert "collector.sock" in files
    assert "sqlite" not in files


def query(stack: Stack, expression: str) -> list[dict[str, object]]:
    """Return what Prometheus answers to a query."""
    text = urllib.parse.urlencode({"query": expression})
    url = f"http://127.0.0.1:{stack.prometheus}/api/v1/query?{text}"
    data = get_json(url)["data"]
    assert isinstance(data, dict)
    found: list[dict[str, object]] = data["result"]
    return found


def test_prometheus_sees_both_versions_and_the_collector_when_its_profile_is_on(
    stack: Stack,
) -> None:
    ready = f"http://127.0.0.1:{stack.prometheus}/-/ready"
    wait_until(lambda: status(ready) == 200)
    wait_until(lambda: len(query(stack, "up == 1")) == 3)
    labels = [result["metric"] for result in query(stack, "model_info")]
    versions = {
        label["role"]: label["model_version"]
        for label in labels
        if isinstance(label, dict)
    }
    assert versions == {"live": "1.0.0", "shadow": "1.1.0"}
    assert query(stack, "shadow_requests_total")
    rules = get_json(f"http://127.0.0.1:{stack.prometheus}/api/v1/rules")["data"]
    assert isinstance(rules, dict)
    names = {group["name"] for group in rules["groups"]}
    assert {"service", "model", "shadow"} < names


def test_grafana_finds_its_source_and_its_dashboards_where_compose_puts_them() -> None:
    # Grafana itself cannot be had here: what it reads is held to what is mounted.
    services = yaml.safe_load(Path("docker/compose.yaml").read_text())["services"]
    mounts = [volume.split(":")[:2] for volume in services["grafana"]["volumes"]]
    provisioning = Path("docker/grafana/provisioning")
    (source,) = yaml.safe_load(
        (provisioning / "datasources/prometheus.yaml").read_text()
    )["datasources"]
    assert source["url"] == "http://prometheus:9090"
    assert "prometheus" in services
    (provider,) = yaml.safe_load((provisioning / "dashboards/files.yaml").read_text())[
        "providers"
    ]
    assert ["./grafana/dashboards", provider["options"]["path"]] in mounts
    assert ["./grafana/provisioning", "/etc/grafana/provisioning"] in mounts
    settings = services["grafana"]["environment"]
    assert settings["GF_AUTH_ANONYMOUS_ORG_ROLE"] == "Viewer"


def test_ports_are_bound_to_loopback_when_published() -> None:
    services = yaml.safe_load(Path("docker/compose.yaml").read_text())["services"]
    published = [port for one in services.values() for port in one.get("ports", [])]
    assert len(published) == 4
    assert all(port.startswith("127.0.0.1:") for port in published)
