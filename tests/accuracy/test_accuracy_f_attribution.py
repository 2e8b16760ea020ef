"""F: whose call it is."""

# ruff: noqa: N802 -- test names bear the ids of the cases

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
from tests.accuracy.bodies import (
    ANTHROPIC,
    CHAT,
    MESSAGE,
    completion,
    usage,
)
from tests.accuracy.kit import KEYED, case, json_answer

if TYPE_CHECKING:
    from tests.accuracy.conftest import Book

pytestmark = pytest.mark.slow

DONE = [json_answer(completion(usage(1, 1)))]
TAGGED = {"metadata": {"tags": ["plan:pro"]}}
F1 = [
    case("F1-body", DONE, body=CHAT | {"tags": ["plan:pro"]}),
    case("F1-metadata", DONE, body=CHAT | TAGGED),
    case("F1-litellm", DONE, body=CHAT | {"litellm_metadata": TAGGED["metadata"]}),
    case("F1-litellm-header", DONE, headers=[("x-litellm-tags", "plan:pro")]),
    case("F1-helicone", DONE, headers=[("Helicone-Property-plan", "pro")]),
    case("F1-portkey", DONE, headers=[("x-portkey-metadata", '{"plan":"pro"}')]),
    case("F1-own", DONE, headers=[("x-tollbook-tag-plan", "pro")]),
    case("F1-openai", DONE, body=CHAT | {"metadata": {"plan": "pro"}}),
]


@pytest.mark.parametrize("name", F1)
def test_F1_every_carrier_of_tags_gives_the_same_tags(book: Book, name: str) -> None:
    assert json.loads(book.one(name)["tags"]) == {"plan": "pro"}


F2 = [
    case("F2-chat", DONE, body=CHAT | {"user": "ann"}),
    case("F2-responses", DONE, body=CHAT | {"user": "ann"}, path="/v1/responses"),
    case("F2-safety", DONE, body=CHAT | {"safety_identifier": "ann"}, path="/v1/responses"),
    case("F2-embeddings", DONE, body=CHAT | {"user": "ann"}, path="/v1/embeddings"),
    case("F2-messages", DONE, body=MESSAGE | {"metadata": {"user_id": "ann"}}, path=ANTHROPIC,
         provider="claude"),
]  # fmt: skip


@pytest.mark.parametrize("name", F2)
def test_F2_the_end_user_is_found_on_every_endpoint(book: Book, name: str) -> None:
    assert book.one(name)["user_id"] == "ann"


BLOB = '{"device_id":"ab","account_uuid":"","session_id":"11-22"}'
F3 = case("F3", DONE, body=MESSAGE | {"metadata": {"user_id": BLOB}}, path=ANTHROPIC,
          provider="claude")  # fmt: skip


def test_F3_a_document_where_an_id_belongs_makes_no_new_user(book: Book) -> None:
    row = book.one(F3)
    assert row["user_id"] is None
    assert "looks like JSON" in row["identity_detail"]
    assert b"account_uuid" in book.sent_up[F3][0], "the provider still gets what it was sent"


KEYED["F4"] = {"tenant_id": "F4"}
F4 = case(
    "F4",
    DONE,
    body=CHAT | {"metadata": {"tenant_id": "someone-else"}},
    headers=[("baggage", "tenant.id=another"), ("x-tollbook-tenant", "a-third")],
)


def test_F4_the_tenant_of_the_key_wins_and_the_others_are_recorded(book: Book) -> None:
    row = book.one(F4)
    assert (row["tenant_id"], row["identity_source"]) == ("F4", "virtual_key")
    refused = {one["refused"] for one in json.loads(row["identity_detail"])["conflicts"]}
    assert refused == {"someone-else", "another", "a-third"}
    head = book.sent_up[F4][0].partition(b"\r\n\r\n")[0].lower()
    assert b"another" not in head
    assert b"a-third" not in head
