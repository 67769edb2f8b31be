"""Which artefact each service runs, asked beside the traffic."""

import asyncio
import contextlib
from datetime import date

import pytest
from router_fakes import ANSWER, IDENTITY, FakeServer, answer_bytes
from router_system import post_many, refused_url, wait_until

from shadow_router.collector import identities
from shadow_router.collector.identities import IdentityWatch, digest_in, watched
from shadow_router.errors import AnswerUnreadable
from shadow_router.http.http_client import HttpClient, parse_origin
from shadow_router.rules.rule_file import load_rules
from shadow_router.rules.rules import DEFAULT, Identity, Paths, Rules
from shadow_router.store.identity import joined


def describing(digest, status="200 OK"):
    """Return a server that answers rows, and says which artefact it runs."""

    async def script(arrived, writer):
        if arrived.target == IDENTITY:
            document = {"digests": {"manifest": digest()}}
            writer.write(answer_bytes(document, status=status))
        else:
            writer.write(answer_bytes(ANSWER))
        return True

    return FakeServer(script, shows=(IDENTITY,))


@pytest.mark.slow
def test_digests_of_both_are_in_the_bundle_when_the_services_tell_them(start):
    with describing(lambda: "aaa") as live, describing(lambda: "bbb") as shadow:
        system = start(live.url, shadow.url)
        post_many(system, 3)
        assert system.settled_fates() == {"match": 3}
        told = {"live": ["aaa"], "shadow": ["bbb"]}
        wait_until(lambda: system.report()["digests"] == told, what="the digests")
        assert system.report()["versions"] == {"live": ["1.0.0"], "shadow": ["1.0.0"]}
        (asked,) = (one for one in live.arrived if one.target == IDENTITY)
        assert (asked.method, asked.body) == ("GET", b"")
        assert [name for name, _ in asked.pairs] == ["host", "accept"]


@pytest.mark.slow
def test_verdict_is_invalid_when_an_artefact_changes_under_the_same_version(start):
    digests = ["aaa"]
    with describing(lambda: "lll") as live, describing(lambda: digests[-1]) as shadow:
        system = start(live.url, shadow.url)
        post_many(system, 3)
        wait_until(lambda: system.report()["digests"]["shadow"] == ["aaa"])
        assert system.stop() == 0
        digests.append("ccc")
        system.start()
        wait_until(lambda: len(system.report()["digests"]["shadow"]) == 2)
        verdict = system.report()["verdict"]
        assert verdict["state"] == "INVALID"
        assert "shadow answered as 1.0.0 (aaa), 1.0.0 (ccc)" in verdict["reason"]


def noted(*urls, can_store=lambda: True, until=1):
    """Return what is noted of some services when they are asked all the time."""
    found = []

    async def note(role, digest):
        found.append((role, digest))
        return can_store()

    async def watch():
        clients = {url: HttpClient(parse_origin(url)) for url in urls}
        asking = IdentityWatch(clients, Identity(), note)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(5):
                task = asyncio.create_task(asking.run())
                while len(found) < until:
                    await asyncio.sleep(0.005)
        task.cancel()
        await asyncio.wait([task])
        asking.close()
        # The server sees the ends before it is stopped itself.
        await asyncio.sleep(0.05)

    asyncio.run(watch())
    return [digest for _, digest in found]


@pytest.fixture(autouse=True)
def hurry(monkeypatch):
    # In this process only; those of `start` keep their pace.
    monkeypatch.setattr(identities, "EVERY_S", 0.005)


def test_change_is_noted_when_the_service_says_another_digest():
    digests = iter(["aaa", "aaa", "aaa"])
    with describing(lambda: next(digests, "ccc")) as server:
        assert noted(server.url, until=2) == ["aaa", "ccc"]


def test_digest_is_noted_again_when_it_could_not_be_stored():
    fails = iter([False, False])
    with describing(lambda: "aaa") as server:
        can_store = lambda: next(fails, True)  # noqa: E731
        assert noted(server.url, can_store=can_store, until=3) == ["aaa"] * 3


def test_other_service_is_asked_when_one_tells_nothing():
    with (
        describing(lambda: "aaa") as good,
        describing(lambda: "bbb", status="401 Unauthorized") as locked,
        FakeServer() as mute,
    ):
        assert noted(refused_url(), locked.url, mute.url, good.url) == ["aaa"]


@pytest.mark.slow
def test_shadow_is_not_asked_when_the_kill_switch_is_on(start):
    with describing(lambda: "aaa") as live, describing(lambda: "bbb") as shadow:
        system = start(live.url, shadow.url)
        told = {"live": ["aaa"], "shadow": ["bbb"]}
        wait_until(lambda: system.report()["digests"] == told, what="the digests")
        assert system.run("control", "off").returncode == 0
        asked = len(shadow.arrived)
        assert system.stop() == 0
        system.start()
        wait_until(lambda: len(live.arrived) == 2, what="the question to live")
        assert len(shadow.arrived) == asked


@pytest.mark.parametrize(
    "body",
    [
        b'{"d": ""}',
        b'{"d": 5}',
        b'{"d": null}',
        b'{"d": "a b"}',
        b'{"d": "<b>"}',
        b'{"d": "%s"}' % (b"a" * 129),
    ],
)
def test_digest_is_none_when_the_text_cannot_be_one(body):
    assert digest_in(body, "d") == ""


def test_document_is_refused_when_nothing_is_at_the_path():
    for body in (b"{}", b"not json"):
        with pytest.raises(AnswerUnreadable):
            digest_in(body, "d")


@pytest.mark.parametrize(
    ("seen", "digests", "expected"),
    [
        ((), [], ()),
        ((), ["d"], (("", "d"),)),
        ((("1", ""),), [], (("1", ""),)),
        ((("1", ""),), ["d"], (("1", "d"),)),
        ((("1", ""),), ["d", "e"], (("1", "d"), ("1", "e"))),
        ((("1", ""), ("2", "")), ["d"], (("1", "d"), ("2", "d"))),
        (
            (("1", ""), ("2", "")),
            ["d", "e"],
            (("1", ""), ("2", ""), ("", "d"), ("", "e")),
        ),
        # Answers that carry a digest are believed before anything else.
        ((("1", "a"),), ["d"], (("1", "a"),)),
    ],
)
def test_versions_are_joined_with_digests_where_that_is_sure(seen, digests, expected):
    assert joined(seen, digests) == expected


def test_services_are_asked_unless_the_rules_know_better(tmp_path):
    assert watched(DEFAULT)
    assert not watched(Rules(identity=Identity(path="")))
    assert not watched(Rules(paths=Paths(digest="model.sha256")))
    path = tmp_path / "rules.yml"
    for text, expected in (
        ("profile: infra\n", "/v1/model"),
        ("profile: infra\nanswers: open-inference\n", ""),
        ("profile: infra\nidentity:\n  path: /about\n  digest: sha\n", "/about"),
    ):
        path.write_text(text)
        assert load_rules(path, date.today()).identity.path == expected
