"""The indexer: takes documents from a list in Redis, cuts them up and embeds the pieces."""

from __future__ import annotations

import json
import signal
from typing import Any, Final

import redis
from opentelemetry.trace import SpanKind

from examples.corpus.program.models import Models
from examples.corpus.program.steps import carried, tracer
from examples.corpus.program.surroundings import DONE, QUEUE, read_surroundings
from examples.corpus.program.telemetry import start_telemetry

PIECE_CHARS: Final = 400


def index(models: Models, ticket: str, text: str) -> None:
    """Embed a document piece by piece."""
    pieces = [text[at : at + PIECE_CHARS] for at in range(0, len(text), PIECE_CHARS)]
    about = {"messaging.system": "redis", "messaging.destination.name": QUEUE}
    with tracer.start_as_current_span("index document", kind=SpanKind.CONSUMER, attributes=about):
        title = models.chat(f"{ticket}.index", f"Title for: {pieces[0]}")
        for piece in pieces:
            models.embed(f"{ticket}.index", f"{title} {piece}")


def main() -> None:
    """Take jobs until told to stop."""
    around = read_surroundings()
    start_telemetry("indexer", around)
    models = Models(around)
    jobs = redis.Redis.from_url(around.redis_url, socket_timeout=30)
    running = True

    def stop(*_: object) -> None:
        nonlocal running
        running = False

    signal.signal(signal.SIGTERM, stop)
    while running:
        found: Any = jobs.brpop([QUEUE], timeout=1)
        if found is None:
            continue
        job = json.loads(found[1])
        with carried(job.get("carrier", {})):
            index(models, job["ticket"], job["text"])
        jobs.rpush(DONE, job["ticket"])


if __name__ == "__main__":
    main()
