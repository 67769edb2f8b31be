"""Stops, kills, hangs and full disks: what was acknowledged is kept, always."""

import asyncio
import fcntl
import json
import os
import signal
import subprocess
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import pytest
from api_forks import exit_code, fork_server
from api_load import BODY, Load
from api_server import (
    COMMAND,
    Server,
    environment,
    free_port,
    send,
    start_server,
    wait_until_ready,
)

ROUNDS = 20


async def end_under_load(process, port, requests, number):
    """Signal a server that many requests after twenty clients began; return both."""
    load = Load(port, 20)
    traffic = asyncio.create_task(load.run())
    while len(load.acknowledged) < requests:
        await asyncio.sleep(0.002)
    os.kill(process.pid, number)
    await asyncio.wait_for(traffic, 20)
    return load


def end_one(records, requests, number, code):
    """End a server under load; return the load, and what is on record of it."""
    with fork_server(records) as (process, port):
        load = asyncio.run(end_under_load(process, port, requests, number))
        assert exit_code(process, 10) == code  # the grace time
    lines = whole_lines(records)
    return load, [json.loads(line)["request_id"] for line in lines]


def drain(records, requests):
    """Stop a server; nothing that was sent is lost."""
    load, recorded = end_one(records, requests, signal.SIGTERM, 0)
    assert load.lost == []
    assert sorted(recorded) == sorted(load.acknowledged)


def kill(records, requests):
    """Kill a server; what was acknowledged is on record."""
    load, recorded = end_one(records, requests, signal.SIGKILL, -signal.SIGKILL)
    assert set(load.acknowledged) <= set(recorded)


def run_rounds(end, folder):
    """End twenty servers, some at a time, after more and more requests."""
    paths = [folder / f"{number}.jsonl" for number in range(ROUNDS)]
    with ThreadPoolExecutor(4) as rounds:
        list(rounds.map(end, paths, range(50, 550, 25)))


@pytest.mark.slow
def test_no_request_goes_unanswered_when_servers_are_stopped_under_load(tmp_path):
    run_rounds(drain, tmp_path)


@pytest.mark.slow
def test_every_acknowledged_prediction_is_recorded_when_servers_are_killed(tmp_path):
    run_rounds(kill, tmp_path)


def whole_lines(path):
    """Return the lines that were written to their end."""
    *lines, rest = path.read_bytes().split(b"\n")
    return lines


LATE = """
import os, time
import iris_model

check = iris_model.IrisModel.check_golden_rows

def check_late(model):
    while not os.path.exists(os.environ["GATE"]):
        time.sleep(0.01)
    check(model)
    print("golden rows answered", flush=True)

iris_model.IrisModel.check_golden_rows = check_late
"""


@pytest.mark.slow
def test_nobody_listens_when_the_golden_rows_are_not_yet_answered(tmp_path):
    (tmp_path / "sitecustomize.py").write_text(LATE)
    gate, port = tmp_path / "gate", free_port()
    settings = {"PYTHONPATH": str(tmp_path), "GATE": str(gate)}
    process = subprocess.Popen(
        [COMMAND],
        env=environment(IRIS_API_PORT=str(port), **settings),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    with process:
        time.sleep(1.5)
        assert process.poll() is None
        with pytest.raises(ConnectionRefusedError):
            send(port, "GET", "/livez")
        gate.touch()
        assert process.stdout.readline() == b"golden rows answered\n"
        wait_until_ready(Server(port, process, None, None))
        process.terminate()


@pytest.mark.slow
def test_process_ends_and_says_where_when_its_loop_hangs():
    # Nobody empties standard output, so that writing a record never returns.
    with start_server(stdout=subprocess.PIPE, IRIS_API_HANG_S="1") as server:
        fcntl.fcntl(server.process.stdout, fcntl.F_SETPIPE_SZ, 4096)
        asyncio.run(run_until_gone(server.port))
        assert server.process.wait(20) == 70
        server.process.stdout.close()
        lines = server.talk().splitlines()
    assert "CRITICAL the event loop has hung for 1 s" in lines[-1]
    assert "os.write(" in lines[-1]


async def run_until_gone(port):
    """Predict until the server ends; what is lost then is lost."""
    await Load(port, 4).run()


@pytest.mark.slow
def test_process_lives_on_when_it_was_suspended_for_longer_than_it_may_hang():
    with start_server(stdout=subprocess.DEVNULL, IRIS_API_HANG_S="1") as server:
        server.process.send_signal(signal.SIGSTOP)
        time.sleep(2.5)
        server.process.send_signal(signal.SIGCONT)
        for _ in range(20):
            server.process.send_signal(signal.SIGSTOP)
            time.sleep(0.15)
            server.process.send_signal(signal.SIGCONT)
            time.sleep(0.01)
        assert server.predict(BODY).status == 200
        assert server.stop() == 0


# ---- a full disk

MOUNT = "mount -t tmpfs -o size=256k,mode=0777 none {}"


@contextmanager
def small_disk(folder):
    """
    Mount a file system of 256 KiB, as root or through sudo; else in a name space.

    Gives the command of a server that sees it; other processes may not.
    """
    folder.mkdir()
    mount = MOUNT.format(folder)
    for before in ("", "sudo -n "):
        done = subprocess.run((before + mount).split(), capture_output=True)
        if done.returncode == 0:
            try:
                yield [COMMAND]
            finally:
                subprocess.run(f"{before}umount -l {folder}".split(), check=True)
            return
    script = f'{mount} && exec "$0"'
    yield ["unshare", "-Urm", "sh", "-c", script, COMMAND]


@pytest.mark.slow
def test_predictions_stop_and_go_on_when_the_disk_is_full_and_has_room_again(tmp_path):
    with small_disk(tmp_path / "disk") as command:
        records = tmp_path / "disk" / "records.jsonl"
        with start_server(command=command, IRIS_API_RECORDS=str(records)) as server:
            disk = Path(f"/proc/{server.process.pid}/root{tmp_path}/disk")
            assert os.statvfs(disk).f_blocks * os.statvfs(disk).f_frsize == 262_144
            filler = disk / "filler"
            filler.write_bytes(bytes(200_000))
            acknowledged = predict_until_refused(server)
            assert server.send("GET", "/readyz").status == 200
            assert server.predict(BODY).status == 503
            filler.unlink()
            acknowledged += [predict(server, f"after-{n}") for n in range(50)]
            lines = (disk / "records.jsonl").read_bytes().splitlines()
            assert server.stop() == 0
    recorded, torn = read(lines)
    assert set(acknowledged) <= recorded
    assert torn <= 1


def predict(server, request_id):
    """Predict one row; return the id, of which there must be an acknowledgement."""
    headers = {"Content-Type": "application/json", "X-Request-ID": request_id}
    assert server.predict(BODY, headers).status == 200
    return request_id


def predict_until_refused(server):
    """Return the ids acknowledged before the first refusal, which must be proper."""
    acknowledged = []
    for number in range(1000):
        headers = {"Content-Type": "application/json", "X-Request-ID": f"b-{number}"}
        reply = server.predict(BODY, headers)
        if reply.status != 200:
            assert (reply.status, reply.headers["Retry-After"]) == (503, "5")
            assert b"setosa" not in reply.body
            assert "No space left on device" in server.talk()
            return acknowledged
        acknowledged.append(f"b-{number}")
    raise AssertionError("the disk is not full")


def read(lines):
    """Return the ids of whole records, and the number of other lines."""
    recorded, torn = set(), 0
    for line in lines:
        try:
            recorded.add(json.loads(line)["request_id"])
        except ValueError:
            torn += 1
    return recorded, torn
