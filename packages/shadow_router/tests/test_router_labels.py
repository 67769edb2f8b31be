"""True labels: joined to inputs once, asked for where versions disagree, judged."""

import http.client
import json
import re
from contextlib import closing
from dataclasses import replace

import pytest
from router_fakes import ANSWER, FakeServer, answer_bytes
from router_system import post_many
from test_router_evidence import compared
from test_router_verdict import GOOD

from shadow_router.findings.summary import summarise
from shadow_router.page.gate_rows import gate_rows
from shadow_router.private.controls import Refused
from shadow_router.private.labels import MOST, parse_labels
from shadow_router.rules.rules import DEFAULT
from shadow_router.store import Batch, Joined, Labelling, Store, TrueLabel
from shadow_router.store.labelling import LAST
from shadow_router.verdict import gates
from shadow_router.verdict.evidence import Labelled, scaled
from shadow_router.verdict.parts import State
from shadow_router.verdict.verdict import judge

INPUTS, FLIPS = 1000, 40


def sent(x, request_id=None, **answers):
    one = compared(x, **answers)
    named = one.exchange._replace(request_id=request_id or f"r{x}")
    return one._replace(exchange=named)


@pytest.fixture
def store(tmp_path):
    """A store of 1,000 inputs; live says a to all, shadow b to the first 40."""
    with closing(Store(tmp_path)) as opened:
        opened.note_rules(DEFAULT)
        flipped = (sent(x, shadow="b" if x < FLIPS else "a") for x in range(INPUTS))
        opened.write(Batch(list(flipped)))
        opened.finalise("r", INPUTS, {}, 0)
        yield opened


def of(numbers, label):
    return [TrueLabel(f"r{x}", 0, label) for x in numbers]


def gate(tmp_path):
    summary = summarise(tmp_path)
    gates = {gate.name: gate for gate in summary.verdict.gates}
    return summary, gates.get("labels")


def test_gate_is_not_asked_when_no_label_has_arrived(store, tmp_path):
    summary, found = gate(tmp_path)
    assert found is None
    assert summary.verdict.absent["labels"] == "no labels have arrived"


def test_gate_fails_when_the_labels_say_that_the_shadow_is_worse(store, tmp_path):
    assert store.join_labels(of(range(FLIPS), "a")) == Joined(joined=FLIPS)
    summary, found = gate(tmp_path)
    assert found.state is State.FAIL
    assert summary.verdict.state is State.FAIL
    assert (summary.labels.live_alone_right, summary.labels.flips) == (40, 40)


def test_gate_passes_when_the_labels_say_that_the_shadow_is_better(store, tmp_path):
    store.join_labels(of(range(FLIPS), "b"))
    summary, found = gate(tmp_path)
    assert found.state is State.PASS
    assert (summary.labels.live_alone_right, summary.labels.shadow_alone_right) == (
        0,
        40,
    )


def test_gate_is_open_when_neither_is_surely_better(store, tmp_path):
    store.join_labels(of(range(20), "a") + of(range(20, FLIPS), "b"))
    assert gate(tmp_path)[1].state is State.INCONCLUSIVE


def test_nobody_wins_when_both_versions_are_wrong(store, tmp_path):
    store.join_labels(of(range(FLIPS), "c"))
    labels = gate(tmp_path)[0].labels
    assert labels.flips == 40
    assert (labels.live_alone_right, labels.shadow_alone_right) == (0, 0)


@pytest.mark.parametrize(("flips", "inputs"), [(40, 1000), (10, 250)])
def test_labels_of_a_share_of_the_flips_stand_for_that_share_of_all_inputs(
    store, tmp_path, flips, inputs
):
    store.join_labels(of(range(flips), "a"))
    assert gate(tmp_path)[0].evidence.labelled.inputs == inputs


def test_gate_is_not_asked_when_only_agreements_have_labels(store, tmp_path):
    assert store.join_labels(of(range(FLIPS, 100), "a")) == Joined(unused=60)
    assert gate(tmp_path)[1] is None


def test_label_counts_once_when_it_is_sent_again(store, tmp_path):
    store.join_labels(of([1, 2], "a"))
    again = store.join_labels([*of([1], "a"), *of([2], "b"), *of([3, 3], "a")])
    assert again == Joined(joined=1, repeated=2, conflicting=(1,))
    assert gate(tmp_path)[0].labels.flips == 3


def test_label_is_unused_when_no_first_answer_bears_its_id(store):
    again = [sent(1, "repeat", shadow="b")]
    again += [sent(x, "twice", shadow="b") for x in (5000, 5001)]
    store.write(Batch(again))
    given = [
        TrueLabel("r1", 1, "a"),
        TrueLabel("nobody", 0, "a"),
        TrueLabel("repeat", 0, "a"),
        TrueLabel("twice", 0, "a"),
    ]
    assert store.join_labels(given) == Joined(unused=4)


def test_label_belongs_to_its_row_when_a_request_has_several(store, tmp_path):
    one = sent(7000, "many")
    (unit,) = one.units
    second = unit._replace(digest=b"2" * 16, row=unit.row._replace(shadow="b"))
    store.write(Batch([one._replace(units=(unit, second))]))
    assert store.join_labels([TrueLabel("many", 1, "b")]) == Joined(joined=1)
    labels = gate(tmp_path)[0].labels
    assert (labels.flips, labels.shadow_alone_right) == (1, 1)


def test_label_that_is_taken_back_leaves_no_trace_in_the_sums(store, tmp_path):
    store.join_labels(of(range(5), "a") + of(range(5, 9), "b"))
    before = gate(tmp_path)
    store.join_labels(of([20], "a") + of([21], "b") + of([22], "c"))
    assert gate(tmp_path)[1] != before[1]
    last = gate(tmp_path)[0].labels.last
    assert [one.request_id for one in last[:3]] == ["r22", "r21", "r20"]
    assert (last[0].live, last[0].shadow, last[0].label) == ("a", "b", "c")
    assert len(last) == LAST
    taken = [Labelling(f"r{x}", 0) for x in (20, 21, 22, 30, 999, 20)]
    assert store.undo_labels(taken) == 3
    after = gate(tmp_path)
    assert after[1] == before[1]
    assert replace(after[0].labels, last=()) == replace(before[0].labels, last=())
    assert after[0].labels.last == before[0].labels.last
    assert store.join_labels(of([20], "b")) == Joined(joined=1)


def test_gate_says_how_many_labels_it_needs_and_no_time(store, tmp_path):
    store.join_labels(of(range(3), "a") + of(range(3, 5), "b"))
    summary, found = gate(tmp_path)
    assert found.state is State.INCONCLUSIVE
    needed = summary.verdict.missing["labels"]
    row = next(r for r in gate_rows(summary.verdict, 10.0) if r.name == "labels")
    assert row.missing.startswith("needs about ") and row.missing.endswith(" labels")
    # Of the same kind, so many decide.
    seen = summary.evidence.labelled
    factor = 1 + needed / seen.labels
    more = gates.labels(scaled(summary.evidence, factor), DEFAULT, 0.005)
    assert more.state is not State.INCONCLUSIVE
    less = gates.labels(scaled(summary.evidence, 1 + 0.9 * needed / 5), DEFAULT, 0.005)
    assert less.state is State.INCONCLUSIVE


def test_verdict_speaks_of_labels_alone_when_they_alone_are_missing():
    verdict = judge(replace(GOOD, labelled=Labelled(1000, 3, 2, labels=100)))
    assert verdict.state is State.INCONCLUSIVE and list(verdict.missing) == ["labels"]
    assert verdict.eta is None
    assert re.fullmatch(
        r"not yet decided: labels; about [\d,]+ more labels", verdict.reason
    )


def test_queue_asks_for_flips_without_a_label_and_for_nothing_else(store, tmp_path):
    queue = gate(tmp_path)[0].labels.wanted
    assert {one.request_id for one in queue} == {f"r{x}" for x in range(FLIPS)}
    assert (queue[0].live, queue[0].shadow, queue[0].row) == ("a", "b", 0)
    store.join_labels(of(range(1, FLIPS), "a"))
    (left,) = gate(tmp_path)[0].labels.wanted
    assert left.request_id == "r0"


def test_queue_holds_50_at_most_in_an_order_that_says_nothing(store, tmp_path):
    store.write(Batch([sent(x, shadow="b") for x in range(2000, 2100)]))
    names = [one.request_id for one in gate(tmp_path)[0].labels.wanted]
    assert len(set(names)) == 50
    assert names != sorted(names, key=lambda name: int(name[1:]))


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (b"no", "not JSON"),
        (b"[" * 100_000, "not JSON"),
        (b"[]", "holds labels and nothing else"),
        (b'{"labels": [], "x": 1}', "holds labels and nothing else"),
        (b'{"labels": []}', "a list of 1 to 1,000"),
        (b'{"labels": {}}', "a list of 1 to 1,000"),
        (json.dumps({"labels": [0] * (MOST + 1)}).encode(), "a list of 1 to 1,000"),
        (b'{"labels": [1]}', "/labels/0: must hold request_id, row and label"),
        (b'{"labels": [{"request_id": "r", "row": 0}]}', "/labels/0: must hold"),
        *(
            (
                json.dumps(
                    {"labels": [{"request_id": "r", "row": 0, "label": "a"} | wrong]}
                ).encode(),
                f"/labels/0/{next(iter(wrong))}: must be",
            )
            for wrong in (
                {"request_id": ""},
                {"request_id": 7},
                {"label": "x" * 257},
                {"label": "\ud800"},
                {"label": "a\0b"},
                {"label": None},
                {"row": -1},
                {"row": 1.0},
                {"row": True},
                {"row": "0"},
                {"row": 2**31},
            )
        ),
    ],
)
def test_body_is_refused_when_it_is_not_labels(body, said):
    with pytest.raises(Refused) as caught:
        parse_labels(body)
    assert said in caught.value.detail
    assert caught.value.status in (400, 422)


@pytest.fixture
def system(start, live):
    """A system whose versions disagree on everything, after 30 requests."""

    async def disagree(arrived, writer):
        document = json.loads(json.dumps(ANSWER))
        document["predictions"][0]["label"] = "versicolor"
        writer.write(answer_bytes(document))
        return True

    with FakeServer(disagree) as shadow:
        started = start(live.url, shadow.url)
        post_many(started, 30)
        assert started.settled_fates() == {"label_flip": 30}
        yield started


def post(system, document, path="/labels", **headers):
    connection = http.client.HTTPConnection("127.0.0.1", system.private, timeout=5)
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    with closing(connection):
        connection.request("POST", path, json.dumps(document), named)
        answer = connection.getresponse()
        return answer.status, json.loads(answer.read())


@pytest.mark.slow
def test_labels_reach_the_verdict_when_sent_by_post_and_by_file(system, tmp_path):
    queue = json.loads(system.private_get("/labels/queue")[1])["queue"]
    assert len(queue) == 30
    assert {tuple(one) for one in queue} == {("request_id", "row", "answers")}
    assert {tuple(one["answers"]) for one in queue} == {
        ("setosa", "versicolor"),
        ("versicolor", "setosa"),
    }
    assert queue == system.report()["labels"]["queue"]
    first = {"request_id": queue[0]["request_id"], "row": 0, "label": "setosa"}
    key = (system.directory / "control.key").read_text().split()[1]
    good = {"content_type": "application/json", "authorization": f"Bearer {key}"}
    status, told = post(system, {"labels": [first]}, **good)
    assert (status, told["joined"]) == (200, 1)
    for wrong, refused in (
        ({"authorization": "Bearer guessed"}, 401),
        ({"content_type": "text/plain"}, 415),
        ({"origin": "http://elsewhere"}, 403),
    ):
        assert post(system, {"labels": [first]}, **good | wrong)[0] == refused
    assert system.private_get("/labels")[0] == 405
    file = tmp_path / "labels.csv"
    rows = [f"id-{number},0,setosa\n" for number in range(30)]
    file.write_text("request_id,row,label\n" + "".join(rows))
    done = system.run("label", str(file))
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == "joined 29, repeated 1, unused 0, conflicting 0\n"
    file.write_text("request_id,row,label\nid-0,0,virginica\nnobody,0,setosa\n")
    done = system.run("label", str(file))
    assert done.returncode == 1
    assert done.stderr == "line 2: has another label\n"
    assert done.stdout == "joined 0, repeated 0, unused 1, conflicting 1\n"
    report = system.report()
    last = report["labels"].pop("last")
    assert len(last) == 5
    assert {(one["live"], one["shadow"]) for one in last} == {("setosa", "versicolor")}
    assert report["labels"] == {
        "labelled": 30,
        "negative_flips": 30,
        "positive_flips": 0,
        "queue": [],
    }
    states = {gate["name"]: gate["state"] for gate in report["verdict"]["gates"]}
    assert states["labels"] == "FAIL"


@pytest.mark.slow
def test_labels_are_taken_back_by_post_with_a_key_alone(system):
    key = (system.directory / "control.key").read_text().split()[1]
    good = {"content_type": "application/json", "authorization": f"Bearer {key}"}
    one = {"request_id": "id-3", "row": 0}
    labels = {"labels": [{**one, "label": "setosa"}]}
    assert post(system, labels, **good)[1]["joined"] == 1
    rows = {"labels": [one]}
    undo = "/labels/undo"
    for wrong, refused in (
        ({"authorization": "Bearer guessed"}, 401),
        ({"content_type": "text/plain"}, 415),
        ({"origin": "http://elsewhere"}, 403),
    ):
        assert post(system, rows, undo, **good | wrong)[0] == refused
    assert system.private_get(undo)[0] == 405
    assert post(system, labels, undo, **good)[0] == 422
    assert system.report()["labels"]["labelled"] == 1
    assert post(system, rows, undo, **good) == (200, {"undone": 1})
    assert post(system, rows, undo, **good) == (200, {"undone": 0})
    report = system.report()
    assert report["labels"]["labelled"] == 0 and report["labels"]["last"] == []
    assert report["changes"][-1]["what"] == "labels taken back"
    assert "id-3" in {item["request_id"] for item in report["labels"]["queue"]}


@pytest.mark.slow
@pytest.mark.parametrize("by", ["file", "input"])
@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_labels_are_read_when_a_mark_and_blank_lines_stand_around_them(
    system, tmp_path, by, end
):
    file = tmp_path / "labels.csv"
    lines = ["request_id,row,label", "", "nobody,0,setosa", "é,0,setosa", "  ", "", ""]
    file.write_bytes(f"\ufeff{end.join(lines)}".encode())
    with file.open("rb") as given:
        arguments = ["label", str(file)] if by == "file" else ["label", "-"]
        # Labels are UTF-8 whatever the terminal is.
        ascii_terminal = {"PYTHONIOENCODING": "ascii"}
        done = system.run(*arguments, stdin=given, **ascii_terminal)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == "joined 0, repeated 0, unused 2, conflicting 0\n"


def test_body_of_labels_may_begin_with_a_mark():
    body = '\ufeff{"labels": [{"request_id": "a", "row": 0, "label": "b"}]}\n\n'
    assert parse_labels(body.encode()) == [TrueLabel("a", 0, "b")]


@pytest.mark.slow(after=1)
@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("id,row,label\n", "line 1: must be request_id,row,label"),
        ("request_id,row,label\na,0\n", "line 2: 2 fields, not 3"),
        ("request_id,row,label\na,x,b\n", "line 2: row must be a whole number from 0"),
        ("request_id,row,label\n\na,x,b\n", "line 3: row must be a whole number"),
        ('request_id,row,label\n"a\n\n",x,b\n', "line 4: row must be a whole number"),
        ('request_id,row,label\n"a"b,0,c\n', "line 2: "),
        ("request_id,row,label\na,0," + "b" * 140_000, "line 2: field larger than"),
        ("request_id,row,label\na,0,b\n", "no collector answers on 127.0.0.1:1 "),
    ],
    ids=lambda value: repr(value)[:30],
)
def test_label_says_one_line_when_it_cannot_send(tmp_path, text, said):
    from test_router_cli import run

    file = tmp_path / "labels.csv"
    file.write_text(text)
    (tmp_path / "control.key").write_text("local 0123456789abcdef\n")
    data = {"DATA_DIR": str(tmp_path), "PRIVATE_PORT": "1"}
    named = {f"SHADOW_ROUTER_{name}": value for name, value in data.items()}
    done = run("label", str(file), **named)
    assert done.returncode == 78
    assert done.stderr.startswith(f"shadow-router: {said}")
    assert done.stderr.count("\n") == 1
