"""One request of each shape that the APIs document, and the sections it consists of."""

from __future__ import annotations

import json
from typing import Any

import pytest
from tests.layers.layers_kit import layered, layered_raw, names, sums

from tollbook.dialects.layer_weights import PER_TOKEN

SYSTEM = "You are a careful clerk. Answer briefly."
ASK = "Which invoices are overdue?"
TOOL = {
    "name": "list_invoices",
    "description": "List invoices by state.",
    "parameters": {"type": "object", "properties": {"state": {"type": "string"}}},
}
OPENAI_TOOL = {"type": "function", "function": TOOL}
CALL = {"id": "c1", "type": "function", "function": {"name": "list_invoices", "arguments": "{}"}}
DATA = "A" * 4000


def system(text: str = SYSTEM) -> dict[str, Any]:
    return {"role": "system", "content": text}


def user(content: Any = ASK) -> dict[str, Any]:
    return {"role": "user", "content": content}


def assistant(content: Any = "None today.", **members: Any) -> dict[str, Any]:
    return {"role": "assistant", "content": content, **members}


CASES: dict[str, tuple[str, dict[str, Any], list[str]]] = {
    "one question": ("openai", {"messages": [user()]}, ["user_input"]),
    "with a system message": ("openai", {"messages": [system(), user()]}, ["system", "user_input"]),
    "developer role": (
        "openai",
        {"messages": [{"role": "developer", "content": SYSTEM}, user()]},
        ["system", "user_input"],
    ),
    "earlier turns": (
        "openai",
        {"messages": [system(), user(), assistant(), user()]},
        ["system", "history", "user_input"],
    ),
    "two messages at the end": (
        "openai",
        {"messages": [user(), assistant(), user(), user()]},
        ["history", "user_input"],
    ),
    "begun answer": (
        "openai",
        {"messages": [user(), assistant("Overdue are:")]},
        ["user_input", "history"],
    ),
    "tools stand first": (
        "openai",
        {"messages": [system(), user()], "tools": [OPENAI_TOOL]},
        ["tool_definitions", "system", "user_input"],
    ),
    "functions of before": (
        "openai",
        {"messages": [user(), assistant(None, function_call={"name": "f", "arguments": "{}"}),
                      {"role": "function", "name": "f", "content": "3"}], "functions": [TOOL]},
        ["tool_definitions", "user_input", "tool_results"],
    ),
    "a schema goes before all": (
        "openai",
        {"messages": [system(), user()], "tools": [OPENAI_TOOL],
         "response_format": {"type": "json_schema", "json_schema": {"schema": {"type": "object"}}}},
        ["system", "tool_definitions", "system", "user_input"],
    ),
    "an agent works at its question": (
        "openai",
        {"messages": [system(), user(), assistant(None, tool_calls=[CALL]),
                      {"role": "tool", "tool_call_id": "c1", "content": "INV-1, INV-2"}],
         "tools": [OPENAI_TOOL]},
        ["tool_definitions", "system", "user_input", "tool_results"],
    ),
    "an agent's earlier turn": (
        "openai",
        {"messages": [user(), assistant(None, tool_calls=[CALL]),
                      {"role": "tool", "tool_call_id": "c1", "content": "INV-1"}, assistant(),
                      user("And last year?")]},
        ["history", "tool_results", "history", "user_input"],
    ),
    "system message between turns": (
        "openai",
        {"messages": [system(), user(), assistant(), system("Be kind."), user()]},
        ["system", "history", "system", "user_input"],
    ),
    "parts and a picture": (
        "openai",
        {"messages": [user([{"type": "text", "text": ASK},
                            {"type": "image_url", "image_url": {"url": "data:image/png;base64,"
                                                                + DATA}}])]},
        ["user_input"],
    ),
    "responses: a text": ("responses", {"input": ASK}, ["user_input"]),
    "responses: instructions and tools": (
        "responses",
        {"input": [user([{"type": "input_text", "text": ASK}])], "instructions": SYSTEM,
         "tools": [{"type": "function", **TOOL}]},
        ["tool_definitions", "system", "user_input"],
    ),
    "responses: items of tools": (
        "responses",
        {"input": [user(), {"type": "reasoning", "summary": [{"type": "summary_text",
                                                              "text": "I look it up."}]},
                   {"type": "function_call", "call_id": "c", "name": "f", "arguments": "{}"},
                   {"type": "function_call_output", "call_id": "c", "output": "INV-1"}]},
        ["user_input", "history", "tool_results"],
    ),
    "responses: file search": (
        "responses",
        {"input": [user(), {"type": "file_search_call", "queries": ["overdue"],
                            "results": [{"text": "Overdue means after 30 days."}]},
                   assistant(), user()]},
        ["history", "retrieved", "history", "user_input"],
    ),
    "anthropic": (
        "anthropic",
        {"system": SYSTEM, "messages": [user(), assistant(), user()]},
        ["system", "history", "user_input"],
    ),
    "anthropic: tools, system, messages": (
        "anthropic",
        {"system": [{"type": "text", "text": SYSTEM, "cache_control": {"type": "ephemeral"}}],
         "tools": [{"name": "f", "input_schema": {"type": "object"}}],
         "messages": [user(),
                      assistant([{"type": "text", "text": "I look."},
                                 {"type": "tool_use", "id": "t", "name": "f", "input": {"a": 1}}]),
                      user([{"type": "tool_result", "tool_use_id": "t",
                             "content": [{"type": "text", "text": "INV-1"}]}])]},
        ["tool_definitions", "system", "user_input", "history", "tool_results"],
    ),
    "anthropic: documents and search results": (
        "anthropic",
        {"messages": [user([{"type": "document", "title": "Terms",
                             "source": {"type": "text", "media_type": "text/plain",
                                        "data": "Thirty days."}},
                            {"type": "search_result", "source": "https://a.example", "title": "T",
                             "content": [{"type": "text", "text": "Overdue since May."}]},
                            {"type": "text", "text": ASK}])]},
        ["retrieved", "user_input"],
    ),
    "gemini": (
        "gemini",
        {"systemInstruction": {"parts": [{"text": SYSTEM}]},
         "tools": [{"functionDeclarations": [TOOL]}],
         "contents": [{"role": "user", "parts": [{"text": ASK}]},
                      {"role": "model", "parts": [{"functionCall": {"name": "f", "args": {}}}]},
                      {"role": "user", "parts": [{"functionResponse": {"name": "f",
                                                                       "response": {"r": 1}}}]}]},
        ["system", "tool_definitions", "user_input", "tool_results"],
    ),
    "gemini: no roles, snake case, a file": (
        "gemini",
        {"system_instruction": {"parts": [{"text": SYSTEM}]},
         "contents": {"parts": [{"text": ASK}, {"file_data": {"file_uri": "gs://a/b.pdf",
                                                              "mime_type": "application/pdf"}}]}},
        ["system", "user_input", "retrieved" ],
    ),
    "bedrock: converse": (
        "bedrock",
        {"system": [{"text": SYSTEM}],
         "toolConfig": {"tools": [{"toolSpec": {"name": "f", "inputSchema": {"json": {}}}}]},
         "messages": [user([{"text": ASK}]),
                      assistant([{"toolUse": {"toolUseId": "t", "name": "f", "input": {}}}]),
                      user([{"toolResult": {"toolUseId": "t", "content": [{"json": {"a": 1}},
                                                                          {"text": "x"}]}}])]},
        ["tool_definitions", "system", "user_input", "tool_results"],
    ),
    "cohere: documents follow": (
        "cohere",
        {"messages": [system(), user()], "documents": [{"data": {"text": "Thirty days."}}]},
        ["system", "user_input", "retrieved"],
    ),
    "ollama": (
        "ollama",
        {"messages": [system(), user() | {"images": [DATA]}]},
        ["system", "user_input"],
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", CASES)
def test_layers_sections_of(name: str) -> None:
    api, body, expected = CASES[name]
    assert names(layered(api, body)) == expected


OTHER_PATHS: dict[str, tuple[str, str, dict[str, Any], list[str]]] = {
    "completion": ("openai", "/v1/completions", {"prompt": ASK}, ["user_input"]),
    "embeddings": ("openai", "/v1/embeddings", {"input": [ASK, ASK]}, ["user_input"]),
    "rerank": ("openai", "/v1/rerank", {"query": ASK, "documents": [SYSTEM, ASK]},
               ["user_input", "retrieved"]),
    "speech": ("openai", "/v1/audio/speech", {"input": ASK, "instructions": SYSTEM},
               ["system", "user_input"]),
    "azure": ("azure", "/openai/deployments/d/chat/completions", {"messages": [system(), user()]},
              ["system", "user_input"]),
    "gemini embeddings": ("gemini", "/v1beta/models/gemini-embedding-001:embedContent",
                          {"content": {"parts": [{"text": ASK}]}}, ["user_input"]),
    "gemini interactions": ("gemini", "/v1beta/interactions",
                            {"input": ASK, "system_instruction": SYSTEM}, ["system", "user_input"]),
    "bedrock claude": ("bedrock", "/model/anthropic.claude-sonnet-4-20250514-v1:0/invoke",
                       {"system": SYSTEM, "messages": [user()]}, ["system", "user_input"]),
    "bedrock nova": ("bedrock", "/model/amazon.nova-pro-v1:0/invoke",
                     {"system": [{"text": SYSTEM}], "messages": [user([{"text": ASK}])]},
                     ["system", "user_input"]),
    "bedrock llama": ("bedrock", "/model/meta.llama3-70b-instruct-v1:0/invoke", {"prompt": ASK},
                      ["user_input"]),
    "bedrock titan": ("bedrock", "/model/amazon.titan-embed-text-v2:0/invoke", {"inputText": ASK},
                      ["user_input"]),
    "bedrock command": ("bedrock", "/model/cohere.command-r-v1:0/invoke",
                        {"message": ASK, "preamble": SYSTEM, "documents": [{"text": ASK}]},
                        ["system", "user_input", "retrieved"]),
    "bedrock rerank": ("bedrock", "/model/cohere.rerank-v3-5:0/invoke",
                       {"query": ASK, "documents": [SYSTEM]}, ["user_input", "retrieved"]),
    "cohere v1": ("cohere", "/v1/chat",
                  {"message": ASK, "preamble": SYSTEM,
                   "chat_history": [{"role": "USER", "message": ASK},
                                    {"role": "CHATBOT", "message": ASK}]},
                  ["system", "history", "user_input"]),
    "cohere embed": ("cohere", "/v2/embed", {"texts": [ASK]}, ["user_input"]),
    "cohere rerank": ("cohere", "/v2/rerank", {"query": ASK, "documents": [SYSTEM]},
                      ["user_input", "retrieved"]),
    "ollama generate": ("ollama", "/api/generate",
                        {"system": SYSTEM, "prompt": ASK, "context": [1, 2, 3]},
                        ["system", "history", "user_input"]),
    "ollama embed": ("ollama", "/api/embed", {"input": ASK}, ["user_input"]),
}  # fmt: skip


@pytest.mark.parametrize("name", OTHER_PATHS)
def test_layers_sections_of_endpoint(name: str) -> None:
    dialect, path, body, expected = OTHER_PATHS[name]
    assert names(layered(dialect, body, path)) == expected


@pytest.mark.parametrize(
    ("api", "body"),
    [
        ("responses", {"input": ASK, "previous_response_id": "resp_1"}),
        ("responses", {"input": ASK, "conversation": "conv_1"}),
        ("responses", {"input": ASK, "prompt": {"id": "pmpt_1"}}),
        ("gemini", {"contents": [{"parts": [{"text": ASK}]}], "cachedContent": "cachedContents/1"}),
        ("openai", {"model": "m"}),
    ],
)
def test_layers_say_nothing_where_the_provider_keeps_a_part(api: str, body: Any) -> None:
    assert layered(api, body).layers is None


def test_layers_are_not_counted_by_base64() -> None:
    def picture(size: int) -> int:
        url = "data:image/png;base64," + "A" * size
        part = {"type": "image_url", "image_url": {"url": url}}
        return sums(layered("openai", {"messages": [user([part])]}))["user_input"]

    assert picture(100) == picture(400_000)
    document = {"type": "base64", "media_type": "application/pdf", "data": "A" * 400_000}
    found = sums(layered("anthropic", {"messages": [user([{"type": "document",
                                                           "source": document}])]}))  # fmt: skip
    assert 4000 * PER_TOKEN < found["retrieved"] < 20_000 * PER_TOKEN


def test_layers_of_a_picture_in_a_tools_answer() -> None:
    source = {"type": "base64", "media_type": "image/png", "data": "A" * 300_000}
    result = {"type": "tool_result", "tool_use_id": "t",
              "content": [{"type": "image", "source": source}]}  # fmt: skip
    found = sums(layered("anthropic", {"messages": [user([result])]}))
    assert set(found) == {"tool_results"}
    assert found["tool_results"] < 2000 * PER_TOKEN


def test_layers_of_low_detail_pictures_are_lighter() -> None:
    def picture(detail: str) -> int:
        part = {"type": "image_url", "image_url": {"url": "https://a.example/b", "detail": detail}}
        return sums(layered("openai", {"messages": [user([part])]}))["user_input"]

    assert picture("low") < picture("high") / 5


def test_layers_of_ascii_escapes_weigh_what_the_characters_do() -> None:
    text = "三月份的发票晚到了两天。办公室里没有人知道原因。" * 5
    body = {"messages": [user(text), assistant("Yes, quite. " * 20), user("Hm? " * 30)]}
    escaped = sums(layered_raw("openai", json.dumps(body).encode()))
    plain = sums(layered_raw("openai", json.dumps(body, ensure_ascii=False).encode()))
    assert escaped == plain


def test_layers_prefix_is_the_same_for_the_same_start() -> None:
    first = layered("openai", {"messages": [system(), user()]})
    long = layered("openai", {"messages": [system(), user("x y " * 900), assistant(), user()]})
    parts = layered("openai", {"messages": [system(), user([{"type": "text", "text": ASK}])]})
    other = layered("openai", {"messages": [system(SYSTEM + "!"), user()]})
    assert first.prefix_hash == long.prefix_hash == parts.prefix_hash
    assert first.prefix_chars == len(SYSTEM)
    assert first.prefix_hash != other.prefix_hash
    assert layered("openai", {"messages": [user()]}).prefix_hash is None


def test_layers_prefix_has_the_tools() -> None:
    bare = layered("anthropic", {"system": SYSTEM, "messages": [user()]})
    tools = [{"name": "f", "input_schema": {}}]
    armed = layered("anthropic", {"system": SYSTEM, "messages": [user()], "tools": tools})
    assert armed.prefix_hash != bare.prefix_hash
    assert armed.prefix_chars > bare.prefix_chars


def test_layers_of_anthropic_tools_have_the_providers_prompt() -> None:
    tools = [{"name": "f", "input_schema": {}}]
    found = sums(layered("anthropic", {"messages": [user()], "tools": tools}))
    assert found["tool_definitions"] > 250 * PER_TOKEN
    assert "tool_definitions" not in sums(layered("anthropic", {"messages": [user()], "tools": []}))
