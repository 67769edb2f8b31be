"""The examples in docs/calling-the-api.md do what is said there."""

import json
import re
import subprocess
from pathlib import Path

import httpx
import pytest
from api_server import ROW, free_port, start_server

PAGE = (Path(__file__).parents[2] / "docs" / "calling-the-api.md").read_text()
BASE = "http://127.0.0.1:8001"
NOWHERE = f"http://127.0.0.1:{free_port()}"


def blocks_of(language):
    """Return the code blocks of a language, in order."""
    return re.findall(rf"^```{language}\n(.*?)^```$", PAGE, re.DOTALL | re.MULTILINE)


@pytest.fixture
def names():
    """What the first Python block defines, with waits that are noted and not made."""
    defined = {}
    exec(blocks_of("python")[0], defined)
    defined["waits"] = []
    defined["sleep"] = defined["waits"].append
    return defined


def run_curl(command, port):
    """Run the command of the page against another port."""
    command = command.replace(BASE, f"http://127.0.0.1:{port}")
    return subprocess.run(["bash", "-c", command], capture_output=True)


def test_curl_example_predicts_when_it_is_pasted(server):
    (command,) = blocks_of("bash")
    done = run_curl(command, server.port)
    assert done.returncode == 0
    assert json.loads(done.stdout)["predictions"][0]["label"] == "setosa"


def test_curl_example_fails_and_says_why_when_it_is_refused(server):
    (command,) = blocks_of("bash")
    done = run_curl(command.replace("5.1", '"5.1"'), server.port)
    assert done.returncode != 0
    assert json.loads(done.stdout)["status"] == 422


def test_python_example_prints_what_is_said_when_it_is_run(server, names, capsys):
    example = blocks_of("python")[1].replace(BASE, f"http://127.0.0.1:{server.port}")
    exec(example, names)
    first, second = capsys.readouterr().out.splitlines()
    assert first.startswith("setosa {'setosa': 0.9")
    assert [f"{second}\n"] == blocks_of("text")


@pytest.mark.slow
def test_python_example_comes_again_when_it_is_told_to(names):
    with start_server(IRIS_API_RECORDS="/dev/full") as server:
        with httpx.Client(base_url=f"http://127.0.0.1:{server.port}") as client:
            with pytest.raises(names["Refused"]) as raised:
                names["predict"](client, [ROW])
    assert names["waits"] == [5.0, 5.0, 5.0]
    assert raised.value.problem["status"] == 503


def test_python_example_recovers_when_the_server_is_back(names, server):
    # Nothing listens at first; after the second wait there is a server.
    client = httpx.Client(base_url=NOWHERE, timeout=5)

    def wait(seconds):
        names["waits"].append(seconds)
        if len(names["waits"]) == 2:
            client.base_url = f"http://127.0.0.1:{server.port}"

    names["sleep"] = wait
    with client:
        assert names["predict"](client, [ROW])[0]["label"] == "setosa"
    assert names["waits"] == [1, 2]


def test_python_example_gives_up_when_nothing_answers(names):
    with httpx.Client(base_url=NOWHERE, timeout=5) as client:
        with pytest.raises(httpx.ConnectError):
            names["predict"](client, [ROW])
    assert names["waits"] == [1, 2, 3]
