"""Azure OpenAI: deployments in the path, API versions, content filters, errors of its own shape.

Shapes as in https://learn.microsoft.com/azure/ai-services/openai/reference.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final
from urllib.parse import parse_qs, unquote

import msgspec

from tollbook.simulator.provider.answers import Event, Plain, RefusedError, Stream
from tollbook.simulator.provider.openai_api import OpenAiApi

if TYPE_CHECKING:
    from tollbook.simulator.provider.answers import Answer, Header
    from tollbook.simulator.provider.api import Incoming

_FIRST_WITH_STREAM_OPTIONS: Final = "2024-09-01-preview"
_encode = msgspec.json.Encoder().encode
_CLEAN: Final = {
    name: {"filtered": False, "severity": "safe"}
    for name in ("hate", "self_harm", "sexual", "violence")
}


class AzureApi(OpenAiApi):
    """Answers requests as Azure does."""

    name = "azure"

    def credential(self, headers: dict[str, str]) -> str | None:
        """Return the ``api-key`` or the bearer token."""
        return headers.get("api-key") or super().credential(headers)

    def head(self, request_id: str, processing_ms: int) -> list[Header]:
        """Return the headers that every answer has."""
        return [
            (b"apim-request-id", request_id.encode()),
            (b"x-ms-region", b"Sweden Central"),
            (b"azureml-model-session", b"d%d" % processing_ms),
        ]

    def error(self, refused: RefusedError, request_id: str) -> Plain:  # noqa: ARG002 -- one seam for all APIs
        """Return ``{"error": {"code", "message"}}``."""
        code = refused.code or str(refused.status)
        return Plain(
            refused.status, _encode({"error": {"code": code, "message": refused.message}})
        )  # fmt: skip

    def answer(self, incoming: Incoming) -> Answer:
        """Answer a request; raises RefusedError."""
        rest = incoming.path.removeprefix("/openai")
        body = incoming.body
        if rest.startswith("/deployments/"):
            version = parse_qs(incoming.query).get("api-version", [""])[0]
            if not version:
                raise RefusedError(404, "", "Resource not found", code="404")
            if "stream_options" in body and version < _FIRST_WITH_STREAM_OPTIONS:
                message = "Unrecognized request argument supplied: stream_options"
                raise RefusedError(400, "invalid_request_error", message, "stream_options")
            _, _, deployment, last = rest.split("/", 3)
            body = body | {"model": unquote(deployment)}
            rest = "/v1/" + last
        found = super().answer(incoming._replace(path=rest, body=body))
        return _filtered(found) if isinstance(found, Stream) else found


def _filtered(stream: Stream) -> Stream:
    """Put the results for the prompt before everything else, as Azure does."""
    first = {
        "choices": [], "created": 0, "id": "", "model": "", "object": "",
        "prompt_filter_results": [{"prompt_index": 0, "content_filter_results": _CLEAN}],
    }  # fmt: skip
    return stream._replace(events=(Event(b"data: " + _encode(first) + b"\n\n"), *stream.events))
