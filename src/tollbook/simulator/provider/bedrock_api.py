"""The runtime API of AWS Bedrock: endpoints, credentials, errors and headers.

Shapes as in https://docs.aws.amazon.com/bedrock/latest/APIReference/.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final
from urllib.parse import unquote

import msgspec

from tollbook.simulator.pricelist import Model, find_model
from tollbook.simulator.provider import bedrock_converse, bedrock_invoke, checks
from tollbook.simulator.provider.answers import Answer, Header, Plain, RefusedError
from tollbook.simulator.provider.api import Extent, Incoming, bearer_key, generate
from tollbook.simulator.provider.bedrock_signature import access_key_id, check_signature
from tollbook.simulator.provider.sizing import count_tokens

if TYPE_CHECKING:
    from tollbook.simulator.provider.checks import Json

NAME = "bedrock"
_encode = msgspec.json.Encoder().encode
_VALIDATION: Final = "ValidationException"
_STATUS: Final = {
    "authentication_error": (403, "UnrecognizedClientException"),
    "invalid_request_error": (400, _VALIDATION),
    "not_found_error": (404, "ResourceNotFoundException"),
}
"""Refusals in the words of other providers, and what AWS says there."""
_STREAMS: Final = frozenset({"converse-stream", "invoke-with-response-stream"})


class BedrockApi:
    """Answers requests as Bedrock does."""

    name = NAME

    def credential(self, headers: dict[str, str]) -> str | None:
        """Return the bearer token (a Bedrock API key), or the access key id that signed."""
        return bearer_key(headers) or access_key_id(headers)

    def head(self, request_id: str, processing_ms: int) -> list[Header]:
        """Return the headers that every answer has."""
        return [
            (b"x-amzn-requestid", request_id.encode()),
            (b"x-amzn-bedrock-invocation-latency", b"%d" % processing_ms),
        ]

    def rate_limit_headers(self, remaining: int) -> list[Header]:  # noqa: ARG002 -- one seam for all APIs
        """Return nothing: this API tells no limits."""
        return []

    def request_id(self, seed: int) -> str:
        """Return an id in this provider's form, a UUID."""
        digits = f"{seed:032x}"
        return "-".join((digits[:8], digits[8:12], digits[12:16], digits[16:20], digits[20:]))

    def error(self, refused: RefusedError, request_id: str) -> Plain:  # noqa: ARG002 -- ditto
        """Return an error in this provider's shape: its type is a header."""
        status, name = _STATUS.get(refused.error_type, (refused.status, refused.error_type))
        kind = f"{name}:http://internal.amazon.com/coral/com.amazon.bedrock/".encode()
        body = _encode({"message": refused.message})
        return Plain(status, body, ((b"x-amzn-errortype", kind),))

    def fault_error(self, kind: str) -> RefusedError:
        """Return the error that a planned fault stands for."""
        return {
            "bad_request": RefusedError(400, _VALIDATION, "The provided request is not valid"),
            "unauthorized": RefusedError(
                403, "UnrecognizedClientException", "The security token is invalid."
            ),
            "not_found": RefusedError(404, "ResourceNotFoundException", "Model not found."),
            "rate_limit": RefusedError(
                429, "ThrottlingException", "Too many requests, please wait."
            ),
            "server_error": RefusedError(500, "InternalServerException", "Internal error."),
            "overloaded": RefusedError(
                503, "ServiceUnavailableException", "Bedrock is unable to process your request."
            ),
        }[kind]

    def answer(self, incoming: Incoming) -> Answer:
        """Answer a request; raises RefusedError."""
        check_signature(incoming)
        model_id, _, action = unquote(incoming.path).removeprefix("/model/").rpartition("/")
        if incoming.method != "POST" or not model_id:
            raise RefusedError(404, "UnknownOperationException", "Not found")
        match action:
            case "converse" | "converse-stream":
                return _converse(incoming, _model(model_id, "converse"), action)
            case "invoke" | "invoke-with-response-stream":
                return _invoke(incoming, model_id, action)
            case "count-tokens":
                return Plain(200, _encode({"inputTokens": count_tokens(incoming.body)}))
        raise RefusedError(404, "UnknownOperationException", "Not found")


def _model(model_id: str, api: str) -> Model:
    """Return the model of an id or of an ARN that ends in one, or refuse."""
    model = find_model(NAME, model_id.rpartition("/")[2])
    if model is None:
        raise RefusedError(400, _VALIDATION, "The provided model identifier is invalid.")
    if api not in model.apis:
        raise RefusedError(400, _VALIDATION, "This operation is not supported for this model.")
    return model


def _converse(incoming: Incoming, model: Model, action: str) -> Answer:
    body = incoming.body
    blocks = bedrock_converse.need_conversation(body)
    limits = body.get("inferenceConfig")
    limit = checks.whole_or_none(limits, "maxTokens") if isinstance(limits, dict) else None
    extent = Extent(
        count_tokens(*blocks),
        *incoming.cache.explicit(model.name, blocks),
        max_output=limit,
        tool=bedrock_converse.tool_of(body),
    )
    generation = generate(incoming, model, extent)
    if action in _STREAMS:
        return bedrock_converse.stream(generation)
    return bedrock_converse.plain(generation)


def _invoke(incoming: Incoming, model_id: str, action: str) -> Answer:
    body = incoming.body
    model = find_model(NAME, model_id.rpartition("/")[2])
    if model is not None and model.dimensions:
        text = body.get("inputText")
        if not isinstance(text, str) or action in _STREAMS:
            raise RefusedError(400, _VALIDATION, "Malformed input request")
        extent = Extent(count_tokens(text), makes_output=False)
        return bedrock_invoke.plain(generate(incoming, model, extent))
    model = _model(model_id, "invoke")
    extent = Extent(count_tokens(_prompt(model, body)), max_output=_limit(model, body))
    if ".claude-" in model.name:
        read, write_5m, write_1h = incoming.cache.explicit(model.name, _claude_blocks(body))
        extent = extent._replace(cache_read=read, cache_write_5m=write_5m, cache_write_1h=write_1h)
    generation = generate(incoming, model, extent)
    if action in _STREAMS:
        return bedrock_invoke.stream(generation)
    return bedrock_invoke.plain(generation)


def _claude_blocks(body: Json) -> list[object]:
    system = body.get("system") or []
    blocks: list[object] = list(system) if isinstance(system, list) else [system]
    for message in body["messages"]:
        content = message.get("content") if isinstance(message, dict) else None
        blocks += content if isinstance(content, list) else [content]
    return blocks


def _prompt(model: Model, body: Json) -> object:
    """Return what is sent, in the shape of the model's family, or refuse."""
    if model.name.startswith("meta."):
        prompt = body.get("prompt")
        if not isinstance(prompt, str):
            raise RefusedError(400, _VALIDATION, "Malformed input request: prompt is required")
        return prompt
    messages = body.get("messages")
    if not isinstance(messages, list) or not messages:
        raise RefusedError(400, _VALIDATION, "Malformed input request: messages is required")
    if ".claude-" in model.name and body.get("anthropic_version") is None:
        raise RefusedError(400, _VALIDATION, "anthropic_version: Field required")
    return messages


def _limit(model: Model, body: Json) -> int | None:
    if model.name.startswith("meta."):
        return checks.whole_or_none(body, "max_gen_len")
    if ".claude-" in model.name:
        return checks.whole_or_none(body, "max_tokens")
    settings = body.get("inferenceConfig")
    return checks.whole_or_none(settings, "maxTokens") if isinstance(settings, dict) else None
