"""The Celery worker: summaries in the background, over Redis."""

# mypy: disable-error-code="untyped-decorator"
from __future__ import annotations

from functools import cache

from celery import Celery
from celery.signals import worker_process_init

from examples.corpus.program.models import Models
from examples.corpus.program.surroundings import read_surroundings
from examples.corpus.program.telemetry import start_telemetry

around = read_surroundings()
app = Celery("product", broker=around.redis_url, backend=around.redis_url)
app.conf.update(broker_connection_retry_on_startup=True)


@cache
def _models() -> Models:
    return Models(around)


@worker_process_init.connect
def _start(**_: object) -> None:
    start_telemetry("worker", around)


@app.task(name="summarise")
def summarise(ticket: str, text: str) -> str:
    """Summarise a document."""
    return _models().chat(f"{ticket}.job", f"Summarise in one sentence: {text}")
