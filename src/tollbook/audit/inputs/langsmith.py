"""LangSmith: runs as its SDK, its API and its bulk export give them.

Fields as in the "Run (span) data format" of LangSmith's documentation. LangChain's usage has the
cache's tokens within the input (``UsageMetadata``), as OpenTelemetry has it. Of the outputs only
the usage, the model and the answer's id are looked at.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from tollbook.audit.inputs.foreign import Fields, flattened, spans_of, told, without_content
from tollbook.audit.inputs.langsmith_answer import answer_of
from tollbook.audit.inputs.usage_words import cost, tokens_at
from tollbook.capture.imports.providers import provider_named_in
from tollbook.capture.otlp.spans import Span

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tollbook.audit.inputs.registry import About, Record
    from tollbook.audit.read import Batch, Trouble

NAME: Final = "langsmith"
_CONTENT: Final = ("inputs", "outputs", "inputs_preview", "outputs_preview", "error", "events",
                   "messages", "serialized", "attachments")  # fmt: skip
_MARKS: Final = frozenset({"dotted_order", "parent_run_id", "parent_run_ids", "session_name",
                           "trace_id", "extra"})  # fmt: skip
_KINDS: Final = {
    "llm": ("gen_ai.operation.name", "chat"),
    "embedding": ("gen_ai.operation.name", "embeddings"),
    "tool": ("gen_ai.operation.name", "execute_tool"),
    "retriever": ("gen_ai.operation.name", "retrieval"),
    "chain": ("openinference.span.kind", "CHAIN"),
    "prompt": ("openinference.span.kind", "CHAIN"),
    "parser": ("openinference.span.kind", "CHAIN"),
}
_CALLS: Final = frozenset({"llm", "embedding"})
_AGENTS: Final = ("AgentExecutor", "LangGraph")
"""Names that LangChain and LangGraph give to the run of an agent unless it is named."""


def sniff(head: bytes, first: object | None) -> bool:
    """Whether the first record is a run."""
    del head
    return isinstance(first, dict) and "run_type" in first and not _MARKS.isdisjoint(first)


def read(records: Iterator[Record | Trouble], about: About) -> Iterator[Batch | Trouble]:
    """Yield the spans of runs; children that a run holds are read too."""

    def take(row: Fields) -> list[Span]:
        spans: list[Span] = []
        waiting = [row]
        while waiting:
            one = waiting.pop()
            without_content(one, about, *_CONTENT)
            spans.append(_span(one, about))
            children = one.values.get("child_runs")
            if isinstance(children, list):
                waiting += [Fields(child) for child in children if isinstance(child, dict)]
        return spans

    return spans_of(records, about, take, has_traces=True)


def _span(row: Fields, about: About) -> Span:
    run_id = row.required(row.id("id", "run_id"), "id") or row.required(None, "id")
    started_ns = row.required(row.time_ns("start_time"), "start_time")
    kind = row.word("run_type").lower()
    name = row.word("name")
    attributes = _metadata(row, about)
    if kind == "chain" and (name in _AGENTS or attributes.get("metadata.ls_agent_type")):
        attributes["gen_ai.operation.name"] = "invoke_agent"
    elif kind in _KINDS:
        word, value = _KINDS[kind]
        attributes[word] = value
    if kind in _CALLS:
        attributes |= _call(row)
    return Span(
        trace_id=row.id("trace_id") or _root_of(row) or run_id,
        span_id=run_id,
        parent_span_id=_parent(row),
        name=name,
        kind=3 if kind in _CALLS else 1,
        started_at_ns=started_ns,
        ended_at_ns=row.time_ns("end_time") or 0,
        attributes=attributes,
        resource=told(service__name=row.word("session_name", "project_name")),
        scope_name="langsmith",
        is_error=row.get("error") is not None or row.word("status") == "error",
    )


def _parent(row: Fields) -> str | None:
    parent = row.id("parent_run_id")
    if parent:
        return parent
    parents = row.items("parent_run_ids")
    if parents and isinstance(parents[-1], str):
        return Fields({"id": parents[-1]}).id("id") or None
    steps = row.word("dotted_order") and str(row.get("dotted_order")).split(".")
    return steps[-2].partition("Z")[2] or None if steps and len(steps) > 1 else None


def _root_of(row: Fields) -> str:
    """Return the trace by the dotted order, which begins with the root's time and id."""
    order = row.get("dotted_order")
    return order.partition(".")[0].partition("Z")[2] if isinstance(order, str) else ""


def _metadata(row: Fields, about: About) -> dict[str, Any]:
    metadata = row.structure("extra.metadata", "metadata")
    attributes = flattened(metadata, about, "metadata.")
    session = next(
        (metadata[name] for name in ("session_id", "thread_id", "conversation_id")
         if isinstance(metadata.get(name), str)),
        None,
    )  # fmt: skip
    return attributes | told(session__id=session)


def _call(row: Fields) -> dict[str, Any]:
    answer = answer_of(row)
    asked = row.text(
        "extra.invocation_params.model", "extra.invocation_params.model_name",
        "extra.metadata.ls_model_name", "metadata.ls_model_name",
    )  # fmt: skip
    name = row.text("extra.metadata.ls_provider", "metadata.ls_provider")
    provider, _ = provider_named_in(name, None, asked or answer.model, None)
    is_stream = any(
        row.flag(path) is True
        for path in ("extra.invocation_params.stream", "extra.invocation_params.streaming")
    ) or row.get("first_token_time") is not None  # fmt: skip
    usage = answer.usage or tokens_at(
        row,
        input=("prompt_tokens",),
        output=("completion_tokens",),
        total=("total_tokens",),
        cache_read=("prompt_token_details.cache_read",),
        cache_write=("prompt_token_details.cache_creation",),
        reasoning=("completion_token_details.reasoning",),
    )
    if not any(usage.values()) and row.get("error") is not None:
        usage = {}  # zeros of a run that failed are not what was used
    return usage | cost(row.usd("total_cost")) | told(
        gen_ai__provider__name=provider,
        gen_ai__request__model=asked,
        gen_ai__response__model=answer.model,
        gen_ai__response__id=answer.id,
        gen_ai__request__stream=is_stream or None,
        openai__response__service_tier=answer.service_tier,
    )  # fmt: skip
