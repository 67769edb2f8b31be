"""P13: the books balance, whatever is killed, and a false book is found out."""

import asyncio
import contextlib
import http.client
import os
import random
import re
import shutil
import signal
import sqlite3
import threading
import time

import pytest
from router_fakes import FakeServer
from router_system import System, is_running, post, post_many, wait_until

from shadow_router.commands import audit
from shadow_router.run.books import RouterBooks, RunState, find_books, read_page
from shadow_router.store import Store
from shadow_router.values import Fate


class Traffic:
    """Clients that send until they are told to stop, whatever happens."""

    def __init__(self, system, clients=3):
        self.answered = 0
        self.unanswered = 0
        self._system = system
        self._stop = threading.Event()
        self._threads = [
            threading.Thread(target=self._send, args=(n,)) for n in range(clients)
        ]

    def __enter__(self):
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_):
        self._stop.set()
        for thread in self._threads:
            thread.join(15)

    def _send(self, seed):
        number = seed
        while not self._stop.is_set():
            with contextlib.closing(self._system.client()) as client:
                try:
                    while not self._stop.is_set():
                        number += 3
                        assert post(client, number % 500) in (200, 502)
                        self.answered += 1
                except (OSError, http.client.HTTPException):
                    self.unanswered += 1
                    time.sleep(0.02)


async def answer_at_random(arrived, writer):
    await asyncio.sleep(random.random() * 0.02)
    if random.random() < 0.1:
        return False
    return await FakeServer.answer_well(arrived, writer)


@pytest.mark.slow
def test_books_balance_while_running_when_traffic_moves(live, start):
    with FakeServer(answer_at_random) as shadow:
        system = start(live.url, shadow.url, QUEUE_ITEMS=200)
        with Traffic(system) as traffic:
            # Enough that a tenth of them is surely more than none.
            while traffic.answered < 200:
                found = system.audit()
                assert found["balances"], found["differences"]
        fates = system.settled_fates()
        assert set(fates) - {"dropped_queue"} == {"match", "shadow_error"}


@pytest.mark.slow
def test_books_balance_when_collector_is_killed_again_and_again(live, start):
    with FakeServer(answer_at_random) as shadow:
        system = start(live.url, shadow.url, QUEUE_ITEMS=200)
        with Traffic(system) as traffic:
            for _ in range(2):
                time.sleep(0.2)
                pid = system.child("collector")
                os.kill(pid, signal.SIGKILL)
                wait_until(lambda pid=pid: not is_running(pid))
                system.wait_ready()
        # The router did not notice: not one connection broke.
        assert traffic.unanswered == 0
        fates = system.settled_fates()
        assert sum(fates.values()) == traffic.answered
        assert fates["dropped_crash"] > 0
        assert system.stop() == 0
        after = system.audit()
        assert after["balances"] and after["received"] == traffic.answered
        assert after["unsettled"] == 0


@pytest.mark.slow
def test_books_balance_when_router_is_killed(live, start):
    with FakeServer(answer_at_random) as shadow:
        system = start(live.url, shadow.url, QUEUE_ITEMS=200)
        with Traffic(system) as traffic:
            time.sleep(0.5)
            os.kill(system.child("router"), signal.SIGKILL)
            # The parent stops the collector in order and says that it went wrong.
            assert system.process.wait(20) == 70
        assert traffic.unanswered > 0
        found = system.audit()
        assert found["balances"], found["differences"]
        assert traffic.answered <= found["received"] <= traffic.answered + 3
        assert found["unsettled"] == 0
        system.start()
        post_many(system, 10)
        again = system.settled_fates()
        assert sum(again.values()) == found["received"] + 10


@pytest.mark.slow
def test_books_are_settled_at_the_next_start_when_everything_is_killed(live, start):
    with FakeServer(answer_at_random) as shadow:
        system = start(live.url, shadow.url)
        pids = [*system.children(), system.process.pid]
        with Traffic(system) as traffic:
            time.sleep(0.5)
            for pid in pids:
                os.kill(pid, signal.SIGKILL)
            system.process.wait(5)
        found = system.audit()
        assert found["balances"], found["differences"]
        assert found["received"] >= traffic.answered
        system.start()
        assert sum(system.settled_fates().values()) == found["received"]
        assert system.audit()["unsettled"] == 0


@pytest.mark.slow
def test_books_balance_when_collector_is_stopped_by_a_signal(live, start):
    with FakeServer(answer_at_random) as shadow:
        system = start(live.url, shadow.url, QUEUE_ITEMS=200)
        with Traffic(system) as traffic:
            time.sleep(0.3)
            pid = system.child("collector")
            os.kill(pid, signal.SIGTERM)
            wait_until(lambda: not is_running(pid))
            system.wait_ready()
        assert sum(system.settled_fates().values()) == traffic.answered
        assert traffic.unanswered == 0


@pytest.mark.slow
def test_clients_are_served_and_copies_dropped_when_collector_is_frozen(
    live, shadow, start
):
    system = start(live.url, shadow.url, QUEUE_ITEMS=50, GRACE_S=1)
    pid = system.child("collector")
    os.kill(pid, signal.SIGSTOP)
    try:
        with contextlib.closing(system.client()) as client:
            began = time.monotonic()
            for number in range(1000):
                assert post(client, number, padding=2000) == 200
            assert time.monotonic() - began < 10
    finally:
        os.kill(pid, signal.SIGCONT)
    fates = system.settled_fates()
    assert set(fates) == {"match", "dropped_queue"}
    assert sum(fates.values()) == 1000


@pytest.mark.slow
def test_leftovers_are_dropped_shutdown_when_there_is_no_collector(live, shadow, start):
    system = start(live.url, shadow.url, only="router", GRACE_S=0.3)
    post_many(system, 20)
    assert system.stop() == 0
    (page,) = [read_page(path) for path in find_books(system.directory)]
    assert page.fates[Fate.DROPPED_SHUTDOWN] == 20
    assert page.received == page.decided == 20
    assert not page.is_alive


@pytest.mark.slow
def test_queue_is_drained_to_the_collector_when_stopped(live, start):
    async def answer_late(arrived, writer):
        await asyncio.sleep(0.05)
        return await FakeServer.answer_well(arrived, writer)

    with FakeServer(answer_late) as shadow:
        system = start(live.url, shadow.url)
        post_many(system, 200)
        assert system.stop() == 0
        found = system.audit()
        assert found["balances"], found["differences"]
        assert found["fates"]["match"] == 200
        assert not find_books(system.directory)


@pytest.fixture(scope="module")
def true_books(tmp_path_factory):
    """Books of a run that was stopped in order: two fates with rows, one without."""

    async def fail_first(arrived, writer):
        if arrived.values("x-request-id") == ["id-0"]:
            return False
        return await FakeServer.answer_well(arrived, writer)

    directory = tmp_path_factory.mktemp("books") / "data"
    with FakeServer() as live, FakeServer(fail_first) as shadow:
        with System(directory, live.url, shadow.url) as system:
            post_many(system, 5)
            with contextlib.closing(system.client()) as client:
                client.request("GET", "/other")
                client.getresponse().read()
            assert system.stop() == 0
    return system


@pytest.mark.slow
@pytest.mark.parametrize(
    ("tamper", "difference"),
    [
        ("UPDATE counters SET n = n + 1 WHERE fate = 'match'", "closed books"),
        (
            # Which of the copies is compared first is chance.
            "DELETE FROM comparisons WHERE id = "
            "(SELECT min(id) FROM comparisons WHERE fate = 'match')",
            "rows with fate match",
        ),
        (
            "UPDATE comparisons SET fate = 'match' WHERE fate <> 'match'",
            "rows with fate",
        ),
        ("DELETE FROM counters WHERE fate = 'skipped_method'", "closed books"),
        ("DELETE FROM finals", "its books exist"),
    ],
)
def test_audit_is_red_and_names_the_difference_when_books_are_false(
    true_books, tmp_path, tamper, difference
):
    assert audit.audit(true_books.directory).balances
    shutil.copytree(true_books.directory, tmp_path, dirs_exist_ok=True)
    path = tmp_path / "comparisons.sqlite"
    with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as database:
        assert database.execute(tamper).rowcount == 1
    done = true_books.run("audit", SHADOW_ROUTER_DATA_DIR=str(tmp_path))
    assert done.returncode == 1
    assert "THE BOOKS DO NOT BALANCE" in done.stdout
    assert difference in done.stdout


@pytest.mark.slow
@pytest.mark.parametrize("damage", ["not a database", "an unknown fate"])
def test_audit_says_one_line_when_the_store_cannot_be_read(
    true_books, tmp_path, damage
):
    shutil.copytree(true_books.directory, tmp_path, dirs_exist_ok=True)
    path = tmp_path / "comparisons.sqlite"
    if damage == "not a database":
        path.write_bytes(b"\x00" * 8192)
    else:
        with contextlib.closing(sqlite3.connect(path)) as database, database:
            database.execute("UPDATE counters SET fate = 'odd' WHERE fate = 'match'")
    done = true_books.run("audit", SHADOW_ROUTER_DATA_DIR=str(tmp_path))
    assert (done.returncode, done.stdout) == (78, "")
    assert done.stderr.startswith("shadow-router: ")
    assert done.stderr.count("\n") == 1


@pytest.mark.slow
def test_audit_is_green_and_shows_the_fates_when_books_are_true(true_books):
    done = true_books.run("audit")
    assert done.returncode == 0
    assert "the books balance" in done.stdout
    assert re.search(r"^received +6$", done.stdout, re.M)
    assert re.search(r"^match +4$", done.stdout, re.M)


def test_audit_is_red_when_a_router_claims_a_clean_stop_it_did_not_have(tmp_path):
    store = Store(tmp_path)
    books = RouterBooks(tmp_path)
    books.count_received()
    assert audit.audit(tmp_path, patience_s=0).balances
    books.close(RunState.SETTLED)
    found = audit.audit(tmp_path, patience_s=0)
    store.close()
    wrong = [check.name for check in found.checks if not check.holds]
    assert len(wrong) == 1 and "nothing left after a clean stop" in wrong[0]


def test_audit_is_red_when_a_gauge_is_wrong(tmp_path):
    store = Store(tmp_path)
    books = RouterBooks(tmp_path)
    books.count_received()
    books.count_fate(Fate.SKIPPED_METHOD)
    books.count_fate(Fate.SKIPPED_METHOD)
    found = audit.audit(tmp_path, patience_s=0)
    books.close(RunState.UNCONFIRMED)
    store.close()
    assert not found.balances


@pytest.mark.slow
def test_comparisons_are_dropped_writer_when_the_store_is_locked(live, shadow, start):
    system = start(live.url, shadow.url)
    post_many(system, 5, "before")
    assert system.settled_fates() == {"match": 5}
    with system.database() as database:
        database.execute("BEGIN IMMEDIATE")
        post_many(system, 30, "locked")
        # Longer than the store waits for a lock.
        wait_until(lambda: system.report()["fates"]["dropped_writer"] == 30)
        database.execute("ROLLBACK")
    post_many(system, 5, "after")
    assert system.settled_fates() == {"match": 10, "dropped_writer": 30}
    assert system.report()["verdict"]["state"] == "INVALID"
    assert system.stop() == 0
    assert system.audit()["fates"]["dropped_writer"] == 30
