"""A kept discrepancy as something to run elsewhere: a curl command, a pytest file."""

import base64
import json
import shlex

from shadow_router.rules.paths import parse_path
from shadow_router.rules.rules import Rules
from shadow_router.store import Discrepancy, Wanted
from shadow_router.values import Fate

#: Longer requests are not pasted into a terminal.
_LONGEST = 32 * 1024


def is_short(item: Discrepancy) -> bool:
    """Return whether a discrepancy can be copied."""
    return len(item.request) + len(item.live) <= _LONGEST


def as_curl(item: Discrepancy, url: str) -> str:
    """Return the command that sends the request to a version once more."""
    method, _, path = item.route.partition(" ")
    words = ["curl", "-sS", "-X", method, f"{url.rstrip('/')}{path}"]
    words += ["-H", "Content-Type: application/json"]
    try:
        text = item.request.decode()
        is_text = "\0" not in text
    except UnicodeDecodeError:
        is_text = False
    if is_text:
        return shlex.join([*words, "--data-raw", text])
    coded = base64.b64encode(item.request).decode("ascii")
    return f"echo {coded} | base64 -d | {shlex.join([*words, '--data-binary', '@-'])}"


def as_label_curl(one: Wanted, url: str) -> str:
    """Return the command that sends a label, once the key and the label are put in."""
    row = {"request_id": one.request_id, "row": one.row, "label": "THE-TRUE-LABEL"}
    body = shlex.quote(json.dumps({"labels": [row]}))
    return (
        f"curl -sS {shlex.quote(f'{url}/labels')} "
        "-H \"Authorization: Bearer $KEY\" -H 'Content-Type: application/json' "
        f"--data-raw {body}"
    )


def as_pytest(item: Discrepancy, url: str, rules: Rules) -> str:
    """Return a test that needs nothing else and fails as long as the two differ."""
    method, _, path = item.route.partition(" ")
    return _TEST.format(
        fate=item.fate.value,
        request_id=ascii(item.request_id),
        url=ascii(url.rstrip("/")),
        body=repr(item.request),
        live=repr(item.live),
        method=ascii(method),
        path=ascii(path),
        status=item.live_status,
        helpers="".join(f"\n\n{text}" for text in _helpers(item.fate, rules)),
        asserts="".join(f"\n    {line}" for line in _asserts(item, rules)),
    )


def _has_prediction(item: Discrepancy) -> bool:
    return 200 <= item.live_status < 300


def _helpers(fate: Fate, rules: Rules) -> list[str]:
    if fate is Fate.CONTRACT_BREAK:
        return [_SHAPE]
    found = [_reader("labels_of", rules.paths.label)]
    if fate is Fate.PROBA_SHIFT:
        found += [_reader("probabilities_of", rules.paths.probabilities), _NUMBERS]
    return found


def _asserts(item: Discrepancy, rules: Rules) -> list[str]:
    if not _has_prediction(item):
        return []
    lines = ["live, shadow = json.loads(LIVE), json.loads(body)"]
    if item.fate is Fate.CONTRACT_BREAK:
        return [*lines, "assert has_same_shape(live, shadow), body"]
    lines.append("assert labels_of(shadow) == labels_of(live)")
    if item.fate is Fate.PROBA_SHIFT:
        rule = rules.probability_tolerance
        lines += [
            "ours = numbers(probabilities_of(live))",
            "theirs = numbers(probabilities_of(shadow))",
            "for one, other in zip(ours, theirs, strict=True):",
            f"    assert abs(other - one) <= {rule.atol!r} + {rule.rtol!r} * abs(one)",
        ]
    return lines


def _reader(name: str, path: str) -> str:
    lines = [f"def {name}(document):", "    found = [document]"]
    for step in parse_path(path):
        child = f"one[{ascii(step.name)}]" if step.name else "one"
        if not step.is_array:
            lines.append(f"    found = [{child} for one in found]")
        elif not step.key:
            lines.append(f"    found = [item for one in found for item in {child}]")
        else:
            lines += [
                f"    parts = [part for one in found for part in {child}]",
                f"    parts = [p for p in parts if p['name'] == {ascii(step.key)}]",
                "    found = [item for part in parts for item in part['data']]",
            ]
    return "\n".join([*lines, "    return found"])


_SHAPE = """\
def has_same_shape(one, other):
    if isinstance(one, dict) and isinstance(other, dict):
        same = one.keys() == other.keys()
        return same and all(has_same_shape(one[key], other[key]) for key in one)
    if isinstance(one, list) and isinstance(other, list):
        return all(map(has_same_shape, one, other))
    both = {type(one), type(other)}
    return len(both) == 1 or both == {int, float}"""
_NUMBERS = """\
def numbers(value):
    if isinstance(value, dict):
        value = [value[name] for name in sorted(value)]
    if isinstance(value, list):
        return [number for item in value for number in numbers(item)]
    return [value]"""
_TEST = '''\
"""
A difference between two versions of a model, as a test: {fate}.

It fails as long as the shadow differs from what live answered.
"""

import json
import os
import urllib.error
import urllib.request

# Request id: {request_id}
SHADOW_URL = os.environ.get("SHADOW_URL", {url})
BODY = {body}
LIVE = {live}


def ask():
    request = urllib.request.Request(
        SHADOW_URL + {path},
        BODY,
        {{"Content-Type": "application/json"}},
        method={method},
    )
    try:
        with urllib.request.urlopen(request, timeout=10) as answer:
            return answer.status, answer.read()
    except urllib.error.HTTPError as error:
        return error.code, error.read()
{helpers}


def test_shadow_answers_as_live_did():
    status, body = ask()
    assert status == {status}{asserts}
'''
