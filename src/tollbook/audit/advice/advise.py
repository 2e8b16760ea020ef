"""The advice that fits a finding: by its rule or mode, and by the framework that was recognised."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from msgspec.structs import replace

from tollbook.audit.advice import (
    agents,
    counting,
    criteria,
    gateway,
    http,
    jobs,
    owners,
    prices,
    privacy,
    queues,
    retrieval,
    streaming,
    telemetry,
)
from tollbook.audit.criteria import BY_NAME
from tollbook.audit.findings import Mode
from tollbook.audit.rules.frameworks import CLIENTS, WEB

if TYPE_CHECKING:
    from tollbook.audit.advice.making import Book
    from tollbook.audit.findings import Advice, Finding
    from tollbook.audit.report import Audit

_MODULES: Final = (
    agents, counting, criteria, gateway, http, jobs, owners, prices, privacy, queues, retrieval,
    streaming, telemetry,
)  # fmt: skip
BOOK: Final[Book] = {key: one for module in _MODULES for key, one in module.ADVICE.items()}

FAMILIES: Final = {
    "starlette": "fastapi",
    "asgi": "fastapi",
    "urllib3": "requests",
    "urllib": "requests",
    "undici": "vercel-ai",
    "istio": "envoy",
    "kombu": "celery",
    "httpx2": "httpx",
    "langgraph": "langchain",
    "llama-index": "llamaindex",
    "llama_index": "llamaindex",
    "aiokafka": "kafka",
    "confluent-kafka": "kafka",
    "kafka-python": "kafka",
    "logfire": "pydantic-ai",
    "pydantic_ai": "pydantic-ai",
    "ai-sdk": "vercel-ai",
    "express": "vercel-ai",
    "node": "vercel-ai",
    "aws-bedrock": "bedrock",
    "boto3": "bedrock",
    "azure-openai": "azure",
    "threading": "thread",
    "asyncio": "thread",
    "concurrent.futures": "thread",
}
"""Frameworks whose advice is that of another one."""


STREAM_OWNER: Final = "streaming-owner"
"""Streams that lost their owner: another matter than streams that lost their usage."""
_SAYS_LITTLE: Final = frozenset((*CLIENTS, *WEB)) - {"vercel-ai"}
"""Frameworks that say less of where identity was lost than the crossing does."""


def advise(finding: Finding) -> Advice | None:
    """Return the smallest change that mends a finding.

    What is known of the rule goes before what is known of the mode. The framework goes before the
    crossing (``queue``, ``thread``), unless it is only the client that made the call, or the server
    whose request it was; both go before what holds for all.
    """
    framework = FAMILIES.get(finding.framework, finding.framework)
    crossing = finding.hop.crossing if finding.hop is not None else ""
    places = [framework, crossing]
    if crossing == "hole" or (
        framework in _SAYS_LITTLE and finding.mode is not Mode.HEADER_STRIPPING
    ):
        places.reverse()
    subjects = [finding.rule, _subject(finding)]
    if finding.mode is Mode.RETRIES:
        subjects.reverse()  # A07 is of another mode mostly, and its advice is that one's
    for place in (*filter(None, places), ""):
        for subject in subjects:
            found = BOOK.get((subject, place))
            if found is not None:
                return found
    return None


def _subject(finding: Finding) -> str:
    if finding.mode is Mode.STREAMING and (finding.is_cause or finding.rule in {"A01", "A02"}):
        return STREAM_OWNER
    return finding.mode.value


def with_advice(audit: Audit) -> Audit:
    """Return the audit with advice for each finding and each criterion that dollars lack.

    What was advised before stays.
    """
    findings = tuple(
        one if one.fix is not None else replace(one, fix=advise(one)) for one in audit.findings
    )
    told = audit.defensibility
    at_risk = tuple(
        replace(one, fix=BOOK[one.cause, ""]) if one.fix is None and one.cause in BY_NAME else one
        for one in told.at_risk
    )
    return replace(audit, findings=findings, defensibility=replace(told, at_risk=at_risk))
