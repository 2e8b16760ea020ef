"""The Cohere API: chat (plain and streamed), embed, rerank.

Shapes as in https://docs.cohere.com/reference/chat, /chat-stream, /embed, /rerank, /errors. What is
consumed is more than what is billed: the templates of the chat models add tokens.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import msgspec

from tollbook.simulator.pricelist import MODELS, find_model
from tollbook.simulator.provider import checks
from tollbook.simulator.provider.answers import (
    Answer,
    Event,
    Generation,
    Header,
    Plain,
    RefusedError,
    Stream,
)
from tollbook.simulator.provider.api import Extent, Incoming, bearer_key, generate
from tollbook.simulator.provider.sizing import count_tokens
from tollbook.simulator.provider.text import split_evenly, text_of

if TYPE_CHECKING:
    from tollbook.simulator.pricelist import Model
    from tollbook.simulator.provider.checks import Json

NAME: Final = "cohere"
_TEMPLATE_TOKENS: Final = 495
_DOCUMENTS_A_UNIT: Final = 100
_ERROR_EVENT: Final = (
    b'event: message-end\ndata: {"type":"message-end","delta":{"error":"overloaded",'
    b'"finish_reason":"ERROR"}}\n\n'
)
_encode = msgspec.json.Encoder().encode


class CohereApi:
    """Answers requests as Cohere does."""

    name = NAME

    def credential(self, headers: dict[str, str]) -> str | None:
        """Return the bearer token."""
        return bearer_key(headers)

    def head(self, request_id: str, processing_ms: int) -> list[Header]:
        """Return the headers that every answer has."""
        latency = b"%d" % processing_ms
        return [
            (b"x-debug-trace-id", request_id.encode()),
            (b"x-envoy-upstream-service-time", latency),
        ]

    def rate_limit_headers(self, remaining: int) -> list[Header]:
        """Return the headers on what is left of a limit."""
        return [
            (b"x-trial-endpoint-call-limit", b"10000"),
            (b"x-trial-endpoint-call-remaining", b"%d" % remaining),
        ]

    def request_id(self, seed: int) -> str:
        """Return an id in this provider's form."""
        return f"{seed:032x}"

    def error(self, refused: RefusedError, request_id: str) -> Plain:
        """Return an error in this provider's shape."""
        return Plain(refused.status, _encode({"id": request_id, "message": refused.message}))

    def fault_error(self, kind: str) -> RefusedError:
        """Return the error that a planned fault stands for."""
        status, message = {
            "bad_request": (400, "invalid request: simulated"),
            "unauthorized": (401, "invalid api token"),
            "not_found": (404, "model 'simulated' not found"),
            "rate_limit": (429, "You are past the per minute request limit."),
            "server_error": (500, "internal server error"),
            "overloaded": (503, "service unavailable"),
        }[kind]
        return RefusedError(status, "error", message)

    def answer(self, incoming: Incoming) -> Answer:
        """Answer a request; raises RefusedError."""
        body = incoming.body
        match incoming.method, incoming.path:
            case "POST", "/v2/chat" | "/v1/chat":
                return _chat(incoming)
            case "POST", "/v2/embed" | "/v1/embed":
                return _embed(incoming)
            case "POST", "/v2/rerank" | "/v1/rerank":
                return _rerank(incoming)
            case "POST", "/v1/tokenize":
                tokens = list(range(count_tokens(str(body.get("text")))))
                return Plain(200, _encode({"tokens": tokens, "token_strings": []}))
            case "GET", "/v1/models":
                names = [{"name": m.name} for m in MODELS.values() if m.provider == NAME]
                return Plain(200, _encode({"models": names}))
        raise RefusedError(404, "error", "not found")


def _model(body: Json, api: str) -> Model:
    model = find_model(NAME, str(body.get("model")))
    if model is None or api not in model.apis:
        raise RefusedError(404, "error", f"model '{body.get('model')}' not found")
    return model


def _chat(incoming: Incoming) -> Answer:
    body = incoming.body
    is_v1 = incoming.path.startswith("/v1/")
    prompt = [body.get("message")] if is_v1 else checks.need_list(body, "messages")
    generation = generate(
        incoming,
        _model(body, "chat"),
        Extent(
            count_tokens(*prompt),
            max_output=checks.whole_or_none(body, "max_tokens"),
            tool=_tool(body),
        ),
    )
    streams = checks.is_true(body, "stream")
    if is_v1:
        return _stream_v1(generation) if streams else _plain_v1(generation)
    return _stream(generation) if streams else _plain(generation)


def _tool(body: Json) -> tuple[str, str] | None:
    for tool in body.get("tools") or []:
        function = tool.get("function") if isinstance(tool, dict) else None
        if isinstance(function, dict):
            return function["name"], checks.tool_arguments(function.get("parameters"))
    return None


def _usage(generation: Generation) -> Json:
    kinds = generation.quantities
    tokens: Json = {
        "input_tokens": kinds.input + _TEMPLATE_TOKENS,
        "output_tokens": kinds.output + 3,
    }
    if kinds.reasoning:
        tokens["reasoning_tokens"] = kinds.reasoning
    return {
        "billed_units": {"input_tokens": kinds.input, "output_tokens": kinds.output},
        "tokens": tokens,
        "cached_tokens": _TEMPLATE_TOKENS - 15,
    }


def _id(generation: Generation) -> str:
    return f"{generation.seed:032x}"


def _text(generation: Generation) -> str:
    text = text_of(generation.seed, generation.quantities.visible_output)
    return text + "x" * generation.shape.huge_bytes


def _call(generation: Generation) -> Json:
    assert generation.tool is not None
    name, arguments = generation.tool
    function = {"name": name, "arguments": arguments}
    return {"id": f"{name}_{generation.seed:x}", "type": "function", "function": function}


def _finish(generation: Generation) -> str:
    if generation.is_cut_short:
        return "MAX_TOKENS"
    return "COMPLETE" if generation.tool is None else "TOOL_CALL"


def _plain(generation: Generation) -> Plain:
    message: Json = {"role": "assistant"}
    if generation.tool is None:
        message["content"] = [{"type": "text", "text": _text(generation)}]
    else:
        message |= {"tool_plan": "I will look it up.", "tool_calls": [_call(generation)]}
    body: Json = {
        "id": _id(generation),
        "message": message,
        "finish_reason": _finish(generation),
    }
    has_usage = generation.shape.has_usage
    if has_usage:
        body["usage"] = _usage(generation)
    return Plain(200, _encode(body), (), generation, _id(generation), has_usage=has_usage)


def _event(kind: str, rest: Json) -> bytes:
    return b"event: " + kind.encode() + b"\ndata: " + _encode({"type": kind} | rest) + b"\n\n"


def _stream(generation: Generation) -> Stream:
    """Build the events of version 2; the last one has the usage."""
    kinds = generation.quantities
    opening: Json = {"role": "assistant", "content": [], "tool_plan": "", "tool_calls": []}
    start = {"id": _id(generation), "delta": {"message": opening}}
    events = [Event(_event("message-start", start))]
    if generation.tool is not None:
        call = {"index": 0, "delta": {"message": {"tool_calls": _call(generation)}}}
        data = _event("tool-call-start", call)
        events.append(Event(data, kinds.visible_output, kinds.reasoning, is_content=True))
        events.append(Event(_event("tool-call-end", {"index": 0})))
    else:
        content: Json = {"content": {"type": "text", "text": ""}}
        events.append(Event(_event("content-start", {"index": 0, "delta": {"message": content}})))
        for text, count, reasoning in _pieces(generation):
            delta: Json = {"message": {"content": {"text": text}}}
            data = _event("content-delta", {"index": 0, "delta": delta})
            events.append(Event(data, count, reasoning, is_content=True))
        events.append(Event(_event("content-end", {"index": 0})))
    end: Json = {"finish_reason": _finish(generation)}
    has_usage = generation.shape.has_usage
    if has_usage:
        end["usage"] = _usage(generation)
    data = _event("message-end", {"id": _id(generation), "delta": end})
    events.append(Event(data, has_final_usage=has_usage))
    return Stream(tuple(events), generation, _id(generation), _ERROR_EVENT)


def _pieces(generation: Generation) -> list[tuple[str, int, int]]:
    """Return text, visible tokens and reasoning tokens of each content event."""
    found: list[tuple[str, int, int]] = []
    at, total = generation.seed, generation.quantities.visible_output
    for count in split_evenly(total, max(1, min(generation.events, total))):
        text = text_of(at, count)
        if not found:
            text += "x" * generation.shape.huge_bytes
        found.append((text, count, generation.quantities.reasoning if not found else 0))
        at += count
    return found


def _answer_v1(generation: Generation) -> Json:
    usage = _usage(generation)
    meta = {"api_version": {"version": "1"}} | {k: usage[k] for k in ("billed_units", "tokens")}
    return {
        "response_id": _id(generation),
        "generation_id": f"{generation.seed + 1:032x}",
        "text": _text(generation),
        "finish_reason": _finish(generation),
    } | ({"meta": meta} if generation.shape.has_usage else {})


def _plain_v1(generation: Generation) -> Plain:
    return Plain(
        200,
        _encode(_answer_v1(generation)),
        (),
        generation,
        _id(generation),
        has_usage=generation.shape.has_usage,
    )


def _stream_v1(generation: Generation) -> Stream:
    """Build the lines of version 1: the last one repeats the whole answer."""
    start: Json = {"event_type": "stream-start", "generation_id": f"{generation.seed + 1:032x}"}
    events = [Event(_encode(start | {"is_finished": False}) + b"\n")]
    for text, count, reasoning in _pieces(generation):
        line: Json = {"is_finished": False, "event_type": "text-generation", "text": text}
        events.append(Event(_encode(line) + b"\n", count, reasoning, is_content=True))
    end: Json = {
        "is_finished": True,
        "event_type": "stream-end",
        "finish_reason": "COMPLETE",
        "response": _answer_v1(generation),
    }
    events.append(Event(_encode(end) + b"\n", has_final_usage=generation.shape.has_usage))
    error = b'{"is_finished":true,"event_type":"stream-end","finish_reason":"ERROR"}\n'
    return Stream(
        tuple(events),
        generation,
        _id(generation),
        error,
        media_type=b"application/stream+json",
    )


def _embed(incoming: Incoming) -> Plain:
    body = incoming.body
    texts = checks.need_list(body, "texts")
    tokens = sum(count_tokens(text) for text in texts)
    generation = generate(incoming, _model(body, "embed"), Extent(tokens, makes_output=False))
    vectors = [[0.5, 0.5, 0.5, 0.5] for _ in texts]
    by_type = incoming.path.startswith("/v2/") or "embedding_types" in body
    answer: Json = {
        "id": _id(generation),
        "embeddings": {"float": vectors} if by_type else vectors,
        "texts": texts,
        "response_type": "embeddings_by_type" if by_type else "embeddings_floats",
    }
    has_usage = incoming.shape.has_usage
    if has_usage:
        billed = {"input_tokens": generation.quantities.input, "image_tokens": 0}
        answer["meta"] = {"api_version": {"version": "2"}, "billed_units": billed}
    return Plain(200, _encode(answer), (), generation, _id(generation), has_usage=has_usage)


def _rerank(incoming: Incoming) -> Plain:
    body = incoming.body
    documents = checks.need_list(body, "documents")
    model = _model(body, "rerank")
    generation = generate(incoming, model, Extent(0, makes_output=False))
    units = -(-len(documents) // _DOCUMENTS_A_UNIT)
    quantities = generation.quantities._replace(uncached_input=0, search_unit=units)
    generation = generation._replace(quantities=quantities)
    results = [{"index": at, "relevance_score": 1 / (at + 1)} for at in range(len(documents))]
    answer: Json = {"id": _id(generation), "results": results[: body.get("top_n") or None]}
    has_usage = incoming.shape.has_usage
    if has_usage:
        billed = {"search_units": units}
        answer["meta"] = {"api_version": {"version": "2"}, "billed_units": billed}
    return Plain(200, _encode(answer), (), generation, _id(generation), has_usage=has_usage)
