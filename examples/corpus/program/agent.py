"""The agent service: plans, sends out sub-agents that use tools, writes the answer."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any, Final

from fastapi import FastAPI
from opentelemetry import context, trace
from pydantic import BaseModel

from examples.corpus.program.models import Models
from examples.corpus.program.retrieval import Retrieval
from examples.corpus.program.steps import agent_step
from examples.corpus.program.surroundings import read_surroundings
from examples.corpus.program.telemetry import start_telemetry, watch_app

TOPICS: Final = ("contracts", "usage")

around = read_surroundings()
start_telemetry("agent", around)
models = Models(around)
retrieval = Retrieval(models, gathers=around.has("embeddings-retrieval"))
executor = ThreadPoolExecutor(8)

app = FastAPI()
watch_app(app)


class Job(BaseModel):
    """What an agent is asked to do."""

    ticket: str
    task: str


@app.post("/run")
def run(job: Job) -> dict[str, Any]:
    """Do a job: one run, with sub-agents of its own."""
    with agent_step("supervisor", around):
        models.claude(f"{job.ticket}.plan", f"Plan how to do this: {job.task}")
        # A new context with the span alone: whoever writes this forgets the baggage.
        bare = trace.set_span_in_context(trace.get_current_span(), context.Context())
        parts = list(executor.map(lambda topic: _research(job, topic, bare), TOPICS))
        text = models.claude(f"{job.ticket}.write", f"Write it up: {' '.join(parts)}")
    return {"ticket": job.ticket, "text": text, "parts": len(parts)}


def _research(job: Job, topic: str, bare: context.Context) -> str:
    """Be the sub-agent for a topic: looks up, thinks, and checks itself with a sub-agent."""
    token = context.attach(bare) if around.has("agent-baggage") else None
    try:
        with agent_step("researcher", around):
            with agent_step("look up", around, tool=True):
                passages = retrieval.find(f"{job.ticket}.subfind", f"{topic} of {job.task}")
            draft = models.claude(f"{job.ticket}.sub-{topic}", f"Summarise: {passages}")
            return executor.submit(_check, job, draft).result(timeout=60)
    finally:
        if token is not None:
            context.detach(token)


def _check(job: Job, draft: str) -> str:
    with agent_step("checker", around):
        return models.chat(f"{job.ticket}.sub-check", f"Check: {draft}")
