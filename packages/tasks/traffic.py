"""
Wait for the system, say where it is, and send it rows from and around its table.
"""

from __future__ import annotations

import asyncio
import csv
import json
import random
import signal
import sys
import time
from collections import Counter
from pathlib import Path

import aiohttp
from rich.console import Console
from rich.progress import Progress

READY_S = 60
CONNECTIONS = 16
# Half of the rows are moved by a tenth of each measurement's range (one standard
# deviation), so that most requests are new to both versions.
MOVED = 0.5
SPREAD = 0.1
SEED = 1936

Row = dict[str, float]


async def main(
    public: str, private: str, table: Path, count: int, prometheus: str = ""
) -> int:
    """Wait until router and report are ready, print the URLs, send rows, sum up."""
    async with aiohttp.ClientSession() as session:
        # The report is the collector's, which starts beside router and live.
        urls = (f"{public}/readyz", f"{private}/livez")
        if not all([await ready(session, url) for url in urls]):
            print(f"not ready after {READY_S} s: see the output above", flush=True)
            return 1
        async with session.get(f"{public}/v1/model") as answer:
            names = [feature["name"] for feature in (await answer.json())["features"]]
        rows = read_rows(table, names)
        print_urls(public, private, rows[0], prometheus)
        if count:
            await send(session, public, draw_rows(rows, count))
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


def read_rows(table: Path, names: list[str]) -> list[Row]:
    """Return the measurements of a table; its other columns are left out."""
    with table.open(newline="") as file:
        return [{n: float(row[n]) for n in names} for row in csv.DictReader(file)]


def draw_rows(rows: list[Row], count: int) -> list[Row]:
    """Return rows of the table, half of them moved a little; the same each time."""
    generator = random.Random(SEED)
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


def print_urls(public: str, private: str, row: Row, prometheus: str) -> None:
    """Print where things are and one curl that works."""
    body = json.dumps({"inputs": [row]})
    alerts = f"  alerts   {prometheus}/alerts\n" if prometheus else ""
    print(
        f"\nready\n  predict  {public}/v1/predict\n  docs     {public}/docs\n"
        f"  report   {private}/\n{alerts}\n"
        f"  curl -s {public}/v1/predict -H 'Content-Type: application/json' "
        f"-d '{body}'\n",
        flush=True,
    )


async def send(session: aiohttp.ClientSession, public: str, rows: list[Row]) -> None:
    """Send one row a request over a few connections; print what came back."""
    console = Console(stderr=True)
    statuses: Counter[int] = Counter()
    waiting = iter(rows)
    with Progress(console=console, disable=not console.is_terminal) as bar:
        task = bar.add_task("sending", total=len(rows))

        async def connection() -> None:
            for row in waiting:
                document = {"inputs": [row]}
                url = f"{public}/v1/predict"
                async with session.post(url, json=document) as answer:
                    await answer.read()
                statuses[answer.status] += 1
                bar.advance(task)

        start = time.perf_counter()
        await asyncio.gather(*(connection() for _ in range(CONNECTIONS)))
        took_s = time.perf_counter() - start
    for status, times in sorted(statuses.items()):
        print(f"traffic: {times:,} of {len(rows):,} answered {status}", flush=True)
    print(f"traffic: {len(rows) / took_s:,.0f} requests a second", flush=True)


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    try:
        url, report, table_path, number, *rest = sys.argv[1:]
        told = main(url, report, Path(table_path), int(number), *rest)
        sys.exit(asyncio.run(told))
    except (KeyboardInterrupt, aiohttp.ClientError):
        # Stopped, or the system was: its own output says which.
        sys.exit(0)
