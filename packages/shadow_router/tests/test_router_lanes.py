"""The lanes that test the measurement: silent, awake, and never in live's way."""

import asyncio
import contextlib
import json

import pytest
from router_fakes import ANSWER, FakeServer, answer_bytes
from router_system import post, post_many, refused_url, wait_until

from shadow_router.collector import lanes
from shadow_router.collector.lanes import MutantLane, NoiseLane, draws_of, is_chosen
from shadow_router.compare.comparisons import comparison_of
from shadow_router.rules.rules import DEFAULT
from shadow_router.run.books import Page, RunState
from shadow_router.settings import Settings
from shadow_router.store import Batch, Store, read_totals
from shadow_router.values import Difference, Exchange, Fate, Lane, Observation

BODY = json.dumps(ANSWER).encode()
JSON = {"content-type": "application/json"}
MARKED = "x-shadow-router"


def exchange(number=0, **changes):
    headers = (
        (b"content-type", b"application/json"),
        (b"x-request-id", b"theirs-%d" % number),
        (b"traceparent", b"00-1-2-01"),
    )
    made = Exchange(
        *(f"theirs-{number}", 10**18 + number, "POST", b"/v1/predict", headers),
        *(b'{"inputs": [1]}', 200, JSON, 2.0, BODY),
    )
    return made._replace(**changes)


def compared(number=0, shadow_body=BODY, **changes):
    answer = Observation(200, "application/json", "", shadow_body, 1.0)
    return comparison_of("r", exchange(number, **changes), answer, DEFAULT)


class Notes(list):
    def note(self, lane, name, is_good):
        self.append((lane, name, is_good))


def marked(server):
    return [seen for seen in server.arrived if seen.values(MARKED)]


def replying(*statuses, document=ANSWER):
    """Return a server that gives clients ANSWER, and the lane what it is told."""
    left = list(statuses)

    async def script(arrived, writer):
        if arrived.values(MARKED):
            status = left.pop(0) if len(left) > 1 else left[0]
            writer.write(answer_bytes(document, status=status))
        else:
            writer.write(answer_bytes())
        return True

    return FakeServer(script)


def ask(server_url, *items, share=1.0, watched=(), rounds=1):
    """Return the notes of a lane that looks at these, each seen to its end."""
    notes = Notes()

    async def run():
        settings = Settings(live_url=server_url, noise_share=share)
        lane = NoiseLane(settings, DEFAULT, notes.note)
        for page in watched:
            lane.watch(page)
        for item in items * rounds:
            lane.look(item, draws_of("seed", item.exchange)[0])
            if lane._asking is not None:
                await asyncio.wait([lane._asking])
        await lane.stop()

    asyncio.run(run())
    return notes


def test_noise_lane_is_silent_when_live_agrees_with_itself():
    with replying("200 OK") as live:
        notes = ask(live.url, compared(1), compared(2))
        assert notes == [(Lane.LIVE_AGAINST_LIVE, "match", True)] * 2
        assert len(live.arrived) == 2


def test_noise_lane_speaks_when_live_answers_another_label():
    other = json.loads(BODY)
    other["predictions"][0]["label"] = "versicolor"
    with replying("200 OK", document=other) as live:
        assert ask(live.url, compared()) == [
            (Lane.LIVE_AGAINST_LIVE, "label_flip", False)
        ]


def test_noise_lane_speaks_when_live_refuses_what_it_answered():
    with replying("422 Unprocessable Content") as live:
        assert ask(live.url, compared()) == [
            (Lane.LIVE_AGAINST_LIVE, "contract_break", False)
        ]


def test_request_is_marked_and_has_an_id_of_ours_when_live_is_asked_again():
    with replying("200 OK") as live:
        ask(live.url, compared())
        [seen] = live.arrived
    assert (seen.method, seen.target) == ("POST", "/v1/predict")
    assert seen.body == b'{"inputs": [1]}'
    assert seen.values(MARKED) == ["again"]
    [request_id] = seen.values("x-request-id")
    assert request_id.startswith("again-") and len(request_id) == 22
    assert not seen.values("traceparent")


def page(received, failed):
    fates = {fate: 0 for fate in Fate} | {Fate.SKIPPED_LIVE_FAILED: failed}
    gauges = {
        name: 0
        for name in Page.__dataclass_fields__
        if name not in ("router_id", "is_alive", "state", "received", "fates")
    }
    return Page("r", True, RunState.RUNNING, received, **gauges, fates=fates)


@pytest.mark.parametrize(
    "status",
    ["500 Internal Server Error", "503 Service Unavailable", "429 Too Many Requests"]
    + ["401 Unauthorized"],
)
def test_live_is_left_alone_when_it_did_not_answer_the_lane(status):
    with replying(status) as live:
        assert ask(live.url, compared(), rounds=5) == []
        assert len(live.arrived) == 1


def test_live_is_left_alone_when_it_cannot_be_reached():
    assert ask(refused_url(), compared(), rounds=3) == []


def test_live_is_left_alone_when_it_fails_its_clients():
    with replying("200 OK") as live:
        fine, worse = page(1000, 10), page(1100, 12)
        assert ask(live.url, compared(), watched=(fine, worse)) == []
        assert live.arrived == []
        steady = (page(1000, 10), page(2000, 20))
        assert len(ask(live.url, compared(), watched=steady)) == 1


def test_live_is_left_alone_while_it_is_slower_than_usual():
    quick, slow = compared(live_ms=2.0), compared(live_ms=20.0)
    with replying("200 OK") as live:
        assert len(ask(live.url, *[quick] * 10, *[slow] * 20)) < 15
        recovered = ask(live.url, quick, *[slow] * 20, *[quick] * 100)
        assert len(recovered) > 60


@pytest.mark.parametrize(
    "change",
    [
        {"method": "GET"},
        {"target": b"/v1/elsewhere"},
        {"live_status": 422},
    ],
)
def test_live_is_not_asked_again_when_it_may_not_be(change):
    with replying("200 OK") as live:
        assert ask(live.url, compared(**change)) == []
        assert live.arrived == []


def test_only_one_request_is_with_live_at_a_time():
    async def never(arrived, writer):
        return True

    async def run(url):
        settings = Settings(live_url=url, noise_share=1.0, shadow_timeout_s=0.5)
        lane = NoiseLane(settings, DEFAULT, Notes().note)
        for number in range(50):
            lane.look(compared(number), 0)
            await asyncio.sleep(0.002)
        await lane.stop()

    with FakeServer(never) as live:
        asyncio.run(run(live.url))
        assert len(live.arrived) == 1


def test_share_of_one_percent_is_drawn_by_seed_and_exchange():
    draws = [draws_of("s", exchange(k)) for k in range(20_000)]
    for lane in zip(*draws, strict=True):
        assert 140 < sum(is_chosen(draw, 0.01) for draw in lane) < 260
        assert not any(is_chosen(draw, 0.0) for draw in lane)
    assert draws[7] == draws_of("s", exchange(7))
    assert draws[7][0] not in (draws[7][1], draws_of("t", exchange(7))[0])


def look(*items):
    notes = Notes()
    lane = MutantLane(1.0, DEFAULT, notes.note)
    for item in items:
        lane.look(item, draws_of("seed", item.exchange)[1])
    return notes


def test_mutant_lane_finds_all_when_the_comparison_is_awake():
    notes = look(*map(compared, range(300)))
    assert len(notes) == 300 and all(good for _, _, good in notes)
    assert len({name for _, name, _ in notes}) == 15


def test_mutant_lane_spoils_live_s_answer_when_the_shadow_s_is_another():
    other = BODY.replace(b'"label": "setosa"', b'"label": "versicolor"')
    assert compared(shadow_body=other).difference.fate is Fate.LABEL_FLIP
    notes = look(*(compared(number, other) for number in range(100)))
    assert len(notes) == 100 and all(good for _, _, good in notes)
    timeout = Difference(Fate.SHADOW_TIMEOUT, "late")
    assert len(look(comparison_of("r", exchange(), timeout, DEFAULT))) == 1


def test_mutant_lane_misses_some_when_the_comparison_sleeps(monkeypatch):
    monkeypatch.setattr(lanes, "compare", lambda *_: Difference(Fate.MATCH))
    assert not any(good for _, _, good in look(*map(compared, range(20))))


def test_mutant_lane_tries_nothing_when_live_refused_or_cannot_be_read():
    assert look(compared(live_status=422), compared(live_body=b"{")) == []


def test_trials_are_added_up_and_a_lane_without_a_share_is_not_running(tmp_path):
    store = Store(tmp_path)
    seed = store.begin_lanes(0.0, 0.01)
    assert store.begin_lanes(0.0, 0.01) == seed
    trials = {
        (Lane.MUTANTS, "fail", True): 3,
        (Lane.MUTANTS, "drop_row", True): 1,
        (Lane.MUTANTS, "drop_row", False): 2,
    }
    store.write(Batch(trials=trials))
    store.write(Batch(trials=trials))
    found = read_totals(tmp_path).lanes
    assert found.live_against_live is None
    assert (found.mutants.trials, found.mutants.count) == (12, 8)
    assert found.missed == ("drop_row",)
    assert found.seeds == (seed,)
    other = store.begin_lanes(0.5, 0.01)
    assert read_totals(tmp_path).lanes.live_against_live.trials == 0
    assert read_totals(tmp_path).lanes.seeds == (seed, other)
    store.close()


# The whole system


def settled(system, count, fate="match"):
    assert system.settled_fates() == {fate: count}
    return system.report()


@pytest.mark.slow
def test_lanes_are_counted_apart_from_traffic_when_the_system_runs(shadow, start):
    with replying("200 OK") as live:
        system = start(live.url, shadow.url, NOISE_SHARE=1, MUTANT_SHARE=1)
        post_many(system, 60)
        settled(system, 60)
        wait_until(lambda: system.report()["lanes"]["live_against_live"]["sent"])
        report = system.report()
        assert report["received"] == 60
        mutants = report["lanes"]["mutants"]
        assert mutants == {"tried": 60, "found": 60, "missed": []}
        noise = report["lanes"]["live_against_live"]
        assert noise["differences"] == 0
        assert 1 <= noise["sent"] <= len(marked(live)) <= 60
        assert len(live.arrived) - len(marked(live)) == 60
        assert len(report["seeds"]["lanes"]) == 1
        assert len(shadow.arrived) == 60 and not marked(shadow)


@pytest.mark.slow
def test_verdict_is_invalid_when_live_does_not_agree_with_itself(shadow, start):
    other = json.loads(BODY)
    other["predictions"][0]["label"] = "versicolor"
    with replying("200 OK", document=other) as live:
        system = start(live.url, shadow.url, NOISE_SHARE=1)
        post_many(system, 20)
        settled(system, 20)
        wait_until(lambda: system.report()["lanes"]["live_against_live"]["sent"])
        done = system.run("verdict")
        assert done.returncode == 3
        assert "INVALID: live does not agree with itself on" in done.stdout


@pytest.mark.slow
def test_live_sees_no_second_request_when_the_lane_is_switched_off(live, shadow, start):
    system = start(live.url, shadow.url, NOISE_SHARE=0)
    post_many(system, 50)
    report = settled(system, 50)
    assert len(live.arrived) == 50 and not marked(live)
    assert report["lanes"]["live_against_live"] is None
    assert "live-against-live lane not running" in json.dumps(report)


@pytest.mark.slow
def test_clients_and_books_do_not_notice_when_the_lane_hangs(shadow, start):
    async def hang(arrived, writer):
        if not arrived.values(MARKED):
            writer.write(answer_bytes())
        return True

    with FakeServer(hang) as live:
        system = start(live.url, shadow.url, NOISE_SHARE=1)
        post_many(system, 200)
        assert settled(system, 200)["lanes"]["live_against_live"]["sent"] == 0
        assert len(marked(live)) == 1
        assert system.stop() == 0
        assert system.audit()["balances"]


@pytest.mark.slow
@pytest.mark.parametrize("role", ["live", "shadow"])
def test_run_ends_when_a_version_is_swapped_for_another(role, start):
    # P20: the process behind the URL is another one from some request on.
    document = json.loads(BODY)
    answers = {"is": answer_bytes()}

    async def script(arrived, writer):
        writer.write(answers["is"])
        return True

    with FakeServer(script) as swapped, FakeServer() as other:
        pair = (swapped, other) if role == "live" else (other, swapped)
        system = start(*(server.url for server in pair))
        post_many(system, 10, "before")
        settled(system, 10)
        assert system.run("verdict").returncode == 2
        document["model"]["version"] = "9.9.9"
        answers["is"] = answer_bytes(document)
        with contextlib.closing(system.client()) as client:
            assert post(client, 11, "after") == 200
        settled(system, 11)
        done = system.run("verdict")
        assert done.returncode == 3
        assert f"INVALID: {role} answered as 1.0.0, 9.9.9" in done.stdout
