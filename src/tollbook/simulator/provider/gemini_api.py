"""The Gemini API and Vertex AI: endpoints, credentials, errors.

Shapes as in https://ai.google.dev/api and
https://cloud.google.com/vertex-ai/generative-ai/docs/model-reference/inference.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final

import msgspec

from tollbook.simulator.pricelist import MODELS, find_model
from tollbook.simulator.provider import (
    anthropic_messages,
    checks,
    gemini_answers,
    gemini_interactions,
    openai_chat,
)
from tollbook.simulator.provider.answers import Answer, Header, Plain, RefusedError
from tollbook.simulator.provider.api import Extent, Incoming, bearer_key, generate
from tollbook.simulator.provider.gemini_answers import Prompt
from tollbook.simulator.provider.sizing import count_tokens

if TYPE_CHECKING:
    from tollbook.simulator.pricelist import Model, Quantities
    from tollbook.simulator.provider.checks import Json

NAME: Final = "google"
_STATUS: Final = {
    400: "INVALID_ARGUMENT",
    401: "UNAUTHENTICATED",
    404: "NOT_FOUND",
    429: "RESOURCE_EXHAUSTED",
    500: "INTERNAL",
    503: "UNAVAILABLE",
}
_verb = re.compile(r"/models/([^/:]+):(\w+)$").search
_TOKENS_A_FILE: Final = {"image": 258, "audio": 96, "video": 300}
_TOOL_USE_TOKENS: Final = 120
_BUILT_IN: Final = ("googleSearch", "google_search", "codeExecution", "code_execution")
_encode = msgspec.json.Encoder().encode


class GeminiApi:
    """Answers requests as Google does."""

    name = NAME

    def __init__(self) -> None:
        self._cached: dict[str, dict[str, int]] = {}
        self._interactions: dict[str, bytes] = {}

    def credential(self, headers: dict[str, str]) -> str | None:
        """Return the key: ``x-goog-api-key``, or a bearer token."""
        return headers.get("x-goog-api-key") or bearer_key(headers)

    def head(self, request_id: str, processing_ms: int) -> list[Header]:
        """Return the headers that every answer has; the id is for the tests to join by."""
        timing = b"gfet4t7; dur=%d" % processing_ms
        return [(b"x-request-id", request_id.encode()), (b"server-timing", timing)]

    def rate_limit_headers(self, remaining: int) -> list[Header]:  # noqa: ARG002 -- Google has none
        """Return nothing."""
        return []

    def request_id(self, seed: int) -> str:
        """Return an id."""
        return f"{seed:016x}"

    def error(self, refused: RefusedError, request_id: str) -> Plain:  # noqa: ARG002 -- not in the body
        """Return an error in this provider's shape."""
        status = _STATUS.get(refused.status, "UNKNOWN")
        error = {"code": refused.status, "message": refused.message, "status": status}
        return Plain(refused.status, _encode({"error": error}))

    def fault_error(self, kind: str) -> RefusedError:
        """Return the error that a planned fault stands for."""
        status, message = {
            "bad_request": (400, "Request contains an invalid argument."),
            "unauthorized": (401, "API key not valid."),
            "not_found": (404, "Requested entity was not found."),
            "rate_limit": (429, "Resource has been exhausted (e.g. check quota)."),
            "server_error": (500, "An internal error has occurred."),
            "overloaded": (503, "The model is overloaded."),
        }[kind]
        return RefusedError(status, _STATUS[status], message)

    def answer(self, incoming: Incoming) -> Answer:  # noqa: PLR0911 -- one return for each endpoint
        """Answer a request; raises RefusedError."""
        method, path = incoming.method, incoming.path
        if method == "GET":
            return self._shown(path)
        if method == "POST" and path.endswith("/cachedContents"):
            return self._create_cache(incoming)
        if method == "POST" and path.endswith("/openai/chat/completions"):
            return _openai_chat(incoming)
        if method == "POST" and path.endswith("/interactions"):
            return self._interaction(incoming)
        found = _verb(path)
        if method != "POST" or found is None:
            raise RefusedError(404, "NOT_FOUND", "Requested entity was not found.")
        name, verb = found.groups()
        match verb:
            case "generateContent" | "streamGenerateContent":
                return self._generate(incoming, _model(name, "generate"), verb)
            case "embedContent" | "batchEmbedContents":
                return _embed(incoming, _model(name, "embed"), verb)
            case "countTokens":
                total = count_tokens(incoming.body.get("contents") or "")
                return Plain(200, _encode({"totalTokens": total}))
            case "rawPredict" | "streamRawPredict":
                return _messages(incoming, _model(name, "messages"))
        raise RefusedError(404, "NOT_FOUND", "Requested entity was not found.")

    def _shown(self, path: str) -> Plain:
        last = path.rpartition("/")[2]
        if last in self._interactions:
            return Plain(200, self._interactions[last])
        if last != "models":
            raise RefusedError(404, "NOT_FOUND", "Requested entity was not found.")
        names = [m for m in MODELS.values() if m.provider == NAME]
        return Plain(200, _encode({"models": [{"name": f"models/{m.name}"} for m in names]}))

    def _interaction(self, incoming: Incoming) -> Answer:
        body = incoming.body
        model = _model(str(body.get("model")), "generate")
        generation = generate(incoming, model, Extent(count_tokens(body.get("input") or "")))
        if checks.is_true(body, "stream"):
            return gemini_interactions.stream(generation)
        plain = gemini_interactions.plain(generation)
        if not checks.is_true(body, "background") or plain.response_id is None:
            return plain
        if len(self._interactions) > 256:  # noqa: PLR2004 -- recent ones are enough to fetch
            self._interactions.clear()
        self._interactions[plain.response_id] = plain.body
        return gemini_interactions.running(generation)

    def _create_cache(self, incoming: Incoming) -> Plain:
        tokens = _tokens_by_modality(incoming.body.get("contents") or [])
        name = f"cachedContents/{len(self._cached):08x}"
        self._cached[name] = tokens
        body = {
            "name": name,
            "model": incoming.body.get("model"),
            "usageMetadata": {"totalTokenCount": sum(tokens.values())},
        }
        return Plain(200, _encode(body))

    def _generate(self, incoming: Incoming, model: Model, verb: str) -> Answer:
        body = incoming.body
        contents = checks.need_list(body, "contents")
        if "publishers" not in incoming.path and "labels" in body:
            message = 'Invalid JSON payload received. Unknown name "labels".'
            raise RefusedError(400, "INVALID_ARGUMENT", message)
        tokens = _tokens_by_modality(contents)
        instruction = body.get("systemInstruction") or body.get("system_instruction")
        if instruction:
            tokens["text"] += count_tokens(instruction)
        config = body.get("generationConfig") or {}
        extent = Extent(
            tokens["text"],
            cache_read=min(tokens["text"], incoming.cache.automatic(model.name, contents)),
            max_output=checks.whole_or_none(config, "maxOutputTokens"),
            tool=_tool(body),
        )
        generation = generate(incoming, model, extent)
        tools = [tool for tool in body.get("tools") or [] if isinstance(tool, dict)]
        is_grounded = any("oogle" in name and "earch" in name for t in tools for name in t)
        uses_tools = any(name in tool for tool in tools for name in _BUILT_IN)
        prompt = Prompt(
            tool_use=_TOOL_USE_TOKENS if uses_tools else 0,
            is_grounded=is_grounded,
            is_vertex="/publishers/" in incoming.path,
        )
        cached = self._cached.get(str(body.get("cachedContent")), {})
        quantities = _with_files(generation.quantities, tokens, cached, prompt)
        if is_grounded:
            is_per_prompt = model.name.startswith("gemini-2")
            quantities = quantities._replace(web_search=1 if is_per_prompt else 2)
        generation = generation._replace(quantities=quantities)
        if verb == "generateContent":
            return gemini_answers.plain(generation, prompt)
        is_array = "alt=sse" not in incoming.query
        return gemini_answers.stream(generation, prompt, is_array=is_array)


def _with_files(
    kinds: Quantities, tokens: dict[str, int], cached: dict[str, int], prompt: Prompt
) -> Quantities:
    """Add to the text what files and cached content hold; cached content is part of the prompt."""
    return kinds._replace(
        uncached_input=kinds.uncached_input + prompt.tool_use,
        cache_read=kinds.cache_read + cached.get("text", 0),
        input_image=tokens["image"],
        cache_read_image=cached.get("image", 0),
        input_audio=tokens["audio"],
        cache_read_audio=cached.get("audio", 0),
        input_video=tokens["video"],
    )


def _tokens_by_modality(contents: object) -> dict[str, int]:
    """Count the tokens of contents: text by length, each file by its kind."""
    counts = {"text": 0, "image": 0, "audio": 0, "video": 0}
    for content in contents if isinstance(contents, list) else [contents]:
        parts = content.get("parts") if isinstance(content, dict) else None
        for part in parts if isinstance(parts, list) else [content]:
            data: Any = part.get("inlineData") if isinstance(part, dict) else None
            if isinstance(data, dict):
                media_type = data.get("mimeType") or data.get("mime_type")
                kind = str(media_type).partition("/")[0]
                counts[kind if kind in counts else "image"] += _TOKENS_A_FILE.get(kind, 258)
            else:
                counts["text"] += count_tokens(part)
    return counts


def _model(name: str, api: str) -> Model:
    model = find_model(NAME, name)
    if model is None or api not in model.apis:
        message = f"models/{name} is not found for API version v1beta, or is not supported."
        raise RefusedError(404, "NOT_FOUND", message)
    return model


def _tool(body: Json) -> tuple[str, str] | None:
    for tool in body.get("tools") or []:
        declared = tool.get("functionDeclarations") if isinstance(tool, dict) else None
        for function in declared or []:
            schema = function.get("parameters") or function.get("parametersJsonSchema") or {}
            lowered = msgspec.json.decode(_encode(schema).decode().replace("STRING", "string"))
            return function["name"], checks.tool_arguments(lowered)
    return None


def _embed(incoming: Incoming, model: Model, verb: str) -> Plain:
    body = incoming.body
    is_batch = verb == "batchEmbedContents"
    requests = checks.need_list(body, "requests") if is_batch else [body]
    contents = [request.get("content") for request in requests]
    tokens = sum(count_tokens(content) for content in contents)
    generation = generate(incoming, model, Extent(tokens, makes_output=False))
    vectors = [{"values": [0.5, 0.5, 0.5, 0.5]} for _ in contents]
    answer: Json = {"embeddings": vectors} if is_batch else {"embedding": vectors[0]}
    has_usage = incoming.shape.has_usage and model.name == "gemini-embedding-2"
    if has_usage:  # the older model reports none
        count = generation.quantities.input
        details = [{"modality": "TEXT", "tokenCount": count}]
        answer["usageMetadata"] = {"promptTokenCount": count, "promptTokenDetails": details}
    return Plain(200, _encode(answer), (), generation, None, has_usage=has_usage)


def _openai_chat(incoming: Incoming) -> Answer:
    """Answer in OpenAI's shape, as the compatible endpoint does."""
    body = incoming.body
    model = _model(str(body.get("model")).removeprefix("models/"), "generate")
    messages = checks.need_list(body, "messages")
    generation = generate(incoming, model, Extent(count_tokens(*messages)))
    if checks.is_true(body, "stream"):
        options = body.get("stream_options") or {}
        include = isinstance(options, dict) and options.get("include_usage") is True
        return openai_chat.chat_stream(generation, include_usage=include)
    return openai_chat.chat_plain(generation)


def _messages(incoming: Incoming, model: Model) -> Answer:
    """Answer in Anthropic's shape, as its models do on Vertex."""
    body = incoming.body
    if "anthropic_version" not in body or "model" in body:
        raise RefusedError(400, "INVALID_ARGUMENT", "anthropic_version: Field required")
    messages = checks.need_list(body, "messages")
    extent = Extent(count_tokens(*messages), max_output=checks.whole_or_none(body, "max_tokens"))
    generation = generate(incoming, model, extent)
    if incoming.path.endswith(":streamRawPredict"):
        return anthropic_messages.stream(generation)
    return anthropic_messages.plain(generation)
