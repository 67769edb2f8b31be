"""Files of a data directory that a crash, a full disk or a hand has damaged."""

import contextlib
import json
import shutil

import pytest
from loguru import logger
from router_disk import Disk
from router_fakes import FakeServer
from router_system import System, post_many
from test_router_known import TODAY, entry
from test_router_replay import EXCHANGE

from shadow_router.collector.recorder import Log, export
from shadow_router.collector.recording import Header, Recording
from shadow_router.errors import KeysUnreadable, KnownInvalid, StoreAway
from shadow_router.findings.bundle import as_json, as_text
from shadow_router.findings.findings import gather, setting_of
from shadow_router.findings.known import FILE_NAME, add_known, load_known
from shadow_router.findings.summary import summarise
from shadow_router.page.page import render_page
from shadow_router.private.controls import prepare_keys
from shadow_router.run.changes import read_changes
from shadow_router.run.switches import Switches
from shadow_router.settings import Settings
from shadow_router.store import Store

DAMAGES = {
    "empty": b"",
    "zeros": b"\0" * 100,
    "torn": b'{"at": "2026',
    "not UTF-8": b"\xff\xfe{}\n\xc3",
    "another shape": b'[1]\n{"at": 1, "who": {}, "what": null}\n{"steps": [{}]}\n7\n',
    "deep": b"[" * 100_000,
    "odd steps": b'{"steps": [{"name": 1, "differs": [], "said": {}}], "inputs": {}}',
    "long": b"x" * (2 * 1024 * 1024),
    "many": b"{}\n" * 200_000,
}
READ_BY_A_REPORT = (FILE_NAME, "changes.jsonl", "blame.json", "switches")


@pytest.fixture(scope="module")
def running(tmp_path_factory):
    with FakeServer() as live, FakeServer() as shadow:
        directory = tmp_path_factory.mktemp("torn") / "data"
        with System(directory, live.url, shadow.url) as system:
            post_many(system, 3)
            system.settled_fates()
            yield system


@contextlib.contextmanager
def damaged(path, content):
    """Put other bytes, or a folder, in the place of a file; the file comes back."""
    aside = path.with_suffix(".aside")
    if path.exists():
        path.rename(aside)
    path.mkdir() if content is None else path.write_bytes(content)
    yield
    shutil.rmtree(path) if content is None else path.unlink()
    if aside.exists():
        aside.rename(path)


@pytest.mark.slow
@pytest.mark.parametrize("name", [*READ_BY_A_REPORT, "control.key"])
@pytest.mark.parametrize("damage", ["zeros", "another shape", "a folder"])
def test_report_and_metrics_answer_whatever_a_file_holds(running, name, damage):
    with damaged(running.directory / name, DAMAGES.get(damage)):
        for path in ("/", "/fragment", "/report.json", "/metrics", "/labels/queue"):
            assert running.private_get(path)[0] == 200
    assert "Traceback" not in running.log


@pytest.mark.parametrize("name", READ_BY_A_REPORT)
@pytest.mark.parametrize("damage", [*DAMAGES, "a folder"])
def test_verdict_is_the_same_whatever_a_file_holds(tmp_path, name, damage):
    Store(tmp_path).close()
    before = summarise(tmp_path).verdict
    with damaged(tmp_path / name, DAMAGES.get(damage)):
        settings = Settings(data_dir=tmp_path)
        found = gather(tmp_path, setting_of(settings, tmp_path / "blame.json"))
        assert found.summary.verdict == before
        json.dumps(as_json(found))
        page, text = render_page(found), as_text(found)
    is_told = name == FILE_NAME and damage not in ("empty",)
    assert ("cannot be read fully" in page) is is_told
    assert ("not all can be read" in text) is is_told


@pytest.mark.parametrize(("padding", "held"), [(0, 10_000), (900, 1_053)])
def test_lines_beyond_the_cap_are_told_and_the_others_hold(tmp_path, padding, held):
    line = entry(detail="x" * padding).model_dump_json().encode() + b"\n"
    (tmp_path / FILE_NAME).write_bytes(line * 12_000)
    found = load_known(tmp_path)
    assert len(found.entries) == held
    assert "no more than 10,000 lines of 1,048,576 bytes together are" in found.fault
    with pytest.raises(KnownInvalid, match="is full, it holds 10,000 lines or 1,048,"):
        add_known(tmp_path, entry(), TODAY)


def test_entry_follows_a_torn_line_whole(tmp_path):
    (tmp_path / FILE_NAME).write_text('{"fate": "label_fl')
    add_known(tmp_path, entry(), TODAY)
    found = load_known(tmp_path)
    assert found.entries == (entry(),)
    assert found.fault.startswith("1 of 2 lines are not read: ")


def test_change_follows_a_torn_line_whole(tmp_path):
    (tmp_path / "changes.jsonl").write_text('{"at": "2026')
    Switches(tmp_path, 1.0).kill(True, "ann")
    assert [one.who for one in read_changes(tmp_path)] == ["ann"]


def test_full_disk_leaves_known_entries_as_they_were(tmp_path):
    with Disk(tmp_path / "disk", kib=16) as disk:
        add_known(disk.path, entry(), TODAY)
        disk.fill()
        with pytest.raises(KnownInvalid, match="No space left on device"):
            add_known(disk.path, entry(), TODAY)
        assert load_known(disk.path).entries == (entry(),)
        assert [one.name for one in disk.path.glob(".*")] == []


def test_full_disk_leaves_no_key_that_blocks_the_next_start(tmp_path):
    with Disk(tmp_path / "disk") as disk:
        disk.fill()
        with pytest.raises(StoreAway, match="control.key: No space left on device"):
            prepare_keys(disk.path, None)
        disk.free()
        assert prepare_keys(disk.path, None).read_text().startswith("local ")


@pytest.mark.parametrize("content", [b"", b"\0" * 32, b"\n"])
def test_key_that_an_earlier_crash_left_blank_is_made_anew_and_told(tmp_path, content):
    (tmp_path / "control.key").write_bytes(content)
    said = []
    number = logger.add(said.append, format="{message}")
    made = prepare_keys(tmp_path, None)
    logger.remove(number)
    assert made.read_text().startswith("local ")
    assert [line.split("/")[-1] for line in said] == [
        "control.key held nothing and is made anew\n",
    ]


def test_key_that_was_given_and_is_blank_is_one_clear_error(tmp_path):
    path = tmp_path / "keys"
    path.write_bytes(b"")
    with pytest.raises(KeysUnreadable, match="keys: holds no key"):
        prepare_keys(tmp_path, path)
    assert path.read_bytes() == b""


def test_verdict_is_invalid_when_inputs_were_told_apart_by_two_keys(tmp_path):
    store = Store(tmp_path)
    for key in (b"one", b"one"):
        store.note_key(key)
    assert summarise(tmp_path).verdict.state == "INCONCLUSIVE"
    store.note_key(b"another")
    store.close()
    assert "told apart by 2 keys; " in summarise(tmp_path).verdict.reason


def test_recording_leaves_out_pieces_that_are_none_and_says_so(tmp_path):
    log = Log(tmp_path, Header(), 10**6, 1.0)
    log.write([EXCHANGE])
    log.close()
    (whole,) = tmp_path.glob("traffic-*")
    for number, content in enumerate((b"", b"\0" * 64, whole.read_bytes()[:-20])):
        (tmp_path / f"traffic-0{number}.jsonl.gz").write_bytes(content)
    said = []
    handler = logger.add(said.append, format="{message}")
    assert export(tmp_path, tmp_path / "all.gz", 10) >= 1
    logger.remove(handler)
    assert sum("left out" in line for line in said) >= 2
    assert next(Recording(tmp_path / "all.gz").exchanges()) is not None


def test_recording_leaves_no_empty_pieces_on_a_full_disk(tmp_path):
    with Disk(tmp_path / "disk") as disk:
        log = Log(disk.path, Header(), 10**6, 1.0)
        disk.fill()
        for _ in range(3):
            with pytest.raises(OSError):
                log.write([EXCHANGE])
            log.close()
        assert list(disk.path.glob("traffic-*")) == []
        disk.free()
        log.write([EXCHANGE])
        log.close()
        assert len(list(disk.path.glob("traffic-*"))) == 1
