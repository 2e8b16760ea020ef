"""A proxy that forwards only the headers it knows: the second fault, as many proxies have it."""

from __future__ import annotations

import os
from typing import Final

import httpx
from fastapi import FastAPI, Request, Response

KNOWN: Final = ("content-type", "accept")

app = FastAPI()
upstream = httpx.AsyncClient(base_url=os.environ["PROXIED_URL"], timeout=60)


@app.post("/{path:path}")
async def forward(path: str, request: Request) -> Response:
    """Pass a request on, without what is not known."""
    headers = {name: request.headers[name] for name in KNOWN if name in request.headers}
    answer = await upstream.post(f"/{path}", content=await request.body(), headers=headers)
    return Response(answer.content, answer.status_code, media_type="application/json")
