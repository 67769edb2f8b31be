"""Every acknowledged prediction is on record, whatever happens next."""

import json
import subprocess

import pytest
from api_server import JSON, ROW, start_server

BODY = json.dumps({"inputs": [ROW]}).encode()


@pytest.mark.slow
def test_prediction_is_withheld_when_the_disk_is_full():
    with start_server(IRIS_API_RECORDS="/dev/full") as server:
        reply = server.predict(BODY)
        assert reply.status == 503
        assert reply.headers["Content-Type"] == "application/problem+json"
        assert reply.headers["Retry-After"] == "5"
        assert b"setosa" not in reply.body
        assert "not written: No space left on device" in server.talk()
        assert "Traceback" not in server.talk()


@pytest.mark.slow
def test_records_are_whole_lines_when_the_disk_has_room_again(tmp_path):
    # A file size limit cuts the line that crosses it, as a full disk does.
    path = tmp_path / "records.jsonl"
    with start_server(IRIS_API_RECORDS=str(path)) as server:
        assert server.predict(BODY).status == 200
        length = path.stat().st_size
        limit_file_size(server, length + length // 2)
        assert [server.predict(BODY).status for _ in range(2)] == [503, 503]
        limit_file_size(server, "unlimited")
        assert server.predict(BODY).status == 200
    first, torn, last = path.read_bytes().splitlines()
    assert json.loads(first)["labels"] == json.loads(last)["labels"] == ["setosa"]
    with pytest.raises(ValueError):
        json.loads(torn)


def limit_file_size(server, limit):
    """Limit the size of files that a running server may write."""
    command = ["prlimit", "--pid", str(server.process.pid), f"--fsize={limit}:"]
    subprocess.run(command, check=True)


@pytest.mark.slow
def test_records_go_to_standard_output_when_no_file_is_named():
    with start_server(stdout=subprocess.PIPE) as server:
        sent = {**JSON, "X-Request-ID": "to-stdout"}
        assert server.predict(BODY, sent).status == 200
        assert server.stop() == 0
        (line,) = server.process.stdout.read().splitlines()
        server.process.stdout.close()
    assert json.loads(line)["request_id"] == "to-stdout"


@pytest.mark.slow
def test_prediction_is_withheld_when_nobody_reads_standard_output():
    with start_server(stdout=subprocess.PIPE) as server:
        server.process.stdout.close()
        assert server.predict(BODY).status == 503
        assert server.send("GET", "/livez").status == 200


def test_record_takes_one_line_when_a_client_tries_to_write_another(server):
    before = server.count_records()
    forged = b'x\n{"request_id": "forged"}'
    server.predict(b'{"inputs": [{"%s": 1}]}' % forged)
    request_id = "a%0d%0a%7b%7d\t{}"
    assert server.predict(BODY, {**JSON, "X-Request-ID": request_id}).status == 200
    records = server.read_records()
    assert len(records) == before + 1
    assert records[-1]["request_id"].isalnum()


def test_nothing_is_recorded_when_the_input_is_refused(server):
    before = server.count_records()
    assert server.predict({"inputs": []}).status == 422
    assert server.count_records() == before
