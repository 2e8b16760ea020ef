"""What is kept of a span: owner, call, peer, sampling; and that what was said is not."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.audit_six.span_kit import HERE, START_NS, call, client, facts, server, span

from tollbook.audit.extract import Extractor
from tollbook.audit.facts import SpanFact, decode_fact, encode_fact
from tollbook.audit.kept.hops import label_of
from tollbook.audit.kept.owners import owner_in
from tollbook.audit.kept.usage import usage_of
from tollbook.audit.read import Batch
from tollbook.audit.settings import DEFAULT, AuditSettings
from tollbook.call import Call, Evidence, SpanKind
from tollbook.capture.otlp.mapping import frames_of
from tollbook.capture.otlp.operations import what_is
from tollbook.capture.otlp.providers import KNOWN_HOSTS, provider_of
from tollbook.capture.otlp.spans import Event, Span
from tollbook.dialects.otel import Otel
from tollbook.dialects.otel_names import COUNTS, is_count


def kept(one: Span, how: AuditSettings = DEFAULT) -> SpanFact:
    (fact,) = facts([one], how)
    assert decode_fact(encode_fact(fact)) == fact
    return fact


def said(**attributes: Any) -> SpanFact:
    return kept(span("t", "s", **attributes))


# ---- who


@pytest.mark.parametrize(
    ("attributes", "field", "carrier"),
    [
        ({"tenant.id": "acme"}, "tenant_id", "tenant.id"),
        ({"tollbook.identity.tenant_id": "acme"}, "tenant_id", "tollbook.identity.tenant_id"),
        ({"traceloop.association.properties.tenant_id": "acme"}, "tenant_id", None),
        ({"traceloop.association.properties.customer_id": "acme"}, "tenant_id", None),
        ({"langfuse.trace.metadata.tenant": '"acme"'}, "tenant_id", None),
        ({"metadata": '{"tenant_id": "acme"}'}, "tenant_id", "metadata"),
        ({"ai.telemetry.metadata.tenantId": "acme"}, "tenant_id", None),
        ({"app.tenant.id": "acme"}, "tenant_id", None),
        ({"customer.id": "acme"}, "tenant_id", "customer.id"),
        ({"org_id": "acme"}, "tenant_id", "org_id"),
        ({"litellm.team.id": "acme"}, "team_id", "litellm.team.id"),
        ({"metadata.user_api_key_team_id": "acme"}, "team_id", None),
        ({"gen_ai.user.id": "acme"}, "user_id", "gen_ai.user.id"),
        ({"enduser.id": "acme"}, "user_id", "enduser.id"),
        ({"usr.id": "acme"}, "user_id", "usr.id"),
    ],
)
def test_each_tool_s_name_for_an_owner_is_read(
    attributes: dict[str, Any], field: str, carrier: str | None
) -> None:
    fact = said(**attributes)

    assert fact.owner == {field: "acme"}
    assert fact.carriers == {field: carrier or next(iter(attributes))}


def test_the_setting_goes_before_conventions_and_these_before_habits() -> None:
    attributes: dict[str, Any] = {
        "org_id": "habit", "tenant.id": "convention", "deal": "chosen",
    }  # fmt: skip

    assert said(**attributes).owner["tenant_id"] == "convention"
    chosen = kept(span("t", "s", **attributes), AuditSettings(tenant_attributes=("deal",)))
    assert chosen.owner["tenant_id"] == "chosen"
    assert chosen.carriers["tenant_id"] == "deal"
    assert any("different tenant_id" in one for one in chosen.problems)


def test_a_tenant_of_the_resource_is_the_process_s() -> None:
    fact = kept(span("t", "s", resource={"tenant.id": "acme", "deployment.environment": "prod"}))

    assert fact.owner == {}
    assert fact.process_owner == {"tenant_id": "acme", "environment": "prod"}


def test_what_is_no_id_is_a_problem_and_is_not_repeated() -> None:
    fact = said(**{"tenant.id": '{"secret": 1}'})

    assert fact.owner == {}
    (problem,) = fact.problems
    assert "tenant.id" in problem
    assert "secret" not in problem


@pytest.mark.parametrize(
    ("attributes", "field"),
    [
        ({"baggage.tenant.id": "acme"}, "tenant_id"),
        ({"http.request.header.baggage": ["tenant.id=acme,x=1"]}, "tenant_id"),
        ({"http.request.header.x_tenant_id": ["acme"]}, "tenant_id"),
        ({"http.request.header.x-tenant-id": "acme"}, "tenant_id"),
        ({"http.request.header.x-tollbook-tenant": ["acme"]}, "tenant_id"),
        ({"http.request.header.helicone-property-tenant": ["acme"]}, "tenant_id"),
        ({"rpc.grpc.request.metadata.x-user-id": ["acme"]}, "user_id"),
    ],
)
def test_baggage_and_headers_are_seen_and_are_no_owner(
    attributes: dict[str, Any], field: str
) -> None:
    arrived = kept(server("t", "s", **attributes))
    sent = kept(client("t", "s", url="http://x/y", **attributes))

    assert (arrived.owner, arrived.baggage, arrived.sent) == ({}, {field: "acme"}, {})
    assert list(sent.sent.values()) == ["acme"]


# ---- the call


def test_the_call_of_a_span() -> None:
    fact = kept(
        call("t", "s", gen_ai__response__id="r1", gen_ai__conversation__id="c1",
             server__address="api.openai.com", openai__response__service_tier="flex",
             openai__request__id="req-1", http__request__resend_count=2,
             metadata__user_api_key_alias="prod", gen_ai__request__attempt=3,
             gen_ai__batch__id="batch_1", litellm__cost__total=0.0125),
    )  # fmt: skip
    made = fact.call
    assert made is not None

    assert fact.what is SpanKind.MODEL
    assert (made.provider, made.operation, made.host) == ("openai", "chat", "api.openai.com")
    assert made.counts == {"input": 100, "output": 20}
    assert made.kinds is not None
    assert (made.kinds.input_tokens, made.kinds.output_tokens) == (100, 20)
    assert (made.response_id, made.request_id, made.conversation_id) == ("r1", "req-1", "c1")
    assert (made.service_tier, made.attempt, made.api_key_id) == ("flex", 3, "prod")
    assert (made.is_batch, made.batch_id) == (True, "batch_1")
    assert (made.reported_cost_pico, made.cost_source) == (12_500_000_000, "litellm.cost.total")
    assert made.usage_source == "reported"


def test_a_cost_that_the_provider_told() -> None:
    told: dict[str, Any] = {"gen_ai.usage.cost.amount": 0.1, "gen_ai.usage.cost.source": "provider"}
    made = kept(call("t", "s", **told)).call

    assert made is not None
    assert (made.reported_cost_pico, made.cost_source) == (100_000_000_000, "provider")


@pytest.mark.parametrize(
    "attributes",
    [
        {"gen_ai.request.stream": True},
        {"gen_ai.is_streaming": "true"},
        {"llm.invocation_parameters": '{"model": "gpt", "stream": true}'},
        {"gen_ai.response.time_to_first_chunk": 0.3},
        {"ai.operationId": "ai.streamText.doStream"},
    ],
)
def test_a_stream_is_known_by_what_any_tool_says(attributes: dict[str, Any]) -> None:
    made = kept(call("t", "s", **attributes)).call
    whole: dict[str, Any] = {"llm.invocation_parameters": '{"stream": false}'}
    plain = kept(call("t", "s", **whole)).call

    assert made is not None
    assert made.is_stream
    assert plain is not None
    assert not plain.is_stream


@pytest.mark.parametrize(
    ("attribute", "value", "attempt"),
    [
        ("http.request.resend_count", 0, 1),
        ("http.request.resend_count", 2, 3),
        ("gen_ai.request.attempt", "2", 2),
        ("http.request.header.x-stainless-retry-count", ["1"], 2),
        ("retry_count", -1, None),
        ("retry_count", True, None),
    ],
)
def test_which_try_it_was(attribute: str, value: object, attempt: int | None) -> None:
    told: dict[str, Any] = {attribute: value}
    made = kept(call("t", "s", **told)).call

    assert made is not None
    assert made.attempt == attempt


SECRETS = (
    "sk-proj-abcdefghijklmnopqrstuvwxyz0123456789",
    "Bearer sk-ant-api03-abcdefghijk",
    "AIzaSyA1234567890abcdefghijklmnopqrstu",
    "a1b2c3d4e5f6g7h8i9j0k1l2m3n4o5p6",
)


@pytest.mark.parametrize("secret", SECRETS)
@pytest.mark.parametrize("name", ["llm.api_key", "http.request.header.authorization", "api_key"])
def test_a_key_is_never_kept(secret: str, name: str) -> None:
    told: dict[str, Any] = {name: [secret] if "header" in name else secret}
    fact = kept(call("t", "s", **told))

    assert fact.call is not None
    assert (fact.call.api_key_id or "").startswith("key-")
    assert secret.removeprefix("Bearer ").encode()[:12] not in encode_fact(fact)


def test_a_name_or_hash_of_a_key_stays() -> None:
    told: list[dict[str, Any]] = [
        {"metadata.user_api_key_hash": value}
        for value in ("prod-eu", "88dc28d0f030c55ed4ab77ed8faf098196cb1c05df778539800c9f1243fe6b4b")
    ]
    names = [kept(call("t", "s", **one)).call for one in told]

    assert [one.api_key_id for one in names if one is not None] == ["prod-eu", "88dc28d0f030"]


_VALUES = st.one_of(
    st.integers(-5, 5000), st.integers(0, 10**9), st.just("12"), st.just("x"), st.just(7.0),
    st.just(7.5), st.booleans(), st.none(),
)  # fmt: skip
_ATTRIBUTES = st.dictionaries(
    st.sampled_from(sorted({name for names in COUNTS.values() for name in names})),
    _VALUES,
    max_size=6,
)


@settings(max_examples=120, deadline=None)
@given(
    _ATTRIBUTES,
    st.sampled_from(["chat", "embeddings", "rerank", "invoke_agent", None]),
    st.sampled_from(["openai", "anthropic", "aws.bedrock", "cohere", "gcp.gemini", None]),
    st.sampled_from(["openlit", "opentelemetry.instrumentation.openai_v2"]),
)
def test_the_short_way_tells_the_same_kinds_as_the_ledger(
    attributes: dict[str, Any], operation: str | None, provider: str | None, scope: str
) -> None:
    if operation is not None:
        attributes = attributes | {"gen_ai.operation.name": operation}
    if provider is not None:
        attributes = attributes | {"gen_ai.provider.name": provider}
    one = Span(
        trace_id="1" * 32, span_id="2" * 16, started_at_ns=START_NS, attributes=attributes,
        scope_name=scope,
    )  # fmt: skip
    names = [name for name in attributes if is_count(name)]
    frames = frames_of(one, START_NS)
    if len(frames) != 3:
        return
    opened, closed = frames[1], frames[2]
    measured = Otel().measure(Call(opened, closed, Evidence("", 0, 0, "")))  # type: ignore[arg-type]

    ours, _ = provider_of(attributes, None, KNOWN_HOSTS)
    usage = usage_of(one, what_is(one), ours, None, names)

    assert usage.kinds == measured.kinds
    assert usage.source == measured.source


def test_usage_in_documents_is_read_as_the_ledger_reads_it() -> None:
    told: dict[str, Any] = {
        "openinference.span.kind": "LLM", "llm.model_name": "gpt-4.1",
        "output.mime_type": "application/json",
        "output.value": '{"id": "r9", "usage": {"prompt_tokens": 90, "completion_tokens": 9,'
        ' "prompt_tokens_details": {"cached_tokens": 64}}, "choices": ["the secret answer"]}',
        "llm.token_count.prompt": 90, "llm.token_count.completion": 9,
    }  # fmt: skip
    made = kept(span("t", "s", **told))

    assert made.call is not None
    assert made.call.kinds is not None
    assert (made.call.kinds.uncached_input_tokens, made.call.kinds.cache_read_tokens) == (26, 64)
    assert made.call.response_id == "r9"
    assert b"secret" not in encode_fact(made)


# ---- hops


@pytest.mark.parametrize(
    ("attributes", "peer", "protocol"),
    [
        ({"http.request.method": "GET", "server.address": "agent"}, "agent", "http"),
        ({"http.method": "GET", "http.url": "https://u:p@host.example:8443/a?q=1"},
         "host.example:8443", "http"),
        ({"http.method": "GET", "net.peer.name": "127.0.0.1", "net.peer.port": 8003},
         "127.0.0.1:8003", "http"),
        ({"db.system": "redis", "server.address": "cache"}, "cache", "db"),
        ({"rpc.system": "grpc", "server.address": "ranker"}, "ranker", "rpc"),
        ({"peer.service": "ranker"}, "ranker", ""),
    ],
)  # fmt: skip
def test_the_other_side_of_a_client_span(
    attributes: dict[str, Any], peer: str, protocol: str
) -> None:
    fact = kept(span("t", "s", kind="client", **attributes))

    assert (fact.peer, fact.protocol) == (peer, protocol)


def test_both_sides_of_a_request_have_one_path() -> None:
    asked = kept(client("t", "c", url="http://proxy:9000/run/7?token=s3cret#x"))
    came = kept(server("t", "s", url__path="/run/7", server__address="10.0.0.7"))
    other = kept(server("t", "o", url__path="/run/8"))

    assert asked.path_hash == came.path_hash != ""
    assert other.path_hash != came.path_hash
    assert b"s3cret" not in encode_fact(asked)


@pytest.mark.parametrize(
    ("scope", "attributes", "messaging", "peer"),
    [
        (
            "opentelemetry.instrumentation.celery",
            {"messaging.destination": "mail"},
            "celery",
            "mail",
        ),
        ("product", {"messaging.system": "kafka", "messaging.destination.name": "t"}, "kafka", "t"),
        ("opentelemetry.instrumentation.aiokafka", {}, "kafka", None),
        ("opentelemetry-instrumentation-rq", {"rq.queue": "low"}, "rq", "low"),
        ("dramatiq.tracing", {}, "dramatiq", None),
        ("apscheduler", {}, "apscheduler", None),
    ],
)
def test_job_libraries_and_queues(
    scope: str, attributes: dict[str, Any], messaging: str, peer: str | None
) -> None:
    fact = kept(span("t", "s", kind="consumer", scope=scope, **attributes))

    assert (fact.messaging, fact.peer, fact.protocol) == (messaging, peer, "messaging")


def test_labels_of_hosts() -> None:
    hosts = ("agent.prod.svc:8080", "agent", "127.0.0.1:9", "localhost:1", "10.0.0.1", "")

    assert [label_of(one) for one in hosts] == [
        "agent", "agent", "127.0.0.1:9", "localhost:1", "10.0.0.1", "",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("how", "ppm"),
    [
        ({"tracestate": "ot=th:8"}, 500_000),
        ({"tracestate": "ot=th:0"}, 1_000_000),
        ({"tracestate": "ot=rv:00000000000001;th:fd70a4"}, 10_000),
        ({"SampleRate": 20}, 50_000),
        ({"sampler.type": "probabilistic", "sampler.param": 0.1}, 100_000),
        ({"_dd.rule_psr": 0.5, "_dd.limit_psr": 0.5}, 250_000),
        ({"_dd.agent_psr": 1}, 1_000_000),
        ({"sampling.priority": 1}, None),
        ({"SampleRate": "many"}, None),
        ({}, None),
    ],
)
def test_the_share_of_traces_that_was_kept(how: dict[str, Any], ppm: int | None) -> None:
    found = said(**how).kept_share_ppm

    assert found == ppm or (found is not None and ppm is not None and abs(found - ppm) < 20)


# ---- what is dropped

CONTENT: dict[str, Any] = {
    "gen_ai.prompt.0.content": "SECRET", "gen_ai.completion": "SECRET",
    "gen_ai.input.messages": "SECRET", "gen_ai.system_instructions": "SECRET",
    "input.value": "SECRET", "output.value": "SECRET", "ai.prompt.messages": "SECRET",
    "llm.input_messages.0.message.content": "SECRET", "traceloop.entity.input": "SECRET",
    "langfuse.observation.output": "SECRET", "db.statement": "SECRET", "url.query": "SECRET",
    "gen_ai.tool.call.arguments": "SECRET", "exception.message": "SECRET",
}  # fmt: skip


def test_content_is_dropped_and_counted() -> None:
    extractor = Extractor(DEFAULT)
    event = Event("exception", START_NS, {"exception.message": "SECRET", "exception.type": "E"})
    one = call("t", "s", events=(event,), is_error=True, **CONTENT)

    fact = extractor.fact(one, 0, Batch((), HERE))

    assert b"SECRET" not in encode_fact(fact)
    assert extractor.take_dropped() == len(CONTENT) + 1
    assert extractor.take_dropped() == 0
    assert fact.call is not None
    assert fact.call.error_type == "E"


def test_an_error_that_is_a_message_is_no_type() -> None:
    fact = kept(call("t", "s", is_error=True, error__type="cannot answer SECRET question"))

    assert fact.call is not None
    assert fact.call.error_type == "other"


def test_names_are_hashed_alike_within_one_audit_and_differently_in_the_next() -> None:
    how = AuditSettings(hash_names=True)
    spans = [
        span("t", "a", tenant="acme", user__id="a@acme.example"),
        span("t", "b", tenant="acme", resource={"tenant.id": "acme"}),
        server("t", "c", http__request__header__x_tenant_id=["acme"]),
    ]
    one, two, three = facts(spans, how)
    (again,) = facts(spans[:1], how)

    assert one.owner["tenant_id"] == two.owner["tenant_id"] == two.process_owner["tenant_id"]
    assert three.baggage["tenant_id"] == one.owner["tenant_id"]
    assert one.owner["tenant_id"] != again.owner["tenant_id"]
    assert one.owner["user_id"].startswith("email-")
    assert b"acme" not in b"".join(encode_fact(fact) for fact in (one, two, three))
    assert one.service == "web"


def test_names_of_services_and_hosts_go_too_and_still_match() -> None:
    how = AuditSettings(hash_names=True, redact_names=True)
    asked, came = facts(
        [
            client("t", "c", url="http://agent.internal:80/run", name="POST /run"),
            server("t", "s", service="agent", name="POST /run", server__address="agent.internal"),
        ],
        how,
    )

    assert asked.peer == came.peer == came.service
    assert asked.name == came.name != "POST /run"
    assert b"agent" not in encode_fact(came)


def test_the_report_says_what_was_done() -> None:
    plain, hashed, redacted = (
        Extractor(how).words()
        for how in (
            DEFAULT,
            AuditSettings(hash_names=True),
            AuditSettings(hash_names=True, redact_names=True),
        )
    )

    assert "dropped" in plain
    assert "as they came" in plain
    assert "hash" in hashed
    assert "services" in redacted


_ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=300),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3)
    ),
    max_leaves=6,
)
_NAMED = st.sampled_from([
    "tenant.id", "metadata", "gen_ai.operation.name", "gen_ai.usage.input_tokens", "server.address",
    "url.full", "http.request.header.baggage", "baggage.tenant.id", "SampleRate", "llm.api_key",
    "langfuse.observation.usage_details", "metadata.usage_object", "output.value", "http.target",
    "http.request.resend_count", "openinference.span.kind", "messaging.destination.name",
    "gen_ai.usage.cost", "ai.response.providerMetadata", "ai.operationId", "session.id",
]) | st.text(max_size=20)  # fmt: skip


@settings(max_examples=120, deadline=None)
@given(
    st.dictionaries(_NAMED, _ANYTHING, max_size=8),
    st.dictionaries(_NAMED, _ANYTHING, max_size=3),
    st.text(max_size=50),
    st.integers(-1, 99),
    st.text(max_size=40),
    st.booleans(),
)
def test_no_span_whatever_it_holds_raises(
    attributes: dict[str, Any], resource: dict[str, Any], text: str, kind: int, ids: str,
    hides: bool,  # noqa: FBT001 -- drawn
) -> None:  # fmt: skip
    how = AuditSettings(hash_names=hides, redact_names=hides)
    one = Span(
        trace_id=ids, span_id=ids[:16], parent_span_id=ids[:3], name=text, kind=kind,
        started_at_ns=START_NS, ended_at_ns=2**70, attributes=attributes, resource=resource,
        scope_name=text, tracestate=text,
    )  # fmt: skip

    fact = Extractor(how).fact(one, 0, Batch((), HERE))

    assert len(fact.name) <= 128
    assert fact.ended_at_ns == 0


def test_huge_values_are_bounded() -> None:
    told: dict[str, Any] = {
        "tenant.id": "x" * 10**6, "session.id": "y" * 10**6, "url.full": "http://" + "z" * 10**6,
        "http.request.header.baggage": "tenant.id=" + "w" * 10**6,
        "metadata": '{"tenant_id": "' + "v" * 10**6 + '"}',
    }  # fmt: skip
    one = call("t", "s", name="n" * 10**6, **told)

    assert len(encode_fact(kept(one))) < 4096


@settings(max_examples=150, deadline=None)
@given(
    st.dictionaries(
        st.sampled_from(
            ["tenant.id", "tenant_id", "user.id", "org_id", "metadata", "app.tenant", "usr.id"]
        ),
        st.sampled_from(
            ["acme", "zeta", '"acme"', "", "{x}", '{"tenant": "t"}', 7, True, None, []]
        ),
    )
)
def test_plain_names_of_owners_tell_what_weighing_them_tells(attributes: dict[str, Any]) -> None:
    plain = owner_in(attributes, attributes, frozenset())
    weighed = owner_in(attributes, attributes, frozenset({"nothing"}))

    assert plain == weighed
