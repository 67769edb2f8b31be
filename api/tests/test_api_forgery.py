"""Whatever a client writes, wherever: it starts no line and colours none."""

import json
import re
from pathlib import Path
from urllib.parse import quote_from_bytes

import pytest
from api_server import ROW, send_bytes, start_server
from hypothesis import given, settings
from hypothesis import strategies as st

from iris_api.access.keys import make_key

CANARY = "canary_7f3a"
GOOD = json.dumps({"inputs": [ROW]}).encode()
LINE = re.compile(
    r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}[+-]\d\d:\d\d (INFO|WARNING|ERROR) "
)
RECORD = {
    "request_id",
    "traceparent",
    "time",
    "model",
    "client",
    "inputs",
    "labels",
    "probabilities",
    "duration_ms",
}

pieces = st.sampled_from(
    [
        *("\n", "\r\n", "\r", "\x0b", "\x0c", "\x1c", "\x85", "\u2028", "\u2029"),
        *("\x1b[31m", "\x9b2J", "\x07", "\x00", "\u202e", "\ufeff"),
        *("%0a", "%0D%0A", "%1b[0m", "%e2%80%a8", "\\n", '"', "{}", "{0.__class__}"),
        *("<red>", "%s", " ", "a", CANARY),
        f"2026-11-24T00:00:00.000+00:00 ERROR {CANARY}",
        json.dumps({"request_id": CANARY, "labels": ["setosa"]}),
    ]
)
hostile = st.lists(pieces, min_size=1, max_size=4).map("".join)
PLACES = ["method", "path", "escaped", "query", "name", "id", "key", "type", "body"]


@pytest.fixture(scope="module")
def keyed(tmp_path_factory):
    """A server that asks for a key, with the key and a count of its answers."""
    folder = tmp_path_factory.mktemp("forgery")
    key, line = make_key("billing")
    (folder / "keys").write_text(line)
    records = folder / "records.jsonl"
    with start_server(
        IRIS_API_RECORDS=str(records), IRIS_API_KEYS=str(folder / "keys")
    ) as server:
        server.key, server.answered = key, 0
        yield server
        assert server.stop() == 0


def build_request(key, place, text):
    """Return a prediction request with one place taken by a text."""
    said = text.encode("utf-8", "surrogatepass")
    parts = {
        "method": b"POST",
        "path": b"/v1/predict",
        "query": b"",
        "name": b"X-Plain",
        "id": b"plain",
        "key": key.encode(),
        "type": b"application/json",
        "body": GOOD,
    }
    if place == "escaped":
        parts["path"] = b"/v1/" + quote_from_bytes(said).encode()
    else:
        parts[place] = {"path": b"/", "query": b"?"}.get(place, b"") + said
    head = (
        b"%(method)s %(path)s%(query)s HTTP/1.1\r\nHost: x\r\nConnection: close\r\n"
        b"Content-Type: %(type)s\r\nX-Request-ID: %(id)s\r\n%(name)s: x\r\n"
        b"X-API-Key: %(key)s\r\nContent-Length: "
        % {k.encode(): v for k, v in parts.items()}
    )
    return head + b"%d\r\n\r\n" % len(parts["body"]) + parts["body"]


@settings(max_examples=400, deadline=None, database=None, derandomize=True)
@given(place=st.sampled_from(PLACES), text=hostile, inside=st.booleans())
def send_forgeries(server, place, text, inside):
    """Send one request, and count its answer if it is a prediction."""
    if place == "body" and inside:
        row = {**ROW, text: 1} if len(text) % 2 else {**ROW, "sepal_length_cm": text}
        text = json.dumps({"inputs": [row]}, ensure_ascii=False)
    answer = send_bytes(server.port, build_request(server.key, place, text))
    assert re.match(rb"HTTP/1\.1 (200|4\d\d) ", answer), answer
    server.answered += answer.startswith(b"HTTP/1.1 200 ")


def check_lines(talk):
    """Assert that each line was begun by us, and holds nothing that moves a cursor."""
    *lines, rest = talk.decode().split("\n")
    assert rest == ""
    for line in lines:
        assert LINE.match(line), line
        assert line.isprintable(), line
        assert CANARY not in line


def check_records(content, answered):
    """Assert that there is a record for each answer, and each is ours."""
    lines = content.split(b"\n")
    assert len(lines) - 1 == answered
    for line in lines[:-1]:
        record = json.loads(line)
        assert line.decode().isprintable()
        assert record.keys() == RECORD
        assert re.fullmatch("[A-Za-z0-9._-]{1,128}", record["request_id"])
        assert CANARY not in line.decode() or record["request_id"].find(CANARY) >= 0


@pytest.mark.slow
def test_no_line_is_forged_when_a_client_tries_everywhere(keyed):
    send_forgeries(keyed)
    assert keyed.answered > 20
    check_lines(Path(keyed.talk_file.name).read_bytes())
    check_records(Path(keyed.records).read_bytes(), keyed.answered)


@pytest.mark.parametrize(
    "forged",
    [
        f"path /x\n{CANARY}\n",
        "2026-11-24T00:00:00.000+00:00 INFO a\rb\n",
        "2026-11-24T00:00:00.000+00:00 INFO a\u2028b\n",
        "2026-11-24T00:00:00.000+00:00 INFO a\x1b[31mb\n",
        f"2026-11-24T00:00:00.000+00:00 ERROR {CANARY}\n",
        "2026-11-24T00:00:00.000+00:00 INFO cut",
    ],
)
def test_check_of_lines_turns_red_when_one_is_forged(forged):
    with pytest.raises(AssertionError):
        check_lines(forged.encode())
