"""P15: rate and kill switch work while the processes run, and outlive them."""

import json
import os
import signal
import stat

import pytest
from router_fakes import FakeServer
from router_system import is_running, post_many, wait_until

from shadow_router.errors import RunClosed
from shadow_router.run.changes import read_changes
from shadow_router.run.switches import Switches, SwitchState, read_state


def test_switches_begin_with_the_settings_when_new(tmp_path):
    assert Switches(tmp_path, 0.25).state == SwitchState(0.25, False, False)
    assert read_changes(tmp_path) == []


def test_switches_are_seen_by_others_at_once_when_changed(tmp_path):
    mine, other = Switches(tmp_path, 1.0), Switches(tmp_path, 0.5)
    before = other.changes
    mine.set_rate(0.1, "ann")
    mine.kill(True, "bob")
    assert other.state == SwitchState(0.1, True, False)
    assert other.changes == before + 2
    found = [(c.who, c.what, c.before, c.after) for c in read_changes(tmp_path)]
    assert found == [
        ("ann", "sample_rate", 1.0, 0.1),
        ("bob", "killed", False, True),
    ]


def test_log_is_left_alone_when_nothing_changes(tmp_path):
    Switches(tmp_path, 1.0).set_rate(1.0, "ann")
    assert read_changes(tmp_path) == []


def test_rate_of_the_settings_is_adopted_only_when_it_is_another(tmp_path):
    Switches(tmp_path, 1.0).set_rate(0.1, "ann")
    again = Switches(tmp_path, 1.0)
    again.adopt(1.0)
    assert again.state.sample_rate == 0.1
    again.adopt(0.5)
    assert again.state.sample_rate == 0.5
    assert read_changes(tmp_path)[-1].who == "settings"


def test_switches_refuse_when_the_run_is_closed(tmp_path):
    switches = Switches(tmp_path, 1.0)
    switches.close_run("ann")
    with pytest.raises(RunClosed):
        switches.set_rate(0.5, "ann")
    with pytest.raises(RunClosed):
        switches.kill(False, "ann")
    assert switches.state == SwitchState(1.0, False, True)


@pytest.mark.parametrize("content", [b"", b"\0" * 48, b"\0" * 49])
def test_nothing_is_copied_when_the_file_cannot_be_read(tmp_path, content):
    path = tmp_path / "switches"
    path.write_bytes(content)
    assert read_state(tmp_path) is None
    mine, other = Switches(tmp_path, 0.5), Switches(tmp_path, 0.5)
    assert mine.state == other.state == SwitchState(0.5, True, False)
    assert path.with_name("switches.unreadable").read_bytes() == content
    mine.kill(False, "ann")
    assert other.state.is_copying and read_state(tmp_path) == mine.state


def test_changes_are_read_when_lines_are_torn(tmp_path):
    Switches(tmp_path, 1.0).kill(True, "ann")
    with (tmp_path / "changes.jsonl").open("a") as file:
        file.write('{"at": "2026')
    assert [change.who for change in read_changes(tmp_path)] == ["ann"]


@pytest.mark.slow
def test_arrivals_stop_and_go_on_when_the_kill_switch_is_used(live, shadow, start):
    system = start(live.url, shadow.url)
    post_many(system, 50, "before")
    assert system.settled_fates() == {"match": 50}
    status, found = system.control("kill-switch", '{"killed": true}')
    assert (status, found["killed"]) == (200, True)
    assert system.metric("shadow_killed") == 1
    post_many(system, 50, "killed")
    assert system.settled_fates() == {"match": 50, "skipped_unsampled": 50}
    assert len(shadow.arrived) == 50
    assert system.control("kill-switch", '{"killed": false}')[0] == 200
    post_many(system, 50, "after")
    assert system.settled_fates() == {"match": 100, "skipped_unsampled": 50}
    report = system.report()
    assert report["controls"] == {"sample_rate": 1.0, "killed": False, "closed": False}
    assert [(c["who"], c["what"], c["after"]) for c in report["changes"]] == [
        ("local", "killed", True),
        ("local", "killed", False),
    ]
    assert "local changed killed from False to True" in system.log


@pytest.mark.slow
def test_rate_holds_when_either_process_is_started_again(live, shadow, start):
    system = start(live.url, shadow.url)
    done = system.run("control", "rate", "0.3")
    assert (done.returncode, done.stderr.count("\n")) == (0, 1)
    assert json.loads(done.stdout)["sample_rate"] == 0.3
    post_many(system, 300, "first")
    fates = system.settled_fates()
    # Six standard deviations around 90.
    assert 42 < fates["match"] < 138
    assert fates["skipped_unsampled"] == 300 - fates["match"]
    pid = system.child("collector")
    os.kill(pid, signal.SIGKILL)
    wait_until(lambda: not is_running(pid))
    system.wait_ready()
    assert system.report()["controls"]["sample_rate"] == 0.3
    assert system.stop() == 0
    system.start()
    assert system.metric("shadow_sample_rate") == 0.3
    post_many(system, 300, "second")
    assert 84 < system.settled_fates()["match"] < 276


@pytest.mark.slow
def test_queued_copies_do_not_arrive_when_switched_off(live, start):
    async def hang(arrived, writer):
        return False if system_is_off else await FakeServer.answer_well(arrived, writer)

    system_is_off = True
    with FakeServer(hang) as shadow:
        system = start(live.url, shadow.url, only="router")
        post_many(system, 40)
        assert system.run("control", "off").returncode == 0
        collector = start(live.url, shadow.url, only="collector")
        assert collector.settled_fates() == {"dropped_shed": 40}
        assert not shadow.arrived


@pytest.mark.slow
def test_nothing_is_copied_any_more_when_the_run_is_closed(live, shadow, start):
    system = start(live.url, shadow.url)
    post_many(system, 20, "before")
    assert system.settled_fates() == {"match": 20}
    status, found = system.control("close-run", '{"closed": true}')
    assert (status, found["closed"]) == (200, True)
    verdict = system.report()["verdict"]
    post_many(system, 20, "after")
    assert system.settled_fates() == {"match": 20, "skipped_unsampled": 20}
    assert system.report()["verdict"] == verdict
    status, found = system.control("sample-rate", '{"rate": 0.5}')
    assert status == 409
    assert "SHADOW_ROUTER_DATA_DIR" in found["detail"]
    done = system.run("control", "on")
    assert done.returncode == 78
    assert done.stderr.startswith("shadow-router: this run is closed")
    assert system.metric("shadow_closed") == 1
    assert system.stop() == 0
    system.start()
    assert "this run is closed: nothing is copied" in system.log
    post_many(system, 20, "again")
    assert system.settled_fates() == {"match": 20, "skipped_unsampled": 40}


@pytest.fixture(scope="module")
def controlled(tmp_path_factory):
    from router_system import System

    directory = tmp_path_factory.mktemp("controls") / "data"
    with FakeServer() as server, System(directory, server.url, server.url) as system:
        yield system


@pytest.mark.parametrize(
    ("name", "body", "headers", "status"),
    [
        ("sample-rate", '{"rate": 0.5}', {"Authorization": "Bearer wrong"}, 401),
        ("sample-rate", '{"rate": 0.5}', {"Authorization": ""}, 401),
        ("sample-rate", '{"rate": 0.5}', {"Content-Type": "text/plain"}, 415),
        ("sample-rate", '{"rate": 0.5}', {"Origin": "http://evil.example"}, 403),
        ("sample-rate", '{"rate": 0.5}', {"Origin": "null"}, 403),
        ("sample-rate", '{"rate": 1.5}', {}, 422),
        ("sample-rate", '{"rate": NaN}', {}, 422),
        ("sample-rate", '{"rate": true}', {}, 422),
        ("sample-rate", '{"rate": 0.5, "more": 1}', {}, 422),
        ("sample-rate", "rate=0.5", {}, 400),
        ("sample-rate", " " * 2000, {}, 413),
        ("kill-switch", '{"killed": 1}', {}, 422),
        ("close-run", '{"closed": false}', {}, 422),
        ("other", "{}", {}, 404),
    ],
)
def test_controls_refuse_and_change_nothing_when_asked_wrongly(
    controlled, name, body, headers, status
):
    found, problem = controlled.control(name, body, **headers)
    assert (found, problem["status"]) == (status, status)
    assert problem["detail"]
    assert controlled.report()["controls"] == {
        "sample_rate": 1.0,
        "killed": False,
        "closed": False,
    }


@pytest.mark.parametrize("name", ["sample-rate", "kill-switch", "close-run"])
def test_controls_change_nothing_when_asked_by_get(controlled, name):
    assert controlled.private_get(f"/controls/{name}")[0] == 405


def test_control_is_taken_when_it_comes_from_our_own_page(controlled):
    origin = f"http://127.0.0.1:{controlled.private}"
    found = controlled.control("sample-rate", '{"rate": 1}', Origin=origin)
    assert found[0] == 200


def test_key_is_made_for_its_owner_alone_and_its_place_is_said(controlled):
    path = controlled.directory / "control.key"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert f"controls by {path}" in controlled.log
    assert path.read_text().split()[1] not in controlled.log


def test_controls_are_on_the_private_port_alone_when_asked_for(controlled):
    from router_system import raw_exchange

    request = b"POST /controls/close-run HTTP/1.1\r\nHost: e\r\nContent-Length: 0\r\n"
    head, _ = raw_exchange(controlled.public, request + b"\r\n")
    # Live's own answer: the path is forwarded like any other.
    assert b"server-timing" in head
    assert not controlled.report()["controls"]["closed"]


@pytest.mark.slow
def test_named_keys_are_used_when_a_file_is_given(live, shadow, start, tmp_path):
    path = tmp_path / "keys"
    path.write_text("ann 0123456789abcdef\nbob fedcba9876543210\n")
    system = start(live.url, shadow.url, CONTROL_KEY_FILE=path)
    assert not (system.directory / "control.key").exists()
    (system.directory / "control.key").write_text("bob fedcba9876543210\n")
    assert system.control("kill-switch", '{"killed": true}')[0] == 200
    assert [change["who"] for change in system.report()["changes"]] == ["bob"]


@pytest.mark.parametrize("text", ["", "ann short\n", "onlyakeyofenoughcharacters\n"])
def test_serve_says_one_line_when_the_file_of_keys_is_wrong(tmp_path, text):
    from shadow_router.errors import KeysUnreadable
    from shadow_router.private.controls import prepare_keys

    path = tmp_path / "keys"
    path.write_text(text)
    with pytest.raises(KeysUnreadable, match="keys: "):
        prepare_keys(tmp_path, path)
    with pytest.raises(KeysUnreadable):
        prepare_keys(tmp_path, tmp_path / "absent")


@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_keys_are_read_when_a_mark_and_blank_lines_stand_around_them(tmp_path, end):
    from shadow_router.private.controls import read_keys

    key = "0123456789abcdef"
    path = tmp_path / "keys"
    lines = ["\ufeff", f"ann {key}", "", f"bob {key}  ", "  ", "", ""]
    path.write_bytes(end.join(lines).encode())
    assert read_keys(path) == {"ann": key, "bob": key}
    path.write_text(f"ann {key}\n\nbob\n")
    with pytest.raises(Exception, match="keys: line 3 does not read NAME KEY"):
        read_keys(path)


@pytest.mark.slow
@pytest.mark.parametrize("words", [["rate"], ["off", "0.5"], ["rate", "2"], ["up"]])
def test_control_command_refuses_when_words_do_not_fit(controlled, words):
    done = controlled.run("control", *words)
    assert done.returncode == 64
    assert "Traceback" not in done.stderr
