"""The indexer: takes documents from a list in Redis, cuts them up and embeds the pieces."""

from __future__ import annotations

import json
import signal
from typing import Any, Final

import redis

import tollbook
from examples.product.models import account_for_calls, chat_client
from examples.product.retrieval import EMBEDDING_MODEL
from examples.product.surroundings import DONE, QUEUE, read_surroundings
from tollbook.sdk.propagation import from_payload

PIECE_CHARS: Final = 400
MODEL: Final = "gpt-4.1-mini"


def index(client: Any, ticket: str, text: str) -> int:
    """Embed a document piece by piece; return how many pieces it had."""
    pieces = [text[at : at + PIECE_CHARS] for at in range(0, len(text), PIECE_CHARS)]
    with tollbook.scope(feature="index", origin="system"):
        title = client.chat.completions.create(
            model=MODEL,
            messages=[{"role": "user", "content": f"Title for ticket:{ticket}.index {pieces[0]}"}],
        )
        for piece in pieces:
            client.embeddings.create(
                model=EMBEDDING_MODEL,
                input=f"{title.choices[0].message.content} ticket:{ticket}.index {piece}",
            )
    return len(pieces)


def main() -> None:
    """Take jobs until told to stop."""
    around = read_surroundings()
    account_for_calls("indexer", around)
    client = chat_client(around)
    jobs = redis.Redis.from_url(around.redis_url, socket_timeout=30)
    running = True

    def stop(*_: object) -> None:
        nonlocal running
        running = False

    signal.signal(signal.SIGTERM, stop)
    print("indexer ready", flush=True)
    while running:
        found: Any = jobs.brpop([QUEUE], timeout=1)
        if found is None:
            continue
        job = json.loads(found[1])
        with from_payload(job.get("tollbook", {})):
            index(client, job["ticket"], job["text"])
        jobs.rpush(DONE, job["ticket"])


if __name__ == "__main__":
    main()
