"""P8, the other half: a disk in trouble costs no client an answer, and is told."""

import contextlib
import os
import resource
import shutil
import signal

import pytest
from router_disk import Disk
from router_system import System, is_running, post, post_many, wait_until
from test_router_storage import OBEDIENT

from shadow_router import exit_codes
from shadow_router.commands import audit
from shadow_router.errors import StoreAway
from shadow_router.findings.summary import summarise
from shadow_router.run.books import RouterBooks, RunState, WriterTally, find_books
from shadow_router.run.books import read_page as read
from shadow_router.run.switches import Switches
from shadow_router.store import Store
from shadow_router.values import Fate


@pytest.fixture
def disk(tmp_path):
    with Disk(tmp_path / "disk") as disk:
        yield disk


@pytest.fixture
def place(live, shadow, tmp_path):
    """Return a function that makes a system, which is stopped after the test."""
    made = []

    def make(directory, **settings):
        # The log beside the disk, not on it.
        system = System(tmp_path / "system", live.url, shadow.url, **settings)
        system.directory = directory
        system.env["SHADOW_ROUTER_DATA_DIR"] = str(directory)
        made.append(system)
        return system

    yield make
    for system in made:
        system.__exit__()


@contextlib.contextmanager
def no_file_may_grow():
    """Let the kernel refuse every write beyond what is there."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def serves(system):
    with contextlib.closing(system.client()) as client:
        return post(client, 1) == 200


def wrong(directory):
    found = audit.audit(directory, patience_s=0)
    return [check.name for check in found.checks if not check.holds]


def test_books_are_kept_in_memory_until_the_disk_has_room(disk):
    # Held open: to read a store takes room as well.
    store = Store(disk.path)
    summarise(disk.path)
    disk.fill()
    books = RouterBooks(disk.path)
    for _ in range(3):
        books.count_received()
    books.count_fate(Fate.SKIPPED_METHOD)
    (path,) = find_books(disk.path)
    assert not books.is_on_record
    assert (read(path).is_on_record, read(path).is_alive) == (False, True)
    assert wrong(disk.path) == [f"router {books.router_id}: its books are on record"]
    disk.free()
    books.keep()
    page = read(path)
    assert (page.is_on_record, page.received, page.decided) == (True, 3, 1)
    books.close(RunState.UNCONFIRMED)
    assert wrong(disk.path) == []
    store.close()


def test_verdict_is_invalid_when_books_hold_nothing(tmp_path):
    Store(tmp_path).close()
    with no_file_may_grow():
        books = RouterBooks(tmp_path)
    books.count_received()
    books.close(RunState.SETTLED)
    verdict = summarise(tmp_path).verdict
    assert verdict.state == "INVALID"
    assert f"{books.router_id}: its books are on record" in verdict.reason


def test_no_trace_is_left_of_books_that_would_hold_nothing(tmp_path):
    with no_file_may_grow():
        books = RouterBooks(tmp_path)
    books.close(RunState.SETTLED)
    assert find_books(tmp_path) == []


@pytest.mark.parametrize("content", [b"", b"\0" * 160, b"\1" * 168, b"half"])
def test_books_that_cannot_be_read_are_named_and_stay(tmp_path, content):
    Store(tmp_path).close()
    path = tmp_path / "1-ab.books"
    path.write_bytes(content)
    assert wrong(tmp_path) == ["router 1-ab: its books are on record"]
    assert summarise(tmp_path).verdict.state == "INVALID"
    with pytest.raises(FileNotFoundError):
        WriterTally(path)


def test_books_are_made_again_when_their_folder_was_removed(tmp_path):
    books = RouterBooks(tmp_path / "data")
    books.count_received()
    shutil.rmtree(tmp_path / "data")
    books.keep()
    (path,) = find_books(tmp_path / "data")
    assert read(path).received == 1
    books.close(RunState.UNCONFIRMED)


def test_switches_wait_for_the_disk_and_copy_nothing_meanwhile(disk):
    disk.fill()
    with pytest.raises(StoreAway, match="switches: No space left on device"):
        Switches(disk.path, 0.5)
    switches = Switches(disk.path, 0.5, is_patient=True)
    before = switches.changes
    assert not switches.state.is_copying
    disk.free()
    switches.keep()
    assert switches.state.is_copying and switches.state.sample_rate == 0.5
    assert switches.changes != before


@pytest.mark.slow
def test_clients_are_served_when_the_disk_is_full_at_the_start(place, disk):
    system = place(disk.path / "data").start()
    post_many(system, 5, "before")
    assert system.stop() == 0
    disk.fill()
    system.start(wait=False)
    wait_until(lambda: serves(system), what="an answer")
    assert "the books cannot be kept in" in system.log
    assert "No space left on device" in system.log
    disk.free()
    wait_until(lambda: "on record again" in system.log, what="the books")
    system.wait_ready()
    post_many(system, 5, "after")
    # What was served meanwhile is on record as well.
    assert system.settled_fates() == {"match": 11}
    assert "Traceback" not in system.log and "died" not in system.log
    assert system.stop() == 0


@pytest.mark.slow
def test_books_balance_when_the_disk_fills_while_serving(place, disk):
    system = place(disk.path / "data").start()
    post_many(system, 5, "before")
    assert system.settled_fates() == {"match": 5}
    disk.fill()
    for number in range(3):
        post_many(system, 100, f"during-{number}")
        assert system.audit()["balances"], system.audit()["differences"]
    wait_until(lambda: system.audit()["fates"]["dropped_writer"] > 10, what="a loss")
    assert system.audit()["balances"], system.audit()["differences"]
    disk.free()
    fates = system.settled_fates()
    assert sum(fates.values()) == 305 and set(fates) == {"match", "dropped_writer"}
    assert system.stop() == 0


@pytest.mark.slow
def test_clients_are_served_when_no_name_is_left(place, disk):
    disk.fill_names()
    system = place(disk.path / "data").start(wait=False)
    wait_until(lambda: serves(system), what="an answer")
    assert "the books cannot be kept in" in system.log
    assert "Traceback" not in system.log
    system.process.send_signal(signal.SIGTERM)
    assert system.process.wait(20) in (0, exit_codes.FAULT)


@pytest.mark.slow
def test_clients_are_served_when_the_folder_is_read_only(live, shadow, start):
    system = start(live.url, shadow.url, prefix=OBEDIENT)
    assert system.stop() == 0
    for path in system.directory.iterdir():
        path.chmod(0o400)
    system.directory.chmod(0o500)
    system.start(wait=False)
    wait_until(lambda: serves(system), what="an answer")
    assert "Traceback" not in system.log
    system.directory.chmod(0o700)
    for path in system.directory.iterdir():
        path.chmod(0o600)
    wait_until(lambda: "on record again" in system.log, what="the books")
    system.wait_ready()
    assert system.stop() == 0


@pytest.mark.slow
def test_all_goes_on_when_the_folder_is_removed_while_serving(live, shadow, start):
    system = start(live.url, shadow.url)
    post_many(system, 20, "before")
    shutil.rmtree(system.directory)
    post_many(system, 20, "during")
    wait_until(lambda: "was removed while it was in use" in system.log, what="a word")
    system.wait_ready()
    post_many(system, 20, "after")
    assert sum(system.settled_fates().values()) == 60
    assert "Traceback" not in system.log
    assert system.stop() == 0


@pytest.mark.slow
def test_death_of_a_child_is_named_by_its_signal(live, shadow, start):
    system = start(live.url, shadow.url)
    pid = system.child("collector")
    os.kill(pid, signal.SIGKILL)
    wait_until(lambda: not is_running(pid))
    system.wait_ready()
    assert "the collector died of SIGKILL; starting it again" in system.log
    (path,) = find_books(system.directory)
    with path.open("r+b") as file:
        file.truncate(0)
    with contextlib.suppress(OSError), contextlib.closing(system.client()) as client:
        client.request("GET", "/")
        client.getresponse()
    assert system.process.wait(20) == 70
    assert "the router died of SIGBUS" in system.log
    # A start after it serves, and says what is missing.
    system.start()
    assert "its books are on record" in system.report()["verdict"]["reason"]
    assert system.stop() == 0


@pytest.mark.slow
def test_death_of_a_child_is_named_by_its_code(place, tmp_path):
    keys = tmp_path / "keys"
    keys.write_text("")
    system = place(tmp_path / "data", CONTROL_KEY_FILE=keys).start(wait=False)
    assert system.process.wait(20) == 78
    assert "the collector ended with code 78" in system.log
    assert f"{keys}: holds no key" in system.log


@pytest.mark.slow
def test_clients_are_served_when_the_collector_is_refused_later(
    live, shadow, start, tmp_path
):
    keys = tmp_path / "keys"
    keys.write_text("ann 0123456789abcdef\n")
    system = start(live.url, shadow.url, CONTROL_KEY_FILE=keys)
    keys.write_text("")
    os.kill(system.child("collector"), signal.SIGKILL)
    wait_until(lambda: "the collector ended with code 78" in system.log)
    assert serves(system)
    keys.write_text("ann 0123456789abcdef\n")
    system.wait_ready()
    assert system.settled_fates() == {"match": 1}
    assert system.stop() == 0
