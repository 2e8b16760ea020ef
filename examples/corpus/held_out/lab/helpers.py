"""The helpers: a lead that looks things up and sends scouts out."""

# mypy: disable-error-code="import-not-found"
from __future__ import annotations

import asyncio
import sys
import threading
from typing import TYPE_CHECKING

from aiohttp import web
from opentelemetry.instrumentation.aiohttp_server import AioHttpServerInstrumentor

from examples.corpus.program.models import Models
from examples.corpus.program.steps import agent_step, tracer
from examples.corpus.program.surroundings import read_surroundings
from examples.corpus.program.telemetry import start_provider, watch_models

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

around = read_surroundings()
start_provider("helpers", around)
watch_models(around)
AioHttpServerInstrumentor().instrument()
models = Models(around)
lookups: asyncio.Queue[tuple[str, asyncio.Future[None]]] = asyncio.Queue()


async def work(request: web.Request) -> web.Response:
    """Do what was planned."""
    ticket = (await request.json())["ticket"]
    with agent_step("lead", around):
        with tracer.start_as_current_span("search notes"):
            await _look_up(ticket)
        if around.has("agent-recursion"):
            await asyncio.to_thread(_in_threads_of_their_own, ticket)
        else:
            await asyncio.gather(*(asyncio.to_thread(_scout, ticket, one) for one in "ab"))
        await asyncio.to_thread(models.claude, f"{ticket}.summing", "Sum it up.")
    return web.json_response({"ticket": ticket})


def _in_threads_of_their_own(ticket: str) -> None:
    scouts = [threading.Thread(target=_scout, args=(ticket, one)) for one in "ab"]
    for scout in scouts:
        scout.start()
    for scout in scouts:
        scout.join()


def _scout(ticket: str, one: str) -> None:
    with agent_step(f"scout {one}", around):
        models.claude(f"{ticket}.scout", "Scout ahead.")


async def _look_up(ticket: str) -> None:
    if not around.has("embeddings-retrieval"):
        await asyncio.to_thread(models.embed, f"{ticket}.find", "What was asked.")
        return
    found: asyncio.Future[None] = asyncio.get_running_loop().create_future()
    await lookups.put((ticket, found))
    await found


async def _batches() -> None:
    while True:
        ticket, found = await lookups.get()
        await asyncio.to_thread(models.embed, f"{ticket}.find", "What was asked.")
        found.set_result(None)


async def background(_: web.Application) -> AsyncIterator[None]:
    """Look up in batches as long as the helpers are up."""
    task = asyncio.create_task(_batches())
    yield
    task.cancel()


async def healthz(_: web.Request) -> web.Response:
    """Say that it is up."""
    return web.Response(text="up")


def application() -> web.Application:
    """Return the helpers."""
    app = web.Application()
    app.cleanup_ctx.append(background)
    app.add_routes([web.post("/work", work), web.get("/healthz", healthz)])
    return app


if __name__ == "__main__":
    web.run_app(application(), host="127.0.0.1", port=int(sys.argv[1]), print=None)
