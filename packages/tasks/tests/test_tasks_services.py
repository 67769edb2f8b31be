"""The whole system, as ``tox run -e up`` starts it, on ports that are free."""

import configparser
import json
import os
import re
import shlex
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest
from running import ROOT, SERVICES, Running, descendants, get, health, wait_until

from tasks.system import environments, monitoring, services
from tasks.system.environments import CannotStart


@pytest.fixture(scope="module")
def system(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    running = Running(tmp_path_factory.mktemp("up"), "up", "--traffic", "2000")
    try:
        running.wait_for("requests a second")
        yield running
    finally:
        if running.process.poll() is None:
            running.stop()


def readme_curl() -> tuple[str, str]:
    """Return the README's curl and the answer printed below it."""
    text = (ROOT / "README.md").read_text()
    found = re.search(r"```\n(curl .+?)\n```\n\n```json\n(.+?)\n```", text, re.S)
    assert found is not None
    return found.group(1).replace("\\\n", ""), found.group(2)


def test_curl_of_the_readme_gives_the_answer_it_shows(system: Running) -> None:
    command, shown = readme_curl()
    assert "127.0.0.1:8000" in command
    here = command.replace("127.0.0.1:8000", f"127.0.0.1:{system.public}")
    done = subprocess.run(shlex.split(here), capture_output=True, check=True)
    assert json.loads(done.stdout) == json.loads(shown)


def test_traffic_is_answered_when_sent(system: Running) -> None:
    assert "traffic: 2,000 of 2,000 answered 200" in system.output.read_text()


def test_every_traffic_leaves_nothing_out_and_says_how_to_send_it_again(
    system: Running,
) -> None:
    said = system.output.read_text()
    assert "traffic: 0 left out of the comparison" in said
    assert re.search(r"^traffic: --seed \d+ sends the same rows again$", said, re.M)


def test_links_that_are_printed_open_in_a_browser(system: Running) -> None:
    said = system.output.read_text().partition("\nready\n")[2].partition("curl")[0]
    links = dict(re.findall(r"^  (\w+) +(http\S+)$", said, re.M))
    assert {"page", "docs", "report"} <= links.keys()
    for name, url in links.items():
        with urllib.request.urlopen(url, timeout=5) as answer:
            assert answer.status == 200, name
            assert b"<html" in answer.read().lower(), name


def test_curl_that_is_printed_works_when_pasted(system: Running) -> None:
    command = next(
        line for line in system.output.read_text().splitlines() if "  curl" in line
    )
    done = subprocess.run(shlex.split(command), capture_output=True, check=True)
    assert json.loads(done.stdout)["model"]["version"] == "1.0.0"


def test_books_balance_and_versions_differ_when_traffic_has_passed(
    system: Running,
) -> None:
    deadline = time.monotonic() + 30
    report = json.loads(get(system.private, "/report.json"))
    while report["open"] and time.monotonic() < deadline:
        time.sleep(0.1)
        report = json.loads(get(system.private, "/report.json"))
    done = system.audit()
    assert done.returncode == 0, done.stdout + done.stderr
    fates = json.loads(done.stdout)["fates"]
    assert fates["proba_shift"] + fates["label_flip"] > 1000
    assert fates["label_flip"] > 0
    assert sum(fates.values()) == json.loads(done.stdout)["received"]


def test_report_page_shows_both_versions_when_opened(system: Running) -> None:
    page = get(system.private, "/").decode()
    assert "1.0.0" in page
    assert "1.1.0" in page


def test_report_says_that_one_client_may_be_all_of_the_evidence(
    system: Running,
) -> None:
    page = get(system.private, "/").decode()
    assert "this verdict may rest on one client alone" in page


def test_records_hold_every_prediction_when_traffic_has_passed(
    system: Running,
) -> None:
    records = (ROOT / ".tox/services/live.records.jsonl").read_text().splitlines()
    assert len(records) >= 2000
    assert json.loads(records[-1])["model"]["version"] == "1.0.0"


def test_alerts_are_linked_where_prometheus_is_installed(system: Running) -> None:
    is_linked = re.search(
        rf"alerts   http://127.0.0.1:{system.prometheus}/(classic/)?alerts",
        system.output.read_text(),
    )
    assert bool(is_linked) == bool(shutil.which("prometheus"))


def test_second_start_names_the_process_that_holds_a_port(system: Running) -> None:
    done = subprocess.run(
        [*SERVICES, "up"],
        cwd=ROOT,
        env=system.environment,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 78
    said = re.fullmatch(
        rf"cannot start: 127\.0\.0\.1:{system.public} is in use by process (\d+) "
        r"\((.+)\); end it \(kill (\d+)\), or set SHADOW_ROUTER_PUBLIC_PORT\n",
        done.stderr,
    )
    assert said is not None, done.stderr
    assert said[1] == said[3] and said[1] in map(str, descendants(system.process.pid))
    # Long commands are cut.
    assert ".tox/services/router/bin/python" in said[2]


def test_ctrl_c_leaves_no_process_and_no_traceback_when_pressed(
    system: Running,
) -> None:
    # Last in this file: it ends the system that the others share.
    pids = system.started_pids()
    # And Prometheus, where it is installed.
    assert len(pids) == (4 if shutil.which("prometheus") else 3)
    assert system.stop() == 0
    for pid in pids:
        with pytest.raises(ProcessLookupError):
            os.kill(pid, 0)
    assert "Traceback" not in system.output.read_text()
    assert system.audit().returncode == 0


@pytest.mark.slow
def test_serve_runs_the_live_api_alone_when_started(tmp_path: Path) -> None:
    running = Running(tmp_path, "serve")
    try:
        running.wait_for("serves iris_model")
        wait_until(lambda: health(running) == "1.0.0")
        answer = running.predict()
    finally:
        assert running.stop() == 0
    said = running.output.read_text()
    assert "Traceback" not in said
    # Records are data of clients: in a file, unless somebody asks to see them.
    assert answer["request_id"] not in said
    path = re.search(r"^records: (\S+)  \(-- --records - prints them\)$", said, re.M)
    assert path is not None
    assert answer["request_id"] in (ROOT / path[1]).read_text().splitlines()[-1]


@pytest.mark.slow
@pytest.mark.parametrize("where", ["-", "file"])
def test_serve_keeps_records_where_it_is_told_to(tmp_path: Path, where: str) -> None:
    path = tmp_path / "records.jsonl"
    named = "-" if where == "-" else str(path)
    # What is asked for goes before a setting.
    settings = {"IRIS_API_RECORDS": str(tmp_path / "other")}
    running = Running(tmp_path, "serve", "--records", named, **settings)
    try:
        wait_until(lambda: health(running) == "1.0.0", timeout_s=60)
        answer = running.predict()
    finally:
        assert running.stop() == 0
    shown = running.output if where == "-" else path
    assert answer["request_id"] in shown.read_text()
    assert (answer["request_id"] in running.output.read_text()) == (where == "-")
    assert not (tmp_path / "other").exists()


@pytest.mark.slow
@pytest.mark.parametrize("command", ["up", "serve"])
def test_no_ordinary_line_is_red_when_a_person_looks(
    tmp_path: Path, command: str
) -> None:
    # tox paints what arrives on standard error; this keeps the two apart.
    terminal = (sys.executable, "-c", "import pty, sys; pty.spawn(sys.argv[1:])")
    errors = tmp_path / "errors.txt"
    apart = ("sh", "-c", f'exec "$@" 2>{errors}', "sh")
    running = Running(tmp_path, command, under=(*terminal, *apart))
    try:
        running.wait_for("report   http" if command == "up" else "serves iris_model")
    finally:
        running.stop()
    assert "\x1b[" in running.output.read_text()
    assert not re.search(r"\x1b\[(\d+;)*(31|41|91)m", running.output.read_text())
    assert errors.read_text() == ""


def test_start_says_one_line_and_goes_on_when_prometheus_has_no_port(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as busy:
        port = busy.getsockname()[1]
        monkeypatch.setenv("PROMETHEUS_PORT", str(port))
        monkeypatch.setattr(monitoring, "find_prometheus", lambda: "/bin/prometheus")
        assert services.watching({}) is None
    said = capsys.readouterr().out
    assert said.startswith(
        f"no Prometheus: 127.0.0.1:{port} is in use by process {os.getpid()} ("
    )
    assert said.endswith(f"; end it (kill {os.getpid()}), or set PROMETHEUS_PORT\n")


def test_address_that_nobody_can_listen_at_is_named_with_its_reason() -> None:
    # Of a documentation network: on no machine.
    address = services.Address("http://192.0.2.1:8001", "SHADOW_ROUTER_LIVE_URL")
    with pytest.raises(CannotStart) as refused:
        services.check_free(address)
    assert str(refused.value) == (
        "192.0.2.1:8001 cannot be used: Cannot assign requested address; choose "
        "another, or set SHADOW_ROUTER_LIVE_URL"
    )


def test_nothing_watches_when_prometheus_is_not_installed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("PATH", "")
    assert services.watching({}) is None


def test_configuration_is_refused_when_it_does_not_name_a_target(
    tmp_path: Path,
) -> None:
    path = tmp_path / "prometheus.yml"
    path.write_text("rule_files: [rules/*.yml]")
    with pytest.raises(ValueError, match="does not name api-live:8001"):
        monitoring.local_configuration(path, {"api-live:8001": "127.0.0.1:1"})


def test_books_begin_anew_when_the_pins_change(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("SHADOW_ROUTER_DATA_DIR", raising=False)
    pins = tmp_path / "api/requirements"
    pins.mkdir(parents=True)
    for role in ("live", "shadow"):
        (pins / f"{role}.txt").write_text("iris_model==1.0.0\n")
    services.set_old_books_aside()
    (tmp_path / ".shadow_router/books").write_text("of the first pair")
    (tmp_path / ".shadow_router/promotions.jsonl").write_text("of all pairs")
    services.set_old_books_aside()
    assert (tmp_path / ".shadow_router/books").exists()
    (pins / "shadow.txt").write_text("iris_model==1.1.0\n")
    services.set_old_books_aside()
    assert not (tmp_path / ".shadow_router/books").exists()
    assert (tmp_path / ".shadow_router-1/books").read_text() == "of the first pair"
    log = tmp_path / ".shadow_router/promotions.jsonl"
    assert log.read_text() == "of all pairs"
    # And when somebody asks for it, whatever the pins.
    (tmp_path / ".shadow_router/books").write_text("spoilt")
    services.set_old_books_aside(is_fresh=True)
    assert not (tmp_path / ".shadow_router/books").exists()
    assert (tmp_path / ".shadow_router-2/books").read_text() == "spoilt"
    assert log.read_text() == "of all pairs"


@pytest.mark.parametrize(
    ("name", "value", "extras"),
    [
        ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://collector:4318", ["otel"]),
        ("IRIS_API_PORT", "8001", []),
    ],
)
def test_api_can_export_traces_when_it_is_asked_to(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str, extras: list[str]
) -> None:
    for other in [one for one in os.environ if one.startswith("OTEL_")]:
        monkeypatch.delenv(other)
    monkeypatch.setenv(name, value)
    taken: list[list[str]] = []
    monkeypatch.chdir(ROOT)
    monkeypatch.setattr(
        environments, "fill", lambda name, what, steps: taken.extend(steps)
    )
    services.prepare_api("live")
    wheel = str(environments.build(environments.API))
    assert [step for step in taken if "otel" in str(step)] == [
        ["-r", "api/requirements/live.txt", f"{wheel}[{extra}]"] for extra in extras
    ]


def test_variables_of_traces_reach_the_services() -> None:
    tox = configparser.ConfigParser(interpolation=None)
    tox.read(ROOT / "tox.ini")
    assert "OTEL_*" in tox["testenv:up"]["pass_env"].split()
    assert tox["testenv:serve"]["pass_env"] == "{[testenv:up]pass_env}"
