"""Advice on work that leaves the request: queues, workers, threads, processes, schedules."""

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
    (_JOBS, "celery"): advice(
        "Instrument the publisher and the workers of Celery",
        "Its instrumentation writes the context into a task's headers where it is published, and "
        "takes it out where it runs: one of the two sides does not.",
        """
        from celery.signals import worker_process_init
        from opentelemetry.instrumentation.celery import CeleryInstrumentor

        CeleryInstrumentor().instrument()  # in the publisher


        @worker_process_init.connect(weak=False)
        def trace_worker(*args, **kwargs) -> None:
            CeleryInstrumentor().instrument()  # after the fork
        """,
        page="sdk/celery.md",
        tollbook="""
        from celery import Celery

        from tollbook.sdk.propagation.celery import instrument

        app = Celery("shop")
        instrument(app)  # in the module that publisher and workers import
        """,
    ),
    (_JOBS, "rq"): advice(
        "Put the context into a job's meta",
        "RQ has no headers: the job's meta is what travels.",
        """
        from opentelemetry import context, propagate
        from rq import get_current_job


        def enqueue(queue, work, *arguments):
            carrier: dict[str, str] = {}
            propagate.inject(carrier)
            return queue.enqueue(work, *arguments, meta={"context": carrier})


        def with_context(work):
            def run(*arguments):
                job = get_current_job()
                token = context.attach(propagate.extract(job.meta.get("context", {})))
                try:
                    return work(*arguments)
                finally:
                    context.detach(token)

            return run
        """,
        page="sdk/rq.md",
        tollbook="""
        from tollbook.sdk.propagation.rq import instrument

        instrument()
        # and: rq worker --worker-class tollbook.sdk.propagation.rq_worker.Worker
        """,
    ),
    (_JOBS, "dramatiq"): advice(
        "Add a middleware that carries the context in a message's options",
        "Dramatiq's messages have options, which middlewares write and read.",
        """
        import dramatiq
        from opentelemetry import context, propagate


        class Context(dramatiq.Middleware):
            def __init__(self):
                self.tokens = {}

            def before_enqueue(self, broker, message, delay):
                propagate.inject(message.options.setdefault("context", {}))

            def before_process_message(self, broker, message):
                found = propagate.extract(message.options.get("context", {}))
                self.tokens[message.message_id] = context.attach(found)

            def after_process_message(self, broker, message, *, result=None, exception=None):
                context.detach(self.tokens.pop(message.message_id))


        dramatiq.get_broker().add_middleware(Context())
        """,
        page="sdk/dramatiq.md",
        tollbook="""
        import dramatiq

        from tollbook.sdk.propagation.dramatiq import instrument

        instrument(dramatiq.get_broker())
        """,
    ),
    (_JOBS, "arq"): advice(
        "Hand the context to the job as an argument",
        "arq's jobs have no headers: what is not an argument does not reach the worker.",
        """
        from opentelemetry import context, propagate


        async def enqueue(pool, name: str, *arguments):
            carrier: dict[str, str] = {}
            propagate.inject(carrier)
            await pool.enqueue_job(name, *arguments, carrier=carrier)


        async def index(ctx, document, *, carrier: dict[str, str]):
            token = context.attach(propagate.extract(carrier))
            try:
                return document
            finally:
                context.detach(token)
        """,
        page="sdk/arq.md",
        tollbook="""
        from tollbook.sdk.propagation.arq import serializer, worker_settings

        # the publisher: arq.create_pool(..., job_serializer=serializer())


        class WorkerSettings:
            functions: list = []
            vars().update(worker_settings())
        """,
    ),
    (_JOBS, "kafka"): advice(
        "Write the context into the record's headers, and read it in the consumer",
        "A consumer's loop runs in no context; each record needs its own.",
        """
        from opentelemetry import context, propagate


        def publish(producer, topic: str, value: bytes) -> None:
            carrier: dict[str, str] = {}
            propagate.inject(carrier)
            headers = [(name, text.encode()) for name, text in carrier.items()]
            producer.send(topic, value, headers=headers)


        def consume(record, handle) -> None:
            carrier = {name: value.decode() for name, value in record.headers}
            token = context.attach(propagate.extract(carrier))
            try:
                handle(record)
            finally:
                context.detach(token)
        """,
        page="sdk/kafka.md",
        tollbook="""
        from tollbook.sdk.propagation.kafka import consume, with_headers


        def publish(producer, topic: str, value: bytes) -> None:
            producer.send(topic, value, headers=with_headers([]))


        def work(record, handle) -> None:
            with consume(record):
                handle(record)
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
