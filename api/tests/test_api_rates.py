"""The rate limit: who is counted, what a refusal says, and what it costs in memory."""

import http.client
import json
import tracemalloc

import pytest
from api_server import JSON, ROW, check_problem, start_server

from iris_api.access.keys import make_key
from iris_api.access.rates import MAX_CLIENTS, RateLimiter, Windows
from iris_api.errors import SettingsInvalid, TooManyRequests
from iris_api.settings import load_settings

BODY = json.dumps({"inputs": [ROW]}).encode()


class Clock:
    """Time that passes when told to."""

    def __init__(self):
        self.now = 1000.0

    def __call__(self):
        """Return the seconds."""
        return self.now


def count_let_in(limiter, client, tries):
    """Return how many of so many requests are let in now."""
    let_in = 0
    for _ in range(tries):
        try:
            limiter.check(client)
            let_in += 1
        except TooManyRequests:
            pass
    return let_in


def test_client_is_let_in_so_many_times_when_a_window_is_open():
    clock = Clock()
    limiter = RateLimiter("3/minute", clock)
    assert count_let_in(limiter, "a", 5) == 3
    assert count_let_in(limiter, "b", 5) == 3
    clock.now += 59.9
    assert count_let_in(limiter, "a", 5) == 0
    clock.now += 0.1
    assert count_let_in(limiter, "a", 5) == 3


@pytest.mark.parametrize("later", [0.0, 0.5, 17.3, 59.0, 59.999])
def test_client_is_let_in_when_it_has_waited_as_told(later):
    clock = Clock()
    limiter = RateLimiter("1/minute", clock)
    limiter.check("a")
    clock.now += later
    with pytest.raises(TooManyRequests) as refused:
        limiter.check("a")
    assert 60 - later <= refused.value.wait_s < 61 - later
    clock.now += refused.value.wait_s
    limiter.check("a")


def test_clients_are_bounded_when_addresses_are_many():
    limiter = RateLimiter("5/hour", Clock())
    for number in range(100_000):
        limiter.check(f"2001:db8:0:0:{number:x}::1")
    assert len(limiter._windows) == MAX_CLIENTS == 65_536
    # Those that came last are still counted.
    assert count_let_in(limiter, "2001:db8:0:0:1869f::1", 9) == 4


def test_client_is_small_when_it_is_held_in_memory():
    limiter = RateLimiter("5/hour", Clock())
    tracemalloc.start()
    try:
        for number in range(10_000):
            limiter.check(f"2001:db8:0:0:{number:x}::1")
        held, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    # Bytes: with MAX_CLIENTS of them, less than 24 MB.
    assert held / 10_000 < 360


def test_windows_are_dropped_when_they_are_over():
    clock = Clock()
    windows = Windows(clock)
    for number in range(1000):
        windows.incr(str(number), 1)
    clock.now += 1
    assert windows.incr("another", 1) == 1
    assert len(windows) == 1


@pytest.fixture(scope="module")
def limited(tmp_path_factory):
    """A server that lets each address send twice an hour."""
    records = tmp_path_factory.mktemp("limited") / "records.jsonl"
    with start_server(
        IRIS_API_RECORDS=str(records), IRIS_API_RATE_LIMIT="2/hour"
    ) as server:
        yield server
        assert server.stop() == 0


def predict_from(port, address, **headers):
    """Predict from an address of this machine; return status and wait."""
    connection = http.client.HTTPConnection(
        "127.0.0.1", port, timeout=10, source_address=(address, 0)
    )
    try:
        connection.request("POST", "/v1/predict", BODY, {**JSON, **headers})
        response = connection.getresponse()
        response.read()
        return response.status, response.headers["Retry-After"]
    finally:
        connection.close()


def test_client_is_told_to_wait_when_it_has_sent_too_many(limited):
    replies = [limited.predict(BODY) for _ in range(3)]
    assert [reply.status for reply in replies] == [200, 200, 429]
    problem = check_problem(replies[-1], 429)
    wait = replies[-1].headers["Retry-After"]
    assert problem["detail"] == f"too many requests; send the next in {wait} s"
    assert 3500 < int(wait) <= 3600
    assert limited.send("GET", "/v1/model").status == 429
    assert limited.count_records() == 2


@pytest.mark.parametrize("path", ["/livez", "/readyz", "/health", "/docs"])
def test_path_is_not_limited_when_it_is_for_everybody(limited, path):
    assert [limited.send("GET", path).status for _ in range(4)] == [200] * 4


def test_address_is_that_of_the_peer_when_a_header_claims_another(limited):
    claims = [
        {"X-Forwarded-For": f"10.0.0.{number}", "Forwarded": f"for=10.0.0.{number}"}
        for number in range(3)
    ]
    statuses = [predict_from(limited.port, "127.0.0.2", **c)[0] for c in claims]
    assert statuses == [200, 200, 429]
    assert predict_from(limited.port, "127.0.0.3") == (200, None)


@pytest.mark.slow
def test_client_is_counted_by_name_of_key_when_keys_are_asked_for(tmp_path):
    (old, first), (new, second) = make_key("billing"), make_key("billing")
    other, third = make_key("ops")
    (tmp_path / "keys").write_text(f"{first}\n{second}\n{third}\n")
    with start_server(
        IRIS_API_RECORDS=str(tmp_path / "records.jsonl"),
        IRIS_API_KEYS=str(tmp_path / "keys"),
        IRIS_API_RATE_LIMIT="2/hour",
    ) as server:
        sent = [("127.0.0.1", old), ("127.0.0.2", new), ("127.0.0.3", old)]
        statuses = [
            predict_from(server.port, address, **{"X-API-Key": key})[0]
            for address, key in [*sent, ("127.0.0.1", other)]
        ]
        assert predict_from(server.port, "127.0.0.1")[0] == 401
    assert statuses == [200, 200, 429, 200]


@pytest.mark.slow(after=1)
@pytest.mark.parametrize(
    "limit", ["100", "0/second", "100/fortnight", "1/second;2/day", "1 per second"]
)
def test_limit_is_refused_when_it_is_malformed(monkeypatch, limit):
    monkeypatch.setenv("IRIS_API_RATE_LIMIT", limit)
    with pytest.raises(SettingsInvalid) as refused:
        load_settings()
    assert str(refused.value) == (
        "IRIS_API_RATE_LIMIT: "
        "write a number, a slash, and second, minute, hour or day"
    )
