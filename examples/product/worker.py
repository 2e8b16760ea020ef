"""The Celery worker: summaries in the background, over Redis."""

from __future__ import annotations

from typing import Final

from celery import Celery
from celery.signals import worker_process_init

import tollbook
from examples.product.models import account_for_calls, chat_client
from examples.product.surroundings import read_surroundings
from tollbook.sdk.propagation.celery import instrument

MODEL: Final = "gpt-4.1-mini"

around = read_surroundings()
app = Celery("product", broker=around.redis_url, backend=around.redis_url)
app.conf.update(task_acks_late=True, broker_connection_retry_on_startup=True)
if not around.has("background-jobs"):
    instrument(app)


@worker_process_init.connect
def _start(**_: object) -> None:
    account_for_calls("worker", around)


@app.task
def summarise(ticket: str, text: str) -> str:
    """Summarise a document."""
    with tollbook.feature("summaries"):
        answer = chat_client(around).chat.completions.create(
            model=MODEL,
            messages=[
                {"role": "system", "content": "Summarise in one sentence."},
                {"role": "user", "content": f"ticket:{ticket}.job {text}"},
            ],
        )
    return answer.choices[0].message.content or ""
