"""Binary tensors: what describes a body goes with its copy; answers are read."""

import contextlib
import gzip
import json
import struct
import zlib

import pytest
from router_fakes import FakeServer, answer_bytes
from router_system import post_many

from shadow_router.collector.recording import decode_exchange, encode_exchange
from shadow_router.compare.answers import observation_of
from shadow_router.compare.compare import compare
from shadow_router.errors import AnswerUnreadable
from shadow_router.http.content_coding import MOST_BYTES, undone
from shadow_router.rules.rules import OPEN_INFERENCE, Rules
from shadow_router.values import JSON_BYTES, Exchange, Fate

# What Triton's own client sent, and what the API answered to it.
REQUEST = (
    b'{"inputs":[{"name":"features","shape":[2,4],"datatype":"FP64","parameters":'
    b'{"binary_data_size":64}}],"outputs":[{"name":"label","parameters":'
    b'{"binary_data":true}},{"name":"probabilities","parameters":'
    b'{"binary_data":true}}]}'
)
VALUES = struct.pack("<8d", 5.1, 3.5, 1.4, 0.2, 6.7, 3.1, 5.6, 2.4)
ROUTE = "/v2/models/iris_model/infer"
CLASSES = ("setosa", "versicolor", "virginica")
SHARES = (
    *(0.9847031668428455, 0.01529677111938311, 6.203777137248252e-08),
    *(1.3201849979871534e-05, 0.015275302482929683, 0.9847114956670904),
)
RULES = Rules(paths=OPEN_INFERENCE, classes=CLASSES)
RULE_FILE = f"""
profile: retrain
answers: open-inference
classes:
- setosa
- versicolor
- virginica
mirror:
- POST {ROUTE}
"""


def answer(labels=("setosa", "virginica"), shares=SHARES, datatype="FP64", rest=b""):
    """Return JSON and binary values of an answer as the API writes it."""
    texts = b"".join(struct.pack("<I", len(x)) + x.encode() for x in labels)
    code = {"FP64": "d", "FP32": "f", "FP16": "e"}.get(datatype, "d")
    numbers = struct.pack(f"<{len(shares)}{code}", *shares)
    outputs = [
        {"name": "label", "datatype": "BYTES", "shape": [len(labels)]},
        {"name": "probabilities", "datatype": datatype, "shape": [len(labels), 3]},
    ]
    for output, content in zip(outputs, (texts, numbers), strict=True):
        output["parameters"] = {"binary_data_size": len(content)}
    document = {"model_name": "m", "model_version": "1.0.0", "outputs": outputs}
    return json.dumps(document).encode(), texts + numbers + rest


def observed(head, rest, *, length=None, kind="application/octet-stream"):
    headers = {"content-type": kind, JSON_BYTES: str(length or len(head))}
    return observation_of(200, headers, head + rest, 1.0)


LIVE = observed(*answer())


def test_binary_answers_are_compared_as_tensors():
    assert compare(LIVE, LIVE, RULES).fate is Fate.MATCH
    found = compare(LIVE, observed(*answer(("setosa", "versicolor"))), RULES)
    assert found.fate is Fate.LABEL_FLIP
    assert [(row.live, row.shadow) for row in found.rows] == [
        ("setosa", "setosa"),
        ("virginica", "versicolor"),
    ]
    assert found.live_version == "1.0.0"
    moved = (SHARES[0] - 0.1, SHARES[1] + 0.1, *SHARES[2:])
    found = compare(LIVE, observed(*answer(shares=moved)), RULES)
    assert found.fate is Fate.PROBA_SHIFT
    assert found.max_delta == pytest.approx(0.1)
    assert found.rows[0].total_variation == pytest.approx(0.1)
    near = [share + 1e-9 for share in SHARES]
    assert compare(LIVE, observed(*answer(shares=near)), RULES).fate is (
        Fate.WITHIN_TOLERANCE
    )


@pytest.mark.parametrize(
    ("shadow", "reason"),
    [
        (observed(*answer(shares=(float("nan"), *SHARES[1:]))), "between 0 and 1"),
        (observed(*answer(("setosa",))), "a tensor's data"),
        (observed(*answer(rest=b"x")), "bytes follow that no tensor claims"),
        (observed(answer()[0], answer()[1][:-1]), "binary values are not there"),
        (observed(*answer(datatype="FP99")), "datatype is not known"),
        (observed(*answer(), length=40), "body is not JSON"),
        (observed(b"[]", b""), "outputs is missing"),
        (observed(*answer(), kind="application/json"), "content type"),
        (
            observation_of(
                200,
                {"content-type": "application/octet-stream"},
                b"".join(answer()),
                1.0,
            ),
            "binary tensors are missing",
        ),
    ],
)
def test_binary_answer_of_another_form_is_a_contract_break(shadow, reason):
    found = compare(LIVE, shadow, RULES)
    assert found.fate is Fate.CONTRACT_BREAK
    assert reason in found.reason


def test_outputs_in_other_datatypes_are_read():
    for datatype in ("FP32", "FP16"):
        shadow = observed(*answer(datatype=datatype))
        found = compare(LIVE, shadow, RULES)
        assert found.fate is Fate.PROBA_SHIFT or found.max_delta < 1e-7
        assert found.max_delta < 1e-3


def test_lengths_of_text_beyond_the_tensor_are_refused():
    head, rest = answer()
    wrong = struct.pack("<I", 2**32 - 1) + rest[4:]
    assert "are cut" in compare(LIVE, observed(head, wrong), RULES).reason


def inferring(label="virginica"):
    """Return a server that knows binary tensors by their header alone, as the API."""

    async def script(arrived, writer):
        lengths = arrived.values(JSON_BYTES)
        if lengths == [str(len(REQUEST))] and arrived.body == REQUEST + VALUES:
            head, rest = answer(("setosa", label))
            extra = f"Inference-Header-Content-Length: {len(head)}\r\n"
            kind = "application/octet-stream"
            writer.write(answer_bytes(head + rest, kind=kind, extra=extra))
        else:
            writer.write(answer_bytes({"error": "no"}, status="400 Bad Request"))
        return True

    return FakeServer(script)


def infer(system, times=1):
    with contextlib.closing(system.client()) as client:
        for _ in range(times):
            headers = {"Inference-Header-Content-Length": str(len(REQUEST))}
            client.request("POST", ROUTE, REQUEST + VALUES, headers)
            given = client.getresponse()
            assert given.status == 200
            assert given.read().startswith(b'{"model_name"')


def test_equal_versions_match_on_binary_tensors(start):
    with inferring() as live, inferring() as shadow:
        system = start(live.url, shadow.url, rules=RULE_FILE)
        infer(system, 3)
        assert system.settled_fates() == {"match": 3}
        report = system.report()
        assert report["unique_inputs"] == 2
        assert report["confusion"] == [
            {"live": label, "shadow": label, "n": 3}
            for label in ("setosa", "virginica")
        ]


def test_flip_in_a_binary_tensor_is_found(start):
    with inferring() as live, inferring("versicolor") as shadow:
        system = start(live.url, shadow.url, rules=RULE_FILE)
        infer(system)
        assert system.settled_fates() == {"label_flip": 1}


def test_all_that_describes_a_body_goes_with_its_copy(start, live, shadow):
    system = start(live.url, shadow.url)
    told = {
        "Content-Language": "de",
        "Content-Encoding": "identity",
        "Content-Digest": "sha-256=:AA==:",
        "Content-Disposition": "inline",
        "Repr-Digest": "sha-256=:BB==:",
        "Digest": "sha-256=AA==",
        "Inference-Header-Content-Length": "15",
    }
    kept_back = {"Cookie": "a=b", "Authorization": "Bearer x", "X-Content-Secret": "s"}
    body = b'{"inputs": [1]}'
    with contextlib.closing(system.client()) as client:
        kind = {"Content-Type": "application/json; charset=utf-8"}
        client.request("POST", "/v1/predict", body, told | kept_back | kind)
        assert client.getresponse().read()
    assert system.settled_fates() == {"match": 1}
    (arrived,) = shadow.arrived
    names = {name.lower(): value for name, value in arrived.pairs}
    for name, value in (told | kind).items():
        assert names[name.lower()] == value
    assert not names.keys() & {name.lower() for name in kept_back}
    assert arrived.values("content-length") == ["15"]


def test_target_of_a_copy_names_no_other_host(start, live, shadow):
    system = start(live.url, shadow.url)
    with contextlib.closing(system.client()) as client:
        headers = {"Content-Type": "application/json"}
        target = f"http://localhost:{system.public}/v1/predict?a=b"
        client.request("POST", target, b'{"inputs": [1]}', headers)
        assert client.getresponse().read()
    assert system.settled_fates() == {"match": 1}
    assert shadow.arrived[0].target == "/v1/predict?a=b"
    assert live.arrived[0].target == target


def coded(coding, *, is_known=True):
    async def script(arrived, writer):
        whole = answer_bytes()
        _, _, body = whole.partition(b"\r\n\r\n")
        if arrived.values("accept-encoding"):
            packed = gzip.compress(body) if is_known else b"packed"
            whole = answer_bytes(packed, extra=f"content-encoding: {coding}\r\n")
        writer.write(whole)
        return True

    return FakeServer(script)


@pytest.mark.parametrize(
    ("coding", "is_known", "fate"),
    [("gzip", True, "match"), ("br", False, "skipped_live_failed")],
)
def test_coding_that_a_client_asks_for_breaks_no_contract(
    start, coding, is_known, fate
):
    with coded(coding, is_known=is_known) as live, coded(coding) as shadow:
        system = start(live.url, shadow.url)
        with contextlib.closing(system.client()) as client:
            headers = {"content-type": "application/json", "accept-encoding": coding}
            client.request("POST", "/v1/predict", b'{"inputs": [1]}', headers)
            assert client.getresponse().getheader("content-encoding") == coding
        post_many(system, 1)
        fates = system.settled_fates()
        assert fates.pop(fate) + sum(fates.values()) == 2
        assert not fates.keys() - {"match"}


def test_bombs_and_damage_are_not_undone():
    for body in (
        zlib.compress(b" " * (MOST_BYTES + 1)),
        b"x",
        zlib.compress(b"a")[:-1],
    ):
        with pytest.raises(AnswerUnreadable, match="content encoding"):
            undone(body, "deflate")
    with pytest.raises(AnswerUnreadable):
        undone(b"x", "br")


def test_recorded_exchange_keeps_what_describes_its_bodies():
    head, rest = answer()
    exchange = Exchange(
        *("id", 1, "POST", ROUTE.encode()),
        ((JSON_BYTES.encode(), b"%d" % len(REQUEST)),),
        REQUEST + VALUES,
        200,
        {"content-type": "application/octet-stream", JSON_BYTES: str(len(head))},
        1.0,
        head + rest,
    )
    assert decode_exchange(encode_exchange(exchange)) == exchange
