"""Requests whose layers are known to the token, for measuring how well weights tell them.

Every request is made of texts of several kinds (:mod:`tools.layer_texts`), each of a known section.
The truth is what a tokenizer counts of each, with what the providers add: four tokens a message,
tools written as signatures (OpenAI's way, as observed), or as JSON with a prompt of 346 tokens in
front of them (Anthropic's documentation).
"""

from __future__ import annotations

import json
import random
from collections import defaultdict
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from tools.layer_texts import CODE, DATA, KINDS, LANGUAGES, record, text

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

MESSAGE_TOKENS: Final = 4
CALL_TOKENS: Final = 6
ANTHROPIC_TOOL_TOKENS: Final = 346
ANTHROPIC_PER_O200K: Final = 1.25
"""Its tokens are shorter by so much (median of recorded requests without tools)."""
_WORDS: Final = ("search", "list", "create", "update", "cancel", "lookup", "export", "assign")


class Request(NamedTuple):
    """One request."""

    scenario: str
    material: str
    """What most of it is: code, prose, CJK, other scripts, data."""
    dialect: str
    path: str
    body: bytes
    marks: str
    truth: dict[str, float]
    """Tokens by layer."""


class _Maker:
    """Builds a request of one API, and counts what it puts in."""

    def __init__(self, dialect: str, count: Callable[[str], int]) -> None:
        self.dialect = dialect
        self.count = count
        self.truth: dict[str, float] = defaultdict(float)
        self.messages: list[dict[str, Any]] = []
        self.system: str | None = None
        self.tools: list[dict[str, Any]] = []
        self.marks: list[str] = []

    def add_system(self, content: str) -> None:
        self.system = content
        if self.dialect == "openai":
            self.messages.append({"role": "system", "content": content})
        self._count("prompt", content)

    def add_message(self, role: str, content: str, layer: str) -> None:
        self.messages.append({"role": role, "content": content})
        self._count(layer, content)

    def add_question(self, chunks: list[str], question: str) -> None:
        """Add the user's question after what was retrieved for it, in one message."""
        at = len(self.messages)
        before = "\n\n".join(chunks) + "\n\n"
        self.messages.append({"role": "user", "content": before + question})
        self.marks.append(f"retrieved=messages[{at}].content[0:{len(before.encode())}]")
        self.truth["context"] += self.count(before)
        self._count("user", question)

    def add_tools(self, tools: list[dict[str, Any]]) -> None:
        self.tools = tools
        if self.dialect == "openai":
            self.truth["tool"] += self.count(signatures(tools))
        else:
            self.truth["tool"] += self.count(json.dumps(tools, ensure_ascii=False))
            self.truth["tool"] += ANTHROPIC_TOOL_TOKENS / ANTHROPIC_PER_O200K

    def add_call(self, rng: random.Random, result: str) -> None:
        """Add a call of a tool and what it answered."""
        called = rng.choice(self.tools)["name"]
        arguments = {"query": text("english", rng, 20), "limit": rng.randint(1, 50)}
        call_id = f"call_{rng.getrandbits(60):015x}"
        written = json.dumps(arguments, ensure_ascii=False)
        if self.dialect == "openai":
            function = {"name": called, "arguments": written}
            call = {"id": call_id, "type": "function", "function": function}
            self.messages.append({"role": "assistant", "content": None, "tool_calls": [call]})
            self.messages.append({"role": "tool", "tool_call_id": call_id, "content": result})
        else:
            use = {"type": "tool_use", "id": call_id, "name": called, "input": arguments}
            self.messages.append({"role": "assistant", "content": [use]})
            answer = {"type": "tool_result", "tool_use_id": call_id, "content": result}
            self.messages.append({"role": "user", "content": [answer]})
        self.truth["tool"] += self.count(called) + self.count(written) + 2 * MESSAGE_TOKENS
        self.truth["tool"] += self.count(result) + CALL_TOKENS

    def _count(self, layer: str, content: str) -> None:
        self.truth[layer] += self.count(content) + MESSAGE_TOKENS

    def done(self, scenario: str, material: str) -> Request:
        body: dict[str, Any] = {"model": "m", "messages": self.messages}
        path = "/v1/chat/completions"
        tools: list[dict[str, Any]] = []
        for tool in self.tools:
            if self.dialect == "openai":
                tools.append({"type": "function", "function": tool})
            else:
                schema = {"input_schema" if k == "parameters" else k: v for k, v in tool.items()}
                tools.append(schema)
        if tools:
            body["tools"] = tools
        if self.dialect == "anthropic":
            path = "/v1/messages"
            body["max_tokens"] = 1024
            if self.system is not None:
                body["system"] = self.system
        sent = json.dumps(body, ensure_ascii=False).encode()
        marks = ",".join(self.marks)
        return Request(scenario, material, self.dialect, path, sent, marks, dict(self.truth))


def signatures(tools: list[dict[str, Any]]) -> str:
    """Return tools as OpenAI's models are shown them: a namespace of TypeScript types."""
    lines = ["# Tools", "", "## functions", "", "namespace functions {", ""]
    for tool in tools:
        lines += [f"// {tool['description']}", f"type {tool['name']} = (_: {{"]
        for name, schema in tool["parameters"]["properties"].items():
            if "description" in schema:
                lines.append(f"// {schema['description']}")
            optional = "" if name in tool["parameters"]["required"] else "?"
            lines.append(f"{name}{optional}: {_type_of(schema)},")
        lines += ["}) => any;", ""]
    return "\n".join([*lines, "} // namespace functions"])


def _type_of(schema: dict[str, Any]) -> str:
    if "enum" in schema:
        return " | ".join([json.dumps(value) for value in schema["enum"]])
    if schema["type"] == "array":
        return _type_of(schema["items"]) + "[]"
    if schema["type"] == "object":
        inner = [f"{name}: {_type_of(each)}," for name, each in schema["properties"].items()]
        return "{\n" + "\n".join(inner) + "\n}"
    return "number" if schema["type"] == "integer" else str(schema["type"])


def tool_definitions(rng: random.Random, count: int, words: int) -> list[dict[str, Any]]:
    """Return so many definitions; ``words`` is about the length of their descriptions."""
    tools = []
    for at in range(count):
        properties: dict[str, Any] = {}
        for name in rng.sample(list(record(rng)), rng.randint(2, 6)):
            schema = rng.choice(
                (
                    {"type": "string"},
                    {"type": "integer"},
                    {"type": "string", "enum": ["asc", "desc", "none"]},
                    {"type": "array", "items": {"type": "string"}},
                    {"type": "object", "properties": {"from": {"type": "string"}}},
                )
            )
            described = {"description": text("english", rng, words * 2)}
            properties[name] = dict(schema) | (described if rng.random() < 0.8 else {})  # noqa: PLR2004 -- most are
        tools.append(
            {
                "name": f"{rng.choice(_WORDS)}_{rng.choice(list(properties))}_{at}",
                "description": text("english", rng, words * 5),
                "parameters": {
                    "type": "object",
                    "properties": properties,
                    "required": sorted(properties)[:2],
                },
            }
        )
    return tools


def requests(count: int, count_tokens: Callable[[str], int], seed: int = 4) -> Iterator[Request]:
    """Yield so many requests, the scenarios and APIs in turn."""
    rng = random.Random(seed)  # noqa: S311 -- no secret
    for at in range(count):
        scenario, make = _SCENARIOS[at % len(_SCENARIOS)]
        dialect = ("openai", "anthropic")[at // len(_SCENARIOS) % 2]
        kind = rng.choice(KINDS)
        maker = _Maker(dialect, count_tokens)
        make(maker, rng, kind)
        yield maker.done(scenario, material_of(kind))


def material_of(kind: str) -> str:
    """Return the group of a kind of text."""
    if kind in CODE:
        return "code"
    if kind in DATA:
        return "JSON, logs, tables"
    if kind in {"chinese", "japanese", "korean"}:
        return "CJK"
    return "Cyrillic, Arabic" if kind in {"russian", "arabic"} else "prose, Latin"


def _chat(maker: _Maker, rng: random.Random, kind: str) -> None:
    maker.add_system(text("english", rng, rng.randint(60, 1500)))
    maker.add_message("user", text(kind, rng, rng.randint(20, 800)), "user")


def _turns(maker: _Maker, rng: random.Random, kind: str) -> None:
    maker.add_system(text(rng.choice(LANGUAGES), rng, rng.randint(60, 3000)))
    for _ in range(rng.randint(1, 30)):
        maker.add_message("user", text(kind, rng, rng.randint(20, 600)), "context")
        maker.add_message("assistant", text(rng.choice(KINDS), rng, 400), "context")
    maker.add_message("user", text(kind, rng, rng.randint(20, 1500)), "user")


def _retrieval(maker: _Maker, rng: random.Random, kind: str) -> None:
    maker.add_system(text("english", rng, rng.randint(200, 1200)))
    chunks = [text(kind, rng, 700) for _ in range(rng.randint(1, 12))]
    maker.add_question(chunks, text(rng.choice(LANGUAGES), rng, rng.randint(30, 300)))


def _agent(maker: _Maker, rng: random.Random, kind: str) -> None:
    maker.add_tools(tool_definitions(rng, rng.randint(2, 8), 12))
    maker.add_system(text("english", rng, rng.randint(500, 5000)))
    maker.add_message("user", text(rng.choice(LANGUAGES), rng, rng.randint(50, 600)), "user")
    for _ in range(rng.randint(1, 15)):
        maker.add_call(rng, text(kind, rng, rng.randint(50, 2500)))


def _schemas(maker: _Maker, rng: random.Random, kind: str) -> None:
    maker.add_tools(tool_definitions(rng, rng.randint(10, 40), 25))
    maker.add_system(text("english", rng, rng.randint(500, 4000)))
    maker.add_message("user", text(kind, rng, rng.randint(50, 2000)), "user")


def _pasted(maker: _Maker, rng: random.Random, kind: str) -> None:
    maker.add_system(text("english", rng, rng.randint(100, 4000)))
    maker.add_message("user", text(kind, rng, rng.randint(1500, 9000)), "user")


_SCENARIOS: Final = (
    ("short chat", _chat),
    ("many turns", _turns),
    ("retrieval, marked", _retrieval),
    ("agent loop", _agent),
    ("long tool schemas", _schemas),
    ("pasted document", _pasted),
)
