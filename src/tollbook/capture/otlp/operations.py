"""What a span is: a call to a model, a tool, an agent's run, or nothing of ours.

Each instrumentation says so in an attribute of its own; the words of all of them are here.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

from tollbook.call import SpanKind
from tollbook.capture.otlp.spans import text_of
from tollbook.dialects.otel import INVOKE_AGENT

if TYPE_CHECKING:
    from tollbook.capture.otlp.spans import Span


class What(NamedTuple):
    """What a span is."""

    kind: SpanKind
    operation: str
    """Of a call, by our name; what a wrapper is that only sums up its calls."""

    @property
    def is_inference(self) -> bool:
        """Whether it is a call, whatever it tells of usage."""
        return self.kind is SpanKind.MODEL


_CHAT: Final = What(SpanKind.MODEL, "chat")
_TEXT: Final = What(SpanKind.MODEL, "text_completion")
_EMBEDDINGS: Final = What(SpanKind.MODEL, "embeddings")
_RERANK: Final = What(SpanKind.MODEL, "rerank")
_AGENT: Final = What(SpanKind.AGENT, INVOKE_AGENT)
_WORKFLOW: Final = What(SpanKind.WORKFLOW, "invoke_workflow")
_STEP: Final = What(SpanKind.STEP, "step")
_TOOL: Final = What(SpanKind.TOOL, "execute_tool")
_RETRIEVAL: Final = What(SpanKind.RETRIEVAL, "retrieval")
OTHER: Final = What(SpanKind.OTHER, "other")

_OPERATIONS: Final[dict[str, What]] = {
    "chat": _CHAT,
    "completion": _CHAT,  # LiteLLM names its functions
    "acompletion": _CHAT,
    "message": _CHAT,
    "messages": _CHAT,
    "generate_content": What(SpanKind.MODEL, "generate_content"),
    "agenerate_content": What(SpanKind.MODEL, "generate_content"),
    "responses": What(SpanKind.MODEL, "responses"),
    "aresponses": What(SpanKind.MODEL, "responses"),
    "text_completion": _TEXT,
    "atext_completion": _TEXT,
    "embeddings": _EMBEDDINGS,
    "embedding": _EMBEDDINGS,
    "aembedding": _EMBEDDINGS,
    "rerank": _RERANK,
    "arerank": _RERANK,
    "image": What(SpanKind.MODEL, "image"),
    "image_generation": What(SpanKind.MODEL, "image"),
    "aimage_generation": What(SpanKind.MODEL, "image"),
    "audio": What(SpanKind.MODEL, "speech"),
    "speech": What(SpanKind.MODEL, "speech"),
    "aspeech": What(SpanKind.MODEL, "speech"),
    "transcription": What(SpanKind.MODEL, "transcription"),
    "atranscription": What(SpanKind.MODEL, "transcription"),
    "moderation": What(SpanKind.MODEL, "moderation"),
    "invoke_agent": _AGENT,
    "create_agent": _AGENT,
    "agent": _AGENT,
    "invoke_workflow": _WORKFLOW,
    "plan": _STEP,
    "execute_tool": _TOOL,
    "tool": _TOOL,
    "retrieval": _RETRIEVAL,
    "retrieve": _RETRIEVAL,
    "vectordb": _RETRIEVAL,
    "search_memory": _RETRIEVAL,
    # Shows an answer again, which is not paid for twice (GenAI conventions, fetch_response)
    "fetch_response": OTHER,
}
_OPENINFERENCE: Final[dict[str, What]] = {
    "LLM": _CHAT,
    "EMBEDDING": _EMBEDDINGS,
    "RERANKER": _RERANK,
    "AGENT": _AGENT,
    "CHAIN": _STEP,
    "TOOL": _TOOL,
    "RETRIEVER": _RETRIEVAL,
}
_LANGFUSE: Final[dict[str, What]] = {
    "generation": _CHAT,
    "embedding": _EMBEDDINGS,
    "agent": _AGENT,
    "chain": _STEP,
    "span": _STEP,
    "tool": _TOOL,
    "retriever": _RETRIEVAL,
}
_TRACELOOP: Final[dict[str, What]] = {
    "workflow": _WORKFLOW,
    "task": _STEP,
    "agent": _AGENT,
    "tool": _TOOL,
}
_REQUEST_TYPES: Final[dict[str, What]] = {
    "chat": _CHAT,
    "completion": _TEXT,
    "embedding": _EMBEDDINGS,
    "embeddings": _EMBEDDINGS,
    "rerank": _RERANK,
}
_AI_SDK: Final[dict[str, What]] = {
    "doGenerate": _CHAT,
    "doStream": _CHAT,
    "doEmbed": _EMBEDDINGS,
    "doRerank": _RERANK,
}
_AI_SDK_OUTER: Final = ("ai.generate", "ai.stream", "ai.embed", "ai.rerank")


def what_is(span: Span) -> What:
    """Return what a span is, by the first attribute that tells."""
    attributes = span.attributes
    ai_sdk = text_of(attributes, "ai.operationId")
    if ai_sdk is not None:
        return _of_ai_sdk(ai_sdk)
    own = text_of(attributes, "tollbook.operation")
    if own is not None and own not in _RUNS and "tollbook.dialect" in attributes:
        return What(SpanKind.MODEL, own[:64])
    for name, words in _TELLING:
        word = text_of(attributes, name)
        found = words.get(word) if word is not None else None
        if found is not None:
            return found
    return _WORKFLOW if span.kind in _ROOT_KINDS and span.parent_span_id is None else OTHER


_TELLING: Final = (
    ("tollbook.operation", _OPERATIONS),
    ("gen_ai.operation.name", _OPERATIONS),
    ("openinference.span.kind", _OPENINFERENCE),
    ("langfuse.observation.type", _LANGFUSE),
    ("llm.request.type", _REQUEST_TYPES),
    ("traceloop.span.kind", _TRACELOOP),
)
_RUNS: Final = frozenset(word for word, what in _OPERATIONS.items() if not what.is_inference)
_ROOT_KINDS: Final = frozenset({2, 5})
"""Server and consumer: a request or a job that caused what is below it."""


def _of_ai_sdk(operation: str) -> What:
    """Return what ``ai.generateText.doGenerate`` is; the outer spans repeat the usage of these."""
    if operation == "ai.toolCall":
        return _TOOL
    inner = _AI_SDK.get(operation.rpartition(".")[2])
    if inner is not None:
        return inner
    return _AGENT if operation.startswith(_AI_SDK_OUTER) else OTHER
