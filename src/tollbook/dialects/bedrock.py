"""The runtime API of AWS Bedrock."""

from __future__ import annotations

import re
from functools import partial
from http import HTTPStatus
from typing import TYPE_CHECKING, Final
from urllib.parse import quote

import msgspec

from tollbook.call import Call, Metering
from tollbook.dialects.base import Header, Measured, RequestFacts, ResponseMeter, Rewritten, Route
from tollbook.dialects.bedrock_invoke_stream import BedrockStreamMeter
from tollbook.dialects.bedrock_measure import measure_bedrock
from tollbook.dialects.bedrock_model import model_in, operation_of, read_model_path, says_nothing
from tollbook.dialects.bedrock_plain import read_bedrock_answer, read_bedrock_error, tier_in
from tollbook.dialects.bedrock_request import read_bedrock_request
from tollbook.dialects.defaults import DialectDefaults
from tollbook.dialects.http_head import (
    MAX_ATTEMPT,
    attempt_of,
    bearer_token,
    response_header,
    text_header,
)
from tollbook.dialects.plain_meter import PlainMeter, SilentMeter
from tollbook.dialects.sigv4_credential import is_sigv4_header, sigv4_access_key
from tollbook.dialects.tags_bedrock import request_metadata_header, with_request_metadata

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from tollbook.dialects.base import Metered, NativeTags

EVENT_STREAM: Final = b"application/vnd.amazon.eventstream"
_STREAMS: Final = {
    "converse": False,
    "converse-stream": True,
    "invoke": False,
    "invoke-with-response-stream": True,
}
_OTHER: Final = Route("other", Metering.UNMETERED, inspects_body=False)
_RETRYABLE_TYPES: Final = frozenset(
    {"ModelErrorException", "ModelStreamErrorException", "ModelNotReadyException"}
)
"""Of the model, with status 424 or 429: "retry your request" (API reference, errors)."""
_ERROR_NAMES: Final[dict[int, str]] = {
    HTTPStatus.UNAUTHORIZED: "UnrecognizedClientException",
    HTTPStatus.FORBIDDEN: "AccessDeniedException",
    HTTPStatus.NOT_FOUND: "ResourceNotFoundException",
    HTTPStatus.REQUEST_TIMEOUT: "ModelTimeoutException",
    HTTPStatus.TOO_MANY_REQUESTS: "ThrottlingException",
    HTTPStatus.SERVICE_UNAVAILABLE: "ServiceUnavailableException",
}
_attempt = re.compile(r"(?:^|;)\s*attempt=(\d{1,4})(?:;|$)").search
_place_of_model = re.compile(rb"^(?P<before>[^?]*?/model/)[^?]*(?P<action>/[^/?]+/?)(?=\?|$)").match


class BedrockRoute(Route, frozen=True):
    """An endpoint of a model."""

    is_converse: bool = False


class Bedrock(DialectDefaults):
    """See :class:`tollbook.dialects.base.Dialect`."""

    name = "bedrock"
    stream_types: tuple[bytes, ...] = (EVENT_STREAM,)
    can_comment = False

    def route(self, method: str, path: str) -> Route:
        """Classify by what follows the model in the path.

        Guardrails, asynchronous invocations and two-way streams cost money that no answer tells:
        they pass unmetered.
        """
        named = read_model_path(path)
        if method != "POST" or named is None:
            return _OTHER
        if named.action in _STREAMS:
            is_invoke = named.action.startswith("invoke")
            return BedrockRoute(
                operation_of(named.model) if is_invoke else "chat",
                Metering.METERED,
                inspects_body=True,
                model=named.model,
                is_stream=_STREAMS[named.action],
                region=named.region,
                is_converse=not is_invoke,
            )
        if named.action == "count-tokens":
            return Route("count_tokens", Metering.FREE, inspects_body=False, model=named.model)
        return Route(
            "other", Metering.UNMETERED, inspects_body=False, model=named.model, region=named.region
        )

    def read_credential(self, headers: Sequence[Header]) -> str | None:
        """Return the bearer token (``AWS_BEARER_TOKEN_BEDROCK``), or the access key id that signed.

        Clients that sign show a virtual key as their access key id.
        """
        return bearer_token(headers) or sigv4_access_key(headers)

    def is_credential(self, name: bytes) -> bool:
        """Whether a header carries the key or belongs to a signature."""
        return is_sigv4_header(name)

    def credential_headers(self, key: str) -> list[Header]:
        """Return the header that carries a Bedrock API key upstream."""
        return [(b"authorization", b"Bearer " + key.encode())]

    def read_request(
        self,
        route: Route,
        body: bytes,
        *,
        inject_stream_usage: bool,  # noqa: ARG002 -- these streams always report usage
        user_is: str,
    ) -> RequestFacts:
        """Read a metered request."""
        return read_bedrock_request(route, body, user_is=user_is)

    def meter(
        self,
        route: Route,
        facts: RequestFacts,  # noqa: ARG002 -- the path says all
        status: int,
        headers: Mapping[bytes, bytes],
    ) -> ResponseMeter:
        """Return a meter by what the response is."""
        if route.metering is not Metering.METERED:
            return SilentMeter()
        if status >= HTTPStatus.BAD_REQUEST:
            return PlainMeter(partial(read_bedrock_error, headers), is_error=True)
        # The body names the model without geography, and the price depends on that.
        model = None if says_nothing(route.model) else route.model
        if headers.get(b"content-type", b"").lower().startswith(EVENT_STREAM):
            return BedrockStreamMeter(model, tier_in(headers))
        return PlainMeter(partial(_read_answer, model, headers), is_error=False)

    def attempt(self, headers: Sequence[Header]) -> int:
        """Return the attempt as the AWS SDKs count it (``amz-sdk-request: attempt=2; max=5``)."""
        counted = text_header(headers, b"amz-sdk-request")
        if counted is None:
            return attempt_of(headers)  # Anthropic's SDK speaks to Bedrock too
        found = _attempt(counted)
        return min(max(int(found[1]), 1), MAX_ATTEMPT) if found else 1

    def provider_request_id(self, headers: Mapping[bytes, bytes]) -> str | None:
        """Return ``x-amzn-requestid``."""
        return response_header(headers, b"x-amzn-requestid")

    def error_body(self, status: int, error_type: str, message: str) -> bytes:
        """Return an error with AWS's name for its status, which the AWS SDKs make an exception of.

        The gateway's own word stands beside it.
        """
        default = (
            "InternalServerException"
            if status >= HTTPStatus.INTERNAL_SERVER_ERROR
            else "ValidationException"
        )
        name = _ERROR_NAMES.get(status, default)
        return msgspec.json.encode({"__type": name, "message": message, "reason": error_type})

    def measure(self, call: Call) -> Measured:
        """Turn the raw usage of a call into disjoint kinds, or estimate it."""
        return measure_bedrock(call)

    def with_model(self, route: Route, target: bytes, body: bytes, model: str) -> Rewritten | None:
        """Put another model id, encoded, in the path."""
        found = _place_of_model(target)
        if route.model is None or found is None:
            return None
        rest = target[found.end("action") :]
        path = found["before"] + quote(model, safe="").encode() + found["action"]
        return Rewritten(path + rest, body)

    def with_tags(self, route: Route, body: bytes, tags: NativeTags) -> bytes:
        """Write tags into ``requestMetadata``, which is a member of Converse only."""
        if isinstance(route, BedrockRoute) and route.is_converse:
            return with_request_metadata(body, tags)
        return body

    def tag_headers(self, route: Route, tags: NativeTags) -> list[Header]:
        """Return the header that carries them for Invoke."""
        if isinstance(route, BedrockRoute) and not route.is_converse:
            return request_metadata_header(tags)
        return []

    def is_retryable(self, status: int, error_type: str | None) -> bool:
        """Whether another attempt may succeed: by status, or the model failed."""
        return error_type in _RETRYABLE_TYPES or super().is_retryable(status, error_type)


def _read_answer(model: str | None, headers: Mapping[bytes, bytes], body: bytes) -> Metered:
    seen = read_bedrock_answer(headers, body)
    actual = model or (model_in(seen.model_actual) if seen.model_actual else None)
    return msgspec.structs.replace(seen, model_actual=actual)
