"""What the name of an attribute says of it, so that a span which tells of nothing costs little.

Names repeat from span to span, so each is looked at once; what was found is kept for as many names
as any honest input has.
"""

from __future__ import annotations

from typing import Final

from tollbook.audit.kept.content import is_content
from tollbook.audit.kept.owner_names import rank_of
from tollbook.dialects.otel_names import is_usage

CONTENT: Final = 1
"""What was said to a model or by it, or a text that may quote it."""
OWNER: Final = 2
CALL: Final = 4
"""Of a call to a model, a tool or an agent's run."""
HTTP: Final = 8
RPC: Final = 16
DATABASE: Final = 32
MESSAGING: Final = 64
CARRIED: Final = 128
"""Baggage, and headers or metadata of requests."""
PEER: Final = 256
SAMPLING: Final = 512
SESSION: Final = 1024

_NAME_MAX_CHARS: Final = 256
_CACHED_MAX: Final = 20_000
_CALL_PREFIXES: Final = (
    "gen_ai.", "llm.", "ai.", "openinference.", "langfuse.", "traceloop.span", "traceloop.entity",
    "litellm.", "tollbook.", "embedding.", "reranker.", "metadata.", "hidden_params.", "openai.",
    "anthropic.", "operation.cost", "aws.bedrock", "aws.request_id", "lk.", "crewai.",
)  # fmt: skip
_PEER: Final = frozenset(
    {"server.address", "server.port", "net.peer.name", "net.peer.port", "net.peer.ip",
     "peer.service", "peer.hostname", "network.peer.address", "net.host.name", "net.host.port",
     "out.host", "url.full", "http.url", "http.host", "http.target", "url.path", "host.name",
     "network.destination.name", "peer.address"}
)  # fmt: skip
_CARRIED_PREFIXES: Final = (
    "baggage.", "http.request.header.", "rpc.grpc.request.metadata.", "rpc.request.metadata.",
    "messaging.header.", "messaging.message.header.", "messaging.kafka.header.",
)  # fmt: skip
_SAMPLING: Final = frozenset(
    {"SampleRate", "sampling.rate", "sample_rate", "sampler.param", "sampler.type",
     "sampling.priority", "_sampling_priority_v1", "_dd.rule_psr", "_dd.agent_psr",
     "_dd.limit_psr", "otel.sampling.rate", "sampling.ratio"}
)  # fmt: skip
_SESSIONS: Final = frozenset(
    {"session.id", "gen_ai.conversation.id", "langfuse.session.id", "gen_ai.session.id",
     "traceloop.association.properties.session_id", "ai.telemetry.metadata.sessionId"}
)  # fmt: skip
_JOBS: Final = (
    "messaging.", "celery.", "rq.", "dramatiq.", "arq.", "taskiq.", "huey.", "job.", "faas.cron",
    "temporal", "airflow.", "prefect.", "apscheduler.",
)  # fmt: skip

_known: dict[str, int] = {}


def group_of(name: str) -> int:
    """Return the groups that an attribute is of, as bits; 0 is none."""
    found = _known.get(name)
    if found is None:
        if len(name) > _NAME_MAX_CHARS:
            return 0
        if len(_known) >= _CACHED_MAX:
            _known.clear()
        found = _known[name] = _group(name)
    return found


def _group(name: str) -> int:
    group = 0
    for bit, is_of in _TESTS:
        if is_of(name):
            group |= bit
    return group


_TESTS: Final = (
    (CONTENT, is_content),
    (OWNER, lambda name: rank_of(name) is not None),
    (CALL, lambda name: name.startswith(_CALL_PREFIXES) or is_usage(name)),
    (HTTP, lambda name: name.startswith(("http.", "url."))),
    (RPC, lambda name: name.startswith("rpc.")),
    (DATABASE, lambda name: name.startswith("db.")),
    (MESSAGING, lambda name: name.startswith(_JOBS)),
    (CARRIED, lambda name: name.startswith(_CARRIED_PREFIXES)),
    (PEER, _PEER.__contains__),
    (SAMPLING, _SAMPLING.__contains__),
    (SESSION, _SESSIONS.__contains__),
)
