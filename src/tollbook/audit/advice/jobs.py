"""Advice on work that leaves the request: jobs, threads, processes, schedules."""

from __future__ import annotations

from typing import Final

from tollbook.audit.advice.making import Book, advice
from tollbook.audit.findings import Mode

_JOBS: Final = Mode.BACKGROUND_JOBS.value

_CARRIER: Final = advice(
    "Put the context into the job, and take it out in the worker",
    "A queue carries what is put into its messages and nothing else: the worker starts a trace of "
    "its own, which is nobody's.",
    """
    from opentelemetry import context, propagate


    def publish(enqueue, payload: dict) -> None:
        carrier: dict[str, str] = {}
        propagate.inject(carrier)  # with OTEL_PROPAGATORS=tracecontext,baggage
        enqueue({**payload, "context": carrier})


    def work(job: dict, handle) -> None:
        token = context.attach(propagate.extract(job.pop("context", {})))
        try:
            handle(job)
        finally:
            context.detach(token)
    """,
    page="sdk/context.md",
    tollbook="""
    from tollbook.sdk.propagation import from_payload, to_payload


    def publish(enqueue, payload: dict) -> None:
        enqueue({**payload, "tollbook": to_payload()})


    def work(job: dict, handle) -> None:
        with from_payload(job.pop("tollbook", None)):
            handle(job)
    """,
)

_THREADS: Final = advice(
    "Run the thread's work in a copy of its caller's context",
    "A new thread begins with an empty context; asyncio tasks copy theirs, threads and executors "
    "do not.",
    """
    from concurrent.futures import ThreadPoolExecutor
    from contextvars import copy_context


    def submit(pool: ThreadPoolExecutor, work, *arguments):
        return pool.submit(copy_context().run, work, *arguments)

    # for the whole process: opentelemetry-instrumentation-threading
    # from opentelemetry.instrumentation.threading import ThreadingInstrumentor
    # ThreadingInstrumentor().instrument()
    """,
    page="sdk/threads.md",
    tollbook="""
    import tollbook
    from tollbook.sdk.propagation.threads import PropagatingExecutor

    with PropagatingExecutor(4) as pool, tollbook.tenant("acme"):
        pool.submit(print, "work")
    """,
)

_PROCESS: Final = advice(
    "Hand the context to the other process",
    "Another process inherits the environment and its arguments, and no context.",
    """
    import os
    import subprocess

    from opentelemetry import context, propagate


    def start(command: list[str]) -> subprocess.Popen:
        carrier: dict[str, str] = {}
        propagate.inject(carrier)
        passed = {name.upper(): value for name, value in carrier.items()}
        return subprocess.Popen(command, env={**os.environ, **passed})


    def begin() -> None:  # first thing in the other process
        names = ("traceparent", "tracestate", "baggage")
        found = {name: os.environ[name.upper()] for name in names if name.upper() in os.environ}
        context.attach(propagate.extract(found))
    """,
    page="sdk/threads.md",
    tollbook="""
    import tollbook
    from tollbook.sdk.propagation.threads import PropagatingProcessExecutor


    def main() -> None:
        with PropagatingProcessExecutor(2) as pool, tollbook.tenant("acme"):
            pool.submit(print, "work")
    """,
)

ADVICE: Final[Book] = {
    (_JOBS, ""): _CARRIER,
    (_JOBS, "queue"): _CARRIER,
    (_JOBS, "thread"): _THREADS,
    (_JOBS, "process"): _PROCESS,
    (_JOBS, "start"): advice(
        "Name the tenant where a scheduled job begins",
        "Nobody asked for the work, so no request names anybody: the job has to say whose data it "
        "works on, one tenant at a time.",
        """
        from opentelemetry import baggage, context


        def nightly(tenants: list[str], work) -> None:
            for tenant_id in tenants:
                token = context.attach(baggage.set_baggage("tenant.id", tenant_id))
                try:
                    work(tenant_id)
                finally:
                    context.detach(token)
        """,
        page="sdk/apscheduler.md",
        tollbook="""
        import tollbook


        def nightly(tenants: list[str], work) -> None:
            for tenant_id in tenants:
                with tollbook.tenant(tenant_id), tollbook.origin("scheduled"):
                    work(tenant_id)
        """,
    ),
    (_JOBS, "fastapi"): advice(
        "Take the context into a background task",
        "BackgroundTasks run after the response, when the request's context was left already by "
        "what set it.",
        """
        from contextvars import copy_context

        from fastapi import BackgroundTasks


        def later(tasks: BackgroundTasks, work, *arguments) -> None:
            tasks.add_task(copy_context().run, work, *arguments)
        """,
        page="sdk/fastapi.md",
        tollbook="""
        from fastapi import FastAPI

        from tollbook.sdk.middleware.fastapi import TollbookMiddleware

        app = FastAPI()
        app.add_middleware(TollbookMiddleware)  # carries background tasks
        """,
    ),
    (_JOBS, "apscheduler"): advice(
        "Name the tenant where a scheduled job begins",
        "A scheduler runs jobs in threads of its own and for nobody.",
        """
        from opentelemetry import baggage, context


        def for_tenant(tenant_id: str, work, *arguments):
            token = context.attach(baggage.set_baggage("tenant.id", tenant_id))
            try:
                return work(*arguments)
            finally:
                context.detach(token)

        # scheduler.add_job(for_tenant, "interval", hours=1, args=["acme", report])
        """,
        page="sdk/apscheduler.md",
        tollbook="""
        from apscheduler.schedulers.background import BackgroundScheduler

        from tollbook.sdk.propagation.apscheduler import instrument

        scheduler = instrument(BackgroundScheduler())  # jobs run as whom they were added for
        """,
    ),
}
