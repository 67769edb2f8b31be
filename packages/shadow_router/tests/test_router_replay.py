"""Recording and replaying, by the commands people type and against real servers."""

import base64
import gzip
import json
import os
import signal
import subprocess
import sys
import time

import pytest
from router_fakes import ANSWER, FakeServer, answer_bytes
from router_system import post_many, refused_url, wait_until

from shadow_router.collector.recorder import Log, export, open_recorder
from shadow_router.collector.recording import (
    Header,
    Recording,
    decode_exchange,
    encode_exchange,
    write_recording,
)
from shadow_router.errors import RecordingUnreadable, SettingsInvalid
from shadow_router.rules.rules import Redact, Rules
from shadow_router.values import Exchange

EXCHANGE = Exchange(
    request_id="r-1",
    at_ns=1_700_000_000_000_000_000,
    method="POST",
    target=b"/v1/predict?\xff=1",
    headers=((b"content-type", b"application/json"), (b"x-odd", b"\xe9")),
    request_body=b'{"inputs": [{"x": 1.50}]}\n',
    live_status=200,
    live_headers={"content-type": "application/json", "server-timing": "predict;dur=1"},
    live_ms=1.25,
    live_body=json.dumps(ANSWER).encode(),
)


def command(*arguments, **settings):
    env = {k: v for k, v in os.environ.items() if not k.startswith("SHADOW_ROUTER_")}
    env |= {f"SHADOW_ROUTER_{name}": str(value) for name, value in settings.items()}
    return subprocess.run(
        [sys.executable, "-W", "error", "-m", "shadow_router", *map(str, arguments)],
        env=env,
        capture_output=True,
        text=True,
        timeout=120,
    )


def numbered(count, answer=ANSWER):
    body = json.dumps(answer).encode()
    return [
        EXCHANGE._replace(request_body=b'{"inputs": [%d]}' % number, live_body=body)
        for number in range(count)
    ]


def recording(path, exchanges, requests=None, **header):
    lines = [encode_exchange(one) for one in exchanges]
    write_recording(path, Header(requests=requests, **header), lines)
    return path


@pytest.mark.parametrize(
    "exchange",
    [
        EXCHANGE,
        EXCHANGE._replace(request_body=b"\xff\x00", live_body=b"\x80"),
        EXCHANGE._replace(live_status=0, live_headers={}, live_ms=0.0, live_body=b""),
    ],
)
def test_exchange_is_the_same_after_writing_and_reading(exchange):
    assert decode_exchange(encode_exchange(exchange)) == exchange


@pytest.mark.parametrize(
    "line",
    [b"", b"null", b"{}", b"[1]", b"[" * 5000, encode_exchange(EXCHANGE)[:-20]],
)
def test_line_is_lost_when_it_is_no_exchange(line):
    assert decode_exchange(line) is None


def test_exchange_is_lost_when_a_field_is_of_another_type():
    document = json.loads(encode_exchange(EXCHANGE))
    for name in document:
        for value in (None, 7, [], {"a": 1}, "\ud800", "a\r\nb"):
            changed = json.dumps(document | {name: value}).encode()
            found = decode_exchange(changed)
            allowed = [("live", None), ("at_ns", 7), ("headers", [])]
            allowed += [("body", "a\r\nb")]
            assert (found is not None) is ((name, value) in allowed), (name, value)


@pytest.mark.parametrize("value", ["a\r\nhost: other", "a\nb", "a\0"])
def test_exchange_is_lost_when_a_header_would_begin_another(value):
    document = json.loads(encode_exchange(EXCHANGE))
    for pair in (["accept", value], [value, "text/plain"]):
        changed = json.dumps(document | {"headers": [pair]}).encode()
        assert decode_exchange(changed) is None


def test_recording_makes_the_same_bytes_each_time(tmp_path):
    one = recording(tmp_path / "one.gz", numbered(5))
    other = recording(tmp_path / "other.gz", numbered(5))
    assert one.read_bytes() == other.read_bytes()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "its first line is no header"),
        (b"no gzip", "its first line is no header"),
        (gzip.compress(b"{}\n", mtime=0), "its first line is no header"),
        (
            gzip.compress(b'{"recording": 2}\n', mtime=0),
            "format 2, this version reads 1",
        ),
    ],
)
def test_file_is_refused_when_it_is_no_recording(tmp_path, content, said):
    path = tmp_path / "file.gz"
    path.write_bytes(content)
    with pytest.raises(RecordingUnreadable, match=said):
        Recording(path)
    done = command("replay", path, "--shadow", "http://127.0.0.1:1")
    assert done.returncode == 78
    assert "Traceback" not in done.stderr and said in done.stderr


def test_what_is_missing_of_a_cut_recording_is_lost(tmp_path):
    path = recording(tmp_path / "whole.gz", numbered(400), requests=400)
    path.write_bytes(path.read_bytes()[:-40])
    found = list(Recording(path).exchanges())
    assert len(found) == 400 and found[-1] is None and found[0] is not None


def log(directory, cap=1 << 20, days=7.0):
    directory.mkdir(exist_ok=True)
    return Log(directory, Header(), cap, days)


def test_log_keeps_to_its_cap_and_loses_the_oldest(tmp_path):
    written = log(tmp_path, cap=64 * 1024)
    noise = [os.urandom(3000) for _ in range(60)]
    for number, body in enumerate(noise):
        one = EXCHANGE._replace(request_id=f"r-{number}", request_body=body)
        written.write([one])
    written.close()
    files = sorted(tmp_path.iterdir())
    assert 8 < len(files) <= 17
    assert sum(path.stat().st_size for path in files) < 72 * 1024
    ids = [one.request_id for path in files for one in Recording(path).exchanges()]
    assert ids == [f"r-{number}" for number in range(60 - len(ids), 60)]
    assert all(path.stat().st_mode & 0o777 == 0o600 for path in files)


def test_log_keeps_to_its_age(tmp_path):
    written = log(tmp_path, days=1.0)
    written.write(numbered(1))
    written.close()
    [old] = tmp_path.iterdir()
    os.utime(old, (time.time() - 90_000,) * 2)
    written.write(numbered(1))
    written.close()
    assert old not in set(tmp_path.iterdir())


def test_recording_is_refused_when_the_rules_keep_no_inputs(tmp_path):
    with pytest.raises(SettingsInvalid, match="nothing to replay"):
        open_recorder(tmp_path, Rules(keep_inputs="hash"), 1 << 20, 7.0)


@pytest.mark.slow
def test_record_writes_the_newest_of_what_a_running_router_recorded(
    start, live, shadow, tmp_path
):
    recorded, output = tmp_path / "recorded", tmp_path / "out.jsonl.gz"
    system = start(live.url, shadow.url, RECORD_DIR=recorded)
    post_many(system, 30)
    system.settled_fates()
    # What was written survives this; the log is read beside a running system as well.
    wait_until(lambda: any(recorded.glob("*.gz")), what="the log")
    time.sleep(1)
    os.kill(system.child("collector"), signal.SIGKILL)
    done = system.run("record", str(output), "--requests", "10")
    assert done.returncode == 0, done.stderr
    assert "wrote 10 exchanges" in done.stderr
    found = Recording(output)
    assert found.header.requests == 10
    ids = [one.request_id for one in found.exchanges()]
    assert len(set(ids)) == 10 and set(ids) <= {f"id-{n}" for n in range(30)}


@pytest.mark.slow
def test_a_lost_disk_costs_the_recording_and_nothing_else(
    start, live, shadow, tmp_path
):
    recorded = tmp_path / "recorded"
    system = start(live.url, shadow.url, RECORD_DIR=recorded)
    recorded.rmdir()
    post_many(system, 10)
    assert system.settled_fates() == {"match": 10}
    wait_until(lambda: "the recording failed" in system.log, what="the log line")


def test_record_says_what_is_missing(tmp_path):
    done = command("record", tmp_path / "out.gz")
    assert done.returncode == 78
    assert "SHADOW_ROUTER_RECORD_DIR is not set" in done.stderr
    with pytest.raises(RecordingUnreadable, match="nothing has been recorded"):
        export(tmp_path, tmp_path / "out.gz", 5)


def answering(label, version="2.0.0", every=1):
    """Return a server whose label differs on every so many-th input."""

    async def script(arrived, writer):
        number = json.loads(arrived.body)["inputs"][0]
        prediction = dict(ANSWER["predictions"][0])
        if number % every == 0:
            prediction["label"] = label
        model = {"name": "stub", "version": version}
        writer.write(answer_bytes({"model": model, "predictions": [prediction]}))
        return True

    return FakeServer(script)


def replayed(path, *options):
    done = command("replay", path, "--json", *options)
    assert done.stdout, done.stderr
    bundle = json.loads(done.stdout)
    fates = {fate: n for fate, n in bundle["fates"].items() if n}
    return done.returncode, bundle, fates


@pytest.mark.slow
def test_replay_passes_when_both_versions_say_the_same(tmp_path):
    path = recording(tmp_path / "r.gz", numbered(12_000))
    with FakeServer() as shadow:
        code, bundle, fates = replayed(path, "--shadow", shadow.url)
    assert (code, bundle["verdict"]["state"]) == (0, "PASS")
    assert fates == {"match": 12_000}
    assert bundle["verdict"]["absent"]["latency"] == "a replay is not timed"


@pytest.mark.slow
def test_replay_makes_the_same_fates_each_time_when_the_models_are_deterministic(
    tmp_path,
):
    path = recording(tmp_path / "r.gz", numbered(600))
    with answering("versicolor", every=7) as shadow, FakeServer() as live:
        runs = [
            replayed(path, "--live", live.url, "--shadow", shadow.url) for _ in range(3)
        ]
        again = replayed(path, "--shadow", shadow.url)
    for code, bundle, fates in (*runs, again):
        assert code == 1
        assert fates == {"match": 514, "label_flip": 86}
        assert bundle["evidence"]["pairs"] == runs[0][1]["evidence"]["pairs"]
        assert bundle["versions"] == {"live": ["1.0.0"], "shadow": ["2.0.0"]}


@pytest.mark.slow
def test_replay_is_inconclusive_when_there_is_little_to_see(tmp_path, shadow):
    path = recording(tmp_path / "r.gz", numbered(20))
    code, bundle, _ = replayed(path, "--shadow", shadow.url)
    assert code == 2
    # A replay has no pace, so the forecast names no time.
    assert "at this rate" not in bundle["verdict"]["reason"]
    assert "no new ones" not in bundle["verdict"]["reason"]


@pytest.mark.slow
def test_replay_is_invalid_when_a_part_of_the_recording_is_missing(tmp_path, shadow):
    path = recording(tmp_path / "r.gz", numbered(98), requests=100)
    code, _, fates = replayed(path, "--shadow", shadow.url)
    assert code == 3
    assert fates == {"match": 98, "internal_error": 2}


@pytest.mark.slow
def test_replay_is_invalid_when_a_version_changes(tmp_path):
    path = recording(tmp_path / "r.gz", numbered(5))
    other = recording(
        tmp_path / "s.gz",
        numbered(5, {**ANSWER, "model": {"name": "stub", "version": "1.0.1"}}),
    )
    with FakeServer() as shadow:
        done = command("replay", path, other, "--shadow", shadow.url)
    assert done.returncode == 3
    assert "live answered as 1.0.0, 1.0.1" in done.stdout


@pytest.mark.slow
def test_replay_sends_nothing_that_may_not_be_repeated(tmp_path, shadow):
    odd = [
        EXCHANGE._replace(target=b"/v1/delete"),
        EXCHANGE._replace(method="DELETE"),
        EXCHANGE._replace(target=b"/v1/predict?x=1"),
    ]
    path = recording(tmp_path / "r.gz", odd)
    _, _, fates = replayed(path, "--shadow", shadow.url)
    assert fates == {"skipped_method": 2, "match": 1}
    assert [one.target for one in shadow.arrived] == ["/v1/predict?x=1"]


@pytest.mark.slow
def test_replay_leaves_out_what_live_failed_on(tmp_path, shadow):
    bad = [EXCHANGE._replace(live_status=500), EXCHANGE._replace(live_status=0)]
    path = recording(tmp_path / "r.gz", bad)
    _, _, fates = replayed(path, "--shadow", shadow.url)
    assert fates == {"skipped_live_failed": 2}
    assert shadow.arrived == []


@pytest.mark.slow
def test_replay_goes_by_the_rules_of_a_file(tmp_path, shadow):
    rules = tmp_path / "rules.yml"
    rules.write_text("profile: infra\nmirror:\n- POST /score\n")
    path = recording(tmp_path / "r.gz", [EXCHANGE._replace(target=b"/score")])
    _, bundle, fates = replayed(path, "--shadow", shadow.url, "--rules", rules)
    assert fates == {"match": 1}
    assert bundle["rules"]["profile"] == "infra"


@pytest.mark.slow
def test_replay_writes_the_report_when_asked(tmp_path, shadow):
    path, page = recording(tmp_path / "r.gz", numbered(3)), tmp_path / "report.html"
    command("replay", path, "--shadow", shadow.url, "--report", page)
    assert "INCONCLUSIVE" in page.read_text()


@pytest.mark.slow
def test_replay_refuses_answers_to_inputs_that_were_redacted(tmp_path, shadow):
    path = recording(tmp_path / "r.gz", numbered(3), redacted=("name",))
    done = command("replay", path, "--shadow", shadow.url)
    assert done.returncode == 78
    assert "name were redacted" in done.stderr and "--live a URL" in done.stderr
    assert shadow.arrived == []


@pytest.mark.slow
@pytest.mark.parametrize(
    ("option", "said"),
    [
        ("--shadow=nowhere", "--shadow: must be an http or https URL"),
        ("--shadow=recorded", "--shadow: must be an http or https URL"),
        ("--shadow={nobody}", "nobody answers at http://127.0.0.1"),
    ],
)
def test_replay_says_whom_it_cannot_ask(tmp_path, option, said):
    path = recording(tmp_path / "r.gz", numbered(3))
    done = command("replay", path, option.format(nobody=refused_url()))
    assert done.returncode == 78
    assert said in done.stderr and "Traceback" not in done.stderr


@pytest.mark.slow
def test_recorded_fields_go_when_rules_name_them(start, live, shadow, tmp_path):
    recorded = tmp_path / "recorded"
    rules = "profile: retrain\nredact:\n  fields:\n  - inputs\n"
    system = start(live.url, shadow.url, rules=rules, RECORD_DIR=recorded)
    post_many(system, 3)
    system.settled_fates()
    assert system.stop() == 0
    [path] = recorded.iterdir()
    found = Recording(path)
    assert found.header.redacted == Redact(fields=("inputs",)).fields
    assert {one.request_body for one in found.exchanges()} == {
        b'{"inputs":"[redacted]"}'
    }


def test_bodies_that_are_no_text_are_written_in_base64():
    line = json.loads(encode_exchange(EXCHANGE._replace(request_body=b"\xff")))
    assert line["base64"] == base64.b64encode(b"\xff").decode() and "body" not in line
