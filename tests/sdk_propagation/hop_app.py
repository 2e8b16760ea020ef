"""A product of a web, a Celery worker and a service, that says who it works for at the far end."""

from __future__ import annotations

import os
from typing import Any, Final

import httpx
import requests
import uvicorn
from celery import Celery
from fastapi import FastAPI, Request

import tollbook
from tollbook.sdk.middleware.fastapi import TollbookMiddleware
from tollbook.sdk.propagation.celery import instrument as instrument_celery
from tollbook.sdk.propagation.httpx import instrument as instrument_httpx
from tollbook.sdk.propagation.requests import instrument as instrument_requests

USERS: Final = {f"Bearer {n}": f"tenant-{n}" for n in range(10)}

worker = Celery("hops", broker=os.environ["HOPS_REDIS"], backend=os.environ["HOPS_REDIS"])
worker.conf.update(broker_connection_retry_on_startup=True)
instrument_celery(worker)

web = FastAPI()
web.add_middleware(
    TollbookMiddleware, tenant_of=lambda request: USERS.get(request.headers.get("authorization"))
)

service = FastAPI()
service.add_middleware(TollbookMiddleware, trust_inbound=True)

leaf = FastAPI()
leaf.add_middleware(TollbookMiddleware, trust_inbound=True)


@web.post("/jobs")
async def enqueue() -> dict[str, Any]:
    """Enqueue a job, and ask the service too."""
    with tollbook.agent_run("run-1"):
        job = work.delay()
        async with instrument_httpx(httpx.AsyncClient(base_url=os.environ["HOPS_SERVICE"])) as one:
            direct = (await one.get("/ask")).json()
    return {"job": job.id, "direct": direct}


@worker.task(name="work")  # type: ignore[untyped-decorator]  # a library without types
def work() -> Any:
    """Ask the service from the worker."""
    with instrument_requests(requests.Session()) as session:
        return session.get(f"{os.environ['HOPS_SERVICE']}/ask", timeout=20).json()


@service.get("/ask")
async def ask() -> Any:
    """Ask the service behind this one."""
    async with instrument_httpx(httpx.AsyncClient(base_url=os.environ["HOPS_LEAF"])) as client:
        return (await client.get("/who")).json()


@leaf.get("/who")
def who(request: Request) -> dict[str, Any]:
    """Say who it works for."""
    known, span = tollbook.current(), tollbook.current_span()
    return {
        "tenant": known.tenant_id, "run": known.agent_run_id, "request": known.request_id,
        "origin": known.request_origin, "trace": span.trace_id if span else None,
    }  # fmt: skip


def serve(name: str, port: int) -> None:
    """Serve one of the applications."""
    app = {"web": web, "service": service, "leaf": leaf}[name]
    uvicorn.run(app, host="127.0.0.1", port=port, log_level="error")
