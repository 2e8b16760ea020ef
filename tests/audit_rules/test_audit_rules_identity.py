"""Identity that conflicts, is not trusted, leaves the house, or is of the wrong kind."""

from __future__ import annotations

import uuid

import pytest
from tests.audit_rules.made_traces import AT_NS, CLIENT, SERVER, agent, call, found, span

from tollbook.audit.findings import Mode, Severity
from tollbook.audit.kept.redact import Redactor
from tollbook.audit.settings import AuditSettings

ACME, OTHER = {"tenant_id": "acme"}, {"tenant_id": "other"}


def trace_id(number: int) -> str:
    return f"{number:032x}"


def test_a_tenant_that_changes_on_the_way_down() -> None:
    root = span(1, kind=SERVER, owner=ACME)
    (hit,) = found([root, span(2, 1), call(3, 2, owner=OTHER), call(4, 1)], rule="A03")
    assert hit.severity is Severity.ERROR
    assert hit.span.endswith(f"{3:016x}")
    assert [one.span_id for one in hit.evidence] == [f"{3:016x}", f"{1:016x}"]
    assert hit.calls == 1


def test_a_fan_out_with_links_has_one_tenant_a_part() -> None:
    job = span(1, owner=ACME, links=("f" * 32 + ":" + "1" * 16,))
    assert found([job, call(2, 1, owner=OTHER)], rule="A03") == []
    linked = call(2, 1, owner=OTHER, links=("f" * 32 + ":" + "1" * 16,))
    assert found([span(1, owner=ACME), linked], rule="A03") == []


def test_a_job_for_several_tenants_that_names_none_itself_is_clean() -> None:
    assert found([span(1), call(2, 1, owner=ACME), call(3, 1, owner=OTHER)]) == []


def test_a_request_has_one_tenant() -> None:
    spans = [span(1, kind=SERVER), call(2, 1, owner=ACME), call(3, 1, owner=OTHER)]
    (hit,) = found(spans, rule="A03")
    assert "one request" in hit.title
    assert hit.calls == 1


def test_a_span_may_be_of_another_tenant_than_its_process() -> None:
    assert found([span(1, process_owner=ACME), call(2, 1, owner=OTHER)]) == []


def test_attributes_of_one_span_that_name_different_tenants() -> None:
    told = ("tenant.id and metadata.tenant name different tenant_id",)
    (hit,) = found([call(1, problems=told)], rule="A03")
    assert "different tenants on one span" in hit.title


def test_a_conversation_of_two_tenants() -> None:
    talk = {"conversation_id": "talk-1"}
    one = call(1, of=talk, owner=ACME, trace_id=trace_id(1))
    other = call(2, of=talk, owner=OTHER, trace_id=trace_id(2))
    (hit,) = found([one], [other], rule="A03")
    assert (hit.severity, hit.calls) == (Severity.WARNING, 1)
    same = call(2, of=talk, owner=ACME, trace_id=trace_id(2))
    assert found([one], [same]) == []


def test_environments_of_one_trace() -> None:
    prod = {"environment": "production"}
    parent = span(1, process_owner=prod)
    (hit,) = found([parent, call(2, 1, process_owner={"environment": "staging"})], rule="A32")
    assert "of production and calls shop of staging" in hit.title
    assert found([parent, call(2, 1, process_owner={"environment": "prod"})]) == []


def test_a_tenant_out_of_a_header_without_a_login() -> None:
    root = span(1, kind=SERVER, owner=ACME, received=("tenant_id",))
    (hit,) = found([root, call(2, 1)], rule="A04")
    assert hit.mode is Mode.UNTRUSTED_IDENTITY
    assert hit.calls == 1
    login = span(1, kind=SERVER, owner={**ACME, "user_id": "u1"}, received=("tenant_id",))
    assert found([login, call(2, 1)]) == []
    forged = span(
        1, kind=SERVER, owner={**ACME, "user_id": "u1"}, received=("tenant_id", "user_id")
    )
    assert len(found([forged, call(2, 1)], rule="A04")) == 1


def test_behind_the_edge_services_trust_each_other() -> None:
    edge = span(1, kind=SERVER, owner={**ACME, "user_id": "u1"}, service="edge")
    inner = span(3, 2, kind=SERVER, received=("tenant_id",), service="agent")
    spans = [edge, span(2, 1, kind=CLIENT, service="edge"), inner, call(4, 3)]
    assert found(spans, rule="A04") == []


SENT = {"baggage:tenant_id": "acme"}


@pytest.mark.parametrize(
    ("host", "severity"),
    [
        ("api.openai.com", Severity.ERROR),
        ("eu.myres.openai.azure.com", Severity.ERROR),
        ("hooks.example.com", Severity.WARNING),
        ("8.8.8.8:443", Severity.WARNING),
    ],
)
def test_identity_sent_to_others(host: str, severity: Severity) -> None:
    out = span(2, 1, kind=CLIENT, sent=SENT, peer=host)
    (hit,) = found([call(1), out], rule="A15")
    assert hit.severity is severity
    assert (hit.calls, hit.cost_pico) == (1, 27_000_000)
    assert "acme" not in hit.title


@pytest.mark.parametrize(
    "host", ["gateway", "gateway.prod.svc.cluster.local", "10.0.0.7:8080", "localhost:8080",
             "llm.acme.internal", "ai.own.example", "[::1]"],
)  # fmt: skip
def test_identity_sent_to_ourselves(host: str) -> None:
    own = AuditSettings(trusted_hosts=("own.example",))
    assert found([call(1), span(2, 1, kind=CLIENT, sent=SENT, peer=host)], settings=own) == []


def test_a_host_behind_which_the_trace_goes_on_is_ours() -> None:
    out = span(1, kind=CLIENT, sent=SENT, peer="agents.example.com")
    spans = [out, span(2, 1, kind=SERVER, service="agents"), call(3, 2)]
    assert found(spans) == []


def test_a_tenant_that_is_the_conversation() -> None:
    (hit,) = found([call(1, owner={"tenant_id": "talk-9"}, of={"conversation_id": "talk-9"})])
    assert (hit.rule, hit.mode) == ("A17", Mode.IDENTITY_KIND)
    assert "id of the conversation" in hit.title


def test_a_tenant_that_is_the_trace() -> None:
    dashed = str(uuid.UUID(hex=trace_id(77)))
    (hit,) = found([call(1, trace_id=trace_id(77), owner={"tenant_id": dashed})])
    assert "id of the trace" in hit.title


def test_a_tenant_made_for_each_request() -> None:
    traces = [
        [call(1, trace_id=trace_id(at), owner={"tenant_id": str(uuid.UUID(int=at * 7919))},
              of={"response_id": None})]
        for at in range(1, 101)
    ]  # fmt: skip
    (hit,) = found(*traces, rule="A17")
    assert hit.calls == 100
    assert hit.cost_pico == 2_700_000_000


def test_many_tenants_with_names_are_tenants() -> None:
    traces = [
        [call(1, trace_id=trace_id(at), owner={"tenant_id": f"company-{at}"},
              of={"response_id": None})]
        for at in range(1, 101)
    ]  # fmt: skip
    assert found(*traces) == []


@pytest.mark.parametrize(
    ("value", "what"),
    [
        ("jane.doe@example.com", "an e-mail address"),
        ("+49 170 1234567", "a telephone number"),
        ("078-05-1120", "a number of a person"),
    ],
)
def test_personal_data_as_tenant(value: str, what: str) -> None:
    (hit,) = found([call(1, owner={"tenant_id": value})], rule="A24")
    assert what in hit.title
    assert value not in repr(hit.title) + repr(hit.place)


@pytest.mark.parametrize("value", ["acme", "t_2024-05-11", "4915112345678", "team@eu", "cus_Ab12"])
def test_ids_that_are_no_personal_data(value: str) -> None:
    assert found([call(1, owner={"tenant_id": value})]) == []


def test_tenants_of_another_form() -> None:
    form = AuditSettings(tenant_pattern=r"t_[0-9]+")
    (hit,) = found([call(1, owner={"tenant_id": "nobody"})], settings=form)
    assert (hit.rule, hit.mode, hit.severity) == ("A33", Mode.IDENTITY_KIND, Severity.ERROR)
    assert "nobody" not in hit.title
    assert found([call(1, owner={"tenant_id": "t_17"})], settings=form) == []
    assert len(found([call(1, owner={"tenant_id": "t_17b"})], settings=form)) == 1
    hashed = AuditSettings(tenant_pattern=r"t_[0-9]+", hash_names=True)
    assert found([call(1, owner={"tenant_id": "name-0011223344"})], settings=hashed) == []


def test_hashed_names_show_what_they_were() -> None:
    redactor = Redactor()
    tenant = redactor.name("jane.doe@example.com")
    (hit,) = found([call(1, owner={"tenant_id": tenant})])
    assert hit.rule == "A24"
    made = [redactor.name(str(uuid.UUID(int=at * 7919))) for at in range(1, 101)]
    traces = [
        [call(1, trace_id=trace_id(at), owner={"tenant_id": one}, of={"response_id": None})]
        for at, one in enumerate(made)
    ]
    assert {hit.rule for hit in found(*traces)} == {"A17"}


def test_users_as_tenants() -> None:
    def trace(name: str) -> list[object]:
        return [call(1, owner={"tenant_id": name, "user_id": name}, of={"response_id": None})]

    (hit,) = found(*[trace(name) for name in ("ann", "bob", "eve")], rule="A23")  # type: ignore[arg-type]
    assert hit.calls == 3


def test_users_and_no_tenant_at_all() -> None:
    traces = [
        [call(1, owner={"user_id": name}, of={"response_id": None})] for name in ("a", "b", "c")
    ]
    (hit,) = found(*traces, rule="A23")
    assert "no span names a tenant" in hit.title
    named = [span(1, owner=ACME), call(2, 1)]
    assert found(*traces, named, rule="A23") == []


def test_a_key_of_several_tenants_is_a_remark() -> None:
    key = {"api_key_id": "prod-key"}
    one, other = call(1, of=key, owner=ACME), call(2, of=key, owner=OTHER)
    (hit,) = found([one], [other], rule="A18")
    assert (hit.severity, hit.calls, hit.cost_pico) == (Severity.NOTE, 2, 54_000_000)
    assert "serves 2 tenants" in hit.title
    assert found([one], [call(2, of=key)]) == []


def test_a_batch_without_an_owner() -> None:
    (hit,) = found([call(1, owner={}, of={"is_batch": True})])
    assert (hit.rule, hit.mode, hit.is_cause) == ("A21", Mode.BATCH_METADATA, False)
    assert found([call(1, of={"is_batch": True})]) == []


def test_the_owner_of_a_process_is_an_owner() -> None:
    spans = [call(1, owner={}, process_owner=ACME, of={"is_batch": True})]
    assert found(spans) == []


def test_a_request_that_nobody_measured() -> None:
    post = span(2, 1, kind=CLIENT, name="POST", peer="api.openai.com", protocol="http")
    (hit,) = found([span(1), post], rule="A22")
    assert (hit.calls, hit.cost_pico) == (1, None)
    assert found([call(1), post]) == []
    read = span(2, 1, kind=CLIENT, name="GET", peer="api.openai.com", protocol="http")
    assert found([span(1), read]) == []
    ours = span(2, 1, kind=CLIENT, name="POST", peer="shop.internal", protocol="http")
    assert found([span(1), ours]) == []
    below_agent = [agent(1, started_at_ns=AT_NS), post]
    assert found(below_agent, rule="A22") == []
