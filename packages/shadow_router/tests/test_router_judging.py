"""`shadow-router verdict`: the four exit codes, each on a store of real comparisons."""

import json
import os
import subprocess
import sys

import pytest
from router_fakes import FakeServer, answer_bytes
from router_system import post_many
from test_router_evidence import compared

from shadow_router.rules.rules import DEFAULT, Rules
from shadow_router.store import Batch, Store
from shadow_router.values import Fate

ENOUGH = 12_000


def verdict(directory, *arguments):
    env = {k: v for k, v in os.environ.items() if not k.startswith("SHADOW_ROUTER_")}
    return subprocess.run(
        [sys.executable, "-W", "error", "-m", "shadow_router", "verdict", *arguments],
        env=env | {"SHADOW_ROUTER_DATA_DIR": str(directory)},
        capture_output=True,
        text=True,
        timeout=30,
    )


def fill(directory, count, flips=0, lost=0, rules=(DEFAULT,)):
    store = Store(directory)
    for one in rules:
        store.note_rules(one)
    items = [
        compared(x, shadow="b" if x < flips else "a", ms=1.0) for x in range(count)
    ]
    store.write(Batch(items, {("r", Fate.DROPPED_WRITER): lost}))
    store.finalise("r", count + lost, {}, 0)
    store.close()


@pytest.fixture(scope="module")
def passing(tmp_path_factory):
    directory = tmp_path_factory.mktemp("passing")
    fill(directory, ENOUGH)
    return directory


@pytest.mark.slow
def test_verdict_ends_with_0_when_all_gates_pass(passing):
    done = verdict(passing)
    assert done.returncode == 0, done.stdout
    assert done.stdout.startswith("PASS: all 10 gates pass on 12,000 unique inputs\n")
    assert "not asked    labels           no labels have arrived" in done.stdout


@pytest.mark.slow(after=1)
@pytest.mark.parametrize(
    ("code", "state", "evidence"),
    [
        (1, "FAIL", {"count": 100, "flips": 20}),
        (2, "INCONCLUSIVE", {"count": 100}),
        (3, "INVALID", {"count": 198, "lost": 2}),
        (3, "INVALID", {"count": 1, "rules": (DEFAULT, Rules(profile="infra"))}),
    ],
)
def test_verdict_ends_with_the_code_of_its_state(tmp_path, code, state, evidence):
    fill(tmp_path, **evidence)
    done = verdict(tmp_path)
    assert done.returncode == code
    assert done.stdout.startswith(f"{state}: ")
    assert done.stderr == ""


def test_bundle_holds_all_that_the_verdict_rests_on(passing):
    done = verdict(passing, "--json")
    assert done.returncode == 0
    bundle = json.loads(done.stdout)
    assert bundle["verdict"]["state"] == "PASS"
    assert bundle["verdict"]["exit_code"] == 0
    assert bundle["verdict"]["alpha"] == 0.05
    assert bundle["rules"]["sha256"] == DEFAULT.sha256
    assert bundle["rules"]["profile"] == "retrain"
    assert bundle["versions"] == {"live": ["1"], "shadow": ["1"]}
    assert bundle["digests"] == {"live": [""], "shadow": [""]}
    assert bundle["evidence"]["requests"] == ENOUGH
    assert bundle["evidence"]["pairs"] == [{"live": "a", "shadow": "a", "n": ENOUGH}]
    assert bundle["fates"]["match"] == ENOUGH
    assert bundle["seeds"] == {"lanes": []} and bundle["discrepancies"] == []
    flips = next(g for g in bundle["verdict"]["gates"] if g["name"] == "flips")
    part = flips["parts"][0]
    assert part["lower"] == 0.0 and 0.0005 < part["upper"] < 0.001
    assert (part["limit"], part["n"], part["state"]) == (0.01, ENOUGH, "PASS")


@pytest.mark.slow
def test_bundle_shows_discrepancies_when_there_are_some(tmp_path):
    fill(tmp_path, count=100, flips=20)
    bundle = json.loads(verdict(tmp_path, "--json").stdout)
    assert len(bundle["discrepancies"]) == 20
    assert bundle["discrepancies"][0]["live_labels"] == "a"


RULES = """\
profile: retrain
paths:
  inputs: ''
  label: result.class
  probabilities: ''
  version: meta.version
  digest: meta.sha256
mirror:
- POST /score
ignore:
- field: meta.trace
  reason: the shadow traces
  expires: 2999-12-31
"""


def answering(digest, **meta):
    document = {"result": {"class": 3}, "meta": {"sha256": digest, **meta}}

    async def script(arrived, writer):
        writer.write(answer_bytes(document))
        return True

    return FakeServer(script)


@pytest.mark.slow
def test_router_serves_a_team_of_another_model_by_its_rules(start):
    with answering("aaa") as live, answering("bbb", trace="x") as shadow:
        system = start(live.url, shadow.url, rules=RULES)
        client = system.client()
        for number in range(20):
            client.request("POST", "/score", b"%d" % (number % 10))
            assert client.getresponse().read()
        post_many(system, 5)
        client.close()
        assert system.settled_fates() == {"match": 20, "skipped_method": 5}
        # Read beside the running collector.
        done = system.run("verdict", "--json")
        assert done.returncode == 2, done.stderr
        bundle = json.loads(done.stdout)
        assert bundle["digests"] == {"live": ["aaa"], "shadow": ["bbb"]}
        assert bundle["unique_inputs"] == 10
        assert bundle["evidence"]["repeats"] == 10
        assert bundle["rules"]["mirror"] == ["POST /score"]
        assert set(bundle["verdict"]["absent"]) == {
            "confident_flips",
            "distance",
            "shifts",
            "labels",
        }


@pytest.mark.slow
def test_verdict_is_invalid_when_a_digest_changes_while_running(start):
    digests = iter(["aaa"] * 5 + ["ccc"] * 100)

    async def swap(arrived, writer):
        document = {"result": {"class": 3}, "meta": {"sha256": next(digests)}}
        writer.write(answer_bytes(document))
        return True

    with answering("aaa") as live, FakeServer(swap) as shadow:
        system = start(live.url, shadow.url, rules=RULES)
        client = system.client()
        for number in range(10):
            client.request("POST", "/score", b"%d" % number)
            assert client.getresponse().read()
        client.close()
        assert system.settled_fates() == {"match": 10}
        done = system.run("verdict")
        assert done.returncode == 3
        assert "shadow answered as (aaa), (ccc)" in done.stdout
