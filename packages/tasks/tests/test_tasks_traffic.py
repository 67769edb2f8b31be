"""The rows that ``up -- --traffic`` draws, and the pace at which it sends them."""

import asyncio
import contextlib
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import aiohttp
import pytest

from tasks.system import services, traffic

TABLE = [{"x": float(n), "y": 2.0 * n} for n in range(50)]


def test_rows_are_the_same_for_a_seed_and_others_for_another() -> None:
    assert traffic.draw_rows(TABLE, 100, 7) == traffic.draw_rows(TABLE, 100, 7)
    first, second = (traffic.draw_rows(TABLE, 100, seed) for seed in (7, 8))
    moved = [row for row in first if row not in TABLE]
    assert moved and not any(row in second for row in moved)


def test_seed_is_drawn_anew_unless_it_is_given(monkeypatch: pytest.MonkeyPatch) -> None:
    seeds: list[int] = []
    monkeypatch.setattr(services, "start", lambda _, seed, __: seeds.append(seed) or 0)
    for _ in range(2):
        services.main(["up", "--traffic", "10"])
    services.main(["up", "--traffic", "10", "--seed", "5"])
    assert seeds[0] != seeds[1]
    assert seeds[2] == 5


class Slow:
    """Answers as router and collector do, with a fate for some requests a look."""

    def __init__(self, per_look: int) -> None:
        self.received = self.decided = self.most_open = self.looks = 0
        self._per_look = per_look
        self._lock = threading.Lock()

    def predict(self) -> bytes:
        with self._lock:
            self.received += 1
            self.most_open = max(self.most_open, self.received - self.decided)
        return b"{}"

    def metrics(self) -> bytes:
        with self._lock:
            self.looks += 1
            self.decided = min(self.received, self.decided + self._per_look)
            return (
                f'shadow_requests_total{{fate="match"}} {float(self.decided)}\n'
                'shadow_requests_total{fate="dropped_queue"} 0.0\n'
                f"shadow_requests_received_total {float(self.received)}\n"
            ).encode()


@contextlib.contextmanager
def serving(slow: Slow) -> Iterator[str]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def answer(self, body: bytes) -> None:
            self.rfile.read(int(self.headers.get("Content-Length") or 0))
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def do_POST(self) -> None:
            self.answer(slow.predict())

        def do_GET(self) -> None:
            self.answer(slow.metrics())

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.daemon_threads = True
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


def test_no_more_is_under_way_than_the_queue_holds_when_the_collector_is_slow(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(traffic, "AHEAD", 100)
    slow = Slow(per_look=60)

    async def send(url: str) -> None:
        async with aiohttp.ClientSession() as session:
            pace = traffic.Pace(session, url)
            await traffic.send(session, url, TABLE * 20, pace)

    with serving(slow) as url:
        asyncio.run(send(url))
    assert slow.received == slow.decided == 1000
    assert 50 < slow.most_open <= 100
    said = capsys.readouterr().out
    assert "traffic: 1,000 of 1,000 answered 200\n" in said
    assert "traffic: 0 left out of the comparison\n" in said
