"""The scorer: looks precedents up, has reviewers read the case, and gives a score."""

# mypy: disable-error-code="import-not-found"
from __future__ import annotations

import contextvars
import sys
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any

from flask import Flask, request
from opentelemetry.instrumentation.flask import FlaskInstrumentor

from examples.corpus.program.models import Models
from examples.corpus.program.retrieval import Retrieval
from examples.corpus.program.steps import agent_step
from examples.corpus.program.surroundings import read_surroundings
from examples.corpus.program.telemetry import start_provider, watch_models

around = read_surroundings()
start_provider("scorer", around)
watch_models(around)
models = Models(around)
precedents = Retrieval(models, gathers=around.has("embeddings-retrieval"))
reviewers = ThreadPoolExecutor(4)
app = Flask("scorer")
FlaskInstrumentor().instrument_app(app)


@app.get("/healthz")
def healthz() -> str:
    """Say that it is up."""
    return "up"


@app.post("/score")
def score() -> Any:
    """Score a case."""
    ticket = request.json["ticket"]
    with agent_step("chair", around):
        precedents.find(f"{ticket}.find", "Cases like this one.")
        waiting = []
        for name in ("strict", "lenient"):
            review = partial(_review, ticket, name)
            if not around.has("agent-recursion"):
                review = partial(contextvars.copy_context().run, review)
            waiting.append(reviewers.submit(review))
        said = [one.result(timeout=60) for one in waiting]
        models.claude(f"{ticket}.verdict", f"Give a score: {said}")
    return {"ticket": ticket}


def _review(ticket: str, name: str) -> str:
    with agent_step(f"{name} reviewer", around):
        return models.chat(f"{ticket}.review", f"Be {name}.")


if __name__ == "__main__":
    app.run("127.0.0.1", int(sys.argv[1]), threaded=True)
