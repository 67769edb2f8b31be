"""Several routers, one run: two machines' worth of processes on one PostgreSQL."""

import contextlib
import os
import signal
from pathlib import Path

import psycopg
import pytest
from pydantic import SecretStr
from router_postgresql import PASSWORD
from router_system import (
    System,
    is_running,
    post,
    post_many,
    refused_url,
    wait_until,
)
from test_router_books import Traffic

from shadow_router.commands import audit
from shadow_router.store import StoreFailed
from shadow_router.store.sql.engine import open_engine, writing


@pytest.fixture
def url(postgresql):
    return postgresql.url(postgresql.new_database())


@pytest.fixture
def both(live, shadow, start, url):
    """Two systems with a data directory each, as on two machines."""
    return [
        start(live.url, shadow.url, name=name, STORE_URL=url) for name in ("one", "two")
    ]


def audited(directory, url):
    return audit.as_json(audit.audit(directory, store_url=SecretStr(url)))


@pytest.mark.slow
def test_books_of_one_run_balance_from_anywhere_when_two_routers_share_it(
    both, url, tmp_path
):
    one, two = both
    places = (one.directory, two.directory, tmp_path / "elsewhere")
    with Traffic(one, clients=2) as first, Traffic(two, clients=2) as second:
        while min(first.answered, second.answered) < 100:
            for place in places:
                found = audited(place, url)
                assert found["balances"], found["differences"]
        # The other machine notices nothing of what happens to this one.
        pid = one.child("collector")
        os.kill(pid, signal.SIGKILL)
        wait_until(lambda: not is_running(pid))
        one.wait_ready()
        found = audited(places[2], url)
        assert found["balances"], found["differences"]
    assert first.unanswered == second.unanswered == 0
    for system in both:
        assert system.stop() == 0
    sent = first.answered + second.answered
    for place in places:
        found = audited(place, url)
        assert found["balances"], found["differences"]
        assert (found["received"], found["unsettled"]) == (sent, 0)
        assert sum(found["fates"].values()) == sent
        assert set(found["in_flight"].values()) == {0}
    # A false book is found out from anywhere, too.
    with psycopg.connect(url.replace("+psycopg", "")) as connection:
        connection.execute("UPDATE counters SET n = n + 1 WHERE fate = 'match'")
    assert not audited(places[2], url)["balances"]


@pytest.mark.slow
def test_inputs_of_one_run_count_once_when_both_routers_see_them(both):
    for system in both:
        post_many(system, 50)
    wait_until(lambda: both[0].report()["received"] == 100, what="the other's numbers")
    for system in both:
        wait_until(lambda s=system: s.report()["open"] == 0, what="the last fate")
        report = system.report()
        assert (report["received"], report["fates"]["match"]) == (100, 100)
        assert report["unique_inputs"] == 50
        assert report["evidence"]["repeats"] == 50


@pytest.mark.slow
def test_stopped_collector_does_not_hold_up_the_others(both):
    one, two = both
    post_many(one, 20, "one")
    collector = one.child("collector")
    os.kill(collector, signal.SIGSTOP)
    try:
        with contextlib.closing(one.client()) as client:
            assert all(post(client, n, f"id-{n}") == 200 for n in range(50))
        post_many(two, 50, "two")
        wait_until(
            lambda: two.report()["fates"]["match"] >= 50, 60, "the other's fates"
        )
    finally:
        os.kill(collector, signal.SIGCONT)
    # What the stopped one had asked the shadow may have come too late, and so may what
    # it was writing: one that stops in its turn loses it.
    fates = one.settled_fates(within_s=60)
    assert sum(fates.values()) == 120
    assert set(fates) <= {"match", "shadow_timeout", "dropped_writer"}


@pytest.mark.slow
def test_turn_is_lost_by_one_that_stops_in_it(url, tmp_path):
    engine = open_engine(tmp_path, SecretStr(url))
    with writing(engine) as connection:
        shown = connection.exec_driver_sql("SHOW idle_in_transaction_session_timeout")
        assert shown.scalar() == "15s"
        # Nobody else gets a turn meanwhile, and nobody waits for it for ever.
        other = open_engine(tmp_path, SecretStr(url))
        with pytest.raises(StoreFailed, match="lock timeout"):
            with writing(other):
                pass
        other.dispose()
    engine.dispose()


@pytest.mark.slow
def test_password_of_the_store_is_nowhere_to_be_read(both, url):
    one, _ = both
    post_many(one, 20)
    one.settled_fates()
    texts = {path: one.private_get(path)[1] for path in ("/", "/report.json")}
    texts["/metrics"] = one.private_get("/metrics")[1]
    for pid in (one.process.pid, *one.children()):
        for name in ("cmdline", "comm"):
            texts[f"{pid}/{name}"] = Path(f"/proc/{pid}/{name}").read_text()
    page = one.directory / "page.html"
    for command in (("audit",), ("verdict",), ("report", "--output", str(page))):
        done = one.run(*command)
        texts[command[0]] = done.stdout + done.stderr
    texts["page"] = page.read_text()
    assert one.stop() == 0
    texts["log"] = one.log
    assert all(texts[name] for name in ("/", "/report.json", "verdict", "page", "log"))
    assert [name for name, text in texts.items() if PASSWORD in text] == []


WRONG = {
    "another scheme": ("mysql://shadow:{}@127.0.0.1/x", "must begin with"),
    "no such host": ("postgresql+psycopg://a:{}@nowhere.invalid/x", "nowhere.invalid"),
    "nobody there": ("postgresql+psycopg://a:{}@127.0.0.1:1/x", "127.0.0.1"),
    "a port that is none": ("postgresql+psycopg://a:{}@127.0.0.1:port/x", "is no"),
    "an option that is none": ("postgresql+psycopg://a:{}@127.0.0.1:1/x?y=1", "y"),
}


@pytest.fixture
def stopped(tmp_path):
    """A system that was never started, to run commands by."""
    return System(tmp_path / "data", refused_url(), refused_url())


@pytest.mark.slow
@pytest.mark.parametrize("name", WRONG)
def test_wrong_url_is_one_line_without_the_password(stopped, name):
    wrong, said = WRONG[name]
    for arguments in (("verdict",), ("serve", "--only", "collector")):
        url = wrong.format(PASSWORD)
        done = stopped.run(*arguments, SHADOW_ROUTER_STORE_URL=url)
        assert done.returncode in (75, 78)
        # Warnings of what a refused process leaves open may follow.
        assert done.stderr.startswith("shadow-router: "), done.stderr
        assert "Traceback" not in done.stderr
        assert said in done.stderr and PASSWORD not in done.stderr


@pytest.mark.slow
def test_wrong_password_is_one_line_without_it(postgresql, stopped):
    wrong = postgresql.url("postgres", password=PASSWORD + "-wrong")
    done = stopped.run("verdict", SHADOW_ROUTER_STORE_URL=wrong)
    assert done.returncode == 78
    assert done.stderr.count("\n") == 1 and PASSWORD not in done.stderr
    assert "password authentication failed" in done.stderr


@pytest.mark.slow
def test_missing_driver_is_named_with_what_to_install(stopped, tmp_path):
    blocked = tmp_path / "psycopg.py"
    blocked.write_text("raise ModuleNotFoundError(__name__, name=__name__)\n")
    url = f"postgresql+psycopg://a:{PASSWORD}@127.0.0.1:1/x"
    done = stopped.run("verdict", SHADOW_ROUTER_STORE_URL=url, PYTHONPATH=str(tmp_path))
    assert done.returncode == 78
    assert "install shadow_router[postgresql]" in done.stderr
    assert PASSWORD not in done.stderr
