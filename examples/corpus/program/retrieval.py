"""Finding passages: an embedding, and a reranking where that is seen."""

from __future__ import annotations

import queue
import threading
from concurrent.futures import Future
from typing import TYPE_CHECKING, Final

from examples.corpus.program.steps import tracer

if TYPE_CHECKING:
    from examples.corpus.program.models import Models

PASSAGES: Final = [
    "Invoices are issued on the first working day of each month.",
    "Refunds reach the card that was charged within five working days.",
    "Seats that are added within a month are billed for the days that are left.",
]


class Retrieval:
    """Finds passages for questions.

    Args:
        models: the clients.
        gathers: embed in a thread that gathers questions into batches. It is a thread of the
            process and not of a request, so nobody's identity is in it: a fault.
    """

    def __init__(self, models: Models, *, gathers: bool) -> None:
        self._models = models
        self._waiting: queue.SimpleQueue[tuple[str, str, Future[None]]] = queue.SimpleQueue()
        self._gathers = gathers
        if gathers:
            threading.Thread(target=self._serve, name="embedding batches", daemon=True).start()

    def find(self, ticket: str, question: str) -> str:
        """Return the passages that answer a question best."""
        with tracer.start_as_current_span("retrieve"):
            if self._gathers:
                found: Future[None] = Future()
                self._waiting.put((ticket, question, found))
                found.result(timeout=60)
            else:
                self._look_up(ticket, question)
        return "\n".join(PASSAGES)

    def _look_up(self, ticket: str, question: str) -> None:
        self._models.embed(ticket, question)
        self._models.rerank(ticket, question, PASSAGES)

    def _serve(self) -> None:
        while True:
            ticket, question, found = self._waiting.get()
            try:
                self._look_up(ticket, question)
            except Exception as error:  # noqa: BLE001 -- belongs to whoever waits for it
                found.set_exception(error)
            else:
                found.set_result(None)
