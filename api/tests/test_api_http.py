"""Methods, paths and broken HTTP."""

import json
import socket

import pytest
from api_server import ROW, check_problem

GOOD = json.dumps({"inputs": [ROW]}).encode()


@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE", "PATCH"])
def test_method_is_refused_when_predicting_does_not_take_it(server, method):
    reply = server.send(method, "/v1/predict")
    check_problem(reply, 405)
    assert reply.headers["Allow"] == "OPTIONS, POST"


@pytest.mark.parametrize(
    ("path", "allow"),
    [("/health", "GET, HEAD, OPTIONS"), ("/v1/predict", "OPTIONS, POST")],
)
def test_options_tells_methods_when_asked(server, path, allow):
    reply = server.send("OPTIONS", path)
    assert (reply.status, reply.body) == (204, b"")
    assert reply.headers["Allow"] == allow


@pytest.mark.parametrize("path", ["/", "/v1/model", "/health", "/readyz", "/docs"])
def test_head_answers_as_get_without_a_body_when_asked(server, path):
    head, get = server.send("HEAD", path), server.send("GET", path)
    assert (head.status, head.body) == (get.status, b"")
    assert head.headers["Content-Length"] == get.headers["Content-Length"]


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/nowhere", 404),
        ("GET", "/v1/predict/", 404),
        ("POST", "/health", 405),
        ("GET", "/static-offline-docs/nothing.js", 404),
        ("GET", "/static-offline-docs/%2e%2e/core.py", 404),
        ("GET", "/%00", 400),
        ("OPTIONS", "*", 404),
    ],
)
def test_path_is_refused_as_a_problem_when_it_leads_nowhere(
    server, method, path, status
):
    check_problem(server.send(method, path), status)


def test_server_serves_on_when_a_client_leaves_in_the_middle_of_a_body(server):
    head = (
        b"POST /v1/predict HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
        b"Content-Length: 100\r\n\r\n{"
    )
    with socket.create_connection(("127.0.0.1", server.port)) as client:
        client.sendall(head)
    assert server.predict(GOOD).status == 200


def test_request_is_answered_over_http_when_it_asks_for_an_upgrade(server):
    headers = {"Connection": "Upgrade", "Upgrade": "websocket"}
    assert server.send("GET", "/livez", headers=headers).status == 200
