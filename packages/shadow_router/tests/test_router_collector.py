"""The collector: whatever it took comes to a fate, however it arrives."""

import asyncio
import secrets
from functools import partial

from shadow_router.collector.collector import Collector
from shadow_router.collector.shadow_call import ShadowCaller
from shadow_router.http.http_client import HttpClient, parse_origin
from shadow_router.rules.rules import Rules
from shadow_router.run.books import RouterBooks, RunState
from shadow_router.run.directory import socket_path
from shadow_router.run.frames import Intake, encode_exchange
from shadow_router.run.switches import Switches
from shadow_router.settings import Settings
from shadow_router.store import Store
from shadow_router.values import Exchange

EXCHANGE = Exchange("id", 5, "POST", b"/", (), b"{}", 200, {}, 1.5, b"{}")
FRAME = encode_exchange(EXCHANGE)[4:]


class _Unconnected(Intake):
    """An intake whose reading can be paused without a peer."""

    def __init__(self):
        super().__init__(lambda intake: None)

    def pause(self):
        pass

    resume = pause


def test_burst_is_judged_when_it_comes_just_as_the_last_worker_ends(tmp_path):
    async def run():
        settings = Settings(shadow_concurrency=1)
        switches = Switches(tmp_path, 1.0)
        # A copy that is left out is judged without waiting: its worker ends at once.
        switches.kill(True, "test")
        shadow = HttpClient(parse_origin("http://127.0.0.1:9"), 1.0)
        caller, store = ShadowCaller(settings, shadow), Store(tmp_path)
        key = secrets.token_bytes(32)
        collector = Collector(
            *(settings, Rules(), tmp_path, store, caller, switches, key)
        )
        await collector.start(socket_path(tmp_path))
        books = RouterBooks(tmp_path)
        router = await collector._known(books.router_id)
        take = partial(collector._take, router, _Unconnected())
        # Its worker's first turn is its last, and comes before that of the burst.
        take(FRAME)
        asyncio.get_running_loop().call_soon(lambda: [take(FRAME) for _ in range(200)])
        try:
            await asyncio.sleep(0)
            await asyncio.wait_for(collector._wait_idle(router), 5)
        finally:
            await collector.stop(0.1)
            books.close(RunState.SETTLED)
            store.close()

    asyncio.run(run())
