"""schemathesis, with all its checks, finds the server and its document at one."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from api_fakes import BrokenModel, serve_model
from api_server import send

PREDICT = "/v1/predict"


def run_schemathesis(folder, port, document, phases, examples, *options):
    """Hold a server to a document; return the exit code and what was said."""
    path = folder / "openapi.json"
    path.write_text(json.dumps(document))
    command = [sys.executable, "-m", "schemathesis.cli", "run", str(path)]
    command += [f"--url=http://127.0.0.1:{port}", "--checks=all", "--no-color"]
    command += ["--continue-on-failure"]
    command += [f"--phases={phases}", f"--max-examples={examples}", "--seed=1"]
    command += options
    hooks = {
        "PYTHONPATH": str(Path(__file__).parent),
        "SCHEMATHESIS_HOOKS": "api_sizes",
    }
    done = subprocess.run(
        command,
        env={**os.environ, **hooks},
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=300,
    )
    return done.returncode, done.stdout


def read_document(port):
    """Return what a server says of itself."""
    return send(port, "GET", "/openapi.json").json


@pytest.mark.slow
def test_server_keeps_what_its_document_promises_when_probed(server, tmp_path):
    document = read_document(server.port)
    phases = "examples,coverage,fuzzing"
    total = sum(map(len, document["paths"].values()))
    # What a shape says of its data, no schema can say: tensors that fit the document
    # and not each other are refused.
    tensors = ["--exclude-checks=positive_data_acceptance"]
    tensors += ["--warnings=missing_auth,missing_deserializer,missing_test_data"]
    for options, selected in (
        (["--exclude-path-regex=/infer$"], total - 2),
        (["--include-path-regex=/infer$", *tensors], 2),
    ):
        code, said = run_schemathesis(
            tmp_path, server.port, document, phases, 50, *options
        )
        assert code == 0, said
        assert f"{selected} selected / {total} total" in said
        assert "No issues found" in said, said


def lie_about_a_type(document):
    """Say that labels are numbers."""
    prediction = document["components"]["schemas"]["Prediction"]
    prediction["properties"]["label"] = {"type": "number"}


def lie_about_a_status(document):
    """Leave out that inputs can be refused."""
    del document["paths"][PREDICT]["post"]["responses"]["422"]


def lie_about_strictness(document):
    """Say that text is taken for a number."""
    row = document["components"]["schemas"]["PredictRow"]
    row["properties"]["petal_width_cm"] = {"type": ["number", "string"]}


def lie_about_a_header(document):
    """Say that request ids are words."""
    headers = document["paths"][PREDICT]["post"]["responses"]["200"]["headers"]
    headers["X-Request-ID"] = {"schema": {"type": "string", "enum": ["one", "two"]}}


@pytest.mark.slow
def test_document_is_caught_when_it_lies(server, tmp_path):
    document = read_document(server.port)
    lie_about_a_type(document)
    lie_about_a_status(document)
    lie_about_strictness(document)
    lie_about_a_header(document)
    code, said = run_schemathesis(tmp_path, server.port, document, "coverage", 1)
    assert code == 1, said
    found = re.findall(r"^  ❌ ST\d+ (.+): \d+$", said, re.MULTILINE)
    assert sorted(found) == [
        "Response header does not conform to the schema",
        "Response violates schema",
        "Schema-valid request rejected",
        "Undocumented status code",
    ]


@pytest.mark.slow
def test_server_is_caught_when_it_fails(tmp_path):
    with serve_model(BrokenModel(), tmp_path / "r.jsonl") as port:
        document = read_document(port)
        code, said = run_schemathesis(tmp_path, port, document, "coverage", 1)
    assert code == 1, said
    assert "Server error" in said
