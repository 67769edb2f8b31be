"""
Measure what the two lanes cost the collector, in its own processor time.

Exchanges are compared without lanes, with each of them and with both, at the default
shares; live is a small real server in another thread, whose time does not count. Prints
microseconds an exchange, the median of seven rounds in which the four take turns.
"""

import asyncio
import json
import statistics
import threading
import time

import uvloop
from store import answer, pair

from shadow_router.collector.lanes import MutantLane, NoiseLane
from shadow_router.compare.comparisons import comparison_of
from shadow_router.rules.rules import DEFAULT
from shadow_router.settings import Settings
from shadow_router.values import Exchange, Lane, Observation

COUNT, ROUNDS, SHARE = 10_000, 7, 0.01
Pairs = list[tuple[Exchange, Observation]]


async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Answer as live did."""
    head = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: "
    try:
        while True:
            request = await reader.readuntil(b"\r\n\r\n")
            length = int(request.lower().partition(b"content-length: ")[2].split()[0])
            sent = json.loads(await reader.readexactly(length))
            body = answer("1", sent["inputs"][0]["x"] % 97 / 97)
            writer.write(b"%b%d\r\n\r\n%b" % (head, len(body), body))
    except asyncio.IncompleteReadError:
        writer.close()


def serve() -> str:
    """Start live in a thread and return its URL."""
    started: list[int] = []
    ready = threading.Event()

    async def run() -> None:
        server = await asyncio.start_server(talk, "127.0.0.1", 0)
        started.append(server.sockets[0].getsockname()[1])
        ready.set()
        await server.serve_forever()

    threading.Thread(target=lambda: asyncio.run(run()), daemon=True).start()
    ready.wait()
    return f"http://127.0.0.1:{started[0]}"


def note(lane: Lane, name: str, is_good: bool) -> None:
    """Take a trial, as the writer does."""


async def measure(pairs: Pairs, noise: NoiseLane, mutants: MutantLane) -> float:
    """Return microseconds of this thread's time an exchange."""
    began = time.thread_time()
    for exchange, shadow in pairs:
        found = comparison_of("r", exchange, shadow, DEFAULT)
        noise.look(found)
        mutants.look(found)
        if noise._asking is not None and not noise._asking.done():
            await asyncio.wait([noise._asking])
    return (time.thread_time() - began) / len(pairs) * 1e6


async def main(url: str) -> None:
    """Print a line for each of the four."""
    pairs = [pair(number) for number in range(COUNT)]
    shares = {
        "no lanes": (0.0, 0.0),
        "live against live": (SHARE, 0.0),
        "mutants": (0.0, SHARE),
        "both": (SHARE, SHARE),
    }
    taken: dict[str, list[float]] = {name: [] for name in shares}
    for _ in range(ROUNDS):
        for name, (noise_share, mutant_share) in shares.items():
            settings = Settings(live_url=url, noise_share=noise_share)
            noise = NoiseLane(settings, "seed", DEFAULT, note)
            mutants = MutantLane(mutant_share, "seed", DEFAULT, note)
            taken[name].append(await measure(pairs, noise, mutants))
            await noise.stop()
    least = statistics.median(taken["no lanes"])
    for name, rounds in taken.items():
        median = statistics.median(rounds)
        print(f"{name:<18} {median:6.1f} µs  {median / least - 1:+.1%}")


if __name__ == "__main__":
    uvloop.run(main(serve()))
