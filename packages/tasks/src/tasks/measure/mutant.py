"""
A version that is wrong on purpose: another service with two of its classes exchanged.
"""

from __future__ import annotations

import sys
from typing import Any

import aiohttp
from aiohttp import web

SERVICE = web.AppKey("service", str)
SESSION = web.AppKey("session", aiohttp.ClientSession)


async def answer(request: web.Request) -> web.Response:
    """Ask the service, exchange the first two classes, answer as it did."""
    url = request.app[SERVICE] + request.path_qs
    body, kind = await request.read(), {"Content-Type": request.content_type}
    call = request.app[SESSION].request(request.method, url, data=body, headers=kind)
    async with call as told:
        document = await told.json(content_type=None)
        for prediction in document.get("predictions", ()):
            exchange(prediction)
        return web.json_response(document, status=told.status)


def exchange(prediction: dict[str, Any]) -> None:
    """Let the first two classes take each other's place."""
    table = prediction["probabilities"]
    one, other = list(table)[:2]
    names = {one: other, other: one}
    prediction["label"] = names.get(prediction["label"], prediction["label"])
    table[one], table[other] = table[other], table[one]


async def session(app: web.Application) -> Any:  # Any: an async generator
    """Keep connections to the service for as long as the application lives."""
    async with aiohttp.ClientSession() as made:
        app[SESSION] = made
        yield


def main(service: str, port: int) -> None:
    """Serve until told to stop."""
    app = web.Application()
    app[SERVICE] = service
    app.cleanup_ctx.append(session)
    app.router.add_route("*", "/{path:.*}", answer)
    web.run_app(app, host="127.0.0.1", port=port, print=None)


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
