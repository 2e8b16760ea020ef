"""The OpenAI API: endpoints, credentials, errors and headers.

Shapes as in https://platform.openai.com/docs/api-reference; the request shapes checked are those
that the official SDK sends.
"""

from __future__ import annotations

import base64
import struct
from typing import TYPE_CHECKING, Final

import msgspec

from tollbook.simulator.pricelist import MODELS, find_model
from tollbook.simulator.provider import checks, openai_chat, openai_media, openai_responses
from tollbook.simulator.provider.answers import Answer, Header, Plain, RefusedError
from tollbook.simulator.provider.api import Extent, Incoming, bearer_key, generate
from tollbook.simulator.provider.batch_openai import OpenAiBatches
from tollbook.simulator.provider.sizing import count_tokens
from tollbook.simulator.provider.text import text_of

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from tollbook.simulator.provider.checks import Json

NAME = "openai"
_INVALID = "invalid_request_error"
_ROLES = frozenset({"system", "developer", "user", "assistant", "tool", "function"})
_CHOICES_MAX = 128
_EMBEDDING_INPUTS_MAX = 2048
_MODEL_EPOCH_S = 1_715_367_049
_encode = msgspec.json.Encoder().encode


class OpenAiApi:
    """Answers requests as OpenAI does."""

    name = NAME

    def __init__(self) -> None:
        self._stored: dict[str, bytes] = {}
        self._running: dict[str, bytes] = {}
        """Responses in the background that are finished when they are asked for again."""
        self._batches = OpenAiBatches(self.error)

    def credential(self, headers: dict[str, str]) -> str | None:
        """Return the key a request presents."""
        return bearer_key(headers)

    def head(self, request_id: str, processing_ms: int) -> list[Header]:
        """Return the headers that every answer has."""
        return [
            (b"x-request-id", request_id.encode()),
            (b"openai-processing-ms", b"%d" % processing_ms),
            (b"openai-version", b"2020-10-01"),
            (b"openai-organization", b"simulated-org"),
        ]

    def rate_limit_headers(self, remaining: int) -> list[Header]:
        """Return the rate-limit headers (docs: guides/rate-limits)."""
        return [
            (b"x-ratelimit-limit-requests", b"10000"),
            (b"x-ratelimit-limit-tokens", b"2000000"),
            (b"x-ratelimit-remaining-requests", b"%d" % remaining),
            (b"x-ratelimit-remaining-tokens", b"%d" % (remaining * 200)),
            (b"x-ratelimit-reset-requests", b"6ms"),
            (b"x-ratelimit-reset-tokens", b"0s"),
        ]

    def request_id(self, seed: int) -> str:
        """Return an id in this provider's form."""
        return f"req_{seed:032x}"

    def error(self, refused: RefusedError, request_id: str) -> Plain:  # noqa: ARG002 -- one seam for both APIs
        """Return an error in this provider's shape."""
        body = {
            "error": {
                "message": refused.message,
                "type": refused.error_type,
                "param": refused.param,
                "code": refused.code,
            }
        }
        return Plain(refused.status, _encode(body))

    def fault_error(self, kind: str) -> RefusedError:
        """Return the error that a planned fault stands for."""
        return {
            "bad_request": RefusedError(400, _INVALID, "Simulated bad request.", "messages"),
            "unauthorized": RefusedError(
                401, _INVALID, "Incorrect API key provided.", code="invalid_api_key"
            ),
            "not_found": RefusedError(
                404, _INVALID, "The model does not exist.", code="model_not_found"
            ),
            "rate_limit": RefusedError(
                429, "requests", "Rate limit reached for requests.", code="rate_limit_exceeded"
            ),
            "server_error": RefusedError(
                500, "server_error", "The server had an error while processing your request."
            ),
            "overloaded": RefusedError(
                503, "service_unavailable", "The engine is currently overloaded."
            ),
        }[kind]

    def answer(self, incoming: Incoming) -> Answer:
        """Answer a request; raises RefusedError."""
        of_batch = self._batches.answer(incoming, self.answer)
        if of_batch is not None:
            return of_batch
        if incoming.method == "POST":
            if incoming.path == "/v1/responses":
                return self._responses(incoming)
            endpoint = _POST.get(incoming.path)
            if endpoint is not None:
                return endpoint(incoming)
        elif incoming.method in ("GET", "HEAD"):
            stored = self._fetch(incoming.path)
            if stored is not None:
                return Plain(200, stored)
        message = f"Invalid URL ({incoming.method} {incoming.path})"
        raise RefusedError(404, _INVALID, message)

    def _fetch(self, path: str) -> bytes | None:
        """Return what a GET of a path answers with, None where there is no such path."""
        if path == "/v1/models":
            data = [_model(name) for name, model in MODELS.items() if model.provider == self.name]
            return _encode({"object": "list", "data": data})
        if path == "/v1/vector_stores":
            return _encode({"object": "list", "data": [], "has_more": False})
        folder, _, name = path.rpartition("/")
        if folder == "/v1/models":
            if find_model(self.name, name) is None:
                message = f"The model '{name}' does not exist"
                raise RefusedError(404, _INVALID, message, "model", "model_not_found")
            return _encode(_model(name))
        if folder == "/v1/responses":
            if name not in self._stored:
                raise RefusedError(404, _INVALID, "Response not found.", "response_id")
            return self._running.pop(name, None) or self._stored[name]
        return None

    def _responses(self, incoming: Incoming) -> Answer:
        body = incoming.body
        model = checks.need_model(incoming.provider, body, "responses")
        items = body.get("input")
        if isinstance(items, str):
            items = [items]
        if not isinstance(items, list) or not items:
            raise RefusedError(400, _INVALID, "Missing required parameter: 'input'.", "input")
        checks.check_metadata(body)
        parts = [body.get("instructions") or "", checks.tools_of(body), *items]
        last = items[-1]
        after_tool = isinstance(last, dict) and last.get("type") == "function_call_output"
        extent = Extent(
            count_tokens(*parts),
            cache_read=incoming.cache.automatic(model.name, parts),
            max_output=checks.whole_or_none(body, "max_output_tokens", 16),
            tool=None if after_tool else _tool(body),
        )
        generation = generate(incoming, model, extent)
        if checks.is_true(body, "stream"):
            return openai_responses.stream(generation, body)
        plain = openai_responses.plain(generation, body)
        if body.get("store", True) is not False and plain.response_id:
            self._stored[plain.response_id] = plain.body
            if len(self._stored) > 256:  # noqa: PLR2004 -- recent ones are enough to fetch
                oldest = next(iter(self._stored))
                del self._stored[oldest]
                self._running.pop(oldest, None)
        if checks.is_true(body, "background") and plain.response_id:
            running = openai_responses.unfinished(generation, body, "in_progress")
            self._running[plain.response_id] = running.body
            return openai_responses.unfinished(generation, body, "queued")
        return plain


def _model(name: str) -> Json:
    return {"id": name, "object": "model", "created": _MODEL_EPOCH_S, "owned_by": "system"}


def _tool(body: Json) -> tuple[str, str] | None:
    """Return the tool the model calls: the chosen one, else the first offered."""
    tools, choice = body.get("tools"), body.get("tool_choice")
    if not isinstance(tools, list) or choice == "none":
        return None
    specs = [
        spec
        for tool in tools
        if isinstance(tool, dict) and isinstance(spec := tool.get("function", tool), dict)
    ]
    wanted: object = None
    if isinstance(choice, dict):
        named = choice.get("function", choice)
        wanted = named.get("name") if isinstance(named, dict) else None
    for spec in specs:
        name = spec.get("name")
        if isinstance(name, str) and wanted in (None, name):
            return name, checks.tool_arguments(spec.get("parameters"))
    if wanted is not None:
        message = f"Tool choice '{wanted}' not found in 'tools' parameter."
        raise RefusedError(400, _INVALID, message, "tool_choice")
    return None


def _choices(body: Json) -> int:
    choices = checks.whole_or_none(body, "n") or 1
    if choices > _CHOICES_MAX:
        raise RefusedError(400, _INVALID, f"Invalid 'n': at most {_CHOICES_MAX}.", "n")
    return choices


def _asks_usage(body: Json) -> bool:
    options = body.get("stream_options")
    if options is None:
        return False
    if not checks.is_true(body, "stream"):
        message = "The 'stream_options' parameter is only allowed when 'stream' is enabled."
        raise RefusedError(400, _INVALID, message, "stream_options")
    if not isinstance(options, dict):
        raise RefusedError(400, _INVALID, "Invalid 'stream_options'.", "stream_options")
    return checks.is_true(options, "include_usage")


def _chat(incoming: Incoming) -> Answer:
    body = incoming.body
    model = checks.need_model(incoming.provider, body, "chat")
    messages = checks.need_messages(body, _ROLES)
    checks.check_metadata(body)
    include_usage = _asks_usage(body)
    limit = checks.whole_or_none(body, "max_completion_tokens")
    if limit is None:
        limit = checks.whole_or_none(body, "max_tokens")
    after_tool = messages[-1]["role"] == "tool"
    prompt = [checks.tools_of(body), *messages]
    extent = Extent(
        count_tokens(*prompt),
        cache_read=incoming.cache.automatic(model.name, prompt),
        max_output=limit,
        choices=_choices(body),
        tool=None if after_tool else _tool(body),
    )
    generation = generate(incoming, model, extent)
    if checks.is_true(body, "stream"):
        return openai_chat.chat_stream(generation, include_usage=include_usage)
    return openai_chat.chat_plain(generation)


def _completions(incoming: Incoming) -> Answer:
    body = incoming.body
    model = checks.need_model(incoming.provider, body, "completions")
    prompt = body.get("prompt")
    if not isinstance(prompt, str | list) or not prompt:
        raise RefusedError(400, _INVALID, "Missing required parameter: 'prompt'.", "prompt")
    include_usage = _asks_usage(body)
    extent = Extent(
        count_tokens(prompt),
        max_output=checks.whole_or_none(body, "max_tokens") or 16,
        choices=_choices(body),
    )
    generation = generate(incoming, model, extent)
    if checks.is_true(body, "stream"):
        return openai_chat.completion_stream(generation, include_usage=include_usage)
    return openai_chat.completion_plain(generation)


def _embedding_inputs(body: Json) -> Sequence[object]:
    inputs = body.get("input")
    if isinstance(inputs, str) and inputs:
        return [inputs]
    if not isinstance(inputs, list) or not 0 < len(inputs) <= _EMBEDDING_INPUTS_MAX:
        raise RefusedError(400, _INVALID, "'$.input' is invalid.", "input")
    return [inputs] if isinstance(inputs[0], int) else inputs


def _vector(seed: int, dimensions: int) -> bytes:
    """Return little-endian float32 values of a unit vector with one odd component."""
    at = seed % dimensions
    packed = bytearray(4 * dimensions)
    struct.pack_into("<f", packed, 4 * at, 0.5)
    struct.pack_into("<f", packed, 4 * ((at + 1) % dimensions), 0.75**0.5)
    return bytes(packed)


def _embeddings(incoming: Incoming) -> Plain:
    body = incoming.body
    model = checks.need_model(incoming.provider, body, "embeddings")
    inputs = _embedding_inputs(body)
    form = body.get("encoding_format", "float")
    if form not in ("float", "base64"):
        message = "Invalid 'encoding_format': 'float' or 'base64' expected."
        raise RefusedError(400, _INVALID, message, "encoding_format")
    dimensions = checks.whole_or_none(body, "dimensions") or model.dimensions
    if dimensions > model.dimensions:
        message = f"Invalid 'dimensions': at most {model.dimensions}."
        raise RefusedError(400, _INVALID, message, "dimensions")
    generation = generate(
        incoming, model, Extent(sum(count_tokens(text) for text in inputs), makes_output=False)
    )
    data: list[Json] = []
    for index in range(len(inputs)):
        packed = _vector(generation.seed + index, dimensions)
        vector: object = base64.b64encode(packed).decode()
        if form == "float":
            vector = struct.unpack(f"<{dimensions}f", packed)
        data.append({"object": "embedding", "index": index, "embedding": vector})
    answer: Json = {"object": "list", "data": data, "model": model.snapshot}
    has_usage = incoming.shape.has_usage
    if has_usage:
        tokens = generation.quantities.input
        answer["usage"] = {"prompt_tokens": tokens, "total_tokens": tokens}
    return Plain(200, _encode(answer), (), generation, None, has_usage=has_usage)


def _moderations(incoming: Incoming) -> Plain:
    """Answer the free moderation endpoint, a path that a gateway passes through."""
    if not incoming.body.get("input"):
        raise RefusedError(400, _INVALID, "Missing required parameter: 'input'.", "input")
    names = ("harassment", "hate", "illicit", "self-harm", "sexual", "violence")
    result = {
        "flagged": False,
        "categories": dict.fromkeys(names, False),
        "category_scores": dict.fromkeys(names, 0.0001),
        "category_applied_input_types": {name: ["text"] for name in names},
    }
    body = {
        "id": f"modr-{text_of(incoming.arrived_at_ns, 1).encode().hex()}",
        "model": "omni-moderation-latest",
        "results": [result],
    }
    return Plain(200, _encode(body))


_POST: Final[dict[str, Callable[[Incoming], Answer]]] = {
    "/v1/chat/completions": _chat,
    "/v1/completions": _completions,
    "/v1/embeddings": _embeddings,
    "/v1/moderations": _moderations,
    "/v1/images/generations": openai_media.images,
    "/v1/images/edits": openai_media.images,
    "/v1/images/variations": openai_media.images,
    "/v1/audio/speech": openai_media.speech,
    "/v1/audio/transcriptions": openai_media.transcripts,
    "/v1/audio/translations": openai_media.transcripts,
}
