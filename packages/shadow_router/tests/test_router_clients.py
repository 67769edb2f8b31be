"""Whose the evidence is: told apart, shown, and no verdict that is one client's."""

import contextlib
import sqlite3
from dataclasses import replace

import pytest
from router_system import post_many
from test_router_evidence import compared
from test_router_verdict import BAD, GOOD, gate

from shadow_router.collector.recording import encode_exchange
from shadow_router.request.clients import hashed, named_by, network_of
from shadow_router.rules.rules import DEFAULT, Rules
from shadow_router.store import Batch, Store, read_totals
from shadow_router.store.clients import MOST_CLIENTS
from shadow_router.values import Exchange, Fate
from shadow_router.verdict.verdict import State, judge

MEASURES = ("requests", "unique inputs")
HALF = Rules()
ALONE = Rules(client_share=1.0)


def given(evidence, **counts):
    """Return evidence that clients gave, each so much of inputs and of requests."""
    named = {f"k.{name}": n for name, n in counts.items()}
    return replace(evidence, clients=dict.fromkeys(MEASURES, named))


@pytest.mark.parametrize(
    ("counts", "is_passed"),
    [
        ({"a": 1}, False),
        ({"a": 1, "b": 1}, True),
        ({"a": 501, "b": 499}, False),
        ({"a": 500, "b": 300, "c": 200}, True),
        ({"a": 9900, "b": 50, "c": 50}, False),
    ],
)
def test_verdict_passes_only_when_no_client_is_too_much_of_it(counts, is_passed):
    verdict = judge(given(GOOD, **counts), HALF)
    state = State.PASS if is_passed else State.INCONCLUSIVE
    assert (verdict.state, gate(verdict, "clients").state) == (state, state)
    assert judge(given(GOOD, **counts), ALONE).state is State.PASS


def test_verdict_says_who_gave_too_much_and_how_much_others_must_give():
    verdict = judge(given(GOOD, a=9900, b=100), HALF)
    assert verdict.reason == (
        "one client (k.a) gave 99.0% of the requests, at most 50% may be one's "
        "(client_share): 9,800 more from others are needed"
    )
    assert judge(given(GOOD, a=9900, b=9900), HALF).state is State.PASS


@pytest.mark.parametrize("case", BAD)
def test_no_gate_fails_a_version_on_the_evidence_of_one_client(case):
    assert judge(given(BAD[case], a=1, b=1), HALF).state is State.FAIL
    verdict = judge(given(BAD[case], a=99, b=1), HALF)
    assert verdict.state is State.INCONCLUSIVE
    _, _, failing = verdict.reason.partition("; on that evidence ")
    assert case.partition(",")[0] in failing


def test_one_client_excuses_no_measurement_that_cannot_be_believed():
    evidence = replace(GOOD, fates={Fate.MATCH: 90, Fate.DROPPED_QUEUE: 10})
    assert judge(given(evidence, a=1), HALF).state is State.INVALID


def test_share_is_the_larger_of_inputs_and_requests():
    clients = {
        "unique inputs": {"k.a": 5, "k.b": 5},
        "requests": {"k.a": 9, "k.b": 1},
    }
    verdict = judge(replace(GOOD, clients=clients), HALF)
    assert "gave 90% of the requests" in verdict.reason


def test_another_key_makes_no_second_client_of_the_first():
    # The same client before and after a restart, and others beside it.
    named = {"k.a": 80, "k.b": 20, "l.c": 80, "l.d": 20}
    verdict = judge(replace(GOOD, clients={"requests": named}), HALF)
    assert "gave 80% of the requests" in verdict.reason
    keys = [hashed("192.0.2.1", key).partition(".")[0] for key in (b"1", b"2", b"1")]
    assert keys[0] == keys[2] != keys[1]


def test_rule_of_one_is_not_asked_and_said():
    verdict = judge(given(GOOD, a=1), ALONE)
    assert "client_share: 1" in verdict.absent["clients"]


@pytest.mark.parametrize(
    ("address", "network"),
    [
        ("192.0.2.7", "192.0.2.7"),
        ("::ffff:192.0.2.7", "192.0.2.7"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("2001:db8:1:2:ffff::1", "2001:db8:1:2::/64"),
        ("fe80::1%eth0", "fe80::/64"),
        ("", ""),
    ],
)
def test_address_is_the_network_that_one_client_has(address, network):
    assert network_of(address) == network


@pytest.mark.parametrize(
    ("values", "client"),
    [
        ([], ""),
        ([b"a"], "a"),
        ([b"forged, 192.0.2.1"], "192.0.2.1"),
        ([b"forged", b" b "], "b"),
        ([b"\xff"], "\xff"),
    ],
)
def test_header_names_whom_the_nearest_hop_named(values, client):
    assert named_by(values) == client


def test_hash_of_a_client_needs_the_key():
    names = {hashed(client, key) for client in ("a", "b") for key in (b"1", b"2")}
    assert len(names) == 4
    assert hashed("", b"key").endswith(".unnamed")


def written(tmp_path, *batches):
    store = Store(tmp_path)
    store.note_rules(DEFAULT)
    for batch in batches:
        store.write(Batch(batch))
    store.close()
    return read_totals(tmp_path).clients


def of(client, number, **more):
    item = compared(number, **more)
    return item._replace(exchange=item.exchange._replace(client=client))


def test_new_inputs_and_all_requests_are_counted_by_client(tmp_path):
    first = [of("k.a", 1), of("k.a", 2), of("k.b", 2), of("k.b", 3)]
    found = written(tmp_path, first, [of("k.b", 3), of("k.a", 4), of("k.c", 1)])
    assert found == {
        "unique inputs": {"k.a": 3, "k.b": 1},
        "requests": {"k.a": 3, "k.b": 3, "k.c": 1},
    }


def test_clients_without_end_leave_bounded_rows_and_hide_nobody(tmp_path):
    def batch(start):
        # A heavy client, and as many others as there are requests beside it.
        return [
            of("k.heavy" if number % 2 else f"k.{number}", number)
            for number in range(start, start + 500)
        ]

    found = written(tmp_path, *(batch(start) for start in range(0, 6000, 500)))
    for counts in found.values():
        assert len(counts) == MOST_CLIENTS
        assert sum(counts.values()) == 6000
        assert 3000 <= counts["k.heavy"] <= 3000 + 6000 / MOST_CLIENTS
        assert sorted(counts.values())[-2] <= 2 + 6000 / MOST_CLIENTS
    # Also one that comes late, when there is no room any more.
    late = [of("k.late", number) for number in range(9000, 9900)]
    store = Store(tmp_path)
    store.write(Batch(late))
    store.close()
    assert read_totals(tmp_path).clients["requests"]["k.late"] >= 900


RULES = "profile: retrain\nclient: X-Team\n"


def send(system, count, start=0, **headers):
    with contextlib.closing(system.client()) as client:
        for number in range(start, start + count):
            body = b'{"inputs": [%d]}' % number
            kind = {"content-type": "application/json"}
            client.request("POST", "/v1/predict", body, kind | headers)
            assert client.getresponse().read()


def test_report_shows_whose_the_evidence_is_and_keeps_no_name(start, live, shadow):
    system = start(live.url, shadow.url, rules=RULES)
    send(system, 3, **{"X-Team": "canary-one"})
    send(system, 1, 3, **{"X-Team": "canary-two"})
    send(system, 1, 4)
    assert system.settled_fates() == {"match": 5}
    report = system.report()
    shares = [(one["measure"], one["n"], one["share"]) for one in report["clients"]]
    assert shares == [(m, n, n / 5) for m in MEASURES for n in (3, 1, 1)]
    names = {one["client"].partition(".")[2] for one in report["clients"]}
    assert len(names) == 3 and "unnamed" in names
    assert report["rules"]["client"] == "X-Team"
    page = system.private_get("/")[1]
    assert "60.00%" in page and "Whose the evidence is" in page
    gates = {one["name"]: one for one in report["verdict"]["gates"]}
    assert gates["clients"]["state"] == "INCONCLUSIVE"
    everything = (page, str(report), system.log, system.private_get("/metrics")[1])
    assert not any("canary" in text for text in everything)
    with system.database() as database:
        assert "canary" not in "".join(database.iterdump())


def test_client_is_its_key_when_keys_are_copied_and_its_address_otherwise(
    start, live, shadow
):
    keyed = start(
        live.url,
        shadow.url,
        "keyed",
        rules="profile: infra\n",
        COPY_HEADERS="X-API-Key",
    )
    plain = start(live.url, shadow.url, "plain", rules="profile: infra\n")
    for system, clients in ((keyed, 2), (plain, 1)):
        for at, key in enumerate(("one", "two")):
            send(system, 2, 2 * at, **{"X-API-Key": key})
        assert system.settled_fates() == {"match": 4}
        assert len(system.report()["clients"]) == clients * len(MEASURES)


@pytest.mark.parametrize(
    ("rule", "fate"), [("skip", "skipped_unsampled"), ("compare", "match")]
)
def test_page_of_the_api_is_no_evidence_unless_asked(start, live, shadow, rule, fate):
    rules = f"profile: retrain\nown_page: {rule}\n"
    system = start(live.url, shadow.url, rules=rules)
    send(system, 2, **{"X-From-Page": "1"})
    assert system.settled_fates() == {fate: 2}
    post_many(system, 1)
    assert system.settled_fates()["match"] in (1, 3)
    assert all(not seen.values("x-from-page") for seen in shadow.arrived)


def test_recording_holds_no_client():
    exchange = Exchange("id", 1, "POST", b"/", (), b"", 200, {}, 1.0, b"", "canary")
    assert b"canary" not in encode_exchange(exchange)


def test_page_says_when_one_client_may_be_all_of_the_evidence(start, live, shadow):
    system = start(live.url, shadow.url, rules="profile: retrain\nclient_share: 1\n")
    post_many(system, 1)
    system.settled_fates()
    page = system.private_get("/")[1]
    assert "this verdict may rest on one client alone" in page
    assert "clients" in system.report()["verdict"]["absent"]


def test_store_of_the_layout_before_is_written_on(tmp_path):
    written(tmp_path, [of("k.a", 1)])
    database = sqlite3.connect(tmp_path / "comparisons.sqlite")
    database.execute("DROP TABLE clients")
    database.execute("UPDATE layout SET version = 3")
    database.commit()
    database.close()
    assert written(tmp_path, [of("k.b", 2)])["requests"] == {"k.b": 1}
