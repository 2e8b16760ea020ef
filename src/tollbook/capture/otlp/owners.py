"""Whose call a span says that it is: baggage that became attributes, and each tool's own fields."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from msgspec.structs import replace

from tollbook.call import Identity
from tollbook.dialects.otel_raw import json_object
from tollbook.identity.claims import Mechanism
from tollbook.identity.names import BAGGAGE_KEYS, put_mapping
from tollbook.identity.values import ClaimsBuilder
from tollbook.identity.vendors import put_tag_list

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tollbook.capture.otlp.spans import Span

_PREFIXES: Final = (
    "tollbook.identity.",
    "traceloop.association.properties.",
    "langfuse.trace.metadata.",
    "langfuse.observation.metadata.",
    "ai.telemetry.metadata.",
    "litellm.metadata.",
    "metadata.",
)
"""Under which an application names what it likes: a name that means an owner is one."""
_DOCUMENTS: Final = (
    "metadata",
    "langfuse.trace.metadata",
    "langfuse.observation.metadata",
    "metadata.requester_metadata",
    "metadata.spend_logs_metadata",
)
"""The same as JSON text in one attribute (OpenInference, Langfuse, LiteLLM)."""
_FIELDS: Final[dict[str, str]] = {
    "langfuse.user.id": "user_id",
    "gen_ai.user.id": "user_id",
    "gen_ai.request.user": "user_id",
    "llm.user": "user_id",
    "litellm.end_user.id": "user_id",
    "metadata.user_api_key_end_user_id": "user_id",
    "litellm.team.id": "team_id",
    "litellm.team_id": "team_id",
    "metadata.user_api_key_team_id": "team_id",
    "traceloop.workflow.name": "workflow_id",
    "gen_ai.workflow.name": "workflow_id",
    "traceloop.entity.name": "workflow_step",
    "ai.telemetry.functionId": "feature",
    "langfuse.environment": "environment",
}
"""Fields that a tool documents as what they are here."""
_TAGS: Final[dict[str, str]] = {
    "gen_ai.conversation.id": "conversation_id",
    "session.id": "session_id",
    "langfuse.session.id": "session_id",
    "gen_ai.agent.name": "agent_name",
    "gen_ai.prompt.name": "prompt_name",
    "langfuse.observation.prompt.name": "prompt_name",
    "langfuse.trace.name": "trace_name",
}
"""What is worth grouping by and is nobody who pays: a conversation outlives runs and owners."""
_TAG_LISTS: Final = ("langfuse.trace.tags", "tag.tags", "metadata.tags")
_ENVIRONMENT: Final = ("deployment.environment.name", "deployment.environment")
_OWN_KEYS: Final = ("user_api_key", "requester_", "litellm_", "ls_", "lc_")
"""What LiteLLM (keys among it) and LangChain write of themselves beside an application's names."""
_OWN_NAMES: Final = frozenset(
    {"tags", "spend_logs_metadata", "usage_object", "applied_guardrails", "user_agent",
     "cold_storage_object_key", "routing_decision", "finish_reason"}
)  # fmt: skip
_CONTENT_NAMES: Final = frozenset(
    [
        "answer", "completion", "completions", "content", "input", "inputs", "instructions",
        "message", "messages", "output", "outputs", "prompt", "prompts", "query", "question",
        "response", "system_prompt", "text",
    ]
)  # fmt: skip
"""What applications call what was said to a model, which is not kept."""


def owner_of(span: Span) -> Identity | None:
    """Return what a span says of its owner, None if nothing.

    The environment and the service also come from its resource, since they are those of the
    process; an owner that a resource names would be the owner of every call of that process, and
    is taken where the span has none.
    """
    builder = ClaimsBuilder(Mechanism.SPAN)
    attributes = span.attributes
    for name, field in BAGGAGE_KEYS.items():
        _put(builder, attributes, name, field)
    _put_chosen(builder, attributes)
    for name, field in _FIELDS.items():
        if field not in builder.fields:
            _put(builder, attributes, name, field)
    _put_tags(builder, attributes)
    _put_resource(builder, span.resource)
    claims = builder.build()
    if claims is None:
        return None
    sources = dict.fromkeys(claims.fields, Mechanism.SPAN.value)
    known = Identity(tags=claims.tags, sources=sources, problems=claims.problems)
    return replace(known, **claims.fields)


def _put_chosen(builder: ClaimsBuilder, attributes: Mapping[str, Any]) -> None:
    """Take the names that the application itself chose."""
    for name, value in attributes.items():
        for prefix in _PREFIXES:
            if name.startswith(prefix):
                _put_free(builder, name[len(prefix) :], value, name)
                break
    for name in _DOCUMENTS:
        document = json_object(attributes.get(name))
        if document is not None:
            put_mapping(builder, _public(document), name)


def _put_tags(builder: ClaimsBuilder, attributes: Mapping[str, Any]) -> None:
    for name, tag in _TAGS.items():
        value = attributes.get(name)
        if isinstance(value, str) and value and tag not in builder.tags:
            builder.put_tag(tag, value, name)
    for name in _TAG_LISTS:
        value = attributes.get(name)
        if isinstance(value, list):
            put_tag_list(builder, value[:64], name)


def _put_resource(builder: ClaimsBuilder, resource: Mapping[str, Any]) -> None:
    if "environment" not in builder.fields:
        for name in _ENVIRONMENT:
            if name in resource:
                _put(builder, resource, name, "environment")
                break
    for name, field in BAGGAGE_KEYS.items():
        if field not in builder.fields:
            _put(builder, resource, name, field)
    service = resource.get("service.name")
    if isinstance(service, str) and service and not service.startswith("unknown_service"):
        builder.put_tag("service", service, "service.name")


def _put(builder: ClaimsBuilder, attributes: Mapping[str, Any], name: str, field: str) -> None:
    value = attributes.get(name)
    if isinstance(value, str) and value:
        builder.put_field(field, value, name)
    elif isinstance(value, int) and not isinstance(value, bool):
        builder.put_field(field, str(value), name)


def _put_free(builder: ClaimsBuilder, name: str, value: object, where: str) -> None:
    """Take a name that the application chose; what the tool writes of itself is left out."""
    if name.startswith(_OWN_KEYS) or name in _OWN_NAMES or name.lower() in _CONTENT_NAMES:
        return
    if isinstance(value, (str, int)) and value != "":
        put_mapping(builder, {name: _unquoted(value)}, where.removesuffix("." + name))


def _unquoted(value: str | int) -> str | int:
    """Return a text without the quotes of JSON, in which Langfuse sets metadata."""
    if isinstance(value, str) and len(value) > 1 and value[0] == value[-1] == '"':
        return value[1:-1]
    return value


def _public(document: Mapping[str, Any]) -> dict[str, Any]:
    return {
        name: value
        for name, value in document.items()
        if not name.startswith(_OWN_KEYS)
        and name not in _OWN_NAMES
        and name.lower() not in _CONTENT_NAMES
        and value != ""
    }
