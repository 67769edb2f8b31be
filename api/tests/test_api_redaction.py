"""Records and logs that do not tell what was sent."""

import json

import pytest
from api_server import JSON, ROW, start_server

from iris_api.access.keys import make_key
from iris_api.errors import SettingsInvalid
from iris_api.settings import Settings, load_settings
from iris_api.telemetry.redaction import Redaction

SALT = "correct horse battery staple"
ODD = 987.125
OTHER = {**ROW, "petal_width_cm": 0.4}

# A model that quotes what it was given when it fails, and tries to forge a line;
# asyncio has something to say about the future that nobody waits for.
QUOTING_MODEL = """
import asyncio
from iris_model.model import IrisModel

whole = IrisModel.probabilities

def probabilities(self, matrix):
    if matrix[0, 0] == 987.125:
        text = f"no answer to {matrix.tolist()}\\n2026 ERROR forged\\x1b[31m"
        loop = asyncio.get_running_loop()
        loop.create_future().set_exception(ValueError(f"forgotten {text}"))
        raise ValueError(text)
    return whole(self, matrix)

IrisModel.probabilities = probabilities
"""


def leave_traces(folder, **settings):
    """Predict, fail and be refused with odd values; return records and talk."""
    (folder / "sitecustomize.py").write_text(QUOTING_MODEL)
    records = folder / "records.jsonl"
    key, line = make_key("billing")
    (folder / "keys").write_text(line)
    headers = {**JSON, "X-API-Key": key}
    with start_server(
        PYTHONPATH=str(folder),
        IRIS_API_RECORDS=str(records),
        IRIS_API_KEYS=str(folder / "keys"),
        **settings,
    ) as server:
        rows = [ROW, OTHER, ROW, {**ROW, "petal_width_cm": ODD}]
        assert server.predict({"inputs": rows}, headers).status == 200
        fails = {**ROW, "sepal_length_cm": ODD}
        assert server.predict({"inputs": [fails]}, headers).status == 500
        refused = {**ROW, "sepal_length_cm": str(ODD)}
        assert server.predict({"inputs": [refused]}, headers).status == 422
        assert server.predict({"inputs": [ROW]}, {**headers, "X-API-Key": f"{key}x"})
        assert server.stop() == 0
        return records.read_text(), server.talk(), key


@pytest.mark.slow
def test_nothing_tells_an_input_when_inputs_are_hashed(tmp_path):
    records, talk, key = leave_traces(tmp_path, IRIS_API_RECORD_INPUTS="hash")
    assert str(ODD) not in records and str(ODD) not in talk
    assert key not in records and key not in talk
    assert "ValueError" in talk
    assert "Future exception was never retrieved" in talk
    record = json.loads(records)
    assert [len(one) for one in record["inputs"]] == [32] * 4
    first, other, again, _ = record["inputs"]
    assert first == again != other
    assert record["labels"][0] == "setosa"
    for shares in record["probabilities"]:
        assert [round(share, 1) for share in shares.values()] == [*shares.values()]
    assert "hashes of inputs, salted for this process alone" in talk


@pytest.mark.slow
def test_record_and_log_tell_inputs_but_no_key_when_values_are_kept(tmp_path):
    # The other side of the test above: what it looks for can be found.
    records, talk, key = leave_traces(tmp_path)
    assert str(ODD) in records and str(ODD) in talk
    assert "ValueError('forgotten no answer to [[987.125" in talk
    assert key not in records and key not in talk
    assert json.loads(records)["inputs"][0] == ROW
    assert "\\n2026 ERROR forged\\x1b[31m" in talk
    assert all(line.startswith("20") for line in talk.splitlines())


@pytest.mark.slow
def test_hash_is_that_of_another_process_when_the_salt_is(tmp_path):
    records, talk, _ = leave_traces(
        tmp_path, IRIS_API_RECORD_INPUTS="hash", IRIS_API_RECORD_SALT=SALT
    )
    assert json.loads(records)["inputs"][0] == Redaction([*ROW], SALT).inputs([ROW])[0]
    assert SALT not in records and SALT not in talk
    assert "salted for this process alone" not in talk


def test_hash_differs_when_the_salt_does():
    names = list(ROW)
    salts = [SALT, SALT + "!", None, None, SALT * 9, SALT * 9 + "!"]
    hashes = [Redaction(names, salt).inputs([ROW])[0] for salt in salts]
    assert len(set(hashes)) == 6


def test_hash_is_the_same_when_only_the_spelling_of_a_row_differs():
    redaction = Redaction(["a", "b"], SALT)
    same = redaction.inputs([{"a": 0.0, "b": 5.0}, {"b": 5, "a": -0.0}])
    assert same[0] == same[1]
    assert redaction.inputs([{"a": 5.0, "b": 0.0}])[0] != same[0]


def test_hash_is_taken_when_the_model_has_one_feature():
    first, second = Redaction(["a"], SALT).inputs([{"a": 1.0}, {"a": 2.0}])
    assert len(first) == len(second) == 32
    assert first != second


def test_salt_is_hidden_when_settings_are_printed(monkeypatch):
    monkeypatch.setenv("IRIS_API_RECORD_SALT", SALT)
    monkeypatch.setenv("IRIS_API_RECORD_INPUTS", "hash")
    settings = Settings()
    assert SALT not in repr(settings) + str(settings) + settings.model_dump_json()


@pytest.mark.parametrize(
    ("settings", "line"),
    [
        (
            {"IRIS_API_RECORD_SALT": SALT},
            "IRIS_API_RECORD_SALT: needs IRIS_API_RECORD_INPUTS=hash",
        ),
        (
            {"IRIS_API_RECORD_SALT": "canary", "IRIS_API_RECORD_INPUTS": "hash"},
            "IRIS_API_RECORD_SALT: needs 16 characters or more",
        ),
        (
            {"IRIS_API_RECORD_INPUTS": "no"},
            "IRIS_API_RECORD_INPUTS: Input should be 'values' or 'hash'",
        ),
    ],
)
def test_settings_are_refused_when_recording_is_half_set(monkeypatch, settings, line):
    for name, value in settings.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(SettingsInvalid) as refused:
        load_settings()
    assert str(refused.value) == line
