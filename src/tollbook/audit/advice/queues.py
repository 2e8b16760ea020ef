"""Advice on the libraries of queues and workers."""

from __future__ import annotations

from typing import Final

from tollbook.audit.advice.making import Book, advice
from tollbook.audit.findings import Mode

_JOBS: Final = Mode.BACKGROUND_JOBS.value

ADVICE: Final[Book] = {
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

        PUBLISHER = {"job_serializer": serializer()}  # arq.create_pool(..., **PUBLISHER)


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
    (_JOBS, "sqs"): advice(
        "Write the context into the message's attributes",
        "SQS hands on attributes only to a receiver that asks for them by name.",
        """
        from opentelemetry import propagate


        def send(sqs, queue_url: str, body: str) -> None:
            carrier: dict[str, str] = {}
            propagate.inject(carrier)
            attributes = {
                name: {"DataType": "String", "StringValue": text} for name, text in carrier.items()
            }
            sqs.send_message(QueueUrl=queue_url, MessageBody=body, MessageAttributes=attributes)


        def receive(sqs, queue_url: str):
            answer = sqs.receive_message(QueueUrl=queue_url, MessageAttributeNames=["All"])
            for message in answer.get("Messages", []):
                told = message.get("MessageAttributes", {})
                carrier = {name: value["StringValue"] for name, value in told.items()}
                yield message, propagate.extract(carrier)  # attach it around the work
        """,
        page="sdk/context.md",
    ),
    (_JOBS, "pika"): advice(
        "Write the context into the message's headers",
        "AMQP messages have headers; a consumer's callback runs in no context.",
        """
        import pika
        from opentelemetry import context, propagate


        def publish(channel, queue: str, body: bytes) -> None:
            headers: dict[str, str] = {}
            propagate.inject(headers)
            properties = pika.BasicProperties(headers=headers)
            channel.basic_publish("", queue, body, properties)


        def consume(handle):
            def callback(channel, method, properties, body):
                token = context.attach(propagate.extract(properties.headers or {}))
                try:
                    handle(body)
                finally:
                    context.detach(token)

            return callback
        """,
        page="sdk/context.md",
    ),
}
