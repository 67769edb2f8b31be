"""Clients that ask for predictions beside a test, and remember what went wrong."""

import gzip
import http.client
import json
import threading
import time
from itertools import cycle
from pathlib import Path

RECORDING = Path("api/traffic.jsonl.gz")
CLIENTS = 4
# A client that waits for nothing would leave no time to those it asks.
PAUSE_S = 0.005


def recorded_bodies() -> list[bytes]:
    """Return the bodies of the recorded requests, in order."""
    with gzip.open(RECORDING, "rt") as lines:
        _head, *exchanges = map(json.loads, lines)
    return [exchange["body"].encode() for exchange in exchanges]


class Traffic:
    """Kept-alive connections; leave the block to end them."""

    def __init__(self, port: int) -> None:
        self.answered = 0
        self.failures: list[str] = []
        self._port = port
        self._bodies = recorded_bodies()
        self._ended = threading.Event()
        self._clients = [
            threading.Thread(target=self._ask, args=(n,)) for n in range(CLIENTS)
        ]

    def __enter__(self) -> "Traffic":
        for client in self._clients:
            client.start()
        self.go_on()
        return self

    def __exit__(self, *error: object) -> None:
        self.end()

    def go_on(self, requests: int = 100) -> None:
        """Return once so many more requests have been answered."""
        until, deadline = self.answered + requests, time.monotonic() + 60
        while self.answered < until:
            assert time.monotonic() < deadline, self.failures[:3]
            time.sleep(0.01)

    def end(self) -> int:
        """Let every client finish; return how many requests were answered."""
        self._ended.set()
        for client in self._clients:
            client.join()
        return self.answered

    def _ask(self, number: int) -> None:
        connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=10)
        headers = {"Content-Type": "application/json"}
        for body in cycle(self._bodies[number::CLIENTS]):
            if self._ended.is_set():
                break
            try:
                connection.request("POST", "/v1/predict", body, headers)
                answer = connection.getresponse()
                content = answer.read()
            except (OSError, http.client.HTTPException) as error:
                self.failures.append(repr(error))
                connection.close()
            else:
                if answer.status == 200:
                    self.answered += 1
                else:
                    self.failures.append(f"{answer.status} {content[:200]!r}")
            time.sleep(PAUSE_S)
        connection.close()
