"""Each kind of log: what its rows say is what is booked, in every format it comes in."""

from __future__ import annotations

import gzip
import json
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from tests.imports.conftest import Desk

LITELLM: dict[str, Any] = {
    "request_id": "chatcmpl-B1", "call_type": "acompletion",
    "api_key": "88dc28d0f030c55ed4ab77ed8faf098196cb1c05df778539800c9f1243fe6b4b",
    "spend": 0.000123456789, "total_tokens": 1100, "prompt_tokens": 1000,
    "completion_tokens": 100, "startTime": "2026-11-10T08:00:00.123000Z",
    "endTime": "2026-11-10T08:00:02.123000Z", "completionStartTime": "2026-11-10T08:00:00.623000Z",
    "model": "openai/gpt-4o-mini", "model_group": "fast", "custom_llm_provider": "openai",
    "api_base": "https://api.openai.com/v1", "user": "internal-1", "cache_hit": "False",
    "metadata": {
        "usage_object": {
            "prompt_tokens": 1000, "completion_tokens": 100, "total_tokens": 1100,
            "prompt_tokens_details": {"cached_tokens": 400},
        },
        "user_api_key_alias": "search-app",
        "requester_metadata": {"tenant": "acme"},
        "spend_logs_metadata": None,
    },
    "request_tags": ["feature:search", "gold"], "team_id": "team-7", "end_user": "",
    "session_id": "run-1", "status": "success",
}  # fmt: skip
LANGFUSE: dict[str, Any] = {
    "id": "eee19b7ec3c1b174", "traceId": "5b8efff798038103d269b633813fc60c",
    "type": "GENERATION", "name": "answer", "startTime": "2026-11-10T08:00:00.000Z",
    "endTime": "2026-11-10T08:00:03.000Z", "completionStartTime": "2026-11-10T08:00:01.000Z",
    "model": "claude-sonnet-4-5", "parentObservationId": None,
    "usageDetails": {
        "input": 600, "cache_read_input_tokens": 300, "cache_creation_input_tokens": 100,
        "output": 50, "total": 1050,
    },
    "costDetails": {"total": 0.0029}, "metadata": {"tenant_id": "acme", "plan": "gold"},
    "userId": "u-9", "sessionId": "s-1", "environment": "staging", "level": "DEFAULT",
    "tags": ["feature:chat"], "input": "SECRET PROMPT", "output": "SECRET ANSWER",
}  # fmt: skip
HELICONE: dict[str, Any] = {
    "request_id": "0b1f0000-0000-4000-8000-000000000001",
    "request_created_at": "2026-11-10 08:00:00.5", "delay_ms": 1500, "time_to_first_token": 300,
    "response_status": 200, "provider": "ANTHROPIC", "target_url": "https://api.anthropic.com/v1/messages",
    "request_path": "/v1/messages", "request_model": "claude-sonnet-4-5",
    "model": "claude-sonnet-4-5", "request_user_id": "u-1",
    "request_properties": {"Tenant": "acme", "Feature": "chat", "Helicone-Session-Id": "run-5"},
    "prompt_tokens": 600, "completion_tokens": 50, "prompt_cache_read_tokens": 300,
    "prompt_cache_write_tokens": 100, "total_tokens": 650, "cost": 0.00303,
    "cache_reference_id": "00000000-0000-0000-0000-000000000000",
}  # fmt: skip
GENERATION: dict[str, Any] = {
    "id": "gen-3bhGkxlo4XFrqiabUM7N", "created_at": "2026-11-10T08:00:00.433273+00:00",
    "model": "openai/gpt-4o-mini", "provider_name": "OpenAI", "total_cost": 0.00021,
    "tokens_prompt": 900, "tokens_completion": 90, "native_tokens_prompt": 1000,
    "native_tokens_completion": 100, "native_tokens_cached": 400, "native_tokens_reasoning": 0,
    "generation_time": 1200, "streamed": True, "external_user": "u-2", "usage": 0.00021,
}  # fmt: skip
ACTIVITY: dict[str, Any] = {
    "date": "2026-11-09", "model": "openai/gpt-4o-mini",
    "model_permaslug": "openai/gpt-4o-mini-2024-07-18",
    "endpoint_id": "550e8400-e29b-41d4-a716-446655440000", "provider_name": "OpenAI",
    "usage": 0.0155, "byok_usage_inference": 0.012, "requests": 5, "prompt_tokens": 50,
    "completion_tokens": 125, "reasoning_tokens": 25,
}  # fmt: skip


@pytest.mark.parametrize("form", ["jsonl", "json", "csv", "api", "jsonl.gz"])
def test_litellm_spend_logs(desk: Desk, form: str) -> None:
    rows = [LITELLM, LITELLM | {"request_id": "chatcmpl-B2", "cache_hit": "True"}]
    match form:
        case "csv":
            path = desk.csv("spend.csv", rows)
        case "json":
            path = desk.write("spend.json", json.dumps(rows, indent=2))
        case "api":
            path = desk.write("spend.json", json.dumps({"total": 2, "data": rows}))
        case "jsonl.gz":
            plain = "".join(json.dumps(row) + "\n" for row in rows)
            path = desk.write("spend.jsonl.gz", gzip.compress(plain.encode()))
        case _:
            path = desk.json_lines("spend.jsonl", rows)

    done = desk.run("litellm", path)

    assert done.code == 0
    counts = {name: done.answer[name] for name in ("rows", "booked", "known", "rejected")}
    assert counts == {"rows": 2, "booked": 2, "known": 0, "rejected": 0}
    call, hit = sorted(desk.calls(), key=lambda one: str(one["provider_response_id"]))
    assert (call["tenant_id"], call["user_id"], call["team_id"]) == ("acme", "internal-1", "team-7")
    assert (call["feature"], call["agent_run_id"]) == ("search", "run-1")
    assert (call["provider"], call["operation"]) == ("openai", "chat")
    assert (call["model_requested"], call["model_actual"]) == ("fast", "gpt-4o-mini")
    assert (call["cache_read_tokens"], call["uncached_input_tokens"]) == (400, 600)
    assert call["visible_output_tokens"] == 100
    # 600 at 0.15, 400 at 0.075 and 100 at 0.60 USD a million
    assert call["cost_usd"] == Decimal("0.00018")
    assert call["reported_cost_usd"] == Decimal("0.000123456789")
    assert (call["duration_ns"], call["time_to_first_token_ns"]) == (2 * 10**9, 5 * 10**8)
    assert call["observer"] == "import"
    assert (hit["price_state"], hit["cost_usd"]) == ("not_billed", 0)


@pytest.mark.parametrize("form", ["api", "blob", "csv"])
def test_langfuse_observations(desk: Desk, form: str) -> None:
    """As the API gives them, as the blob export writes them, and as a table."""
    span = {**LANGFUSE, "id": "span-1", "type": "SPAN", "usageDetails": {}}
    rows = [LANGFUSE, span]
    if form == "blob":
        snake = {
            "traceId": "trace_id", "startTime": "start_time", "endTime": "end_time",
            "completionStartTime": "completion_start_time", "model": "provided_model_name",
            "parentObservationId": "parent_observation_id", "usageDetails": "usage_details",
            "costDetails": "cost_details", "userId": "user_id", "sessionId": "session_id",
        }  # fmt: skip
        rows = [{snake.get(name, name): value for name, value in row.items()} for row in rows]
        rows = [row | {"start_time": "2026-11-10 08:00:00.000000"} for row in rows]
    path = (
        desk.csv("observations.csv", rows)
        if form == "csv"
        else desk.write("observations.json", json.dumps({"data": rows, "meta": {"page": 1}}))
    )

    done = desk.run("langfuse", path)

    assert (done.code, done.answer["booked"], done.answer["passed_over"]) == (0, 1, 1)
    (call,) = desk.calls()
    assert (call["tenant_id"], call["user_id"], call["feature"]) == ("acme", "u-9", "chat")
    assert call["environment"] == "staging"
    assert (call["provider"], call["model_actual"]) == ("anthropic", "claude-sonnet-4-5")
    kinds = ("uncached_input_tokens", "cache_read_tokens", "cache_write_5m_tokens")
    assert [call[kind] for kind in kinds] == [600, 300, 100]
    assert call["visible_output_tokens"] == 50
    # 600 at 3, 300 at 0.30, 100 at 3.75 and 50 at 15 USD a million
    assert call["cost_usd"] == Decimal("0.003015")
    assert call["reported_cost_usd"] == Decimal("0.0029")
    assert call["trace_id"] == "5b8efff798038103d269b633813fc60c"
    everything = b"".join(one.read_bytes() for one in desk.data_dir.rglob("*") if one.is_file())
    assert b"SECRET" not in everything


def test_helicone_requests(desk: Desk) -> None:
    """Anthropic's own count leaves the cache out; with the body, its own usage is read."""
    own = {"input_tokens": 500, "output_tokens": 40, "cache_read_input_tokens": 300,
           "cache_creation_input_tokens": 100,
           "cache_creation": {"ephemeral_1h_input_tokens": 100}}  # fmt: skip
    with_body = HELICONE | {
        "request_id": "with-body", "request_created_at": "2026-11-10T08:00:01Z",
        "response_body": {"id": "msg_01", "usage": own},
    }  # fmt: skip
    failed = HELICONE | {"request_id": "failed", "response_status": -2,
                         "request_created_at": "2026-11-10T08:00:02Z"}  # fmt: skip

    done = desk.run("helicone", desk.json_lines("requests.jsonl", [HELICONE, with_body, failed]))

    assert (done.code, done.answer["booked"]) == (0, 3)
    plain, bodied, broken = desk.calls()
    assert (plain["tenant_id"], plain["feature"], plain["user_id"]) == ("acme", "chat", "u-1")
    assert plain["agent_run_id"] == "run-5"
    kinds = ("uncached_input_tokens", "cache_read_tokens", "cache_write_5m_tokens",
             "cache_write_1h_tokens", "visible_output_tokens")  # fmt: skip
    assert [plain[kind] for kind in kinds] == [600, 300, 100, 0, 50]
    assert [bodied[kind] for kind in kinds] == [500, 300, 0, 100, 40]
    assert bodied["provider_response_id"] == "msg_01"
    assert plain["reported_cost_usd"] == Decimal("0.00303")
    assert (broken["status"], broken["cost_usd"]) == ("error", 0)


@pytest.mark.parametrize("form", ["record", "csv"])
def test_openrouter_generations(desk: Desk, form: str) -> None:
    """Native counts are those billed, and its own figure is the cost."""
    if form == "record":
        path = desk.write("generation.json", json.dumps({"data": GENERATION}))
    else:
        row = {
            "generation_id": GENERATION["id"], "created_at": "2026-11-10 08:00:00.433",
            "cost_total": "0.00021", "tokens_prompt": 1000, "tokens_completion": 100,
            "tokens_reasoning": 0, "tokens_cached": 400, "model_permaslug": "openai/gpt-4o-mini",
            "provider_name": "OpenAI", "generation_time_ms": 1200, "user": "u-2",
            "app_name": "search", "api_key_name": "prod", "streamed": "true",
        }  # fmt: skip
        path = desk.csv("activity.csv", [row])

    done = desk.run("openrouter", path)

    assert (done.code, done.answer["booked"]) == (0, 1)
    (call,) = desk.calls()
    assert (call["provider"], call["user_id"]) == ("openrouter", "u-2")
    assert (call["uncached_input_tokens"], call["cache_read_tokens"]) == (600, 400)
    assert (call["cost_usd"], call["cost_source"]) == (Decimal("0.00021"), "provider")


def test_openrouter_days(desk: Desk) -> None:
    """A day is one entry that says of how many requests; a day that goes on is not taken."""
    today = ACTIVITY | {"date": "2999-01-01"}

    done = desk.run("openrouter", desk.write("a.json", json.dumps({"data": [ACTIVITY, today]})))

    assert (done.code, done.answer["booked"], done.answer["rejected"]) == (1, 1, 1)
    assert "not over" in desk.refused()[0]["reason"]
    (call,) = desk.calls()
    assert call["cost_usd"] == Decimal("0.0155")
    assert "5" in str(call["tags"])


def test_a_model_without_a_price_keeps_the_reported_cost_beside_it(desk: Desk) -> None:
    """It stays unpriced; a setting takes the log's figure as the cost."""
    row = LITELLM | {"model": "house-model", "custom_llm_provider": "vllm", "api_base": ""}
    row["metadata"] = {}
    path = desk.json_lines("spend.jsonl", [row])
    assert desk.run("litellm", path).code == 0
    (call,) = desk.calls()
    assert (call["price_state"], call["cost_usd"]) == ("unpriced", None)
    assert call["reported_cost_usd"] == Decimal("0.000123456789")

    settings = desk.write(
        "tollbook.toml",
        '[providers.vllm]\ndialect = "openai"\nbase_url = "http://vllm:8000"\n'
        'reported_cost = "use"\n',
    )
    desk.data_dir = desk.root / "second"
    assert desk.run("litellm", path, "--config", settings).code == 0
    (call,) = desk.calls()
    assert (call["price_state"], call["cost_usd"]) == ("priced", Decimal("0.000123456789"))


def test_the_tenant_can_be_taken_from_a_field(desk: Desk) -> None:
    row = LITELLM | {"end_user": "customer-9"}
    path = desk.json_lines("spend.jsonl", [row])
    assert desk.run("litellm", path, "--tenant-from", "end_user").code == 0
    assert desk.calls()[0]["tenant_id"] == "customer-9"
