"""Tags in bodies: what each API gets, and that nothing else of a request changes, ever."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tollbook.dialects.base import NativeTags
from tollbook.dialects.registry import dialect_named

FULL = NativeTags(
    tenant="acme", user="u-7", feature="search", workflow="nightly", run="r-1", end_user="u-7"
)
PAIRS = {
    "tollbook_tenant": "acme",
    "tollbook_user": "u-7",
    "tollbook_feature": "search",
    "tollbook_workflow": "nightly",
    "tollbook_run": "r-1",
}
PATHS = {
    "openai": "/v1/chat/completions",
    "responses": "/v1/responses",
    "embeddings": "/v1/embeddings",
    "batches": "/v1/batches",
    "anthropic": "/v1/messages",
    "vertex": "/v1/projects/p/locations/eu/publishers/google/models/gemini-2.5:generateContent",
    "gemini": "/v1beta/models/gemini-2.5:generateContent",
    "converse": "/model/us.amazon.nova-lite-v1%3A0/converse",
    "invoke": "/model/us.amazon.nova-lite-v1%3A0/invoke",
    "cohere": "/v2/chat",
    "ollama": "/api/chat",
    "azure": "/openai/deployments/gpt-4o/chat/completions",
}
DIALECTS = {
    "responses": "openai", "embeddings": "openai", "batches": "openai", "vertex": "gemini",
    "converse": "bedrock", "invoke": "bedrock",
}  # fmt: skip
FIELDS = {"metadata", "safety_identifier", "user", "labels", "requestMetadata"}
"""All that any dialect may write."""


def told(api: str, body: bytes, tags: NativeTags = FULL) -> bytes:
    dialect = dialect_named(DIALECTS.get(api, api))
    return dialect.with_tags(dialect.route("POST", PATHS[api]), body, tags)


def read(api: str, body: bytes, tags: NativeTags = FULL) -> dict[str, Any]:
    return dict(json.loads(told(api, body, tags)))


def test_chat_completions_take_metadata_only_when_they_are_stored() -> None:
    assert read("openai", b'{"model":"m"}') == {"safety_identifier": "u-7", "model": "m"}
    stored = read("openai", b'{"model":"m","store":true}')
    assert stored == {"safety_identifier": "u-7", "metadata": PAIRS, "model": "m", "store": True}


@pytest.mark.parametrize("api", ["responses", "batches"])
def test_responses_and_batches_take_metadata(api: str) -> None:
    assert read(api, b'{"a":1}')["metadata"] == PAIRS


def test_only_what_generates_takes_an_end_user() -> None:
    assert "safety_identifier" in read("responses", b'{"a":1}')
    for api in ("batches", "embeddings"):
        assert "safety_identifier" not in read(api, b'{"a":1}')


def test_openrouter_takes_user_and_no_metadata() -> None:
    tags = NativeTags(tenant="acme", end_user="acme", end_user_field="user", has_metadata=False)
    assert read("openai", b'{"store":true}', tags) == {"user": "acme", "store": True}
    assert read("embeddings", b'{"a":1}', tags) == {"user": "acme", "a": 1}


def test_azure_speaks_as_openai() -> None:
    assert read("azure", b'{"messages":[]}') == {"safety_identifier": "u-7", "messages": []}


def test_anthropic_takes_the_end_user() -> None:
    assert read("anthropic", b'{"model":"m"}') == {"metadata": {"user_id": "u-7"}, "model": "m"}


def test_vertex_takes_labels_and_the_gemini_api_takes_nothing() -> None:
    tags = NativeTags(tenant="Acme GmbH", feature="x" * 64)
    assert read("vertex", b'{"contents":[]}', tags)["labels"] == {"tollbook_tenant": "acme_gmbh"}
    assert told("gemini", b'{"contents":[]}') == b'{"contents":[]}'


def test_bedrock_takes_request_metadata_in_the_body_or_in_a_header() -> None:
    assert read("converse", b'{"messages":[]}')["requestMetadata"] == PAIRS
    assert told("invoke", b'{"messages":[]}') == b'{"messages":[]}'
    bedrock = dialect_named("bedrock")
    assert bedrock.tag_headers(bedrock.route("POST", PATHS["converse"]), FULL) == []
    ((name, value),) = bedrock.tag_headers(bedrock.route("POST", PATHS["invoke"]), FULL)
    assert name == b"x-amzn-bedrock-request-metadata"
    assert json.loads(value) == PAIRS


@given(tenant=st.text(min_size=1), user=st.text(min_size=1))
def test_what_bedrock_refuses_is_never_sent(tenant: str, user: str) -> None:
    bedrock = dialect_named("bedrock")
    tags = NativeTags(tenant=tenant, user=user)
    for _, value in bedrock.tag_headers(bedrock.route("POST", PATHS["invoke"]), tags):
        assert value.isascii()
        assert b"\r" not in value
        assert b"\n" not in value
        for text in json.loads(value).values():
            assert re.fullmatch(r"[a-zA-Z0-9 ._:/=+$@-]{0,256}", text)


@given(tenant=st.text(min_size=1))
def test_what_vertex_refuses_is_never_sent(tenant: str) -> None:
    labels = read("vertex", b'{"contents":[]}', NativeTags(tenant=tenant)).get("labels", {})
    assert all(re.fullmatch(r"[a-z0-9_-]{1,63}", value) for value in labels.values())


@pytest.mark.parametrize("api", ["cohere", "ollama", "gemini", "embeddings"])
def test_an_api_without_a_field_gets_the_very_bytes(api: str) -> None:
    body = b'{ "model" : "m" , "messages":[ ] }'
    assert told(api, body) == body


@pytest.mark.parametrize(
    ("api", "body"),
    [
        ("responses", b'{"metadata":{"tollbook_tenant":"theirs"},"safety_identifier":"s"}'),
        ("anthropic", b'{"metadata":{"user_id":"theirs"}}'),
        ("vertex", b'{"labels":{"tollbook_tenant":"theirs"}}'),
        ("converse", b'{"requestMetadata":{"tollbook_tenant":"theirs"}}'),
        ("openai", b'{"safety_identifier":"theirs"}'),
    ],
)
def test_what_the_client_set_stays(api: str, body: bytes) -> None:
    tags = NativeTags(tenant="acme", end_user="acme")
    assert told(api, body, tags) == body


@pytest.mark.parametrize("api", ["responses", "anthropic", "vertex", "converse"])
@pytest.mark.parametrize("value", [b'"text"', b"[1]", b"5"])
def test_a_field_of_a_wrong_type_is_for_the_provider_to_refuse(api: str, value: bytes) -> None:
    name = {"vertex": b"labels", "converse": b"requestMetadata"}.get(api, b"metadata")
    tags = NativeTags(tenant="acme", end_user="acme", end_user_field="none")
    body = b'{"' + name + b'":' + value + b"}"
    assert told(api, body, tags) == body


@pytest.mark.parametrize("api", ["responses", "anthropic", "vertex", "converse"])
def test_null_is_as_good_as_nothing(api: str) -> None:
    name = {"vertex": "labels", "converse": "requestMetadata"}.get(api, "metadata")
    assert read(api, json.dumps({name: None, "a": 1}).encode())[name]


def test_a_full_map_stays_full() -> None:
    full = {f"k{n}": "v" for n in range(15)}
    metadata = read("responses", json.dumps({"metadata": full}).encode())["metadata"]
    assert len(metadata) == 16
    assert metadata["tollbook_tenant"] == "acme"
    assert full.items() <= metadata.items()


@pytest.mark.parametrize("api", sorted(PATHS))
def test_too_long_a_name_is_left_out_rather_than_cut(api: str) -> None:
    long = "t" * 600
    tags = NativeTags(tenant=long, end_user=long)
    assert b"ttt" not in told(api, b'{"store":true,"a":1}', tags)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(exclude_categories=["Cs"])),
    lambda inner: st.lists(inner, max_size=3)
    | st.dictionaries(st.text(st.characters(exclude_categories=["Cs"]), max_size=5), inner,
                      max_size=3),
    max_leaves=8,
)  # fmt: skip
bodies = st.dictionaries(
    st.sampled_from([*FIELDS, "model", "store", "messages", "input", "contents", "x"])
    | st.text(st.characters(exclude_categories=["Cs"]), max_size=5),
    json_values,
    max_size=6,
)
some_tags = st.builds(
    NativeTags,
    tenant=st.none() | st.text(max_size=80),
    user=st.none() | st.text(max_size=80),
    feature=st.none() | st.text(max_size=600),
    end_user=st.none() | st.text(max_size=80),
    end_user_field=st.sampled_from(["safety_identifier", "user"]),
    has_metadata=st.booleans(),
)


@given(
    api=st.sampled_from(sorted(PATHS)), body=bodies, tags=some_tags, indent=st.none() | st.just(2)
)
def test_no_other_member_ever_changes(
    api: str, body: dict[str, Any], tags: NativeTags, indent: int | None
) -> None:
    sent = json.dumps(body, indent=indent, ensure_ascii=False).encode()
    after = json.loads(told(api, sent, tags))
    before = json.loads(sent)
    assert {k: v for k, v in after.items() if k not in FIELDS} == {
        k: v for k, v in before.items() if k not in FIELDS
    }
    for name in FIELDS & set(before):
        if isinstance(before[name], dict):
            assert before[name].items() <= after[name].items() or before[name] == after[name]
        elif before[name] is not None:
            assert after[name] == before[name]


@given(api=st.sampled_from(sorted(PATHS)), body=st.binary(max_size=200), tags=some_tags)
def test_what_is_no_json_object_passes_as_it_is(api: str, body: bytes, tags: NativeTags) -> None:
    try:
        is_object = isinstance(json.loads(body), dict)
    except ValueError:
        is_object = False
    if not is_object:
        assert told(api, body, tags) == body


@given(api=st.sampled_from(sorted(PATHS)), body=bodies)
def test_no_tags_no_change(api: str, body: dict[str, Any]) -> None:
    sent = json.dumps(body).encode()
    assert told(api, sent, NativeTags()) == sent


@given(body=bodies, tags=some_tags)
def test_telling_twice_is_telling_once(body: dict[str, Any], tags: NativeTags) -> None:
    for api in PATHS:
        once = told(api, json.dumps(body).encode(), tags)
        assert told(api, once, tags) == once
