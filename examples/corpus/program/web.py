"""The web: knows who is asking, and is the only place that says so."""

# mypy: disable-error-code="import-not-found"
from __future__ import annotations

import asyncio
import json
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any, Final

import httpx
import redis
from fastapi import FastAPI
from fastapi.responses import StreamingResponse
from opentelemetry import baggage, context, trace
from opentelemetry.instrumentation.httpx import HTTPXClientInstrumentor
from pydantic import BaseModel

from examples.corpus.program.models import CHAT, Models
from examples.corpus.program.retrieval import Retrieval
from examples.corpus.program.steps import carrier
from examples.corpus.program.surroundings import QUEUE, read_surroundings
from examples.corpus.program.telemetry import start_telemetry, watch_app
from examples.corpus.program.truth import asked

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

around = read_surroundings()
threads = ThreadPoolExecutor(2)
threads.submit(int).result()  # its first thread is older than every request
start_telemetry("web", around)
models = Models(around)
retrieval = Retrieval(models, gathers=around.has("embeddings-retrieval"))
agents = httpx.AsyncClient(base_url=around.agent_url, timeout=60)
if not around.has("baggage-third-party"):  # which watches all clients
    HTTPXClientInstrumentor().instrument_client(agents)
jobs = redis.Redis.from_url(around.redis_url)

# After the telemetry: what it does to Celery must come first.
from examples.corpus.program.tasks import summarise  # noqa: E402

USERS: Final = {
    "key-ada": ("acme", "ada"), "key-bob": ("acme", "bob"), "key-cleo": ("globex", "cleo"),
    "key-dan": ("initech", "dan"),
}  # fmt: skip


class SignIn:
    """Finds out who asks, and says so to the span and to all that comes of the request."""

    def __init__(self, app: Any) -> None:
        self._app = app

    async def __call__(self, scope: Any, receive: Any, send: Any) -> Any:
        """Serve."""
        headers = dict(scope.get("headers", ()))
        who = USERS.get(headers.get(b"authorization", b"").decode().removeprefix("Bearer "))
        if who is None or around.has("single-key"):
            return await self._app(scope, receive, send)
        here = context.get_current()
        for key, value in zip(("tenant.id", "user.id"), who, strict=True):
            trace.get_current_span().set_attribute(key, value)
            here = baggage.set_baggage(key, value, here)
        token = context.attach(here)
        try:
            return await self._app(scope, receive, send)
        finally:
            context.detach(token)


app = FastAPI()
app.add_middleware(SignIn)
watch_app(app)


class Question(BaseModel):
    """What a user asks, and what the product calls it in its own books."""

    ticket: str
    text: str


@app.post("/ask")
async def ask(question: Question) -> StreamingResponse:
    """Answer a question as a stream."""
    passages = await asyncio.to_thread(retrieval.find, f"{question.ticket}.find", question.text)
    if around.has("streaming"):
        # A thread of a pool that was made at the start knows nothing of this request.
        text = await asyncio.get_running_loop().run_in_executor(
            threads, _whole_answer, question, passages
        )
        return StreamingResponse(iter([text]), media_type="text/plain")
    return StreamingResponse(_answer(question, passages), media_type="text/plain")


async def _answer(question: Question, passages: str) -> AsyncIterator[str]:
    with asked(f"{question.ticket}.stream"):
        chunks = await models.async_openai.chat.completions.create(**_stream(question, passages))
        count = 0
        async for chunk in chunks:
            for choice in chunk.choices:
                yield choice.delta.content or ""
            count += 1
            if count > 1 and around.has("streaming-abandoned"):
                break  # the user has seen enough
        if around.has("streaming-abandoned"):
            await chunks.close()


def _whole_answer(question: Question, passages: str) -> str:
    with asked(f"{question.ticket}.stream"):
        chunks = models.openai.chat.completions.create(**_stream(question, passages))
        return "".join(choice.delta.content or "" for chunk in chunks for choice in chunk.choices)


def _stream(question: Question, passages: str) -> dict[str, Any]:
    return {
        "model": CHAT,
        "messages": [
            {"role": "system", "content": f"Answer from these: {passages}"},
            {"role": "user", "content": question.text},
        ],
        "stream": True,
        "stream_options": models.stream_options(),
        "extra_headers": models.headers(f"{question.ticket}.stream"),
    }


@app.post("/agent")
async def agent(question: Question) -> Any:
    """Have an agent work on it."""
    answer = await agents.post("/run", json={"ticket": question.ticket, "task": question.text})
    answer.raise_for_status()
    return answer.json()


@app.post("/documents")
async def documents(document: Question) -> dict[str, str]:
    """Take a document: summarised and indexed in the background."""
    job = summarise.delay(document.ticket, document.text)
    message: dict[str, Any] = {"ticket": document.ticket, "text": document.text}
    if not around.has("background-jobs"):
        message["carrier"] = carrier()
        if around.has("background-baggage"):
            message["carrier"].pop("baggage", None)
    jobs.lpush(QUEUE, json.dumps(message))
    return {"job": job.id}
