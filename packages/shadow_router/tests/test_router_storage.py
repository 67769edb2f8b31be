"""P8: a store in trouble costs evidence, which is counted, and nothing else."""

import contextlib
import os
import resource
import signal
import sqlite3
import stat
import time

import pytest
from router_system import is_running, post, post_many, wait_until

from shadow_router.run.books import find_books, read_page

UNLIMITED = (resource.RLIM_INFINITY, resource.RLIM_INFINITY)
# Root may write what is read-only, unless it gives up the right to.
_OBEDIENT = ("--bounding-set=-dac_override", "--inh-caps=-dac_override")
OBEDIENT = ("setpriv", *_OBEDIENT, "--") if os.getuid() == 0 else ()


def lost(system):
    """Return how many comparisons the store could not take so far."""
    return system.audit()["fates"]["dropped_writer"]


def written_off(system):
    """Return the same from the routers' files, which need no store."""
    pages = map(read_page, find_books(system.directory))
    return sum(page.dropped_writer for page in pages if page is not None)


def post_until_lost(system, prefix):
    """Send until a tenth was lost, and return how many were sent."""
    sent, deadline = 0, time.monotonic() + 60
    with contextlib.closing(system.client()) as client:
        while not lost(system) > sent / 10:
            assert time.monotonic() < deadline, "too little was ever lost"
            began = time.perf_counter()
            for _ in range(10):
                assert post(client, sent, f"{prefix}-{sent}") == 200
                sent += 1
            # A client that waited for the store would have waited for seconds.
            assert time.perf_counter() - began < 1.5
    return sent


def assert_recovered(system, sent):
    """Show that loss is counted and told, and that nothing is lost any more."""
    fates = system.settled_fates()
    assert set(fates) == {"match", "dropped_writer"}
    assert sum(fates.values()) == sent
    post_many(system, 30, "after")
    after = system.settled_fates()
    assert after["dropped_writer"] == fates["dropped_writer"]
    assert after["match"] == fates["match"] + 30
    assert system.report()["verdict"]["state"] == "INVALID"
    assert is_running(system.process.pid)
    assert system.stop() == 0
    assert system.audit()["balances"]


@contextlib.contextmanager
def full_disk(system):
    """Let no file of the collector grow: what a full disk answers."""
    pid = system.child("collector")
    resource.prlimit(pid, resource.RLIMIT_FSIZE, (0, resource.RLIM_INFINITY))
    yield
    resource.prlimit(pid, resource.RLIMIT_FSIZE, UNLIMITED)


@contextlib.contextmanager
def another_writer(system):
    path = system.directory / "comparisons.sqlite"
    with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as database:
        database.execute("BEGIN EXCLUSIVE")
        yield
        database.execute("ROLLBACK")


@pytest.mark.slow
@pytest.mark.parametrize("trouble", [full_disk, another_writer])
def test_file_in_trouble_is_counted_and_left_behind(live, shadow, start, trouble):
    system = start(live.url, shadow.url)
    post_many(system, 30, "before")
    assert system.settled_fates() == {"match": 30}
    with trouble(system):
        sent = post_until_lost(system, "during")
    assert_recovered(system, 30 + sent)


@pytest.mark.slow
def test_file_that_is_read_only_is_tried_again_until_it_is_not(live, shadow, start):
    system = start(live.url, shadow.url, prefix=OBEDIENT)
    post_many(system, 30, "before")
    assert system.settled_fates() == {"match": 30}
    files = list(system.directory.glob("comparisons.sqlite*"))
    for file in files:
        file.chmod(stat.S_IRUSR)
    collector = system.child("collector")
    os.kill(collector, signal.SIGKILL)
    wait_until(lambda: "readonly database" in system.log, what="the refusal")
    # Meanwhile clients are served, and their copies wait.
    post_many(system, 30, "during")
    for file in files:
        file.chmod(stat.S_IRUSR | stat.S_IWUSR)
    system.wait_ready()
    assert system.settled_fates() == {"match": 60}
    assert "Traceback" not in system.log
    assert system.stop() == 0


# PostgreSQL


class Outage:
    """A server with one database, in the trouble that a test asks for."""

    def __init__(self, server):
        self.server = server
        self.database = server.new_database()
        self.url = server.url(self.database)

    def end_sessions(self):
        self.server.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
            f"WHERE datname = '{self.database}'"
        )

    @contextlib.contextmanager
    def read_only(self):
        change = f"ALTER DATABASE {self.database} SET default_transaction_read_only = "
        self.server.execute(change + "on")
        self.end_sessions()
        yield
        self.server.execute(change + "off")
        self.end_sessions()

    @contextlib.contextmanager
    def another_writer(self):
        with self.server.connect(self.database) as connection:
            connection.execute("BEGIN")
            connection.execute("LOCK TABLE counters IN ACCESS EXCLUSIVE MODE")
            # Reading the books would wait too, so what is lost shows in the file.
            yield
            connection.execute("ROLLBACK")


@pytest.fixture
def outage(postgresql):
    yield Outage(postgresql)
    postgresql.resume()
    if not (postgresql.data / "postmaster.pid").exists():
        postgresql.start()


@pytest.fixture
def system(live, shadow, start, outage):
    found = start(live.url, shadow.url, STORE_URL=outage.url)
    post_many(found, 30, "before")
    assert found.settled_fates() == {"match": 30}
    return found


@pytest.mark.slow
def test_server_that_refuses_to_write_is_counted_and_left_behind(system, outage):
    with outage.read_only():
        sent = post_until_lost(system, "during")
    assert_recovered(system, 30 + sent)


@pytest.mark.slow
def test_server_locked_by_another_is_counted_and_left_behind(system, outage):
    with outage.another_writer():
        for number in range(5):
            post_many(system, 10, f"during-{number}")
            time.sleep(1)
    wait_until(lambda: lost(system), what="the loss")
    assert_recovered(system, 30 + 50)


@pytest.mark.slow
def test_nothing_is_lost_when_a_stopped_server_goes_on(system, outage):
    outage.server.pause()
    post_many(system, 300, "during")
    outage.server.resume()
    assert system.settled_fates() == {"match": 330}
    assert system.stop() == 0


@pytest.mark.slow
def test_what_a_stopped_server_cannot_take_is_bounded_and_counted(system, outage):
    outage.server.pause()
    with contextlib.closing(system.client()) as client:
        # 200 kB each: the backlog holds some 320 of them.
        for number in range(450):
            assert post(client, number, f"during-{number}", padding=200_000) == 200
    # The collector is behind the clients, and the store cannot be asked.
    wait_until(lambda: written_off(system) >= 50, what="a loss")
    outage.server.resume()
    fates = system.settled_fates()
    assert fates["dropped_writer"] >= 50
    assert fates["match"] >= 200
    assert_recovered(system, 30 + 450)


@pytest.mark.slow
def test_books_balance_when_the_server_is_killed_under_traffic(system, outage):
    post_many(system, 100, "before-kill")
    outage.server.stop("immediate")
    post_many(system, 100, "during")
    outage.server.start()
    fates = system.settled_fates()
    # What was under way is asked for, and what came meanwhile has waited.
    assert fates == {"match": 230}
    assert system.stop() == 0
    assert system.audit()["balances"]


@pytest.mark.slow
def test_collector_waits_for_a_server_that_is_not_there_yet(system, outage):
    assert system.stop() == 0
    outage.server.stop("fast")
    system.start(wait=False)
    wait_until(lambda: "starting it again" in system.log, what="the first try")
    post_many(system, 30)
    outage.server.start()
    system.wait_ready()
    assert system.settled_fates() == {"match": 60}
    assert "Traceback" not in system.log
    assert system.stop() == 0
