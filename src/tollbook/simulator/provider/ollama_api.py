"""Ollama's own API: chat and generate, a line a token; embed. No key, no invoice.

Shapes as in https://docs.ollama.com/api.
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
from tollbook.simulator.provider.api import Extent, Incoming, generate
from tollbook.simulator.provider.sizing import count_tokens
from tollbook.simulator.provider.text import split_evenly, text_of

if TYPE_CHECKING:
    from tollbook.simulator.pricelist import Model
    from tollbook.simulator.provider.checks import Json

NAME: Final = "ollama"
_NO_KEY: Final = "sk-sim-none"
"""The simulated providers let in who has a key; this one asks for none."""
_ERROR_LINE: Final = b'{"error":"an error was encountered while running the model"}\n'
_CREATED: Final = "2026-11-21T10:00:00.000000Z"
_encode = msgspec.json.Encoder().encode


class OllamaApi:
    """Answers requests as a local Ollama does."""

    name = NAME

    def credential(self, headers: dict[str, str]) -> str | None:
        """Return a key that passes, whatever was sent."""
        del headers
        return _NO_KEY

    def head(self, request_id: str, processing_ms: int) -> list[Header]:  # noqa: ARG002 -- one seam for all APIs
        """Return the headers that every answer has; the id is for the tests to join by."""
        return [(b"x-request-id", request_id.encode())]

    def rate_limit_headers(self, remaining: int) -> list[Header]:  # noqa: ARG002 -- it has none
        """Return nothing."""
        return []

    def request_id(self, seed: int) -> str:
        """Return an id."""
        return f"{seed:016x}"

    def error(self, refused: RefusedError, request_id: str) -> Plain:  # noqa: ARG002 -- not in the body
        """Return an error in this server's shape."""
        return Plain(refused.status, _encode({"error": refused.message}))

    def fault_error(self, kind: str) -> RefusedError:
        """Return the error that a planned fault stands for."""
        status, message = {
            "bad_request": (400, "invalid request"),
            "unauthorized": (401, "unauthorized"),
            "not_found": (404, "model 'simulated' not found"),
            "rate_limit": (429, "too many requests"),
            "server_error": (500, "llama runner process has terminated"),
            "overloaded": (503, "server busy, please try again"),
        }[kind]
        return RefusedError(status, "error", message)

    def answer(self, incoming: Incoming) -> Answer:
        """Answer a request; raises RefusedError."""
        match incoming.method, incoming.path:
            case "POST", "/api/chat" | "/api/generate":
                return _generate(incoming)
            case "POST", "/api/embed":
                return _embed(incoming)
            case "GET", "/api/tags":
                names = [{"name": m.name} for m in MODELS.values() if m.provider == NAME]
                return Plain(200, _encode({"models": names}))
        raise RefusedError(404, "error", "404 page not found")


def _model(body: Json, api: str) -> Model:
    model = find_model(NAME, str(body.get("model")))
    if model is None or api not in model.apis:
        raise RefusedError(404, "error", f"model '{body.get('model')}' not found")
    return model


def _generate(incoming: Incoming) -> Answer:
    body = incoming.body
    is_chat = incoming.path == "/api/chat"
    prompt = checks.need_list(body, "messages") if is_chat else [body.get("prompt")]
    options = body.get("options") or {}
    extent = Extent(count_tokens(*prompt), max_output=checks.whole_or_none(options, "num_predict"))
    generation = generate(incoming, _model(body, "chat"), extent)
    if body.get("stream") is False:
        text = text_of(generation.seed, generation.quantities.visible_output)
        answer = _line(generation, text, is_chat=is_chat) | _end(generation)
        return Plain(
            200, _encode(answer), (), generation, None, has_usage=generation.shape.has_usage
        )
    return _stream(generation, is_chat=is_chat)


def _line(generation: Generation, text: str, *, is_chat: bool) -> Json:
    head: Json = {"model": generation.model.snapshot, "created_at": _CREATED}
    if is_chat:
        return head | {"message": {"role": "assistant", "content": text}, "done": False}
    return head | {"response": text, "done": False}


def _end(generation: Generation) -> Json:
    end: Json = {"done": True, "done_reason": "length" if generation.is_cut_short else "stop"}
    if generation.shape.has_usage:
        end |= {
            "total_duration": 4883583458,
            "prompt_eval_count": generation.quantities.input,
            "eval_count": generation.quantities.output,
        }
    return end


def _stream(generation: Generation, *, is_chat: bool) -> Stream:
    """Build the lines; the last one has the counts."""
    events: list[Event] = []
    at, total = generation.seed, generation.quantities.visible_output
    for count in split_evenly(total, max(1, min(generation.events, total))):
        line = _line(generation, text_of(at, count), is_chat=is_chat)
        events.append(Event(_encode(line) + b"\n", count, is_content=True))
        at += count
    last = _line(generation, "", is_chat=is_chat) | _end(generation)
    data = _encode(last) + b"\n"
    events.append(Event(data, has_final_usage=generation.shape.has_usage))
    return Stream(
        tuple(events),
        generation,
        f"{generation.seed:x}",
        _ERROR_LINE,
        media_type=b"application/x-ndjson",
    )


def _embed(incoming: Incoming) -> Plain:
    body = incoming.body
    given = body.get("input")
    inputs = given if isinstance(given, list) else [given]
    tokens = sum(count_tokens(text) for text in inputs)
    generation = generate(incoming, _model(body, "embed"), Extent(tokens, makes_output=False))
    answer: Json = {
        "model": generation.model.snapshot,
        "embeddings": [[0.5, 0.5] for _ in inputs],
        "total_duration": 14143917,
    }
    if incoming.shape.has_usage:
        answer["prompt_eval_count"] = generation.quantities.input
    return Plain(200, _encode(answer), (), generation, None, has_usage=incoming.shape.has_usage)
