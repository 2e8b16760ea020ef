"""The agent service: plans, sends out sub-agents that use tools, writes the answer."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any, Final

from fastapi import FastAPI
from pydantic import BaseModel

import tollbook
from examples.product.models import account_for_calls, agent_client, chat_client, rerank_client
from examples.product.retrieval import Retrieval
from examples.product.surroundings import read_surroundings
from tollbook.sdk.middleware.asgi import TollbookMiddleware
from tollbook.sdk.propagation.threads import PropagatingExecutor

MODEL: Final = "claude-sonnet-4-5"
SMALL_MODEL: Final = "gpt-4.1-mini"
TOPICS: Final = ("contracts", "usage")

around = read_surroundings()
account_for_calls("agent", around)
planner, small = agent_client(around), chat_client(around)
retrieval = Retrieval(small, rerank_client(around), gathers=around.has("embeddings-retrieval"))
executor: ThreadPoolExecutor = (
    ThreadPoolExecutor(4) if around.has("agent-recursion") else PropagatingExecutor(4)
)

app = FastAPI()
# Behind the web, which has found out who it is: what it says is believed.
app.add_middleware(TollbookMiddleware, trust_inbound=True)


class Job(BaseModel):
    """What an agent is asked to do."""

    ticket: str
    task: str


@app.post("/run")
def run(job: Job) -> dict[str, Any]:
    """Do a job: one run, with sub-agents of its own."""
    with tollbook.agent_run(f"run-{job.ticket}"):
        with tollbook.step("plan"):
            _think(f"Plan how to do this. ticket:{job.ticket}.plan {job.task}")
        with tollbook.step("research"):
            parts = list(executor.map(lambda topic: _research(job, topic), TOPICS))
        with tollbook.step("write"):
            text = _think(f"Write it up. ticket:{job.ticket}.write {' '.join(parts)}")
    return {"ticket": job.ticket, "text": text, "parts": len(parts)}


def _research(job: Job, topic: str) -> str:
    """Be the sub-agent for a topic: looks up, thinks, and checks itself with a sub-agent."""
    # The tickets of tools end in what they are, so that the providers' record tells them apart.
    with tollbook.step(f"research {topic}"):
        found = retrieval.find(f"{topic} of {job.task} ticket:{job.ticket}.subfind-{topic}")
        passages = [tollbook.retrieved(passage) for passage in found]
        draft = _think(f"Summarise. ticket:{job.ticket}.sub-{topic} {' '.join(passages)}")
        return executor.submit(_check, job, topic, draft).result(timeout=60)


def _check(job: Job, topic: str, draft: str) -> str:
    with tollbook.step(f"check {topic}"):
        answer = small.chat.completions.create(
            model=SMALL_MODEL,
            messages=[{"role": "user", "content": f"Check ticket:{job.ticket}.sub-check {draft}"}],
        )
    return answer.choices[0].message.content or ""


def _think(prompt: str) -> str:
    message = planner.messages.create(
        model=MODEL, max_tokens=300, system="You work for the support team of a product.",
        messages=[{"role": "user", "content": prompt}],
    )  # fmt: skip
    return "".join(block.text for block in message.content if block.type == "text")
