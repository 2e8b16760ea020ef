"""The web: knows who is asking, and is the only place that says so."""

from __future__ import annotations

import asyncio
import json
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any, Final

import httpx
import redis
from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse, StreamingResponse
from pydantic import BaseModel

import tollbook
from examples.product.customers import USERS
from examples.product.models import (
    account_for_calls,
    async_chat_client,
    chat_client,
    rerank_client,
)
from examples.product.retrieval import Retrieval
from examples.product.surroundings import QUEUE, read_surroundings
from examples.product.worker import summarise
from tollbook.sdk.middleware.asgi import TollbookMiddleware
from tollbook.sdk.propagation import to_payload
from tollbook.sdk.propagation.httpx import instrument

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

MODEL: Final = "gpt-4.1"

around = read_surroundings()
account_for_calls("web", around)
streaming, plain = async_chat_client(around), chat_client(around)
retrieval = Retrieval(plain, rerank_client(around), gathers=around.has("embeddings-retrieval"))
agents = instrument(httpx.AsyncClient(base_url=around.agent_url, timeout=60))
jobs = redis.Redis.from_url(around.redis_url)
threads = ThreadPoolExecutor(4)

app = FastAPI()


def who(request: Any) -> dict[str, str] | None:
    """Return whose request it is: what the product's own sign-in says."""
    return USERS.get(request.headers.get("authorization", "").removeprefix("Bearer "))


if not around.has("single-key"):
    app.add_middleware(TollbookMiddleware, tenant_of=who)


class Question(BaseModel):
    """What a user asks, and what the product calls it in its own books."""

    ticket: str
    text: str


@app.middleware("http")
async def signed_in(request: Request, call_next: Any) -> Any:
    """Refuse strangers."""
    if who(request) is None:
        return JSONResponse({"error": "sign in"}, 401)
    return await call_next(request)


@app.post("/ask")
async def ask(question: Question) -> StreamingResponse:
    """Answer a question as a stream."""
    passages = await asyncio.to_thread(
        retrieval.find, f"{question.text} ticket:{question.ticket}.find"
    )
    if around.has("streaming"):
        # A thread of a pool that was made at the start knows nothing of this request.
        text = await asyncio.get_running_loop().run_in_executor(
            threads, _whole_answer, question, passages
        )
        return StreamingResponse(iter([text]), media_type="text/plain")
    return StreamingResponse(_answer(question, passages), media_type="text/plain")


async def _answer(question: Question, passages: list[str]) -> AsyncIterator[str]:
    with_usage = streaming.chat.completions.create(
        model=MODEL, messages=_messages(question, passages), stream=True
    )
    async for chunk in await with_usage:
        for choice in chunk.choices:
            yield choice.delta.content or ""


def _whole_answer(question: Question, passages: list[str]) -> str:
    chunks = plain.chat.completions.create(
        model=MODEL, messages=_messages(question, passages), stream=True
    )
    return "".join(choice.delta.content or "" for chunk in chunks for choice in chunk.choices)


def _messages(question: Question, passages: list[str]) -> Any:
    return [
        {"role": "system", "content": "Answer from the passages."},
        {"role": "user", "content": "\n".join(map(tollbook.retrieved, passages))},
        {"role": "user", "content": f"ticket:{question.ticket}.stream {question.text}"},
    ]


@app.post("/agent")
async def agent(question: Question) -> Any:
    """Have an agent work on it."""
    with tollbook.feature("agent"):
        answer = await agents.post("/run", json={"ticket": question.ticket, "task": question.text})
    answer.raise_for_status()
    return answer.json()


@app.post("/documents")
async def documents(document: Question) -> dict[str, str]:
    """Take a document: summarised and indexed in the background."""
    job = summarise.delay(document.ticket, document.text)
    message = {"ticket": document.ticket, "text": document.text}
    if not around.has("background-jobs"):
        message["tollbook"] = to_payload()  # type: ignore[assignment]
    jobs.lpush(QUEUE, json.dumps(message))
    return {"job": job.id}
