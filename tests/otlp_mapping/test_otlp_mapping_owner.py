"""Whose call it is, in the fields of each tool."""

from __future__ import annotations

import json
from typing import Any

import pytest
from tests.otlp_mapping.kit import RECEIVED_NS, a_chat, a_span, call_of

from tollbook.call import SpanSeen
from tollbook.capture.otlp.mapping import frames_of


@pytest.mark.parametrize(
    ("attributes", "fields"),
    [
        ({"tenant.id": "acme", "user.id": "u-1"}, {"tenant_id": "acme", "user_id": "u-1"}),
        ({"tenant_id": "acme", "feature": "search"}, {"tenant_id": "acme", "feature": "search"}),
        ({"tenant.id": 42}, {"tenant_id": "42"}),
        ({"enduser.id": "u-1"}, {"user_id": "u-1"}),
        ({"agent.run.id": "r-1", "workflow.step": "plan"},
         {"agent_run_id": "r-1", "workflow_step": "plan"}),
        ({"traceloop.association.properties.tenant_id": "acme",
          "traceloop.association.properties.user_id": "u-1"},
         {"tenant_id": "acme", "user_id": "u-1"}),
        ({"traceloop.workflow.name": "answer", "traceloop.entity.name": "plan"},
         {"workflow_id": "answer", "workflow_step": "plan"}),
        ({"metadata": json.dumps({"tenantId": "acme"}), "user.id": "u-1"},
         {"tenant_id": "acme", "user_id": "u-1"}),
        ({"langfuse.trace.metadata.tenant_id": '"acme"', "langfuse.user.id": "u-1"},
         {"tenant_id": "acme", "user_id": "u-1"}),
        ({"langfuse.trace.metadata": json.dumps({"tenant": "acme"})}, {"tenant_id": "acme"}),
        ({"ai.telemetry.metadata.tenantId": "acme", "ai.telemetry.functionId": "summary"},
         {"tenant_id": "acme", "feature": "summary"}),
        ({"litellm.team.id": "t-1", "litellm.end_user.id": "u-1"},
         {"team_id": "t-1", "user_id": "u-1"}),
        ({"metadata.user_api_key_team_id": "t-1", "llm.user": "u-1"},
         {"team_id": "t-1", "user_id": "u-1"}),
        ({"metadata.requester_metadata": json.dumps({"tenant_id": "acme"})}, {"tenant_id": "acme"}),
        ({"gen_ai.user.id": "u-1"}, {"user_id": "u-1"}),
    ],
)  # fmt: skip
def test_owners(attributes: dict[str, Any], fields: dict[str, str]) -> None:
    identity = call_of(a_chat() | attributes).opened.identity
    assert {name: getattr(identity, name) for name in fields} == fields
    assert identity.sources == dict.fromkeys(fields, "span")
    assert identity.problems == ()


@pytest.mark.parametrize(
    ("name", "tag"), [("gen_ai.conversation.id", "conversation_id"), ("session.id", "session_id")]
)
def test_a_conversation_is_no_owner_and_no_run(name: str, tag: str) -> None:
    identity = call_of(a_chat() | {name: "c-1"}).opened.identity
    assert identity.tags == {tag: "c-1"}
    assert identity.sources == {}


def test_the_first_name_wins_and_the_other_is_said() -> None:
    attributes = {"tenant.id": "acme", "traceloop.association.properties.tenant_id": "other"}
    identity = call_of(a_chat() | attributes).opened.identity
    assert identity.tenant_id == "acme"
    assert any("another tenant_id" in one for one in identity.problems)


def test_what_a_resource_says_is_of_its_process() -> None:
    resource = {
        "deployment.environment.name": "staging", "service.name": "shop", "tenant.id": "acme",
    }  # fmt: skip
    identity = call_of(a_chat(), resource=resource).opened.identity
    assert (identity.environment, identity.tenant_id) == ("staging", "acme")
    assert identity.tags == {"service": "shop"}
    identity = call_of(a_chat() | {"tenant.id": "b"}, resource=resource).opened.identity
    assert identity.tenant_id == "b"
    assert identity.problems == ()


def test_keys_of_a_gateway_are_not_taken() -> None:
    attributes = {
        "metadata.user_api_key_hash": "88dc28d0f030c55ed4ab77ed8faf0981",
        "metadata.user_api_key_user_email": "a@example.com", "metadata.applied_guardrails": "[]",
        "metadata": json.dumps({"user_api_key": "sk-1", "ls_provider": "openai", "plan": "gold"}),
    }  # fmt: skip
    identity = call_of(a_chat() | attributes).opened.identity
    assert identity.tags == {"plan": "gold"}


def test_tags_of_langfuse() -> None:
    identity = call_of(
        a_chat() | {"langfuse.trace.tags": ["beta", "tenant:acme", 5]}
    ).opened.identity
    assert identity.tenant_id == "acme"
    assert identity.tags == {"beta": "true"}


def test_what_is_no_id_is_said_and_not_used() -> None:
    identity = call_of(a_chat() | {"tenant.id": '{"a": 1}'}).opened.identity
    assert identity.tenant_id is None
    assert any("tenant.id" in one for one in identity.problems)


def test_spans_that_are_no_calls_tell_owners_too() -> None:
    seen = frames_of(a_span({"tenant.id": "acme"}), RECEIVED_NS)[0]
    assert isinstance(seen, SpanSeen)
    assert seen.identity is not None
    assert seen.identity.tenant_id == "acme"
    seen = frames_of(a_span({}), RECEIVED_NS)[0]
    assert isinstance(seen, SpanSeen)
    assert seen.identity is None


def test_what_was_said_to_a_model_becomes_no_tag() -> None:
    said = "my secret diagnosis"
    attributes = {
        "tenant.id": "acme",
        "traceloop.association.properties.Question": said,
        "metadata": json.dumps({"prompt": said, "messages": said, "plan": "gold"}),
    }
    identity = call_of(a_chat() | attributes).opened.identity

    assert identity.tags == {"plan": "gold"}
    assert identity.tenant_id == "acme"
