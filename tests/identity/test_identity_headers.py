"""Identity in Tollbook's own headers and in those of other gateways."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tollbook.identity import Claims, Mechanism, claims_from_headers


def only(*headers: tuple[bytes, bytes]) -> Claims:
    (claims,) = claims_from_headers(headers)
    return claims


def test_a_request_without_identity_headers_claims_nothing() -> None:
    assert claims_from_headers([(b"host", b"x"), (b"authorization", b"Bearer k")]) == ()


@pytest.mark.parametrize(
    ("name", "field"),
    [
        (b"tenant", "tenant_id"),
        (b"user", "user_id"),
        (b"team", "team_id"),
        (b"cost-center", "cost_center"),
        (b"feature", "feature"),
        (b"workflow", "workflow_id"),
        (b"agent-run", "agent_run_id"),
        (b"workflow-step", "workflow_step"),
        (b"environment", "environment"),
        (b"request-id", "request_id"),
    ],
)
def test_own_headers(name: bytes, field: str) -> None:
    claims = only((b"x-tollbook-" + name, b"value-1"))
    assert claims.mechanism is Mechanism.TOLLBOOK_HEADER
    assert claims.fields == {field: "value-1"}


def test_own_origin_and_tags() -> None:
    claims = only(
        (b"x-tollbook-request-origin", b"System"), (b"x-tollbook-tag-region", b"Paris, FR")
    )
    assert claims.fields == {"request_origin": "system"}
    assert claims.tags == {"region": "Paris, FR"}


def test_an_own_header_that_does_not_exist_is_named() -> None:
    assert "x-tollbook-tenannt" in only((b"x-tollbook-tenannt", b"a")).problems[0]


def test_portkey_metadata() -> None:
    value = msgspec.json.encode(
        {"_user": "u1", "tenant_id": "acme", "plan": "gold", "n": 3, "beta": True, "deep": {}}
    )
    claims = only((b"x-portkey-metadata", value), (b"x-portkey-api-key", b"secret"))
    assert claims.mechanism is Mechanism.PORTKEY
    assert claims.fields == {"user_id": "u1", "tenant_id": "acme"}
    assert claims.tags == {"plan": "gold", "n": "3", "beta": "true"}


@pytest.mark.parametrize("value", [b"", b"[1]", b"{", b"\xff", b"[" * 100_000])
def test_portkey_metadata_that_is_no_object_is_a_problem(value: bytes) -> None:
    assert "not a JSON object" in only((b"x-portkey-metadata", value)).problems[0]


def test_helicone_headers() -> None:
    claims = only(
        (b"helicone-user-id", b"u1"),
        (b"helicone-session-id", b"run-1"),
        (b"helicone-session-name", b"triage"),
        (b"helicone-session-path", b"/plan/search"),
        (b"helicone-property-tenant-id", b"acme"),
        (b"helicone-property-colour", b"blue"),
        (b"helicone-auth", b"Bearer secret"),
    )
    assert claims.mechanism is Mechanism.HELICONE
    assert claims.fields == {
        "user_id": "u1",
        "agent_run_id": "run-1",
        "workflow_id": "triage",
        "workflow_step": "/plan/search",
        "tenant_id": "acme",
    }
    assert claims.tags == {"colour": "blue"}


def test_litellm_headers() -> None:
    claims = only(
        (b"x-litellm-tags", b"tenant:acme, batch , plan=gold"),
        (b"x-litellm-end-user-id", b"u1"),
        (b"x-litellm-spend-logs-metadata", b'{"team": "search"}'),
        (b"x-litellm-api-key", b"secret"),
    )
    assert claims.mechanism is Mechanism.LITELLM
    assert claims.fields == {"tenant_id": "acme", "user_id": "u1", "team_id": "search"}
    assert claims.tags == {"batch": "true", "plan": "gold"}


def test_carriers_come_in_the_order_of_trust() -> None:
    claims = claims_from_headers(
        [
            (b"x-litellm-customer-id", b"d"),
            (b"helicone-user-id", b"c"),
            (b"x-portkey-metadata", b'{"_user":"b"}'),
            (b"x-tollbook-user", b"a"),
            (b"baggage", b"user.id=z"),
        ]
    )
    assert [claim.fields["user_id"] for claim in claims] == ["z", "a", "b", "c", "d"]


def test_no_secret_of_another_gateway_is_kept() -> None:
    claims = claims_from_headers([(b"helicone-auth", b"s3cret"), (b"x-portkey-api-key", b"s3cret")])
    assert "s3cret" not in repr(claims)


_names = st.sampled_from(
    [
        b"baggage",
        b"x-tollbook-tenant",
        b"x-tollbook-tag-\xff",
        b"x-tollbook-",
        b"x-portkey-metadata",
        b"helicone-property-",
        b"helicone-user-id",
        b"x-litellm-tags",
        b"x-litellm-metadata",
    ]
)


@settings(deadline=None)
@given(st.lists(st.tuples(_names, st.binary(max_size=80)), max_size=8))
def test_no_header_raises(headers: list[tuple[bytes, bytes]]) -> None:
    for claims in claims_from_headers(headers):
        assert "\x00" not in "".join([*claims.fields.values(), *claims.tags.values()])
