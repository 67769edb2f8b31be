"""The private ASGI app: report page, its JSON, metrics and health."""

import asyncio
import dataclasses
import json
import secrets
from collections.abc import Callable
from functools import partial
from pathlib import Path

from loguru import logger

from shadow_router.errors import KeysUnreadable, ShadowRouterError
from shadow_router.findings.bundle import as_json, drift_json
from shadow_router.findings.findings import (
    BLAME_NAME,
    Findings,
    gather,
    parse_query,
    setting_of,
)
from shadow_router.findings.metrics import render_metrics, render_state
from shadow_router.findings.summary import summarise
from shadow_router.hosts import HostGuard
from shadow_router.http.asgi import (
    HOST_NOT_SERVED,
    App,
    Headers,
    Receive,
    Scope,
    Send,
    problem,
    send_body,
    send_head,
)
from shadow_router.http.http_client import Origin, parse_origin
from shadow_router.page.page import (
    ASSETS,
    POLICY,
    asset,
    render_fragment,
    render_page,
)
from shadow_router.private import labels, marks
from shadow_router.private.controls import KEY_NAME, PREFIX, read_keys
from shadow_router.run.switches import Switches
from shadow_router.settings import Settings
from shadow_router.watch.drift_watch import DriftWatch
from shadow_router.watch.hour import Hour

_READY_S = 1.0
#: A page is not kept waiting for a shadow that says nothing.
_LOOK_S = 0.25
_HTML = b"text/html; charset=utf-8"
_JSON = b"application/json"
_METRICS = b"text/plain; version=0.0.4; charset=utf-8"


class PrivateApp:
    """
    ASGI app for people and machines of the house; never public.

    Parameters
    ----------
    settings : Settings
        Says where live is, for the readiness check.
    directory : Path
        The data directory that is reported on.
    has_router : callable
        Returns whether a router process is connected now.
    is_breaker_open : callable
        Returns whether the shadow gets nothing but probes.
    switches : Switches
        Shown in the report; changed by `controls` alone.
    controls : App
        Serves what lies under `/controls/`.
    takes_labels : App
        Serves `/labels` and `/labels/undo`.
    takes_marks : App
        Serves `/known`.
    hour : Hour
        What the last hour was like.
    drift_watch : DriftWatch
        How far its traffic has moved.
    guard : HostGuard or None
        Which hosts are answered for; None for any.
    """

    def __init__(
        self,
        settings: Settings,
        directory: Path,
        has_router: Callable[[], bool],
        is_breaker_open: Callable[[], bool],
        switches: Switches,
        controls: App,
        takes_labels: App,
        takes_marks: App,
        hour: Hour,
        drift_watch: DriftWatch,
        guard: HostGuard | None = None,
    ) -> None:
        self._live = parse_origin(settings.live_url)
        self._shadow = parse_origin(settings.shadow_url)
        self._directory = directory
        self._store_url = settings.store_url
        self._has_router = has_router
        self._settings = settings
        self._is_breaker_open = is_breaker_open
        self._switches = switches
        self._controls = controls
        self._hour = hour
        # Of the answers to be labelled; told to nobody.
        self._order = secrets.token_bytes()
        self._drift_watch = drift_watch
        self._guard = guard
        self._known_fault = ""
        self._takers = {
            **dict.fromkeys((labels.PATH, labels.UNDO_PATH), takes_labels),
            marks.PATH: takes_marks,
        }
        self._views: dict[str, tuple[Callable[[Findings], str], bytes]] = {
            "/": (render_page, _HTML),
            "/fragment": (render_fragment, _HTML),
            "/report.json": (_json, _JSON),
            "/labels/queue": (_queue, _JSON),
        }

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        method, path = scope["method"], scope["path"]
        if self._guard is not None and self._guard.refuses(scope):
            await _send_problem(send, 421, HOST_NOT_SERVED)
            return
        if path in self._takers:
            await self._takers[path](scope, receive, send)
            return
        if path.startswith(PREFIX):
            await self._controls(scope, receive, send)
            return
        if method not in ("GET", "HEAD"):
            await _send_problem(send, 405)
            return
        if path == "/livez":
            await _send(send, b'{"status": "alive"}', _JSON)
        elif path == "/readyz":
            await self._readyz(send)
        elif path in ASSETS:
            await _send(send, asset(path.rpartition("/")[2]).encode(), ASSETS[path])
        elif path == "/metrics":
            await self._show(send, self._metrics, _METRICS)
        elif path in self._views:
            render, kind = self._views[path]
            query = scope["query_string"].decode("latin-1")
            found = partial(self._find, query, await self._is_shadow_away())
            await self._show(send, lambda: render(found()).encode(), kind)
        else:
            await _send_problem(send, 404)

    def _metrics(self) -> bytes:
        state = self._switches.state
        summary = summarise(self._directory, self._store_url)
        pages = summary.accounts.pages
        shed = max((p.shed_ppm for p in pages if p.is_alive), default=0) / 1e6
        is_open = self._is_breaker_open()
        told = render_state(state, is_open, shed, self._has_router())
        return render_metrics(summary) + told

    def _find(self, query: str, is_shadow_away: bool) -> Findings:
        setting = setting_of(self._settings, self._directory / BLAME_NAME)
        keys = self._settings.control_key_file or self._directory / KEY_NAME
        fault = _key_fault(keys)
        setting = dataclasses.replace(
            setting,
            is_shadow_away=is_shadow_away,
            key_place=str(keys),
            key_fault=fault,
            hour=self._hour.spans,
            drift=self._drift_watch.drift,
            order=self._order,
        )
        found = gather(self._directory, setting, parse_query(query))
        if found.summary.known_fault != self._known_fault:
            self._known_fault = found.summary.known_fault
            if self._known_fault:
                logger.warning("known discrepancies: {}", self._known_fault)
        return found

    async def _show(self, send: Send, render: Callable[[], bytes], kind: bytes) -> None:
        try:
            # Reading the store takes milliseconds; the loop has exchanges to serve.
            body = await asyncio.to_thread(render)
        except ShadowRouterError as error:
            logger.error("no report: {}", error)
            await _send_problem(send, 503)
        else:
            await _send(send, body, kind)

    async def _is_shadow_away(self) -> bool:
        # Whoever has stopped calling the shadow has it left alone altogether.
        if self._switches.state.is_killed:
            return False
        return not await _is_reachable(self._shadow, _LOOK_S)

    async def _readyz(self, send: Send) -> None:
        """Say whether clients can be served; the shadow has no part in that."""
        router, live = self._has_router(), await _is_reachable(self._live)
        document = {
            "status": "ready" if router and live else "not ready",
            "router": "connected" if router else "not connected",
            "live": "reachable" if live else "unreachable",
        }
        status = 200 if router and live else 503
        await _send(send, json.dumps(document).encode(), _JSON, status)


async def _is_reachable(origin: Origin, within_s: float = _READY_S) -> bool:
    try:
        async with asyncio.timeout(within_s):
            _, writer = await asyncio.open_connection(origin.host, origin.port)
    except (OSError, TimeoutError):
        return False
    writer.close()
    return True


def _key_fault(path: Path) -> str:
    try:
        read_keys(path)
    except KeysUnreadable as error:
        return str(error)
    return ""


def _json(found: Findings) -> str:
    told = labels.totals_json(found.summary.labels, found.setting.order)
    moved = drift_json(found.setting.drift)
    return json.dumps(as_json(found) | {"labels": told, "drift": moved})


def _queue(found: Findings) -> str:
    told = labels.totals_json(found.summary.labels, found.setting.order)
    return json.dumps({"queue": told["queue"]})


async def _send(send: Send, body: bytes, kind: bytes, status: int = 200) -> None:
    headers: Headers = [
        (b"content-type", kind),
        (b"content-length", b"%d" % len(body)),
        (b"cache-control", b"no-store"),
        (b"content-security-policy", POLICY.encode("ascii")),
        (b"referrer-policy", b"no-referrer"),
        (b"x-content-type-options", b"nosniff"),
    ]
    await send_head(send, status, headers)
    await send_body(send, body)


async def _send_problem(send: Send, status: int, detail: str = "") -> None:
    headers, body = problem(status, detail)
    await send_head(send, status, headers)
    await send_body(send, body)
