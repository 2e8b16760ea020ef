"""Finding passages: an embedding of the question, then a rerank of what is near."""

from __future__ import annotations

import queue
import threading
from concurrent.futures import Future
from typing import TYPE_CHECKING, Final

import tollbook

if TYPE_CHECKING:
    import cohere
    import openai

EMBEDDING_MODEL: Final = "text-embedding-3-small"
RERANK_MODEL: Final = "rerank-v3.5"
PASSAGES: Final = (
    "Invoices are issued on the first working day of each month.",
    "Refunds reach the card that was charged within five working days.",
    "A workspace can be moved to another region by its owner.",
    "Seats that are added within a month are billed for the days that are left.",
)


class Retrieval:
    """Finds passages for questions.

    Args:
        embeddings: the client that embeds.
        reranker: the client that reranks.
        gathers: embed in a thread that gathers questions into batches. It is a thread of the
            process and not of a request, so nobody's identity is in it: the sixth fault.
    """

    def __init__(
        self, embeddings: openai.OpenAI, reranker: cohere.ClientV2, *, gathers: bool
    ) -> None:
        self._embeddings, self._reranker = embeddings, reranker
        self._waiting: queue.SimpleQueue[tuple[str, Future[list[str]]]] = queue.SimpleQueue()
        self._gathers = gathers
        if gathers:
            threading.Thread(target=self._serve, name="embedding batches", daemon=True).start()

    def find(self, question: str) -> list[str]:
        """Return the passages that answer a question best."""
        with tollbook.feature("retrieval"):
            if not self._gathers:
                return self._look_up(question)
            found: Future[list[str]] = Future()
            self._waiting.put((question, found))
            return found.result(timeout=60)

    def _look_up(self, question: str) -> list[str]:
        self._embeddings.embeddings.create(model=EMBEDDING_MODEL, input=question)
        best = self._reranker.rerank(
            model=RERANK_MODEL, query=question, documents=list(PASSAGES), top_n=2
        )
        return [PASSAGES[one.index % len(PASSAGES)] for one in best.results]

    def _serve(self) -> None:
        while True:
            question, found = self._waiting.get()
            try:
                found.set_result(self._look_up(question))
            except Exception as error:  # noqa: BLE001 -- belongs to whoever waits for it
                found.set_exception(error)
