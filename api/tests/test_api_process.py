"""How the process starts, says that it is well, and ends."""

import os
import shutil
import signal
import socket
import subprocess
import time
from pathlib import Path

import pytest
from api_server import ROW, free_port, run_command, start_server

import iris_api
import iris_model


def test_health_names_both_versions_when_asked(server):
    assert server.send("GET", "/health").json == {
        "name": "iris_api",
        "api_version": iris_api.__version__,
        "model_version": iris_model.__version__,
    }


@pytest.mark.parametrize(("path", "word"), [("/livez", "alive"), ("/readyz", "ready")])
def test_probes_answer_one_word_when_all_is_well(server, path, word):
    reply = server.send("GET", path)
    assert (reply.status, reply.json) == (200, {"status": word})


def test_model_card_tells_what_the_manifest_does_when_asked(server):
    card = server.send("GET", "/v1/model").json
    assert sorted(card) == [
        "classes",
        "digests",
        "engine",
        "features",
        "libraries",
        "metrics",
        "name",
        "steps",
        "target",
        "version",
    ]
    assert (card["name"], card["version"]) == ("iris_model", iris_model.__version__)
    assert card["engine"].startswith("onnxruntime 1.")
    assert card["classes"] == ["setosa", "versicolor", "virginica"]
    assert [f["name"] for f in card["features"]] == list(ROW)
    first = card["features"][0]
    assert (first["unit"], first["minimum"], first["maximum"]) == ("cm", 4.3, 7.9)
    assert sum(first["histogram"]["counts"]) == 150
    assert 0.9 < card["metrics"]["accuracy"]["mean"] < 1
    assert sorted(card["digests"]) == [
        "config",
        "manifest",
        "model.onnx",
        "pipeline.joblib",
        "source",
        "table",
    ]
    assert "scikit-learn" in card["libraries"]


@pytest.mark.slow(after=1)
@pytest.mark.parametrize(
    ("settings", "line"),
    [
        (
            {"IRIS_API_PROT": "8001"},
            "iris-api: IRIS_API_PROT is not a setting; did you mean IRIS_API_PORT?",
        ),
        (
            {"IRIS_API_ZZZZZZ": "1"},
            "iris-api: IRIS_API_ZZZZZZ is not a setting; see the README",
        ),
        (
            {"IRIS_API_PORT": "http"},
            "iris-api: IRIS_API_PORT: Input should be a valid integer, "
            "unable to parse string as an integer",
        ),
        (
            {"IRIS_API_PORT": "70000"},
            "iris-api: IRIS_API_PORT: Input should be less than or equal to 65535",
        ),
        (
            {"IRIS_API_RECORDS": "/nowhere/records"},
            "iris-api: IRIS_API_RECORDS, /nowhere/records: No such file or directory",
        ),
    ],
)
def test_start_fails_with_one_line_when_a_setting_is_wrong(settings, line):
    ended = run_command(**settings)
    assert ended.returncode == 78
    assert ended.stderr == line + "\n"
    assert ended.stdout == ""


@pytest.mark.slow
def test_start_fails_with_one_line_when_the_port_is_busy():
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        ended = run_command(IRIS_API_PORT=str(port))
    assert ended.returncode == 78
    start = (
        f"iris-api: cannot listen on 127.0.0.1 port {port}: it is in use by process "
        f"{os.getpid()} ("
    )
    end = f"); end it (kill {os.getpid()}), " "or set IRIS_API_HOST or IRIS_API_PORT\n"
    assert ended.stderr.startswith(start) and ended.stderr.endswith(end), ended.stderr
    assert ended.stderr.count("\n") == 1


@pytest.mark.slow
@pytest.mark.parametrize("damage", ["changed", "missing"])
def test_start_fails_with_one_line_when_the_artefact_is_not_whole(tmp_path, damage):
    shutil.copytree(Path(iris_model.__file__).parent, tmp_path / "iris_model")
    onnx = tmp_path / "iris_model" / "trained" / "model.onnx"
    if damage == "missing":
        onnx.unlink()
    else:
        onnx.write_bytes(onnx.read_bytes() + b"\x00")
    port = free_port()
    ended = run_command(PYTHONPATH=str(tmp_path), IRIS_API_PORT=str(port))
    assert ended.returncode == 78
    assert ended.stdout == ""
    assert ended.stderr.count("\n") == 1
    assert ended.stderr.startswith("iris-api: ")
    assert "model.onnx" in ended.stderr


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_process_ends_cleanly_when_signalled(number):
    with start_server(stdout=subprocess.DEVNULL) as server:
        assert server.stop(number) == 0
        *_, last = server.talk().splitlines()
        assert last.endswith("INFO stopped")
        assert "Traceback" not in server.talk()


@pytest.mark.slow
def test_process_ends_at_once_when_signalled_twice():
    with start_server(stdout=subprocess.DEVNULL) as server:
        with socket.create_connection(("127.0.0.1", server.port)) as idle:
            idle.sendall(b"POST /v1/predict HTTP/1.1\r\nHost: x\r\n")
            server.process.send_signal(signal.SIGINT)
            time.sleep(0.3)
            began = time.monotonic()
            assert server.stop(signal.SIGINT) == 0
            assert time.monotonic() - began < 1.5


@pytest.mark.slow
def test_unfinished_request_is_told_to_come_again_when_grace_is_over():
    with start_server(stdout=subprocess.DEVNULL, IRIS_API_GRACE_S="1") as server:
        with socket.create_connection(("127.0.0.1", server.port)) as slow:
            slow.sendall(
                b"POST /v1/predict HTTP/1.1\r\nHost: x\r\n"
                b"Content-Type: application/json\r\nContent-Length: 9\r\n\r\n{"
            )
            time.sleep(0.2)
            assert server.stop() == 0
            answer = b"".join(iter(lambda: slow.recv(65536), b""))
        assert "Traceback" not in server.talk()
    assert answer.startswith(b"HTTP/1.1 503 Service Unavailable")
    assert b"connection: close" in answer
    assert b"retry-after: 5" in answer
