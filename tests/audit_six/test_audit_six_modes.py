"""Each of the six modes planted by hand, with the hop that must be named, and clean traces."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from tests.audit_six.span_kit import (
    audited,
    call,
    client,
    hop_of,
    loud,
    of_mode,
    only_cause,
    owner_findings,
    server,
    span,
    stream,
)

from tollbook.audit.findings import Mode, Severity
from tollbook.audit.settings import AuditSettings

if TYPE_CHECKING:
    from tollbook.audit.report import Audit
    from tollbook.capture.otlp.spans import Span


def request(trace: str, tenant: str | None = "acme", at: float = 0) -> list[Span]:
    """Return a request that does everything right: two services, an agent, retrieval, a stream."""
    return [
        server(trace, f"{trace}-ask", name="POST /ask", at=at, ms=900, tenant=tenant),
        call(trace, f"{trace}-embed", f"{trace}-ask", operation="embeddings", at=at + 5, ms=20,
             tenant=tenant, usage=(40, 0)),
        stream(trace, f"{trace}-stream", f"{trace}-ask", at=at + 30, ms=200, tenant=tenant),
        client(trace, f"{trace}-http", f"{trace}-ask", url="http://agent:8000/run", name="POST",
               at=at + 240, ms=600, tenant=tenant),
        server(trace, f"{trace}-run", f"{trace}-http", name="POST /run", service="agent",
               at=at + 242, ms=590, tenant=tenant, url__path="/run"),
        span(trace, f"{trace}-agent", f"{trace}-run", name="invoke_agent supervisor",
             service="agent", at=at + 245, ms=580, tenant=tenant,
             gen_ai__operation__name="invoke_agent"),
        call(trace, f"{trace}-think", f"{trace}-agent", service="agent", at=at + 250, ms=100,
             tenant=tenant),
        span(trace, f"{trace}-tool", f"{trace}-agent", name="execute_tool search", service="agent",
             at=at + 360, ms=200, tenant=tenant, gen_ai__operation__name="execute_tool"),
        call(trace, f"{trace}-rank", f"{trace}-tool", operation="rerank", service="agent",
             at=at + 370, ms=50, tenant=tenant),
    ]  # fmt: skip


def test_nothing_is_found_where_every_span_says_who_pays() -> None:
    made = audited([*request("one"), *request("two", "zeta", at=300)])

    assert made.calls == 8
    assert loud(made) == []
    assert owner_findings(made) == []


def test_a_tenant_on_the_root_alone_is_a_note_and_owns_what_is_below() -> None:
    spans = request("one", tenant=None)
    spans[0] = server("one", "one-ask", name="POST /ask", ms=900, tenant="acme")

    made = audited(spans)

    assert owner_findings(made) == []
    (note,) = of_mode(made, Mode.BAGGAGE_NOT_COPIED)
    assert (note.severity, note.rule, note.calls) == (Severity.NOTE, "A02", 4)
    assert hop_of(note)[0] == "web: POST /ask"


def test_a_tenant_of_the_process_owns_its_calls() -> None:
    made = audited([call("one", "chat", resource={"tenant.id": "acme"}, service="worker-of-acme")])

    assert loud(made) == []


def test_a_team_is_an_owner() -> None:
    assert loud(audited([call("one", "chat", litellm__team__id="search")])) == []


# ---- header stripping


def test_a_proxy_that_drops_all_headers_is_found_by_time_and_path() -> None:
    web = [
        server("web", "ask", name="POST /ask", ms=900, tenant="acme"),
        client("web", "http", "ask", url="http://proxy:9000/run", name="POST", at=240, ms=600,
               tenant="acme"),
    ]  # fmt: skip
    agent = [
        server("agent", "run", name="POST /run", service="agent", at=245, ms=590,
               url__path="/run"),
        call("agent", "think", "run", service="agent", at=250),
        call("agent", "write", "run", service="agent", at=310),
    ]  # fmt: skip

    found = only_cause(audited([*web, *agent, *request("other", at=5000)]))

    assert found.mode is Mode.HEADER_STRIPPING
    assert hop_of(found) == ("web: POST", "agent: POST /run")
    assert found.hop is not None
    assert found.hop.crossing == "http"
    assert (found.calls, found.severity) == (2, Severity.ERROR)
    assert found.framework in {"httpx", "fastapi"}
    assert found.sketch is not None
    assert {bar.mark for bar in found.sketch.bars} == {"first-missing", "affected"}


def test_each_request_is_matched_with_its_own_client() -> None:
    spans = []
    for at, tenant in ((0, "acme"), (100, "zeta"), (200, "beta")):
        spans += [
            client(f"web{at}", f"http{at}", url="http://proxy/run", name=f"POST {tenant}", at=at,
                   ms=400, tenant=tenant),
            server(f"run{at}", f"run{at}", name=f"run {tenant}", service="agent", at=at + 5,
                   ms=390, url__path="/run"),
            call(f"run{at}", f"chat{at}", f"run{at}", service="agent", at=at + 10, ms=20),
        ]  # fmt: skip

    made = audited(spans)

    assert {hop_of(one) for one in owner_findings(made)} == {
        ("web: POST acme", "agent: run acme"),
        ("web: POST zeta", "agent: run zeta"),
        ("web: POST beta", "agent: run beta"),
    }


def test_a_client_below_a_call_to_a_gateway_of_one_s_own() -> None:
    spans = [
        call("web", "chat", tenant="acme", ms=400),
        client("web", "http", "chat", url="http://llm.internal/v1/chat", name="POST", at=2, ms=90,
               tenant="acme"),
        server("gate", "came", name="POST /v1/chat", service="gateway", at=5, ms=380,
               url__path="/v1/chat"),
        call("gate", "made", "came", service="gateway", at=10, ms=300),
    ]  # fmt: skip

    found = only_cause(audited(spans))

    assert found.mode is Mode.HEADER_STRIPPING
    assert hop_of(found) == ("web: POST", "gateway: POST /v1/chat")


def test_requests_to_providers_are_nobody_s_other_side() -> None:
    spans = [
        call("web", "chat", tenant="acme", ms=400),
        client("web", "http", "chat", url="https://api.openai.com/v1/chat", at=2, ms=390,
               tenant="acme"),
        server("gate", "came", name="POST /v1/chat", service="gateway", at=5, ms=380,
               url__path="/v1/chat"),
        call("gate", "made", "came", service="gateway", at=10, ms=300),
    ]  # fmt: skip

    assert only_cause(audited(spans)).mode is Mode.MISSING_TENANT


def test_a_proxy_that_drops_baggage_only_is_a_warning_since_the_trace_still_tells() -> None:
    spans = request("one")
    spans = [
        *spans[:4],
        server("one", "one-run", "one-http", name="POST /run", service="agent", at=242, ms=590),
        call("one", "one-think", "one-run", service="agent", at=250),
    ]

    made = audited(spans)

    assert owner_findings(made) == []
    (found,) = of_mode(made, Mode.HEADER_STRIPPING)
    assert (found.severity, found.rule) == (Severity.WARNING, "A02")
    assert hop_of(found) == ("web: POST", "agent: POST /run")


def test_a_caller_that_did_not_come_is_found_within_the_trace() -> None:
    spans = request("one")
    lost = [
        server("one", "one-run", "never-exported", name="POST /run", service="agent", at=260,
               ms=500),
        call("one", "one-think", "one-run", service="agent", at=270),
    ]  # fmt: skip

    found = only_cause(audited([*spans[:4], *lost]))

    assert found.mode is Mode.HEADER_STRIPPING
    assert hop_of(found) == ("web: POST", "agent: POST /run")


def test_a_header_that_was_sent_and_did_not_arrive() -> None:
    spans = [
        client("one", "http", url="http://agent/run", name="POST", ms=500,
               http__request__header__x_tenant_id=["acme"]),
        server("one", "run", "http", name="POST /run", service="agent", at=5, ms=400),
        call("one", "chat", "run", service="agent", at=10),
    ]  # fmt: skip

    found = only_cause(audited(spans))

    assert found.mode is Mode.HEADER_STRIPPING
    assert hop_of(found) == ("web: POST", "agent: POST /run")


def test_baggage_that_arrived_and_became_no_attribute() -> None:
    spans = [
        server("one", "run", name="POST /run", service="agent", ms=400,
               http__request__header__baggage=["tenant.id=acme,user.id=u1"]),
        call("one", "chat", "run", service="agent", at=10),
    ]  # fmt: skip

    found = only_cause(audited(spans))

    assert found.mode is Mode.BAGGAGE_NOT_COPIED
    assert hop_of(found) == ("agent: POST /run", f"agent: {spans[1].name}")


# ---- background jobs


def _enqueued(at: float = 0) -> list[Span]:
    return [
        server(f"web{at}", f"post{at}", name="POST /documents", at=at, ms=50, tenant="acme"),
        span(f"web{at}", f"send{at}", f"post{at}", name="apply_async/summarise", kind="producer",
             at=at + 10, ms=5, tenant="acme", messaging__destination__name="celery",
             scope="opentelemetry.instrumentation.celery"),
    ]  # fmt: skip


def test_a_job_in_a_trace_of_its_own_is_found_by_its_queue() -> None:
    job = [
        span("job", "run", name="run/summarise", service="worker", kind="consumer", at=500,
             messaging__destination__name="celery", scope="opentelemetry.instrumentation.celery"),
        call("job", "chat", "run", service="worker", at=510),
    ]  # fmt: skip

    found = only_cause(audited([*_enqueued(), *job]))

    assert found.mode is Mode.BACKGROUND_JOBS
    assert hop_of(found) == ("web: apply_async/summarise", "worker: run/summarise")
    assert found.framework == "celery"
    assert found.hop is not None
    assert found.hop.crossing == "queue"


def test_a_job_that_links_to_who_asked() -> None:
    job = [
        span("job", "run", name="summarise", service="worker", kind="consumer", at=90_000,
             messaging__system="kafka", links=[("web0", "send0")]),
        call("job", "chat", "run", service="worker", at=90_010),
    ]  # fmt: skip

    found = only_cause(audited([*_enqueued(), *job]))

    assert (found.mode, found.severity) == (Mode.BACKGROUND_JOBS, Severity.WARNING)
    assert hop_of(found)[0] == "web: apply_async/summarise"


def test_a_job_that_links_to_the_request_itself() -> None:
    job = [
        span("job", "run", name="summarise", service="worker", at=90_000,
             links=[("web0", "post0")]),
        call("job", "chat", "run", service="worker", at=90_010),
    ]  # fmt: skip

    found = only_cause(audited([*_enqueued(), *job]))

    assert found.mode is Mode.BACKGROUND_JOBS
    assert hop_of(found) == ("web: POST /documents", "worker: summarise")


def test_a_job_whose_producer_is_not_seen_is_a_job_all_the_same() -> None:
    job = [
        span("job", "run", name="index document", service="indexer", kind="consumer", at=500,
             messaging__system="redis", messaging__destination__name="documents"),
        call("job", "chat", "run", service="indexer", at=510),
        call("job", "embed", "run", service="indexer", operation="embeddings", at=570),
    ]  # fmt: skip

    found = owner_findings(audited([*request("one"), *job]))

    assert {one.mode for one in found} == {Mode.BACKGROUND_JOBS}
    assert {hop_of(one) for one in found} == {(None, "indexer: index document")}
    assert sum(one.calls for one in found) == 2


def test_a_job_that_goes_on_with_the_trace_without_the_baggage() -> None:
    job = [
        span("web0", "run", "send0", name="run/summarise", service="worker", kind="consumer",
             at=500, scope="opentelemetry.instrumentation.celery"),
        call("web0", "chat", "run", service="worker", at=510),
    ]  # fmt: skip

    made = audited([*_enqueued(), *job])

    (found,) = of_mode(made, Mode.BACKGROUND_JOBS)
    assert (found.severity, found.is_cause) == (Severity.WARNING, False)
    assert hop_of(found) == ("web: apply_async/summarise", "worker: run/summarise")


def test_work_outside_of_any_request_in_a_service_that_knows_its_tenants() -> None:
    spans = [*request("one"), *request("two", at=1000), call("cron", "digest", at=60_000)]

    found = only_cause(audited(spans))

    assert found.mode is Mode.BACKGROUND_JOBS
    assert found.hop is not None
    assert found.hop.crossing == "start"


# ---- streaming


def test_a_stream_that_is_read_in_a_thread_of_its_own() -> None:
    spans = [
        server("web", "ask", name="POST /ask", ms=900, tenant="acme"),
        call("web", "embed", "ask", operation="embeddings", at=5, ms=40, tenant="acme"),
        stream("lost", "chat", at=60, ms=700),
    ]

    found = only_cause(audited(spans))

    assert found.mode is Mode.STREAMING
    assert hop_of(found) == ("web: POST /ask", f"web: {spans[2].name}")
    assert found.hop is not None
    assert found.hop.crossing == "thread"


@pytest.mark.parametrize("tenant", ["acme", None])
def test_a_stream_without_usage_is_told_whoever_owns_it(tenant: str | None) -> None:
    made = audited([
        server("web", "ask", name="POST /ask", ms=900, tenant=tenant),
        stream("web", "chat", "ask", at=60, ms=700, usage=None, tenant=tenant),
    ])  # fmt: skip

    (found,) = [one for one in made.findings if one.rule == "A05" and one.mode is Mode.STREAMING]
    assert (found.severity, found.is_cause, found.calls) == (Severity.ERROR, False, 1)
    assert len(owner_findings(made)) == (tenant is None)


LOGFIRE = "logfire.openai"


def test_a_stream_of_logfire_is_one_call_that_two_spans_tell_of() -> None:
    later = "streaming response from {request_data[model]!r} took {duration:.2f}s"
    spans = [
        server("web", "ask", name="POST /ask", ms=900, tenant="acme"),
        call("web", "one", "ask", scope=LOGFIRE, usage=None, at=10, tenant="acme", name="Chat"),
        call("web", "one-later", "ask", scope=LOGFIRE, name=later, at=90, ms=0, tenant="acme"),
        call("web", "two", "ask", scope=LOGFIRE, usage=None, at=100, tenant="acme", name="Chat"),
    ]

    made = audited(spans)

    assert made.calls == 2
    (found,) = [one for one in made.findings if one.rule == "A05"]
    assert (found.calls, hop_of(found)) == (1, (None, "web: Chat"))


def test_a_stream_of_logfire_outside_of_any_span_is_one_call_in_two_traces() -> None:
    later = "streaming response from {request_data[model]!r} took {duration:.2f}s"
    spans = [
        call("begun", "one", scope=LOGFIRE, usage=None, at=10, tenant="acme", name="Chat"),
        call("ended", "one-later", scope=LOGFIRE, name=later, at=90, ms=0, tenant="acme"),
    ]

    made = audited(spans)

    assert made.calls == 1
    assert loud(made) == []


def test_a_stream_that_failed_is_not_said_to_lack_usage() -> None:
    made = audited([stream("web", "chat", usage=None, tenant="acme", is_error=True)])

    assert loud(made) == []


def test_usage_that_comes_late_on_a_span_without_context() -> None:
    spans = [
        server("web", "ask", name="POST /ask", ms=200, tenant="acme"),
        stream("web", "chat", "ask", at=60, ms=5, usage=None, tenant="acme",
               gen_ai__response__id="r1"),
        stream("web", "late", "gone", at=700, ms=5, gen_ai__response__id="r1"),
    ]  # fmt: skip

    found = only_cause(audited(spans))

    assert found.mode is Mode.STREAMING
    assert found.hop is not None
    assert found.hop.last_seen is not None
    assert found.hop.last_seen.span_id == spans[1].span_id
    assert found.hop.first_missing.span_id == spans[2].span_id


# ---- agents


def test_sub_agents_in_a_plain_thread_pool() -> None:
    spans = [
        server("web", "run", name="POST /run", service="agent", ms=2000, tenant="acme"),
        span("web", "boss", "run", name="invoke_agent supervisor", service="agent", at=5, ms=1900,
             tenant="acme", gen_ai__operation__name="invoke_agent"),
        call("web", "plan", "boss", service="agent", at=10, ms=100, tenant="acme"),
        span("sub", "worker", name="invoke_agent researcher", service="agent", at=150, ms=800,
             gen_ai__operation__name="invoke_agent"),
        call("sub", "embed", "worker", service="agent", operation="embeddings", at=160, ms=20),
        call("sub", "draft", "worker", service="agent", at=200, ms=300),
        call("web", "write", "boss", service="agent", at=1000, ms=100, tenant="acme"),
    ]  # fmt: skip

    found = only_cause(audited(spans))

    assert found.mode is Mode.AGENT_RECURSION
    assert hop_of(found) == ("agent: invoke_agent supervisor", "agent: invoke_agent researcher")
    assert found.calls == 2


def test_an_agent_below_another_that_drops_the_baggage() -> None:
    spans = [
        server("web", "run", name="POST /run", ms=2000, tenant="acme"),
        span("web", "boss", "run", name="invoke_agent supervisor", at=5, ms=1900, tenant="acme",
             gen_ai__operation__name="invoke_agent"),
        span("web", "worker", "boss", name="invoke_agent researcher", at=150, ms=800,
             gen_ai__operation__name="invoke_agent"),
        call("web", "draft", "worker", at=200, ms=300),
    ]  # fmt: skip

    made = audited(spans)

    (found,) = of_mode(made, Mode.AGENT_RECURSION)
    assert found.severity is Severity.WARNING
    assert hop_of(found) == ("web: invoke_agent supervisor", "web: invoke_agent researcher")


def test_a_tool_among_calls_that_say_who_pays() -> None:
    spans = [
        span("web", "boss", name="agent run", ms=2000, gen_ai__operation__name="invoke_agent"),
        call("web", "plan", "boss", at=10, ms=100, tenant="acme"),
        span("web", "tool", "boss", name="execute_tool search", at=150, ms=800,
             gen_ai__operation__name="execute_tool"),
        call("web", "draft", "tool", at=200, ms=300),
    ]  # fmt: skip

    found = only_cause(audited(spans))

    assert found.mode is Mode.AGENT_RECURSION
    assert hop_of(found)[1] == "web: execute_tool search"


# ---- embeddings and retrieval


def test_embeddings_that_a_thread_gathers() -> None:
    spans = [
        server("web", "ask", name="POST /ask", ms=900, tenant="acme"),
        span("web", "retrieve", "ask", at=5, ms=200, tenant="acme"),
        call("web", "chat", "ask", at=300, ms=100, tenant="acme"),
        call("lost", "embed", operation="embeddings", at=20, ms=100),
    ]

    found = only_cause(audited(spans))

    assert found.mode is Mode.EMBEDDINGS_RETRIEVAL
    assert hop_of(found)[0] == "web: retrieve"


@pytest.mark.parametrize("operation", ["embeddings", "rerank"])
def test_retrieval_without_a_tenant_beside_chats_with_one(operation: str) -> None:
    spans = [
        server("web", "ask", name="POST /ask", ms=900),
        call("web", "find", "ask", operation=operation, at=5, ms=20),
        call("web", "chat", "ask", at=300, ms=100, tenant="acme"),
    ]

    found = only_cause(audited(spans))

    assert found.mode is Mode.EMBEDDINGS_RETRIEVAL
    assert found.calls == 1


def test_an_indexer_that_embeds_for_nobody() -> None:
    indexer = [
        call("index", f"embed{at}", operation="embeddings", service="indexer", at=at * 100)
        for at in range(5)
    ]

    found = only_cause(audited([*request("one"), *indexer]))

    assert (found.mode, found.calls) == (Mode.EMBEDDINGS_RETRIEVAL, 5)


# ---- single key


def test_a_gateway_behind_which_nobody_is_named() -> None:
    spans = [
        call(f"t{at}", f"call{at}", service="gateway", at=at * 100, api_key_id="team-key")
        for at in range(30)
    ]

    found = only_cause(audited([*request("one"), *spans]))

    assert (found.mode, found.calls) == (Mode.SINGLE_KEY, 30)
    assert found.hop is not None
    assert (found.hop.last_seen, found.hop.crossing) == (None, "gateway")
    assert "team-key" in found.title


def test_a_product_that_names_nobody_is_one_key_also_for_its_jobs() -> None:
    spans = [*request("one", tenant=None), *request("two", tenant=None, at=900)]
    spans += [
        span("job", "run", name="run/summarise", service="worker", kind="consumer", at=500,
             messaging__system="celery"),
        call("job", "chat", "run", service="worker", at=510),
        span("job2", "run2", name="run/summarise", service="worker", kind="consumer", at=900,
             messaging__system="celery"),
        call("job2", "chat2", "run2", service="worker", at=910),
    ]  # fmt: skip

    made = audited(spans)

    assert {one.mode for one in owner_findings(made)} == {Mode.SINGLE_KEY}
    assert sum(one.calls for one in owner_findings(made)) == 10


def test_one_request_shows_nothing_about_others() -> None:
    found = only_cause(audited([call("one", "chat")]))

    assert found.mode is Mode.MISSING_TENANT


def test_a_request_that_nobody_signed_among_many_that_are() -> None:
    spans = [one for at in range(5) for one in request(f"r{at}", at=at * 1000)]
    spans += [
        server("open", "ping", name="POST /try", at=90_000),
        call("open", "chat", "ping", at=90_005),
    ]

    found = only_cause(audited(spans))

    assert found.mode is Mode.MISSING_TENANT
    assert hop_of(found) == (None, "web: POST /try")


def test_lines_of_a_log_are_judged_by_service_and_key() -> None:
    spans = [
        call(f"line{at}", f"line{at}", service="litellm", api_key_id="prod", at=at)
        for at in range(10)
    ]

    found = only_cause(audited(spans, has_traces=False))

    assert (found.mode, found.calls) == (Mode.SINGLE_KEY, 10)


def _lines(keys: int, users: int) -> list[Span]:
    return [
        call(f"line{at}", f"line{at}", service="litellm", api_key_id=f"key-of-{at % keys}", at=at,
             user__id=f"u{at % users}")
        for at in range(24)
    ]  # fmt: skip


def test_many_keys_that_nobody_is_named_for_are_not_one_key() -> None:
    found = only_cause(audited(_lines(keys=6, users=1), has_traces=False))

    assert (found.mode, found.calls) == (Mode.MISSING_TENANT, 24)


def test_many_keys_that_several_users_share_each() -> None:
    found = owner_findings(audited(_lines(keys=4, users=24), has_traces=False))

    assert {one.mode for one in found} == {Mode.SINGLE_KEY}
    assert sorted(one.calls for one in found) == [6, 6, 6, 6]


def test_hidden_names_do_not_hide_the_hop() -> None:
    spans = [
        client("web", "http", url="http://agent/run", name="POST", ms=600, tenant="acme"),
        server("agent", "run", name="POST /run", service="agent", at=5, ms=590, url__path="/run"),
        call("agent", "think", "run", service="agent", at=20),
        *_enqueued(at=5000),
        span("job", "run", name="run/summarise", service="worker", kind="consumer", at=6000,
             messaging__destination__name="celery", scope="opentelemetry.instrumentation.celery"),
        call("job", "chat", "run", service="worker", at=6010),
    ]  # fmt: skip
    plain = audited(spans)
    hidden = audited(spans, AuditSettings(hash_names=True, redact_names=True))

    def told(made: Audit) -> set[tuple[str, str, str]]:
        return {
            (one.mode.value, one.hop.last_seen.span_id, one.hop.first_missing.span_id)
            for one in owner_findings(made)
            if one.hop is not None and one.hop.last_seen is not None
        }

    assert told(plain) == told(hidden)
    assert {mode for mode, _, _ in told(hidden)} == {"header-stripping", "background-jobs"}
    words = repr(hidden.findings)
    assert not any(name in words for name in ("acme", "agent", "worker", "POST"))
