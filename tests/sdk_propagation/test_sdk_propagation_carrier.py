"""Identity in headers and payloads: what comes out is what went in, and only where it may."""

from __future__ import annotations

import json
import string
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace
from opentelemetry.baggage import get_all
from opentelemetry.baggage.propagation import W3CBaggagePropagator

from tollbook import sdk as tollbook
from tollbook.call import IDENTITY_FIELDS, Identity
from tollbook.identity.baggage import read_baggage
from tollbook.identity.claims import Mechanism
from tollbook.identity.values import ClaimsBuilder, as_id
from tollbook.identity.write_baggage import write_baggage
from tollbook.sdk.context import NOBODY
from tollbook.sdk.propagation import (
    extract,
    from_payload,
    inject,
    may_receive,
    strip,
    to_payload,
    use_carrier,
)

ID_CHARACTERS = string.ascii_letters + string.digits + " _.:@/|+~=&#-éßø漢字Ωя٣"
ID_TEXT = (
    st.text(ID_CHARACTERS, min_size=1, max_size=128)
    .map(lambda text: f"a{text}z"[-128:].strip())
    .filter(lambda text: as_id(text) == text)
)
FIELDS = st.dictionaries(
    st.sampled_from([one for one in IDENTITY_FIELDS if one != "request_origin"]), ID_TEXT
)
TAG_NAMES = st.text(string.ascii_letters + string.digits + "_.-", min_size=1, max_size=20)
TAGS = st.dictionaries(
    TAG_NAMES.map(lambda name: f"t{name}"),
    st.text(max_size=40).filter(lambda text: text.isprintable() and text.strip() == text != ""),
    max_size=5,
)


def read(header: str) -> ClaimsBuilder:
    builder = ClaimsBuilder(Mechanism.BAGGAGE)
    read_baggage(builder, [header.encode()])
    return builder


@settings(max_examples=60)
@given(FIELDS, TAGS)
def test_what_is_written_is_read_again(fields: dict[str, str], tags: dict[str, str]) -> None:
    header = write_baggage(replace(NOBODY, **fields, tags=tags))
    assert header.isascii()
    found = read(header)
    assert found.fields == fields
    assert found.tags == tags
    if header:
        claims = found.build()
        assert claims is not None
        assert claims.problems == ()


@settings(max_examples=60)
@given(FIELDS)
def test_opentelemetrys_own_propagator_reads_the_same(fields: dict[str, str]) -> None:
    header = write_baggage(replace(NOBODY, **fields))
    members = get_all(W3CBaggagePropagator().extract({"baggage": header}))
    found = {name: members[name] for name in members}
    assert sorted(map(str, found.values())) == sorted(fields.values())


@settings(max_examples=60)
@given(st.text(max_size=200), FIELDS)
def test_another_header_is_kept_behind_it_and_never_overrules_it(
    others: str, fields: dict[str, str]
) -> None:
    header = write_baggage(replace(NOBODY, **fields), others)
    assert {name: read(header).fields.get(name) for name in fields} == fields


def test_members_of_others_are_kept_as_they_are() -> None:
    header = write_baggage(
        Identity(tenant_id="acme", tags={"plan": "gold"}),
        "a=1;p=2 , tenant.id=evil,tenant_id=evil, plan=lead,,b=%20",
    )
    assert header == "tenant.id=acme,plan=gold,a=1;p=2,b=%20"


def test_what_does_not_fit_is_left_out_whole_and_identity_comes_first() -> None:
    tags = {f"t{n}": "x" * 250 for n in range(32)}
    header = write_baggage(Identity(tenant_id="acme", tags=tags), "big=" + "y" * 9000 + ",a=1")
    assert len(header) <= 8192
    assert header.startswith("tenant.id=acme,")
    assert "big=" not in header
    assert header.endswith("a=1")
    assert read(header).fields == {"tenant_id": "acme"}
    many = write_baggage(Identity(tenant_id="acme"), ",".join(f"a{n}=1" for n in range(500)))
    assert many.count(",") == 179


def test_a_tag_cannot_pass_for_a_field() -> None:
    known = Identity(tags={"tenant.id": "evil", "user_id": "evil", "a b": "x", "ok": "1"})
    assert write_baggage(known) == "ok=1"


def test_headers_carry_identity_and_span() -> None:
    with tollbook.tenant("a+b", user="Zoë"), tollbook.step("s"):
        headers: dict[str, str] = {}
        inject(headers)
        span = tollbook.current_span()
        assert span is not None
        assert headers["traceparent"] == f"00-{span.trace_id}-{span.span_id}-01"
    with use_carrier(headers) as known:
        assert (known.tenant_id, known.user_id, known.workflow_step) == ("a+b", "Zoë", "s")
        assert known.sources["tenant_id"] == "baggage"
        assert tollbook.current_span() == span
    assert tollbook.current_span() is None


def test_nobodys_work_writes_nothing() -> None:
    assert to_payload() == {}


def test_extract_reads_what_the_gateway_reads() -> None:
    known = extract(
        [
            (b"Baggage", b"tenant.id=acme;ttl=5"),
            ("BAGGAGE", "user.id=a+b"),
            ("x-tollbook-tenant", "other"),
            ("X-Tollbook-Feature", "search"),
        ]
    )
    assert (known.tenant_id, known.user_id, known.feature) == ("acme", "a+b", "search")
    assert known.environment is None
    assert [one.refused for one in known.conflicts] == ["other"]
    assert extract({}) is extract(None) is NOBODY


@settings(max_examples=60)
@given(st.recursive(
    st.none() | st.booleans() | st.integers() | st.text() | st.binary(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner) | st.tuples(inner, inner),
))  # fmt: skip
def test_no_payload_whatever_raises(payload: Any) -> None:
    with from_payload(payload):
        assert tollbook.current().tenant_id is None
    extract(payload)


@settings(max_examples=60)
@given(st.text(max_size=300))
def test_no_header_whatever_raises(text: str) -> None:
    with from_payload({"baggage": text, "traceparent": text}) as known:
        assert known.tenant_id is None or as_id(known.tenant_id) == known.tenant_id


def test_a_payload_is_json_and_brings_back_the_same_identity() -> None:
    with tollbook.scope(tenant="acme", request="r-1", tags={"plan": "gold, old"}):
        payload = json.loads(json.dumps(to_payload()))
    with tollbook.tenant("somebody else", user="ada"), from_payload(payload) as known:
        assert (known.tenant_id, known.user_id, known.request_id) == ("acme", None, "r-1")
        assert known.tags == {"plan": "gold, old"}
        assert to_payload() == payload


@pytest.mark.parametrize(
    ("host", "may"),
    [
        ("127.0.0.1", True), ("127.8.8.8:80", True), ("[::1]:443", True), ("::1", True),
        ("localhost", True), ("LOCALHOST.", True), ("web.localhost", True),
        ("llm.corp", True), ("https://llm.corp:8443/openai", True), ("LLM.corp", True),
        ("agents.corp", True), ("agents.corp:9", True), ("a.services.corp", True),
        ("a.b.services.corp", True),
        ("services.corp", False), ("evil-services.corp", False), ("xagents.corp", False),
        ("agents.corp.evil.com", False), ("api.openai.com", False), ("", False),
        ("127.0.0.1.evil.com", False), ("localhost.evil.com", False), ("10.0.0.1", False),
        ("http://agents.corp@evil.com/", False), ("http://[", False), ("0.0.0.0", False),
    ],
)  # fmt: skip
def test_only_known_hosts_may_receive(host: str, *, may: bool) -> None:
    tollbook.configure(
        gateway="https://llm.corp:8443", allowed_hosts=("agents.corp", ".services.corp")
    )
    assert may_receive(host) is may


def test_an_unknown_host_gets_nothing_and_what_was_there_is_taken_out() -> None:
    headers = {
        "Baggage": "tenant.id=acme", "traceparent": "x", "TraceState": "y",
        "X-Tollbook-Tenant": "acme", "accept": "*/*",
    }  # fmt: skip
    with tollbook.tenant("acme"), tollbook.step("s"):
        inject(headers, "https://api.openai.com/v1")
    assert headers == {"accept": "*/*"}
    strip(headers)
    assert headers == {"accept": "*/*"}


def test_settings_that_change_change_what_hosts_may_receive() -> None:
    assert not may_receive("agents.corp")
    tollbook.configure(allowed_hosts=("agents.corp",))
    assert may_receive("agents.corp")
