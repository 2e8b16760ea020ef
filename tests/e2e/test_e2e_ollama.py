"""Ollama's own API through the gateway: lines of JSON, no key, no price."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import httpx2

from tollbook.simulator.truth import read_truth

if TYPE_CHECKING:
    from collections.abc import Callable

SETTINGS = """
[providers.ollama]
dialect = "ollama"
base_url = "SIM/ollama"
[[prices]]
provider = "ollama"
model = "llama*"
effective_from = "2026-01-01"
input = "0"
output = "0"
reason = "a server of our own"
"""
MESSAGES = [{"role": "user", "content": "Say something short."}]


def test_lines_documents_embeddings_and_errors(make_house: Callable[..., Any]) -> None:
    house = make_house(settings=SETTINGS)
    key = house.key("app", tenant_id="acme")
    with httpx2.Client(
        base_url=f"{house.url}/ollama", headers={"x-tollbook-tenant": "zeta"}
    ) as http:
        streamed = http.post("/api/chat", json={"model": "llama3.2", "messages": MESSAGES})
        plain = http.post(
            "/api/generate", json={"model": "llama3.2", "prompt": "Say it.", "stream": False}
        )
        embedded = http.post("/api/embed", json={"model": "nomic-embed-text", "input": ["a", "b"]})
        missing = http.post("/api/chat", json={"model": "none", "messages": MESSAGES})
        http.post(
            "/api/chat",
            json={"model": "llama3.2", "messages": MESSAGES},
            headers={"authorization": f"Bearer {key}"},
        )
        broken = http.post(
            "/api/chat",
            json={"model": "llama3.2", "messages": MESSAGES},
            headers={"x-sim-fault": "error_event;after=3"},
        )
        tags = http.get("/api/tags")

    lines = [json.loads(line) for line in streamed.text.splitlines()]
    assert streamed.headers["content-type"] == "application/x-ndjson"
    assert lines[-1]["done"] is True
    assert plain.json()["eval_count"] > 0
    assert embedded.json()["embeddings"]
    assert missing.status_code == 404
    assert "error" in broken.text
    assert tags.json()["models"]
    house.stop()
    rows = list(house.records("SELECT * FROM entries ORDER BY called_at"))
    assert [row["operation"] for row in rows] == [
        "chat", "text_completion", "embeddings", "chat", "chat", "chat", "models",
    ]  # fmt: skip
    assert [row["tenant_id"] for row in rows] == ["zeta"] * 4 + ["acme"] + ["zeta"] * 2
    assert [row["status"] for row in rows] == ["ok", "ok", "ok", "error", "ok", "error", "ok"]
    assert rows[0]["time_to_first_token_ns"]
    assert rows[0]["uncached_input_tokens"] == lines[-1]["prompt_eval_count"]
    assert rows[0]["cost_usd"] == 0
    assert rows[2]["price_state"] == "unpriced", "no card says what it costs"
    assert rows[5]["usage_source"] == "estimated"
    truth = read_truth(house.simulator.log_dir)
    ours = {row["provider_request_id"]: row for row in rows}
    for call in truth:
        assert call.ended is not None
        if call.usage_delivered:
            row = ours[call.ended.provider_request_id]
            assert row["uncached_input_tokens"] == call.quantities.uncached_input
            assert row["visible_output_tokens"] == call.quantities.visible_output
    assert sum(call.usage_delivered for call in truth) == 4
