"""After a power cut: store and books of another age than each other."""

import asyncio
import contextlib
import os
import shutil
import signal

import pytest
from router_system import post_many, wait_until

from shadow_router.commands import audit
from shadow_router.files import mapping
from shadow_router.findings.summary import summarise
from shadow_router.processes import router_process
from shadow_router.run.books import RouterBooks, RunState, WriterTally, find_books
from shadow_router.run.switches import Switches
from shadow_router.store import Batch, Store
from shadow_router.values import Fate, Flow


def kill(system):
    pids = [*system.children(), system.process.pid]
    for pid in pids:
        os.kill(pid, signal.SIGKILL)
    system.process.wait(5)
    wait_until(lambda: not any(os.path.exists(f"/proc/{pid}") for pid in pids))


def put_back(directory, aside):
    for path in aside.iterdir():
        shutil.copy(path, directory / path.name)


@pytest.fixture
def two_ages(live, shadow, start, tmp_path):
    """A killed run of 20 requests, and its files as they were after 10."""
    system = start(live.url, shadow.url)
    post_many(system, 10, "first")
    assert system.settled_fates() == {"match": 10}
    aside = tmp_path / "aside"
    aside.mkdir()
    for path in system.directory.iterdir():
        if path.suffix == ".books" or path.name.startswith("comparisons"):
            shutil.copy(path, aside)
    post_many(system, 10, "second")
    assert system.settled_fates() == {"match": 20}
    kill(system)
    return system, aside


@pytest.mark.slow
def test_larger_count_is_taken_when_the_books_are_older_than_the_store(two_ages):
    system, aside = two_ages
    for path in aside.glob("comparisons*"):
        path.unlink()
    put_back(system.directory, aside)
    assert not system.audit()["balances"]
    verdict = summarise(system.directory).verdict
    assert verdict.state == "INVALID"
    assert "the books do not balance" in verdict.reason
    assert "received covers fates: 10 instead of at least 20" in verdict.reason
    system.start()
    assert "older than the store; 10 more received" in system.log
    assert system.settled_fates() == {"match": 20}
    assert system.report()["verdict"]["state"] == "INCONCLUSIVE"


@pytest.mark.slow
def test_loss_is_counted_when_the_store_is_older_than_the_books(two_ages):
    system, aside = two_ages
    for path in system.directory.glob("comparisons*"):
        path.unlink()
    for path in aside.glob("*.books"):
        path.unlink()
    put_back(system.directory, aside)
    assert system.audit()["balances"] and system.audit()["unsettled"] == 10
    system.start()
    assert system.settled_fates() == {"match": 10, "dropped_crash": 10}
    assert system.report()["verdict"]["state"] == "INVALID"


@pytest.mark.slow
def test_verdict_is_invalid_when_the_books_of_a_router_are_gone(two_ages):
    system, _ = two_ages
    for path in find_books(system.directory):
        path.unlink()
    verdict = summarise(system.directory).verdict
    assert verdict.state == "INVALID"
    assert "its books exist: 0 instead of 20" in verdict.reason
    done = system.run("verdict")
    assert done.returncode == 3 and done.stdout.startswith("INVALID: the books do not")


def test_verdict_is_invalid_when_closed_books_do_not_add_up(tmp_path):
    with contextlib.closing(Store(tmp_path)) as store:
        store.finalise("r", 5, {Fate.SKIPPED_METHOD: 5}, 0)
        assert summarise(tmp_path).verdict.state == "INCONCLUSIVE"
        store.finalise("s", 5, {Fate.SKIPPED_METHOD: 4}, 0)
        store.finalise("t", 5, {Fate.SKIPPED_METHOD: 4}, 0)
    reason = summarise(tmp_path).verdict.reason
    assert "closed books: 4 instead of 5 and 1 more)" in reason


def test_what_was_lost_counts_once_while_the_store_says_nothing_of_it(tmp_path):
    books = RouterBooks(tmp_path)
    tally = WriterTally(find_books(tmp_path)[0])
    with contextlib.closing(Store(tmp_path)) as store:
        for _ in range(9):
            books.count_received()
            books.count_queued(1)
            books.count_handed(1)
        # Seven were taken, of which five are stored, one was lost and one is open.
        five = {(books.router_id, Fate.DROPPED_SHUTDOWN): 5}
        tally.add(1)
        store.write(Batch(counts=five, flows={books.router_id: Flow(7, 1, 1)}))
        for lost in range(4):
            found = audit.audit(tmp_path, patience_s=0)
            assert found.balances, [c.said for c in found.checks if not c.holds]
            assert found.accounts.fates[Fate.DROPPED_WRITER] == 1 + lost
            assert (found.in_transit + found.at_collector) == 3 - lost
            assert found.in_transit >= 0
            tally.add(1)
    tally.close()
    books.close(RunState.UNCONFIRMED)


def test_books_are_on_the_disk_every_second(tmp_path, monkeypatch):
    synced = []
    monkeypatch.setattr(mapping.os, "fdatasync", synced.append)
    monkeypatch.setattr(router_process, "_KEEP_EVERY_S", 0.01)
    books, switches = RouterBooks(tmp_path), Switches(tmp_path, 1.0)

    async def run():
        keeping = asyncio.create_task(router_process._keep(books, switches))
        while len(synced) < 3:
            await asyncio.sleep(0.01)
        keeping.cancel()
        await asyncio.wait([keeping])

    asyncio.run(asyncio.wait_for(run(), 10))
    books.close(RunState.SETTLED)
    assert len(set(synced)) == 1
