"""
Measure the store: how fast comparisons go in, and how fast a full one answers.

Without options: one-row requests, all of them different, are compared, turned into
evidence and go through the collector's own writer into SQLite and into PostgreSQL; no
network takes part but the one to the server. Engines take turns within a round; the
median round is printed, by the clock and by this process's own time on a core. The
latter says what an idle machine would do.

With `--fill N` a store of N comparisons is made by direct inserts, and the summary is
timed on it. PostgreSQL takes part when `--url` names an empty database.
"""

import argparse
import asyncio
import json
import statistics
import tempfile
import time
from pathlib import Path

import sqlalchemy as sa
from pydantic import SecretStr

from shadow_router.collector.writer import Writer
from shadow_router.compare.comparisons import comparison_of
from shadow_router.findings.summary import summarise
from shadow_router.rules.rules import DEFAULT
from shadow_router.store import Batch, Keep, Store, schema
from shadow_router.store.sql.engine import open_engine
from shadow_router.values import Comparison, Exchange, Fate, Flow, Observation

#: As long as a real one: it takes room in every row.
ROUTER = "1764025200-0123456789ab"
COUNT = 10_000
ROUNDS = 5
SUMMARIES = 5
#: Comparisons given to the writer before the loop has its turn again.
BURST = 50


def answer(version: str, p: float) -> bytes:
    """Return an answer of one row."""
    row = {
        "label": "a" if p > 0.5 else "b",
        "probabilities": {"a": p, "b": 1 - p},
        "out_of_range": [],
    }
    model = {"name": "m", "version": version}
    return json.dumps({"model": model, "predictions": [row]}).encode()


def pair(number: int) -> tuple[Exchange, Observation]:
    """Return a request with live's answer, and the shadow's; every 50th differs."""
    p = number % 97 / 97
    q = min(1.0, p + (0.01 if number % 50 == 0 else 0.0))
    body = b'{"inputs":[{"x":%d,"y":2.5,"z":1.5,"w":0.25}]}' % number
    timing = f"predict;dur={0.4 + number % 30 / 100}"
    headers = {"content-type": "application/json", "server-timing": timing}
    exchange = Exchange(
        request_id=f"{number:032x}",
        at_ns=time.time_ns(),
        method="POST",
        target=b"/v1/predict",
        headers=(),
        request_body=body,
        live_status=200,
        live_headers=headers,
        live_ms=1.0 + number % 50 / 10,
        live_body=answer("1", p),
    )
    latencies = (2.0 + number % 50 / 10, 0.4 + number % 31 / 100)
    return exchange, Observation(
        200, "application/json", "", answer("2", q), *latencies
    )


def made(exchange: Exchange, shadow: Observation) -> Comparison:
    """Return what the collector makes of them."""
    return comparison_of(ROUTER, exchange, shadow, DEFAULT)


class Clocks:
    """Seconds by the clock and on a core since it was made."""

    def __init__(self) -> None:
        self._began = (time.perf_counter(), time.process_time())

    def read(self) -> tuple[float, float]:
        """Return both."""
        clock, core = self._began
        return time.perf_counter() - clock, time.process_time() - core


async def through_writer(
    store: Store, pairs: list[tuple[Exchange, Observation]]
) -> tuple[float, float]:
    """Compare and store all of them as the collector does, and time it."""
    lost: list[int] = []
    flows = {ROUTER: Flow(len(pairs), 0, 0)}
    writer = Writer(store, lambda: flows, lambda _, n: lost.append(n), lambda: ())
    running = asyncio.create_task(writer.run())
    clocks = Clocks()
    for start in range(0, len(pairs), BURST):
        for one in pairs[start : start + BURST]:
            writer.add(made(*one))
        await asyncio.sleep(0)
    await writer.flush()
    times = clocks.read()
    await writer.close()
    await running
    assert not lost, "the writer could not keep up"
    return times


def measure(pairs: list[tuple[Exchange, Observation]], url: SecretStr | None) -> tuple:
    """Return seconds by the clock and on a core, from an empty store."""
    with tempfile.TemporaryDirectory() as directory:
        if url:
            empty(url)
        store = Store(Path(directory), url)
        try:
            return asyncio.run(through_writer(store, pairs))
        finally:
            store.close()


def empty(url: SecretStr) -> None:
    """Drop our tables."""
    engine = open_engine(Path(), url)
    with engine.begin() as connection:
        schema.metadata.drop_all(connection)
    engine.dispose()


def run_writing(urls: dict[str, SecretStr | None]) -> None:
    """Measure and print comparisons a second."""
    pairs = [pair(number) for number in range(COUNT)]
    rounds: dict[str, list[tuple]] = {name: [] for name in urls}
    for _ in range(ROUNDS):
        for name, url in urls.items():
            rounds[name].append(measure(pairs, url))
    for name, times in rounds.items():
        clock, core = (statistics.median(x) for x in zip(*times, strict=True))
        print(
            f"{name:<11} {COUNT / clock:>7,.0f} comparisons/s by the clock, "
            f"{COUNT / core:>7,.0f}/s of a core"
        )


def fill(directory: Path, url: SecretStr | None, count: int) -> None:
    """Make a store of so many comparisons, with sums to match."""
    store = Store(directory, url, Keep(comparisons=count, inputs=2 * count))
    store.note_rules(DEFAULT)
    first = [made(*pair(number)) for number in range(COUNT)]
    for start in range(0, COUNT, 500):
        store.write(Batch(first[start : start + 500]))
    store.close()
    engine = open_engine(directory, url)
    there = COUNT
    while there < count:
        more = min(there, count - there)
        with engine.begin() as connection:
            copy_rows(connection, there, more)
        there += more
    with engine.begin() as connection:
        fill_sums(connection, count - COUNT)
    engine.dispose()


def copy_rows(connection: sa.Connection, there: int, more: int) -> None:
    """Add copies of the first rows, as matches of inputs never seen before."""
    row = schema.comparisons.c
    if connection.dialect.name == "sqlite":
        digest = sa.func.randomblob(16)
    else:
        text = sa.func.md5(sa.cast(sa.func.random(), sa.Text))
        digest = sa.func.decode(text, "hex")
    changed = {"id": row.id + there, "fate": sa.literal("match")}
    changed["input_digest"] = digest
    columns = [changed.get(column.name, column) for column in row]
    copies = sa.select(*columns).where(row.id <= more)
    names = [column.name for column in row]
    connection.execute(sa.insert(schema.comparisons).from_select(names, copies))


def fill_sums(connection: sa.Connection, more: int) -> None:
    """Add what the copies are worth to inputs, counters and pairs."""
    row, pairs, counters = schema.comparisons.c, schema.pairs.c, schema.counters.c
    labels = sa.literal(b"12345678", sa.LargeBinary)
    new = sa.select(row.input_digest, labels).where(row.id > COUNT)
    ordered = new.order_by(row.input_digest)
    inputs = sa.insert(schema.inputs).from_select(["digest", "labels"], ordered)
    connection.execute(inputs)
    same = (pairs.live == "a") & (pairs.shadow == "a")
    more_pairs = sa.update(schema.pairs).where(same).values(n=pairs.n + more)
    connection.execute(more_pairs)
    matches = sa.update(schema.counters).where(counters.fate == Fate.MATCH.value)
    connection.execute(matches.values(n=counters.n + more))


def size_of(directory: Path, url: SecretStr | None) -> int:
    """Return the bytes on the disk."""
    if url is None:
        return sum(path.stat().st_size for path in directory.iterdir())
    engine = open_engine(directory, url)
    with engine.begin() as connection:
        size = sa.func.pg_database_size(sa.func.current_database())
        found = int(connection.scalar(sa.select(size)) or 0)
    engine.dispose()
    return found


def run_summary(urls: dict[str, SecretStr | None], count: int) -> None:
    """Fill stores, and time the summary of each."""
    for name, url in urls.items():
        with tempfile.TemporaryDirectory() as place:
            directory = Path(place)
            if url:
                empty(url)
            began = time.perf_counter()
            fill(directory, url, count)
            filled = time.perf_counter() - began
            times = []
            for _ in range(SUMMARIES):
                clocks = Clocks()
                found = summarise(directory, url)
                times.append(clocks.read()[0])
            assert found.compared == count and len(found.discrepancies) == 50
            size = size_of(directory, url) / 1e6
            print(
                f"{name:<11} {count:,} comparisons, {size:,.0f} MB "
                f"(filled in {filled:,.0f} s): summary {statistics.median(times):.3f} s"
                f", slowest {max(times):.3f} s"
            )


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--fill", type=int, metavar="N", help="time a full store")
    parser.add_argument("--url", help="postgresql+psycopg://…, an empty database")
    options = parser.parse_args()
    urls: dict[str, SecretStr | None] = {"SQLite": None}
    if options.url:
        urls["PostgreSQL"] = SecretStr(options.url)
    if options.fill:
        run_summary(urls, options.fill)
    else:
        run_writing(urls)


if __name__ == "__main__":
    main()
