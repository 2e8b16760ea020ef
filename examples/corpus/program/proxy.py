"""A proxy that forwards only the headers it knows, as many proxies do."""

from __future__ import annotations

from typing import Any

import httpx
from fastapi import FastAPI, Request, Response

from examples.corpus.program.surroundings import read_surroundings

around = read_surroundings()
known = {"content-type", "accept"}
if around.has("stripped-baggage"):
    known |= {"traceparent", "tracestate"}  # but not the header that it has never heard of

app = FastAPI()
upstream = httpx.AsyncClient(base_url=around.agent_url, timeout=60)


@app.post("/{path:path}")
async def forward(path: str, request: Request) -> Any:
    """Pass a request on, without what is not known."""
    headers = {name: request.headers[name] for name in known if name in request.headers}
    answer = await upstream.post(f"/{path}", content=await request.body(), headers=headers)
    return Response(answer.content, answer.status_code, media_type="application/json")
