"""Keys: made, stored as hashes, asked for, and changed without a restart."""

import os
import re
import subprocess
import time
from contextlib import contextmanager
from pathlib import Path

import pytest
from api_server import (
    COMMAND,
    JSON,
    ROW,
    check_problem,
    environment,
    run_command,
    start_server,
)

import iris_api.access.keys
from iris_api.access.keys import KeyRing, make_key, parse_keys, read_keys
from iris_api.errors import KeysUnusable

HASH = "sha256:" + "0f" * 32
README = Path(__file__).parent.parent / "README.md"
PATH = os.pathsep.join([str(Path(COMMAND).parent), os.environ["PATH"]])


@contextmanager
def start_keyed(path, lines, name="keys", **settings):
    """Run a server that asks for keys, with its file of keys and its records."""
    file = path / name
    file.write_text("".join(f"{line}\n" for line in lines))
    settings["IRIS_API_RECORDS"] = str(path / "records.jsonl")
    with start_server(IRIS_API_KEYS=str(file), **settings) as server:
        server.keys = file
        yield server


@pytest.fixture(scope="module")
def made():
    """A key and its line."""
    return make_key("billing")


@pytest.fixture(scope="module")
def keyed(tmp_path_factory, made):
    """A server that knows this key and another."""
    lines = ["# who may come in", "", make_key("ops")[1], made[1]]
    with start_keyed(tmp_path_factory.mktemp("keyed"), lines) as server:
        yield server
        assert server.stop() == 0
        assert "Traceback" not in server.talk()
        assert made[0] not in server.talk()


def predict(server, key=None):
    """Predict one row with a key, or with none."""
    headers = JSON if key is None else {**JSON, "X-API-Key": key}
    return server.predict({"inputs": [ROW]}, headers)


def wait_until(happens, within_s=5.0):
    """Return when something is so; fail if it takes too long."""
    began = time.monotonic()
    while not happens():
        assert time.monotonic() - began < within_s
        time.sleep(0.05)


def test_key_is_let_in_when_its_hash_is_on_file(keyed, made):
    assert predict(keyed, made[0]).status == 200
    record = keyed.read_records()[-1]
    assert record["client"] == "billing"
    assert made[0] not in Path(keyed.records).read_text()


@pytest.mark.parametrize(
    ("key", "detail"),
    [
        (None, "send your key, once, in the header X-API-Key"),
        ("iris_wrong", "this key is not known here, or no longer"),
        (HASH[7:], "this key is not known here, or no longer"),
    ],
)
def test_request_is_refused_when_its_key_is_not_ours(keyed, key, detail):
    before = keyed.count_records()
    reply = predict(keyed, key)
    problem = check_problem(reply, 401)
    assert problem["detail"] == detail
    assert reply.headers["WWW-Authenticate"] == 'ApiKey realm="iris_api"'
    assert keyed.count_records() == before


def test_request_is_refused_when_it_has_two_keys(keyed, made):
    reply = keyed.send("GET", "/v1/model", headers=Twice({"X-API-Key": made[0]}))
    assert check_problem(reply, 401)["detail"].startswith("send your key, once")


class Twice(dict):
    """Headers of which each is sent twice."""

    def items(self):
        """Return each pair twice."""
        return [*super().items()] * 2


@pytest.mark.parametrize("path", ["/livez", "/readyz", "/health", "/docs", "/"])
def test_path_needs_no_key_when_it_is_for_everybody(keyed, path):
    assert keyed.send("GET", path).status in (200, 307)


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/v1/predict"),
        ("OPTIONS", "/v1/predict"),
        ("GET", "/v1/model"),
        ("HEAD", "/v1/model"),
        ("GET", "/%761/model"),
        ("POST", "/v2/models/iris_model/infer"),
        ("GET", "/metrics"),
        ("GET", "/nowhere"),
        ("GET", "//docs"),
        ("GET", "/livez2"),
        ("GET", "/v2/health/live/"),
    ],
)
def test_path_needs_a_key_when_it_is_not(keyed, method, path):
    assert keyed.send(method, path).status == 401


def test_page_needs_no_key_when_there_is_none_by_that_name(keyed):
    assert keyed.send("GET", "/page/nothing").status == 404


def test_openapi_asks_for_a_key_when_the_server_does(keyed, server):
    document = keyed.send("GET", "/openapi.json").json
    assert document["components"]["securitySchemes"] == {
        "key": {"type": "apiKey", "in": "header", "name": "X-API-Key"}
    }
    assert document["paths"]["/v1/predict"]["post"]["security"] == [{"key": []}]
    assert "security" not in document["paths"]["/livez"]["get"]
    plain = server.send("GET", "/openapi.json").json
    assert "securitySchemes" not in plain["components"]


@pytest.mark.slow
def test_key_is_replaced_without_a_restart_when_done_as_the_readme_says(tmp_path):
    block = README.read_text().split("in four commands")[1].split("```")[1]
    make, try_new, drop_old, try_old = block.strip().splitlines()
    old, line = make_key("billing")
    with start_keyed(tmp_path, [line], name="api_keys") as server:

        def run(command, **variables):
            here = command.replace(":8001/", f":{server.port}/")
            return subprocess.run(
                ["bash", "-c", here],
                cwd=tmp_path,
                env=environment(PATH=PATH, **variables),
                capture_output=True,
                text=True,
            )

        new = run(make).stderr.split()[-1]
        wait_until(lambda: run(try_new, NEW=new).stdout == "200\n")
        assert predict(server, old).status == 200
        assert run(drop_old).returncode == 0
        wait_until(lambda: run(try_old, OLD=old).stdout == "401\n")
        assert predict(server, new).status == 200
        talk = server.talk()
    assert "INFO keys read again: 2 in force" in talk
    assert "INFO keys read again: 1 in force" in talk
    assert old not in talk and new not in talk


@pytest.mark.slow
def test_keys_stay_in_force_when_the_file_breaks(tmp_path):
    key, line = make_key("billing")
    with start_keyed(tmp_path, [line]) as server:
        server.keys.write_text(f"{line}\ncanary {HASH[:-1]}\n")
        said = "line 2: not a name and a hash; iris-api key NAME makes the line; "
        said += "the keys read before stay in force"
        wait_until(lambda: predict(server, key).status and said in server.talk())
        server.keys.unlink()
        said = f"ERROR IRIS_API_KEYS, {server.keys}: No such file or directory; the"
        wait_until(lambda: predict(server, key).status and said in server.talk())
        assert predict(server, key).status == 200
        talk = server.talk()
    assert talk.count("stay in force") == 2
    assert "canary" not in talk


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "no key in it; iris-api key NAME makes one"),
        ("# none\n\n", "no key in it; iris-api key NAME makes one"),
        (
            f"a {HASH}\n\ncanary\n",
            "line 3: not a name and a hash; iris-api key NAME makes the line",
        ),
        (
            "iris_canary-as-it-is\n",
            "line 1: not a name and a hash; iris-api key NAME makes the line",
        ),
        (
            f"canary\x1b[31m {HASH}\n",
            "line 1: not a name and a hash; iris-api key NAME makes the line",
        ),
        (f"a {HASH}\ncanary {HASH}\n", "line 2: the key of line 1 again"),
    ],
)
def test_keys_are_refused_by_line_when_they_are_malformed(text, reason):
    with pytest.raises(KeysUnusable) as refused:
        parse_keys(text)
    assert str(refused.value) == reason


def test_keys_are_read_when_a_mark_and_blank_lines_stand_around_them(tmp_path):
    file = tmp_path / "keys"
    file.write_bytes(f"\ufeffa {HASH}\r\n\r\n  \r\n\r\n".encode())
    assert [key.name for key in read_keys(file)] == ["a"]


OTHERS_WRITE = "others than its owner may write to it; chmod go-w it"


@pytest.mark.parametrize(
    ("content", "mode", "reason"),
    [
        (b"\xff\xfe", 0o644, "not text in UTF-8"),
        (b"#" * 65_537, 0o644, "more than 64 KiB"),
        (b"a " + HASH.encode(), 0o646, OTHERS_WRITE),
        (b"a " + HASH.encode(), 0o664, OTHERS_WRITE),
    ],
)
def test_file_of_keys_is_refused_when_it_cannot_be_trusted(
    tmp_path, content, mode, reason
):
    file = tmp_path / "keys"
    file.write_bytes(content)
    file.chmod(mode)
    with pytest.raises(KeysUnusable) as refused:
        KeyRing(file)
    assert str(refused.value) == f"IRIS_API_KEYS, {file}: {reason}"


@pytest.mark.parametrize("mode", [0o777, 0o703])
def test_file_of_keys_is_refused_when_everybody_may_replace_it(tmp_path, mode):
    folder = tmp_path / "shared"
    (folder / "mine").mkdir(parents=True)
    file = folder / "mine" / "keys"
    file.write_text(f"a {HASH}")
    (tmp_path / "link").symlink_to(file)
    folder.chmod(mode)
    for path in (file, tmp_path / "link"):
        with pytest.raises(KeysUnusable) as refused:
            KeyRing(path)
        reason = f"everybody may put another in its place; chmod o-w {folder}"
        assert str(refused.value) == f"IRIS_API_KEYS, {path}: {reason}"
    folder.chmod(mode | 0o1000)
    assert len(KeyRing(tmp_path / "link")) == 1


@pytest.mark.parametrize("mode", [0o400, 0o444, 0o644, 0o600])
def test_file_of_keys_is_read_when_it_is_a_secret_of_kubernetes(tmp_path, mode):
    # As its volumes are laid out: links in a sticky folder.
    volume = tmp_path / "secrets"
    (volume / "..2026").mkdir(parents=True)
    (volume / "..2026/keys").write_text(f"a {HASH}")
    (volume / "..2026/keys").chmod(mode)
    (volume / "..data").symlink_to("..2026")
    (volume / "keys").symlink_to("..data/keys")
    volume.chmod(0o1777)
    assert len(KeyRing(volume / "keys")) == 1


def test_file_of_keys_is_refused_when_it_is_a_pipe(tmp_path):
    os.mkfifo(tmp_path / "keys")
    with pytest.raises(KeysUnusable, match="not a file"):
        KeyRing(tmp_path / "keys")


@pytest.mark.slow
def test_start_fails_with_one_line_when_keys_are_malformed(tmp_path):
    file = tmp_path / "keys"
    file.write_text(f"a {HASH}\ncanary\n")
    ended = run_command(IRIS_API_KEYS=str(file))
    assert ended.returncode == 78
    assert ended.stderr == (
        f"iris-api: IRIS_API_KEYS, {file}: line 2: not a name and a hash; "
        "iris-api key NAME makes the line\n"
    )


@pytest.mark.slow
def test_key_is_shown_once_and_its_line_printed_when_made():
    command = [COMMAND, "key", "billing"]
    ended = subprocess.run(
        command, capture_output=True, text=True, env=environment(), check=True
    )
    assert re.fullmatch(r"billing sha256:[0-9a-f]{64}\n", ended.stdout)
    talk, key = ended.stderr.rsplit(" ", 1)
    assert talk == "the key of billing, shown this once:"
    assert re.fullmatch(r"iris_[A-Za-z0-9_-]{43}\n", key)
    (known,) = parse_keys(ended.stdout)
    assert known.name == "billing"
    assert ended.stdout.count(key.strip()) == 0


@pytest.mark.parametrize("name", ["", "a b", "a\nb", "é", "a" * 33])
def test_key_is_not_made_when_its_name_would_spoil_a_line(name):
    with pytest.raises(KeysUnusable, match="1 to 32 characters"):
        make_key(name)


def test_all_keys_are_compared_when_the_first_is_the_one(tmp_path, monkeypatch):
    key, line = make_key("first")
    (tmp_path / "keys").write_text(f"{line}\n{make_key('b')[1]}\n{make_key('c')[1]}\n")
    compared = []
    whole = iris_api.access.keys.compare_digest
    monkeypatch.setattr(
        iris_api.access.keys,
        "compare_digest",
        lambda a, b: compared.append(1) or whole(a, b),
    )
    assert KeyRing(tmp_path / "keys").find_name(key.encode()) == "first"
    assert len(compared) == 3


@pytest.mark.slow
def test_hash_is_hidden_when_a_key_is_printed():
    (key,) = parse_keys(f"a {HASH}")
    assert repr(key) == "Key(name='a')"
