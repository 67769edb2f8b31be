"""Random bodies: whatever arrives, the answer is the one the oracle expects."""

import json

import pytest
from api_hostile import GOOD
from api_oracle import find_broken_promises
from api_server import ROW, Kept
from hypothesis import HealthCheck, event, given, settings
from hypothesis import strategies as st

CANARY = "canary7f3a"
SECRETS = (CANARY.encode(),)
NAMES = st.sampled_from([*ROW, "inputs"]) | st.text(max_size=8)
FLOATS = st.floats(allow_nan=False, allow_infinity=False)
SIZES = st.floats(-1e6, 1e6)
NUMBERS = FLOATS | st.integers() | st.integers(-(10**400), 10**400)

scalars = (
    st.none()
    | st.booleans()
    | NUMBERS
    | st.floats()
    | st.sampled_from([CANARY, "5.1", "true", "\ud800", "\x00"])
)
documents = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=4)
    | st.dictionaries(NAMES, inner, max_size=4),
    max_leaves=20,
)
# Good but for one place, so that nothing else can be the reason to refuse.
replaced = st.builds(
    lambda name, value: {**ROW, name: value}, st.sampled_from(list(ROW)), documents
)
rows = replaced | st.fixed_dictionaries({name: documents for name in ROW}) | documents
requests = st.fixed_dictionaries({"inputs": st.lists(rows, max_size=3)}) | documents

effort = settings(
    max_examples=200,
    deadline=None,
    database=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)


@pytest.fixture(scope="module")
def kept(server):
    """One kept-alive connection, so that a confused server would be noticed."""
    with Kept(server.port) as connection:
        yield connection


def check_answer(kept, body):
    """Assert that the answer to a body is the one expected."""
    answer = kept.predict(body)
    event(f"status {answer.status}")
    assert find_broken_promises(body, answer, SECRETS) == []


@effort
@given(document=requests)
def test_answer_is_right_when_json_is_random(kept, document):
    check_answer(kept, json.dumps(document).encode())


@effort
@given(matrix=st.lists(st.tuples(*[NUMBERS] * len(ROW)), min_size=1, max_size=5))
@pytest.mark.slow
def test_answer_is_the_models_when_numbers_are_random(kept, matrix):
    named = [dict(zip(ROW, values, strict=True)) for values in matrix]
    check_answer(kept, json.dumps({"inputs": named}).encode())


@effort
@given(matrix=st.lists(st.tuples(*[SIZES] * len(ROW)), min_size=1, max_size=5))
@pytest.mark.slow
def test_answer_is_the_models_when_numbers_are_sizes(kept, matrix):
    named = [dict(zip(ROW, values, strict=True)) for values in matrix]
    body = json.dumps({"inputs": named}).encode()
    assert kept.predict(body).status == 200
    check_answer(kept, body)


@effort
@given(
    place=st.integers(0, len(GOOD) - 1),
    new=st.binary(max_size=3),
    cut=st.integers(0, 3),
)
def test_answer_is_right_when_bytes_are_changed(kept, place, new, cut):
    check_answer(kept, GOOD[:place] + new + GOOD[place + cut :])


@effort
@given(body=st.binary(max_size=60))
def test_answer_is_a_problem_when_bytes_are_random(kept, body):
    check_answer(kept, body)
