"""The company's own gateway to models: one key for all that come."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from fastapi import FastAPI, Request
from fastapi.responses import StreamingResponse

from examples.corpus.program.models import Models
from examples.corpus.program.surroundings import read_surroundings
from examples.corpus.program.telemetry import start_telemetry, watch_app
from examples.corpus.program.truth import asked

if TYPE_CHECKING:
    from collections.abc import Iterator

around = read_surroundings()
start_telemetry("gateway", around)
models = Models(around, direct=True)

is_blind = around.has("gateway-blind")
app = FastAPI(telemetry={"tracing": not is_blind})  # FastAPI goes on with traces by itself
if not is_blind:
    watch_app(app)


async def _asked(request: Request) -> tuple[str, dict[str, Any]]:
    return request.headers.get("x-ticket", ""), json.loads(await request.body())


@app.post("/v1/chat/completions")
async def chat(request: Request) -> Any:
    """Have OpenAI's model answer, whole or as a stream."""
    ticket, body = await _asked(request)
    more = {"x-sim-request-id": ticket}
    if not body.get("stream"):
        with asked(ticket):
            whole = await models.async_openai.chat.completions.create(**body, extra_headers=more)
        return whole.model_dump(exclude_unset=True)
    with asked(ticket):
        chunks = list(models.openai.chat.completions.create(**body, extra_headers=more))

    def events() -> Iterator[str]:
        for chunk in chunks:
            yield f"data: {chunk.model_dump_json(exclude_unset=True)}\n\n"
        yield "data: [DONE]\n\n"

    return StreamingResponse(events(), media_type="text/event-stream")


@app.post("/v1/embeddings")
async def embeddings(request: Request) -> Any:
    """Embed."""
    ticket, body = await _asked(request)
    more = {"x-sim-request-id": ticket}
    with asked(ticket):
        made = await models.async_openai.embeddings.create(
            model=body["model"], input=body["input"], encoding_format="float", extra_headers=more
        )
    return made.model_dump(exclude_unset=True)


@app.post("/v1/messages")
def messages(body: dict[str, Any], request: Request) -> Any:
    """Have Anthropic's model answer."""
    ticket = request.headers.get("x-ticket", "")
    with asked(ticket):
        message = models.anthropic.messages.create(
            **body, extra_headers={"x-sim-request-id": ticket}
        )
    return message.model_dump(exclude_unset=True)
