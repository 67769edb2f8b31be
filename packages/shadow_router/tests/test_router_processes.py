"""Starting, stopping and dying: no process left, no client unanswered."""

import asyncio
import contextlib
import http.client
import os
import re
import signal
import socket
import threading
from pathlib import Path

import pytest
from router_fakes import FakeServer
from router_system import is_running, post, refused_url, wait_until


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_serve_ends_clean_when_told_to_stop(live, shadow, start, number):
    system = start(live.url, shadow.url, name=f"data{number}")
    children = system.children()
    assert len(children) == 2
    assert system.stop(number) == 0
    assert not [pid for pid in children if is_running(pid)]
    assert "Traceback" not in system.log
    assert not {"WARNING", "ERROR"} & set(system.log.split())


@pytest.mark.slow
def test_children_end_when_parent_is_killed(live, shadow, start):
    system = start(live.url, shadow.url)
    with contextlib.closing(system.client()) as client:
        assert post(client, 1) == 200
    children = system.children()
    os.kill(system.process.pid, signal.SIGKILL)
    system.process.wait(5)
    wait_until(lambda: not [pid for pid in children if is_running(pid)])
    # Killed parent or not, the children stop in order.
    assert system.audit()["fates"]["match"] == 1


@pytest.mark.slow
def test_serve_ends_with_an_error_when_router_dies(live, shadow, start):
    system = start(live.url, shadow.url)
    children = system.children()
    os.kill(system.child("router"), signal.SIGKILL)
    assert system.process.wait(20) == 70
    assert not [pid for pid in children if is_running(pid)]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("face", "setting"),
    [
        ("public", "SHADOW_ROUTER_PUBLIC_PORT"),
        ("private", "SHADOW_ROUTER_PRIVATE_PORT"),
    ],
)
def test_serve_says_one_line_when_a_port_is_busy(
    live, shadow, start, tmp_path, face, setting
):
    system = start(live.url, shadow.url)
    port = getattr(system, face)
    done = system.run(
        "serve",
        SHADOW_ROUTER_DATA_DIR=str(tmp_path / "other"),
        **{
            "SHADOW_ROUTER_PUBLIC_PORT": "0",
            "SHADOW_ROUTER_PRIVATE_PORT": "0",
            setting: str(port),
        },
    )
    assert done.returncode == 78
    said = [line for line in done.stderr.splitlines() if "in use" in line]
    assert len(said) == 1
    found = re.fullmatch(
        rf"shadow-router: 127\.0\.0\.1:{port} is in use by process (\d+) \((.+)\); "
        rf"end it \(kill (\d+)\), or set {setting}",
        said[0],
    )
    assert found is not None and found[1] == found[3], said
    command = Path(f"/proc/{found[1]}/cmdline").read_text()
    assert f"--only\0{'router' if face == 'public' else 'collector'}\0" in command
    assert "Traceback" not in done.stderr


@pytest.mark.slow
def test_second_collector_is_refused_when_directory_is_taken(live, shadow, start):
    system = start(live.url, shadow.url)
    ports = {"SHADOW_ROUTER_PRIVATE_PORT": "0"}
    done = system.run("serve", "--only", "collector", **ports)
    assert done.returncode == 78
    assert done.stderr == (
        f"shadow-router: {system.directory} already has a collector "
        "(SHADOW_ROUTER_DATA_DIR)\n"
    )


@pytest.mark.slow
def test_the_two_processes_meet_when_started_apart(live, shadow, start):
    router = start(live.url, shadow.url, only="router")
    with contextlib.closing(router.client()) as client:
        assert post(client, 1) == 200
    collector = start(live.url, shadow.url, only="collector")
    wait_until(lambda: collector.private_get("/readyz")[0] == 200)
    assert collector.settled_fates() == {"match": 1}
    assert router.stop() == 0
    assert collector.stop() == 0
    assert collector.audit()["balances"]


@pytest.mark.slow
def test_requests_in_flight_are_answered_when_told_to_stop(shadow, start):
    release = threading.Event()

    async def answer_when_released(arrived, writer):
        await asyncio.to_thread(release.wait, 10)
        return await FakeServer.answer_well(arrived, writer)

    with FakeServer(answer_when_released) as live:
        system = start(live.url, shadow.url)
        with contextlib.closing(system.client()) as client:
            client.request("POST", "/v1/predict", b"{}")
            wait_until(lambda: live.arrived)
            system.process.send_signal(signal.SIGTERM)
            wait_until(lambda: not _accepts(system), what="the closed listener")
            release.set()
            answer = client.getresponse()
            assert answer.status == 200
            assert answer.headers["connection"] == "close"
            answer.read()
        assert system.process.wait(20) == 0
        assert system.audit()["fates"]["match"] == 1


def _accepts(system):
    with contextlib.suppress(OSError):
        socket.create_connection(system.public_at, timeout=1).close()
        return True
    return False


@pytest.mark.slow
def test_no_kept_alive_request_is_lost_when_told_to_stop(live, shadow, start):
    system = start(live.url, shadow.url)
    lost, answered = [], []

    def send(seed):
        with contextlib.closing(system.client()) as client:
            client.connect()
            while True:
                try:
                    client.request("POST", "/v1/predict", b"{}")
                    answer = client.getresponse()
                    answer.read()
                except (OSError, http.client.HTTPException) as error:
                    lost.append(repr(error))
                    return
                answered.append(answer.status)
                if answer.headers.get("connection") == "close":
                    return

    threads = [threading.Thread(target=send, args=(n,)) for n in range(8)]
    for thread in threads:
        thread.start()
    wait_until(lambda: len(answered) > 200)
    assert system.stop() == 0
    for thread in threads:
        thread.join(10)
    assert not lost
    assert set(answered) == {200}
    found = system.audit()
    assert found["balances"] and found["received"] == len(answered)


@pytest.mark.slow
def test_request_is_cut_and_counted_when_grace_is_over(shadow, start):
    async def hang(arrived, writer):
        await asyncio.Event().wait()

    with FakeServer(hang) as live:
        system = start(live.url, shadow.url, GRACE_S=0.3)
        with contextlib.closing(system.client()) as client:
            client.request("POST", "/v1/predict", b"{}")
            wait_until(lambda: live.arrived)
            assert system.stop() == 0
        found = system.audit()
        assert found["balances"]
        assert found["fates"]["dropped_shutdown"] == 1


@pytest.mark.slow
def test_readiness_follows_live_and_not_the_shadow(live, start):
    with FakeServer() as going:
        system = start(going.url, refused_url())
        assert system.private_get("/readyz")[0] == 200
    assert system.private_get("/readyz")[0] == 503
    assert system.private_get("/livez")[0] == 200
