"""What must not be kept is never kept: canaries, looked for in raw bytes."""

import gzip
import json
import time
from pathlib import Path

import pytest
from router_fakes import ANSWER, FakeServer, answer_bytes

from shadow_router.compare.comparisons import comparison_of
from shadow_router.redaction.redaction import WITHHELD, Redactor
from shadow_router.rules.rules import OPEN_INFERENCE, Redact, Rules
from shadow_router.values import Exchange, Observation

CANARY = "CANARY-4f1d"
#: A number is looked for in its own spelling.
NUMBER = 4242424242
KEY = b"k" * 32

RULES = """\
profile: retrain
keep_inputs: {}
redact:
  fields:
  - note
  - inputs[].number
  parameters:
  - token
  headers:
  - X-User
"""


def echoes():
    """Return the ways in which a shadow may quote what it was sent."""
    flip = {"label": "versicolor", "probabilities": {"setosa": 0.1, "versicolor": 0.9}}
    named = {**ANSWER["predictions"][0], CANARY: 1}
    labelled = {**ANSWER["predictions"][0], "label": CANARY}
    classes = {"label": "setosa", "probabilities": {CANARY: 1.0}}
    version = {"name": "stub", "version": CANARY}
    problem = {"detail": f"{CANARY} is not a number, {NUMBER} is"}
    numbers = {**flip, "out_of_range": [NUMBER, f"about {NUMBER}"]}
    return [
        answer_bytes(),
        answer_bytes({**ANSWER, "predictions": [numbers]}),
        answer_bytes({**ANSWER, "predictions": [named]}),
        answer_bytes({**ANSWER, "predictions": [labelled]}),
        answer_bytes({**ANSWER, "predictions": [classes]}),
        answer_bytes({**ANSWER, "model": version}),
        answer_bytes({**ANSWER, "note": CANARY}),
        answer_bytes(problem, status="422 Unprocessable Content"),
        answer_bytes(problem, status="500 Internal Server Error"),
        answer_bytes(f"<p>{CANARY}</p>".encode(), kind="text/html"),
        answer_bytes(kind=f"application/{CANARY}"),
        answer_bytes(f'{{"predictions": {CANARY}'.encode()),
        answer_bytes(extra=f"x-echo: {CANARY}\r\nserver-timing: {CANARY};dur=1\r\n"),
        f"HTTP/1.1 {CANARY} {CANARY}\r\n\r\n".encode(),
    ]


def quoting():
    waiting = iter(echoes() * 2)

    async def script(arrived, writer):
        writer.write(next(waiting))
        return True

    return FakeServer(script)


def send(system, number, body):
    client = system.client()
    headers = {
        "content-type": "application/json",
        "x-user": CANARY,
        "cookie": f"session={CANARY}",
        "authorization": f"Bearer {CANARY}",
        "traceparent": f"00-{CANARY}",
    }
    path = f"/v1/predict?token={CANARY}&page={number}"
    client.request("POST", path, body, headers)
    assert client.getresponse().read()
    client.close()


def body_of(number):
    row = {"x": number, "note": CANARY, "number": NUMBER}
    return json.dumps({"inputs": [row], "note": {"deep": [CANARY]}}).encode()


def everything_written(system, recorded):
    """Return raw bytes of all that is on the disk or shown, by where they are."""
    found = {}
    for path in ("/", "/report.json", "/metrics", "/fragment"):
        found[path] = system.private_get(path)[1].encode()
    for command in (["verdict", "--json"], ["verdict"], ["audit", "--json"]):
        done = system.run(*command)
        found[" ".join(command)] = (done.stdout + done.stderr).encode()
    files = filter(Path.is_file, system.directory.iterdir())
    found |= {path.name: path.read_bytes() for path in files}
    assert system.stop() == 0
    found["log"] = system.log_path.read_bytes()
    files = filter(Path.is_file, system.directory.iterdir())
    found |= {f"{path.name} stopped": path.read_bytes() for path in files}
    for path in recorded.glob("*"):
        found[path.name] = gzip.decompress(path.read_bytes())
    return found


@pytest.mark.slow
@pytest.mark.parametrize("policy", ["values", "hash", "none"])
def test_canaries_are_nowhere_when_rules_name_them(start, tmp_path, policy):
    recorded = tmp_path / "recorded"
    settings = {"COPY_HEADERS": "x-user,cookie,authorization"}
    if policy == "values":
        settings["RECORD_DIR"] = recorded
    with FakeServer() as live, quoting() as shadow:
        system = start(live.url, shadow.url, rules=RULES.format(policy), **settings)
        for number in range(14):
            send(system, number, body_of(number))
        for number in range(14):
            # No JSON, so nothing in it can be told apart.
            send(system, number, b'{"inputs": [{"note": "%b' % CANARY.encode())
        fates = system.settled_fates()
        assert "internal_error" not in fates
        assert fates["contract_break"] >= 10 and fates["label_flip"] >= 2
        # The shadow itself got everything it was meant to get.
        assert CANARY.encode() in shadow.arrived[0].body
        assert shadow.arrived[0].values("cookie") == [f"session={CANARY}"]
        found = everything_written(system, recorded)
        assert b"[redacted]" in b"".join(found.values())
        if policy == "values":
            assert any("traffic-" in name for name in found)
    for where, content in found.items():
        assert CANARY.encode() not in content, where
        assert CANARY.lower().encode() not in content, where
        assert str(NUMBER).encode() not in content, where


@pytest.mark.slow
def test_canaries_are_found_when_no_rule_names_them(start, tmp_path):
    recorded = tmp_path / "recorded"
    with FakeServer() as live, quoting() as shadow:
        system = start(live.url, shadow.url, RECORD_DIR=recorded)
        for number in range(14):
            send(system, number, body_of(number))
        system.settled_fates()
        found = everything_written(system, recorded)
    named = {where for where, text in found.items() if CANARY.encode() in text}
    assert {"/", "/report.json", "verdict --json"} <= named
    assert any("comparisons" in where for where in named)
    assert any("traffic-" in where for where in named)


def exchange(body, target=b"/v1/predict", headers=(), live=ANSWER, status=200):
    return Exchange(
        request_id="r-1",
        at_ns=1,
        method="POST",
        target=target,
        headers=headers,
        request_body=body if isinstance(body, bytes) else json.dumps(body).encode(),
        live_status=status,
        live_headers={"content-type": "application/json"},
        live_ms=1.0,
        live_body=json.dumps(live).encode(),
    )


def kept(body, rules, shadow=ANSWER, **how):
    told = Observation(200, "application/json", "", json.dumps(shadow).encode(), 1.0)
    found = comparison_of("r", exchange(body, **how), told, rules, KEY)
    return Redactor(rules, KEY).comparison(found)


def flipped(**more):
    row = {"label": "versicolor", "probabilities": {"setosa": 0.2, "versicolor": 0.8}}
    return {**ANSWER, "predictions": [{**row, "out_of_range": [], **more}]}


def redacting(*fields, **named):
    return Rules(redact=Redact(fields=fields, **named))


def request_of(item):
    return json.loads(item.exchange.request_body)


def test_request_keeps_its_bytes_when_nothing_is_named():
    body = b'{"inputs":  [ {"x": 1.50} ]}'
    assert kept(body, Rules(), flipped()).exchange.request_body == body


@pytest.mark.parametrize(
    ("field", "left"),
    [
        ("name", {"inputs": [{"name": "[redacted]", "x": 1}], "name": "[redacted]"}),
        ("inputs[].name", {"inputs": [{"name": "[redacted]", "x": 1}], "name": "eve"}),
        ("inputs", {"inputs": "[redacted]", "name": "eve"}),
        ("inputs[]", {"inputs": ["[redacted]"], "name": "eve"}),
        ("other.name", {"inputs": [{"name": "adam", "x": 1}], "name": "eve"}),
    ],
)
def test_fields_go_where_a_rule_names_them(field, left):
    body = {"inputs": [{"name": "adam", "x": 1}], "name": "eve"}
    assert request_of(kept(body, redacting(field), flipped())) == left


@pytest.mark.parametrize(
    "body",
    [b"not JSON", b'{"inputs": {"name": "adam"}}', b'["adam"]', b"[" * 99 + b"]" * 99],
)
def test_a_body_is_withheld_when_its_fields_cannot_be_told(body):
    item = kept(body, redacting("inputs[].name"), flipped())
    assert item.exchange.request_body == b""
    assert item.exchange.live_body == b"" and item.shadow.body == b""
    # What cannot be told apart must not be told at all, but stays a flip.
    row = item.difference.rows[0]
    assert row.live.startswith("[redacted] ") and row.live != row.shadow
    assert item.units[0].row == row


def test_tensors_go_by_their_name():
    body = {"inputs": [{"name": "age", "data": [41]}, {"name": "x", "data": [1]}]}
    left = request_of(kept(body, redacting("inputs[age]"), flipped()))
    assert left == {"inputs": ["[redacted]", {"name": "x", "data": [1]}]}


def test_a_reason_is_withheld_when_an_answer_quotes():
    shadow = {**ANSWER, "predictions": [{**ANSWER["predictions"][0], "adam-7": 1}]}
    body = {"inputs": [{"name": "adam-7"}]}
    assert kept(body, redacting("name"), shadow).difference.reason == WITHHELD
    other = kept({"inputs": [{"name": "eve-77"}]}, redacting("name"), shadow)
    assert "adam-7" in other.difference.reason


def test_labels_are_replaced_by_texts_that_are_equal_when_they_were():
    body = {"inputs": [{"name": "versicolor"}, {"name": "setosa"}]}
    item = kept(body, redacting("name"), flipped())
    assert item.difference.rows[0].is_flip
    again = kept(body, redacting("name"), flipped())
    assert again.difference.rows == item.difference.rows


def test_a_short_value_is_not_looked_for_in_other_texts():
    item = kept({"inputs": [{"name": "set"}]}, redacting("name"), flipped())
    assert item.difference.rows[0].live == "setosa"
    assert request_of(item) == {"inputs": [{"name": "[redacted]"}]}


def test_parameters_go_by_name_and_their_quotes_with_them():
    rules = redacting(parameters=("token",))
    target = b"/v1/predict?a=1&Token=s%20ecret&flag"
    item = kept({"inputs": [{}]}, rules, flipped(note="it was s ecret"), target=target)
    assert item.exchange.target == b"/v1/predict?a=1&Token=[redacted]&flag="
    assert b"s ecret" not in item.shadow.body and b"versicolor" in item.shadow.body


def test_secret_headers_go_when_nothing_is_named():
    headers = ((b"cookie", b"a=b"), (b"accept", b"*/*"), (b"x-api-key", b"k"))
    item = kept({"inputs": [{}]}, Rules(), headers=headers)
    assert item.exchange.headers == ((b"accept", b"*/*"),)


def test_request_id_is_replaced_when_its_header_is_named():
    rules = redacting(headers=("X-Request-ID",))
    item = kept({"inputs": [{}]}, rules)
    assert "r-1" in kept({"inputs": [{}]}, Rules()).exchange.request_id
    # Too short to be looked for elsewhere, but this is its own place.
    assert "r-1" not in item.exchange.request_id


def test_refusals_of_live_are_not_kept_when_something_is_named():
    item = kept({"inputs": [{}]}, redacting("name"), status=422)
    assert item.exchange.live_body == b""


@pytest.mark.parametrize(("policy", "left"), [("none", b""), ("hash", None)])
def test_inputs_are_not_kept_when_the_policy_says_so(policy, left):
    rules = Rules(keep_inputs=policy)
    body = {"inputs": [{"x": 5.125, "who": "adam-7"}]}
    live = {**ANSWER, "predictions": [{**ANSWER["predictions"][0], "seen": []}]}
    item = kept(body, rules, flipped(seen=[5.125, 7.25]), live=live)
    document = json.loads(item.shadow.body)["predictions"][0]
    # Numbers are functions of the input, whether they quote it or not.
    assert document["seen"] == ["[redacted]", "[redacted]"]
    assert set(document["probabilities"].values()) == {"[redacted]"}
    assert document["label"] == "versicolor"
    if policy == "hash":
        left = item.exchange.request_body
        digest = item.units[0].digest.hex()
        assert json.loads(left) == {"request": digest, "rows": [digest]}
    assert item.exchange.request_body == left


WITHHOLDING = (Rules(keep_inputs="none"), Rules(keep_inputs="hash"))


@pytest.mark.parametrize("rules", [*WITHHOLDING, redacting("who")])
def test_functions_of_an_input_are_rounded_when_it_is_withheld(rules):
    item = kept({"inputs": [{"x": 5.125, "who": "adam"}]}, rules, flipped())
    # 0.9 to 0.1 at live, 0.2 to 0.8 at the shadow.
    (row,) = item.difference.rows
    assert (row.total_variation, row.margin) == (1.0, 0.5)
    assert item.difference.max_delta == 1.0
    assert item.units[0].row == row and row.is_flip


@pytest.mark.parametrize("rules", [Rules(), redacting(parameters=("token",))])
def test_functions_of_an_input_are_exact_when_it_is_kept(rules):
    item = kept({"inputs": [{"x": 5.125}]}, rules, flipped())
    (row,) = item.difference.rows
    assert (row.total_variation, row.margin) == pytest.approx((0.7, 0.8))
    assert json.loads(item.live.body) == ANSWER


@pytest.mark.parametrize("rules", [*WITHHOLDING, redacting("who")])
def test_recordings_hold_no_numbers_of_answers_when_inputs_are_withheld(rules):
    asked = exchange({"inputs": [{"x": 5.125, "who": "adam"}]})
    left = json.loads(Redactor(rules, KEY).exchange(asked).live_body)
    assert set(left["predictions"][0]["probabilities"].values()) == {"[redacted]"}
    assert left["predictions"][0]["label"] == "setosa"


@pytest.mark.parametrize("label", [0.98471, [0.98471], {"of": 0.98471}])
def test_a_label_that_is_none_is_withheld_when_inputs_are(label):
    shadow = {**ANSWER, "predictions": [{**ANSWER["predictions"][0], "label": label}]}
    item = kept({"inputs": [{"x": 5.125}]}, WITHHOLDING[0], shadow)
    assert item.difference.fate == "contract_break"
    assert b"0.98" not in item.shadow.body


def test_answers_of_open_inference_keep_labels_alone_when_inputs_are_withheld():
    rules = Rules(keep_inputs="none", paths=OPEN_INFERENCE)

    def answer(label, share):
        labels = {"name": "label", "shape": [1], "datatype": "BYTES", "data": [label]}
        shares = {"name": "probabilities", "shape": [1, 2], "datatype": "FP64"}
        outputs = [labels, {**shares, "data": [share, 1 - share]}]
        return {"model_version": "1", "outputs": outputs, "parameters": {"s": share}}

    item = kept({"inputs": []}, rules, answer("b", 0.2468), live=answer("a", 0.8642))
    assert item.difference.rows[0].is_flip
    document = json.loads(item.shadow.body)
    assert document["outputs"][0]["data"] == ["b"] and document["model_version"] == "1"
    assert document["outputs"][1]["data"] == ["[redacted]", "[redacted]"]
    assert b"0.24" not in item.shadow.body and b"0.75" not in item.shadow.body


def test_an_answer_is_withheld_when_it_is_nested_deeply():
    deep = {**ANSWER, "deep": json.loads("[" * 400 + "]" * 400)}
    item = kept({"inputs": [{"x": 1}]}, WITHHOLDING[0], deep)
    assert item.shadow.body == b""


def test_digests_need_the_key():
    body, rules = {"inputs": [{"x": 5.125}]}, Rules(keep_inputs="hash")
    told = Observation(200, "application/json", "", json.dumps(ANSWER).encode(), 1.0)
    one, same, other = (
        comparison_of("r", exchange(body), told, rules, key).request_digest
        for key in (KEY, KEY, b"j" * 32)
    )
    assert one == same != other


def test_work_is_bounded_when_a_request_and_its_answer_are_huge():
    rows = [{"name": f"value-{number}"} for number in range(8000)]
    labels = [f"label-{number}" for number in range(3000)]
    predictions = [{**ANSWER["predictions"][0], "label": label} for label in labels]
    shadow = {**ANSWER, "predictions": predictions}
    answer = Observation(200, "application/json", "", json.dumps(shadow).encode(), 1.0)
    asked = exchange({"inputs": rows})._replace(live_body=answer.body)
    rules = redacting("name")
    item = comparison_of("r", asked, answer, rules, KEY)
    flip = item.difference._replace(fate="label_flip")
    began = time.process_time()
    left = Redactor(rules, KEY).comparison(item._replace(difference=flip))
    assert time.process_time() - began < 2.0
    assert left.shadow.body == b"" and b"value-" not in left.exchange.request_body


def test_fields_that_are_compared_cannot_be_redacted():
    with pytest.raises(ValueError, match="is what is compared"):
        redacting("predictions[].label")
