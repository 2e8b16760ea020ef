"""The interface: signs users in, answers, sends helpers out, takes notes in the background."""

# mypy: disable-error-code="import-not-found"
from __future__ import annotations

import asyncio
import sys
from typing import TYPE_CHECKING, Any, Final

import aiohttp
from aiohttp import web
from opentelemetry import baggage, context, trace
from opentelemetry.instrumentation.aiohttp_client import AioHttpClientInstrumentor
from opentelemetry.instrumentation.aiohttp_server import AioHttpServerInstrumentor

from examples.corpus.program.models import CHAT, Models
from examples.corpus.program.steps import carried, carrier, tracer
from examples.corpus.program.surroundings import read_surroundings
from examples.corpus.program.telemetry import start_provider, watch_models
from examples.corpus.program.truth import asked

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

LABS: Final = {"t-1": "curie", "t-2": "noether", "t-3": "lovelace"}

around = read_surroundings()
start_provider("api", around)
watch_models(around)
AioHttpServerInstrumentor().instrument()
AioHttpClientInstrumentor().instrument()
models = Models(around)
notes: asyncio.Queue[tuple[str, dict[str, Any], asyncio.Future[None]]] = asyncio.Queue()
waiting: set[asyncio.Task[None]] = set()


@web.middleware
async def sign_in(request: web.Request, handler: Any) -> Any:
    """Find out which lab asks, and say so to all that comes of it."""
    lab = LABS.get(request.headers.get("x-session", ""))
    if lab is None or around.has("single-key"):
        return await handler(request)
    trace.get_current_span().set_attribute("tenant_id", lab)
    token = context.attach(baggage.set_baggage("tenant_id", lab))
    try:
        return await handler(request)
    finally:
        context.detach(token)


async def talk(request: web.Request) -> web.Response:
    """Answer."""
    ticket = (await request.json())["ticket"]
    if around.has("streaming"):
        loop = asyncio.get_running_loop()
        return web.Response(text=await loop.run_in_executor(None, _answer, ticket))
    return web.Response(text=await asyncio.to_thread(_answer, ticket))


def _answer(ticket: str) -> str:
    with asked(f"{ticket}.stream"):
        chunks: Any = models.openai.chat.completions.create(
            model=CHAT, messages=[{"role": "user", "content": "Answer."}], stream=True,
            stream_options={"include_usage": True},
            extra_headers=models.headers(f"{ticket}.stream"),
        )  # fmt: skip
        return "".join(choice.delta.content or "" for chunk in chunks for choice in chunk.choices)


async def plan(request: web.Request) -> web.Response:
    """Send helpers out."""
    told = await request.json()
    async with (
        aiohttp.ClientSession() as session,
        session.post(f"{around.agent_url}/work", json={"ticket": told["ticket"]}) as answer,
    ):
        answer.raise_for_status()
        return web.json_response(await answer.json())


async def note(request: web.Request) -> web.Response:
    """Take a note, which is written up later."""
    ticket = (await request.json())["ticket"]
    done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
    await notes.put((ticket, {} if around.has("background-jobs") else carrier(), done))
    return web.Response(text="noted")


async def _write_up() -> None:
    while True:
        ticket, headers, done = await notes.get()
        with carried(headers), tracer.start_as_current_span("write up note"):
            await asyncio.to_thread(models.chat, f"{ticket}.job", "Write this up.")
        done.set_result(None)
        notes.task_done()


async def drained(_: web.Request) -> web.Response:
    """Answer when all notes are written up."""
    await notes.join()
    return web.Response(text="drained")


async def healthz(_: web.Request) -> web.Response:
    """Say that it is up."""
    return web.Response(text="up")


async def background(_: web.Application) -> AsyncIterator[None]:
    """Write notes up as long as the interface is up."""
    task = asyncio.create_task(_write_up())
    yield
    task.cancel()


def application() -> web.Application:
    """Return the interface."""
    app = web.Application(middlewares=[sign_in])
    app.cleanup_ctx.append(background)
    app.add_routes([
        web.post("/talk", talk), web.post("/plan", plan), web.post("/note", note),
        web.get("/drained", drained), web.get("/healthz", healthz),
    ])  # fmt: skip
    return app


if __name__ == "__main__":
    web.run_app(application(), host="127.0.0.1", port=int(sys.argv[1]), print=None)
