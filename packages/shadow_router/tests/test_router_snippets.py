"""Discrepancies as commands and tests that run elsewhere."""

import json
import os
import shlex
import subprocess
import sys

import pytest
from router_fakes import FakeServer, answer_bytes

from shadow_router.page.snippets import as_curl, as_pytest
from shadow_router.rules.rules import DEFAULT, OPEN_INFERENCE, Paths, Rules
from shadow_router.store import Discrepancy
from shadow_router.values import Fate

LIVE = {"predictions": [{"label": "a", "probabilities": {"a": 0.75, "b": 0.25}}]}
FLIPPED = {"predictions": [{"label": "b", "probabilities": {"a": 0.25, "b": 0.75}}]}
SHIFTED = {"predictions": [{"label": "a", "probabilities": {"a": 0.7, "b": 0.3}}]}
BROKEN = {"predictions": [{"label": "a", "shares": {"a": 0.75, "b": 0.25}}]}
NESTED = Rules(paths=Paths(label="result.class", probabilities=""))
TENSORS = Rules(paths=OPEN_INFERENCE)


def tensors(label, share):
    columns = {"label": [label], "probabilities": [share, 1 - share]}
    shapes = {"label": [1], "probabilities": [1, 2]}
    return {
        "outputs": [
            {"name": name, "shape": shapes[name], "data": data}
            for name, data in columns.items()
        ]
    }


def discrepancy(live, fate, request=b'{"inputs": [1]}', status=200):
    body = json.dumps(live).encode()
    seen = ("id\"'\n", 0, fate, "", "a", "b", 0.1, 0.1, status, 200)
    return Discrepancy(*seen, "POST /v1/predict", request, body, b"")


def answering(document, status="200 OK"):
    async def script(arrived, writer):
        writer.write(answer_bytes(document, status=status))
        return True

    return FakeServer(script)


def outcome(tmp_path, item, rules, server):
    path = tmp_path / "test_copied.py"
    path.write_text(as_pytest(item, "http://127.0.0.1:9", rules))
    with server:
        command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", path]
        environment = os.environ | {"SHADOW_URL": server.url}
        done = subprocess.run(
            command, cwd=tmp_path, env=environment, capture_output=True, text=True
        )
    if done.returncode:
        # By its own assertion, and not by an error of the code.
        assert "AssertionError" in done.stdout or "assert " in done.stdout, done.stdout
        assert "NameError" not in done.stdout and "SyntaxError" not in done.stdout
    return done.returncode


@pytest.mark.slow
@pytest.mark.parametrize(
    ("fate", "live", "shadow", "rules"),
    [
        (Fate.LABEL_FLIP, LIVE, FLIPPED, DEFAULT),
        (Fate.PROBA_SHIFT, LIVE, SHIFTED, DEFAULT),
        (Fate.CONTRACT_BREAK, LIVE, BROKEN, DEFAULT),
        (Fate.LABEL_FLIP, {"result": {"class": 1}}, {"result": {"class": 2}}, NESTED),
        (Fate.LABEL_FLIP, tensors("a", 0.75), tensors("b", 0.25), TENSORS),
        (Fate.PROBA_SHIFT, tensors("a", 0.75), tensors("a", 0.5), TENSORS),
    ],
)
def test_copied_test_fails_on_the_difference_and_passes_on_lives_answer(
    tmp_path, fate, live, shadow, rules
):
    item = discrepancy(live, fate)
    assert outcome(tmp_path, item, rules, answering(shadow)) == 1
    assert outcome(tmp_path, item, rules, answering(live)) == 0


@pytest.mark.slow
def test_copied_test_fails_when_the_shadow_fails(tmp_path):
    item = discrepancy(LIVE, Fate.SHADOW_ERROR)
    assert outcome(tmp_path, item, DEFAULT, answering({}, "500 No")) == 1


@pytest.mark.parametrize(
    "request_body",
    [b'{"a": "it\'s $HOME `id` \\u0000"}', b"@/etc/passwd", b"\xff\x00binary", b""],
)
def test_copied_command_sends_the_very_bytes(request_body):
    server = FakeServer()
    with server:
        text = as_curl(discrepancy(LIVE, Fate.LABEL_FLIP, request_body), server.url)
        subprocess.run(["bash", "-c", text], check=True, capture_output=True)
    assert [(seen.target, seen.body) for seen in server.arrived] == [
        ("/v1/predict", request_body)
    ]


def test_copied_command_is_one_command_whatever_the_body_holds():
    item = discrepancy(LIVE, Fate.LABEL_FLIP, b"'; rm -rf / #")
    words = shlex.split(as_curl(item, "http://127.0.0.1:1"))
    assert words[0] == "curl" and words[-1] == "'; rm -rf / #"
