"""C: retries, the identity of models and of calls."""

# ruff: noqa: N802 -- test names bear the ids of the cases

from __future__ import annotations

import json
from decimal import Decimal
from typing import TYPE_CHECKING

import pytest
from tests.accuracy.bodies import (
    FAULT,
    completion,
    usage,
)
from tests.accuracy.kit import case, json_answer

if TYPE_CHECKING:
    from tests.accuracy.conftest import Book

pytestmark = pytest.mark.slow

C3 = [
    case("C3-1", [json_answer(FAULT, status="500 Internal Server Error")],
         headers=[("x-stainless-retry-count", "0")]),
    case("C3-2", [json_answer(completion(usage(50, 100)))],
         headers=[("x-stainless-retry-count", "1")]),
]  # fmt: skip


def test_C3_F5_every_attempt_is_an_entry_and_only_the_answered_one_costs(book: Book) -> None:
    failed = book.check(C3[0], "0", source="none", status="error")
    book.check(C3[1], "0.0011", uncached_input_tokens=50, visible_output_tokens=100)
    assert [book.one(name)["attempt"] for name in C3] == [1, 2]
    assert failed["price_state"] == "not_billed"
    assert (failed["provider"], failed["model_requested"], failed["error_type"]) == (
        "fake", "m-1", "server_error"
    )  # fmt: skip


STORED = {"id": "resp_1", "object": "response", "model": "m-1", "output": [], "usage": {
    "input_tokens": 50, "output_tokens": 100, "total_tokens": 150}}  # fmt: skip
C5 = case("C5", [json_answer(STORED)], path="/v1/responses")
C5_GET = [
    case(f"C5-get-{at}", [json_answer(STORED)], method="GET", path="/v1/responses/resp_1", body=b"")
    for at in range(3)
]


def test_C5_showing_a_stored_response_is_not_billed_again(book: Book) -> None:
    book.check(C5, "0.0011", uncached_input_tokens=50, visible_output_tokens=100)
    for name in C5_GET:
        assert book.check(name, "0", source="none")["price_state"] == "free"


QUEUED = STORED | {"id": "resp_2", "status": "queued", "background": True, "usage": None}
FINISHED = STORED | {"id": "resp_2", "status": "completed", "background": True}
C5_LATE = case("C5-late", [json_answer(QUEUED)], path="/v1/responses",
               body={"model": "m-1", "input": "x" * 80, "background": True})  # fmt: skip
C5_SHOWN = [
    case(f"C5-shown-{at}", [json_answer(one)], method="GET", path="/v1/responses/resp_2", body=b"")
    for at, one in enumerate([QUEUED, FINISHED, FINISHED, FINISHED])
]


def test_C5_usage_that_only_a_later_request_shows_is_charged_once(book: Book) -> None:
    estimate, taken_back, charge = sorted(book.rows[C5_LATE], key=lambda row: row["entry_id"])
    assert [one["kind"] for one in (estimate, taken_back, charge)] == [
        "charge", "reversal", "charge",
    ]  # fmt: skip
    assert estimate["usage_source"] == "estimated"
    assert taken_back["cost_usd"] == -estimate["cost_usd"]
    assert (charge["usage_source"], charge["cost_usd"]) == ("reported", Decimal("0.0011"))
    assert (charge["uncached_input_tokens"], charge["visible_output_tokens"]) == (50, 100)
    assert len({(one["call_id"], one["called_at"]) for one in (estimate, taken_back, charge)}) == 1
    for name in C5_SHOWN:
        assert book.check(name, "0", source="none")["price_state"] == "free"


C6 = [
    case("C6-fake", [json_answer(completion(usage(1000, 100), model="gpt-4o"))]),
    case("C6-cheap", [json_answer(completion(usage(1000, 100), model="gpt-4o"))], provider="cheap"),
]


def test_C6_the_same_model_costs_what_its_own_provider_asks(book: Book) -> None:
    assert [book.one(name)["cost_usd"] for name in C6] == [Decimal("0.0035"), Decimal("0.0011")]


C9 = case("C9", [json_answer(completion(usage(50, 100), id="chatcmpl-seen-by-client"),
                             headers="x-request-id: req_seen\r\n")])  # fmt: skip


def test_C9_the_ids_that_a_client_sees_lead_to_the_call(book: Book) -> None:
    head = book.seen[C9].partition(b"\r\n\r\n")[0].decode()
    ours = next(line.partition(": ")[2] for line in head.split("\r\n") if "call-id" in line)
    assert ours == str(book.one(C9)["call_id"])
    for wanted in (ours, "chatcmpl-seen-by-client", "req_seen"):
        done = book.house.cli("explain", wanted, "--format", "json")
        assert done.returncode == 0, done.stderr
        assert json.loads(done.stdout)["call_id"] == ours
