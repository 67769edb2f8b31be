"""The running system, watched by a Prometheus of its own, for all tests here."""

import contextlib
import http.client
import json
import time
import urllib.parse
import urllib.request
from collections.abc import Iterator
from typing import Any

import pytest
from test_tasks_services import Running

# Two scrapes of 5 s and an evaluation of 15 s, on a machine that is busy.
PATIENCE_S = 120
BAD_BODIES = (b'{"inputs": []}', b'{"inputs": [{}]}', b"{")


class Watched:
    """A system and the Prometheus that watches it."""

    def __init__(self, running: Running) -> None:
        self.url = f"http://127.0.0.1:{running.prometheus}"
        self.public = running.public
        self._deadline = time.monotonic() + PATIENCE_S
        with urllib.request.urlopen(f"http://127.0.0.1:{self.public}/v1/model") as it:
            features = json.load(it)["features"]
        ends = [{f["name"]: f[end] for f in features} for end in ("minimum", "maximum")]
        self._bodies = (json.dumps({"inputs": ends}).encode(), *BAD_BODIES)

    def ask(self, what: str, **fields: object) -> Any:
        """Return the data of an answer of Prometheus."""
        query = urllib.parse.urlencode(fields)
        with urllib.request.urlopen(f"{self.url}/api/v1/{what}?{query}") as answer:
            return json.load(answer)["data"]

    def values(self, expression: str) -> list[float]:
        """Return the newest finite values of a query, waiting until there is one."""
        while True:
            found = self.ask("query", query=expression)["result"]
            values = [float(one["value"][1]) for one in found]
            known = [value for value in values if value == value]
            if known or time.monotonic() > self._deadline:
                return known
            self.send_some()
            time.sleep(1)

    def send_some(self) -> None:
        """Send rows, and requests that are refused, so that every count grows."""
        connection = http.client.HTTPConnection("127.0.0.1", self.public, timeout=30)
        with contextlib.closing(connection):
            for body in self._bodies:
                headers = {"Content-Type": "application/json"}
                connection.request("POST", "/v1/predict", body, headers)
                assert connection.getresponse().read()


@pytest.fixture(scope="session")
def watched(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Watched]:
    """The real system under traffic, seen twice at least."""
    running = Running(tmp_path_factory.mktemp("up"), "up", "--traffic", "2000")
    try:
        running.wait_for("requests a second")
        system = Watched(running)
        # Rates need a count that grew between two scrapes.
        assert system.values("role:predict_requests:rate5m > 0"), "nothing was counted"
        yield system
    finally:
        running.stop()
