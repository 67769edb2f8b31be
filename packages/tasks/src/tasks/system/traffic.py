"""
Wait for the system, say where it is, and send it rows from and around its table.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import csv
import json
import random
import re
import signal
import sys
import time
from collections import Counter
from pathlib import Path

import aiohttp
from rich.console import Console
from rich.progress import Progress

from tasks.exit_codes import FAULT, exit_code

READY_S = 60
CONNECTIONS = 16
# Half of the rows are moved by a tenth of each measurement's range (one standard
# deviation), so that most requests are new to both versions.
MOVED = 0.5
SPREAD = 0.1
# Debian builds Prometheus without its newer pages.
ALERTS = ("/alerts", "/classic/alerts")
# Requests without a fate, at most: a tenth of what the router's queue holds.
AHEAD = 1000
ASK_S = 0.1

FATE = re.compile(r'^shadow_requests_total\{fate="(\w+)"\} (\S+)$', re.M)
RECEIVED = re.compile(r"^shadow_requests_received_total (\S+)$", re.M)
LOST = re.compile("dropped_|internal_error")

Row = dict[str, float]


async def main(options: argparse.Namespace) -> int:
    """Wait until router and report are ready, print the URLs, send rows, sum up."""
    public, private = options.public, options.private
    async with aiohttp.ClientSession() as session:
        # The report is the collector's, which starts beside router and live.
        urls = (f"{public}/readyz", f"{private}/livez")
        if not all([await ready(session, url) for url in urls]):
            print(f"not ready after {READY_S} s: see the output above", flush=True)
            return FAULT
        async with session.get(f"{public}/v1/model") as answer:
            names = [feature["name"] for feature in (await answer.json())["features"]]
        rows = read_rows(options.table, names)
        alerts = await alerts_page(session, options.prometheus)
        print_urls(public, private, rows[0], alerts)
        if options.count:
            seed = options.seed
            print(f"traffic: --seed {seed} sends the same rows again", flush=True)
            drawn = draw_rows(rows, options.count, seed)
            await send(session, public, drawn, Pace(session, private))
    return 0


async def ready(session: aiohttp.ClientSession, url: str) -> bool:
    """Ask until the answer is 200; False when that takes too long."""
    for _ in range(READY_S * 10):
        await asyncio.sleep(0.1)
        try:
            async with session.get(url) as answer:
                if answer.status == 200:
                    return True
        except aiohttp.ClientError:
            continue
    return False


async def alerts_page(session: aiohttp.ClientSession, prometheus: str) -> str:
    """Return where Prometheus shows alerts, an empty string where it does not run."""
    if not prometheus or not await ready(session, f"{prometheus}/-/ready"):
        return ""
    for path in ALERTS:
        async with session.get(f"{prometheus}{path}") as answer:
            if answer.status == 200:
                return f"{prometheus}{path}"
    return prometheus


def read_rows(table: Path, names: list[str]) -> list[Row]:
    """Return the measurements of a table; its other columns are left out."""
    with table.open(newline="") as file:
        return [{n: float(row[n]) for n in names} for row in csv.DictReader(file)]


def draw_rows(rows: list[Row], count: int, seed: int) -> list[Row]:
    """Return rows of the table, half of them moved a little; the same for a seed."""
    generator = random.Random(seed)
    ranges = {
        name: (min(r[name] for r in rows), max(r[name] for r in rows))
        for name in rows[0]
    }

    def moved(row: Row) -> Row:
        return {
            name: round(value + generator.gauss(0, SPREAD * (high - low)), 3)
            for (name, value), (low, high) in zip(
                row.items(), ranges.values(), strict=True
            )
        }

    drawn = generator.choices(rows, k=count)
    return [moved(row) if generator.random() < MOVED else row for row in drawn]


def print_urls(public: str, private: str, row: Row, alerts: str) -> None:
    """Print where things are, links for a browser, and one curl that works."""
    body = json.dumps({"inputs": [row]})
    line = f"  alerts   {alerts}\n" if alerts else ""
    print(
        f"\nready\n  page     {public}/\n  docs     {public}/docs\n"
        f"  report   {private}/\n{line}\n"
        f"  curl -s {public}/v1/predict -H 'Content-Type: application/json' "
        f"-d '{body}'\n",
        flush=True,
    )


class Pace:
    """
    Lets requests go as the collector follows, so that none of them is left out.

    Parameters
    ----------
    session : aiohttp.ClientSession
    private : str
        URL of the private port, whose metrics say how many requests have no fate yet.
    """

    def __init__(self, session: aiohttp.ClientSession, private: str) -> None:
        self._session = session
        self._url = f"{private}/metrics"
        self._sent = self._allowed = 0
        self._has_changed = asyncio.Condition()
        #: Without a fate, and left out of the comparison, as they were last.
        self.open = self.lost = 0

    async def wait(self) -> None:
        """Return when one more request may go."""
        async with self._has_changed:
            await self._has_changed.wait_for(lambda: self._sent < self._allowed)
            self._sent += 1

    async def follow(self) -> None:
        """Ask again and again how far the collector is."""
        while True:
            sent = self._sent
            await self.ask()
            async with self._has_changed:
                # What was sent meanwhile may be counted among the open, or not yet.
                self._allowed = max(self._allowed, sent + AHEAD - self.open)
                self._has_changed.notify_all()
            await asyncio.sleep(ASK_S)

    async def ask(self) -> None:
        """Ask once; what the collector does not tell stays as it was."""
        with contextlib.suppress(aiohttp.ClientError):
            async with self._session.get(self._url) as answer:
                page = await answer.text()
                fates = {name: int(float(n)) for name, n in FATE.findall(page)}
                received = RECEIVED.search(page)
            if received is not None:
                self.open = int(float(received[1])) - sum(fates.values())
                self.lost = sum(fates[name] for name in fates if LOST.match(name))


async def send(
    session: aiohttp.ClientSession, public: str, rows: list[Row], pace: Pace
) -> None:
    """Send one row a request over a few connections; print what came back."""
    console = Console()
    statuses: Counter[int] = Counter()
    waiting = iter(rows)
    with Progress(console=console, disable=not console.is_terminal) as bar:
        task = bar.add_task("sending", total=len(rows))

        async def connection() -> None:
            for row in waiting:
                await pace.wait()
                document = {"inputs": [row]}
                url = f"{public}/v1/predict"
                async with session.post(url, json=document) as answer:
                    await answer.read()
                statuses[answer.status] += 1
                bar.advance(task)

        await pace.ask()
        before = pace.lost
        following = asyncio.create_task(pace.follow())
        start = time.perf_counter()
        await asyncio.gather(*(connection() for _ in range(CONNECTIONS)))
        took_s = time.perf_counter() - start
        following.cancel()
    await pace.ask()
    while pace.open:
        await asyncio.sleep(ASK_S)
        await pace.ask()
    for status, times in sorted(statuses.items()):
        print(f"traffic: {times:,} of {len(rows):,} answered {status}", flush=True)
    print(f"traffic: {pace.lost - before:,} left out of the comparison", flush=True)
    print(f"traffic: {len(rows) / took_s:,.0f} requests a second", flush=True)


def read_arguments() -> argparse.Namespace:
    """Return what `services` asks for."""
    parser = argparse.ArgumentParser()
    parser.add_argument("public")
    parser.add_argument("private")
    parser.add_argument("table", type=Path)
    parser.add_argument("--prometheus", default="")
    parser.add_argument("--count", type=int, default=0)
    parser.add_argument("--seed", type=int, default=0)
    return parser.parse_args()


async def main_until_stopped(options: argparse.Namespace) -> int:
    """Return as `main` does, or 0 when told to stop."""
    task = asyncio.current_task()
    assert task is not None
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)
    try:
        return await main(options)
    except (asyncio.CancelledError, aiohttp.ClientError):
        # Stopped, or the system was: its own output says which.
        return 0


def run() -> int:
    """Run until told to stop; Ctrl-C tells it, too."""
    with contextlib.suppress(KeyboardInterrupt):
        return asyncio.run(main_until_stopped(read_arguments()))
    return 0


if __name__ == "__main__":
    sys.exit(exit_code("traffic", run, {}))
