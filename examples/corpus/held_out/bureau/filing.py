"""What the worker of RQ does: files papers away."""

# mypy: disable-error-code="import-not-found"
from __future__ import annotations

from functools import cache

import redis

from examples.corpus.program.models import Models
from examples.corpus.program.steps import carried, tracer
from examples.corpus.program.surroundings import read_surroundings
from examples.corpus.program.telemetry import start_provider, watch_models


@cache
def _models() -> Models:
    return Models(read_surroundings())


def file_away(ticket: str, carrier: dict[str, str]) -> None:
    """Summarise a paper, and embed it."""
    with carried(carrier), tracer.start_as_current_span("rq file_away"):
        _models().chat(f"{ticket}.job", "Summarise this paper.")
        _models().embed(f"{ticket}.job", "What the paper says.")


def main() -> None:
    """Work until told to stop."""
    from rq import Queue, SimpleWorker  # noqa: PLC0415 -- the portal does not work

    around = read_surroundings()
    start_provider("filing", around)
    watch_models(around)
    store = redis.Redis.from_url(around.redis_url)
    SimpleWorker([Queue("filing", connection=store)], connection=store).work(
        logging_level="WARNING"
    )


if __name__ == "__main__":
    main()
