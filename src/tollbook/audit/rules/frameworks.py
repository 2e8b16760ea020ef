"""Which framework wrote a span, so that advice can be in its words.

Recognised by the name of the instrumentation scope, its parts compared whole, and by what is
written into spans; the names are those that the advice knows.
"""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from tollbook.audit.facts import SpanFact

JOBS: Final = (
    "celery", "dramatiq", "rq", "arq", "taskiq", "apscheduler", "huey", "airflow", "temporal",
    "prefect", "kafka", "pika", "kombu", "sqs", "pubsub", "nats",
)  # fmt: skip
AGENTS: Final = (
    "langgraph", "langchain", "llamaindex", "crewai", "openai-agents", "pydantic-ai", "autogen",
    "google-adk", "haystack", "dspy", "smolagents", "agno", "strands", "mcp", "semantic-kernel",
)  # fmt: skip
WEB: Final = (
    "fastapi", "django", "flask", "starlette", "asgi", "wsgi", "aiohttp", "tornado", "express",
    "grpc", "requests", "httpx", "urllib3", "urllib", "undici", "http",
)  # fmt: skip
GATEWAYS: Final = ("litellm-proxy", "litellm", "portkey", "helicone", "envoy", "kong", "nginx",
                   "traefik", "istio")  # fmt: skip
CLIENTS: Final = (
    "vercel-ai", "openai", "anthropic", "bedrock", "google-genai", "vertexai", "cohere", "mistral",
    "groq", "ollama", "together", "langfuse", "logfire", "openlit",
)  # fmt: skip
_ALIASES: Final = {
    "openai_agents": "openai-agents", "agents": "openai-agents", "pydantic_ai": "pydantic-ai",
    "llama_index": "llamaindex", "llama-index": "llamaindex", "botocore": "bedrock",
    "boto3sqs": "sqs", "confluent_kafka": "kafka", "confluent": "kafka", "kafka_python": "kafka",
    "aiokafka": "kafka", "google_genai": "google-genai", "google_generativeai": "google-genai",
    "mistralai": "mistral", "google_adk": "google-adk", "adk": "google-adk",
    "semantic_kernel": "semantic-kernel", "autogen_agentchat": "autogen",
    "remoulade": "dramatiq", "openai_v2": "openai", "openai-v2": "openai", "aio_pika": "pika",
    "aiopika": "pika", "litellm": "litellm-proxy", "ai": "vercel-ai",
    "aiohttp_client": "aiohttp", "aiohttp_server": "aiohttp", "ingress": "nginx",
}  # fmt: skip
_ALL: Final = frozenset((*JOBS, *AGENTS, *WEB, *GATEWAYS, *CLIENTS))
_SEPARATORS: Final = str.maketrans("./:@", "    ")


@lru_cache(maxsize=4096)
def framework_of_scope(scope: str) -> str:
    """Return the framework that an instrumentation is for, empty where it is none of these."""
    found = ""
    for part in scope.lower().translate(_SEPARATORS).split():
        for word in (part, part.replace("instrumentation-", ""), *part.split("-")):
            name = _ALIASES.get(word, word) if word != "ai" or part == "ai" else ""
            if name in _ALL and name != "http":
                found = name
                break
    if not found and "http" in scope.lower():
        return "http"
    return found


def recognise(*spans: SpanFact | None, among: tuple[str, ...] = ()) -> str:
    """Return the framework of the first of some spans that tells one; empty where none does.

    Args:
        spans: the more telling first.
        among: only these count, where any are given.
    """
    for span in spans:
        if span is None:
            continue
        for name in (span.messaging or "", framework_of_scope(span.scope)):
            if name and name != "queue" and (not among or name in among):
                return name
    return ""


def is_job(span: SpanFact) -> bool:
    """Whether a span is work that was taken from a queue, or that a scheduler began."""
    consumer, producer = 5, 4
    if span.kind == consumer:
        return True
    if span.kind == producer or span.messaging is None:
        return False
    return span.kind != 3 or span.parent_span_id is None  # noqa: PLR2004 -- a client span publishes
