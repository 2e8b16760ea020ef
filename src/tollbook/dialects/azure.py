"""Azure OpenAI and Azure AI Foundry: the OpenAI API with deployments for models.

A deployment has a name of its own, in the path (``/openai/deployments/NAME/chat/completions``) or,
with the v1 API, in ``model``. It is what was requested; the answer tells the model behind it.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final
from urllib.parse import parse_qs, quote

import msgspec
from msgspec import structs

from tollbook.dialects.base import Rewritten
from tollbook.dialects.http_head import bearer_token, plain_path, response_header, text_header
from tollbook.dialects.openai import OpenAI
from tollbook.dialects.request_body import as_model, with_model

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from tollbook.dialects.base import Header, RequestFacts, Route

_FIRST_WITH_STREAM_USAGE: Final = "2024-09-01-preview"
"""The first version that takes ``stream_options``; earlier ones refuse the request
(https://learn.microsoft.com/azure/ai-services/openai/api-version-deprecation)."""
_find_deployment = re.compile(r"/deployments/([^/]+)/").search
_find_deployment_in_target = re.compile(rb"(?<=/deployments/)[^/?]+").search
_is_version = re.compile(r"\d{4}-\d{2}-\d{2}(-preview)?").fullmatch
_SIGNED_TOKEN: Final = "eyJ"  # noqa: S105 -- how every JSON Web Token begins


class Azure(OpenAI):
    """See :class:`tollbook.dialects.base.Dialect`."""

    name = "azure"

    def route(self, method: str, path: str) -> Route:
        """Classify as OpenAI does; the deployment in the path is the model."""
        route = super().route(method, path)
        found = _find_deployment(plain_path(path))
        model = as_model(found[1]) if found else None
        return route if model is None else structs.replace(route, model=model)

    def with_query(self, route: Route, query: bytes) -> Route:
        """Return the route for the API version that a request names."""
        versions = parse_qs(query.decode("latin-1")).get("api-version")
        version = versions[0].strip().lower() if versions else ""
        if not _is_version(version) or version >= _FIRST_WITH_STREAM_USAGE:
            return route
        return structs.replace(route, takes_stream_options=False)

    def read_credential(self, headers: Sequence[Header]) -> str | None:
        """Return the ``api-key``, or the token of Microsoft Entra ID."""
        return text_header(headers, b"api-key") or bearer_token(headers)

    def credential_headers(self, key: str) -> list[Header]:
        """Return the header that carries a key, or a token of Microsoft Entra ID."""
        if key.startswith(_SIGNED_TOKEN):
            return [(b"authorization", b"Bearer " + key.encode())]
        return [(b"api-key", key.encode())]

    def read_request(
        self, route: Route, body: bytes, *, inject_stream_usage: bool, user_is: str
    ) -> RequestFacts:
        """Read a metered request; usage is asked for where the API version knows of it."""
        asks = inject_stream_usage and route.takes_stream_options
        return super().read_request(route, body, inject_stream_usage=asks, user_is=user_is)

    def provider_request_id(self, headers: Mapping[bytes, bytes]) -> str | None:
        """Return ``apim-request-id``, by which Azure finds a request, else ``x-request-id``."""
        return response_header(headers, b"apim-request-id") or super().provider_request_id(headers)

    def error_body(self, status: int, error_type: str, message: str) -> bytes:  # noqa: ARG002 -- the shape is the same for every status
        """Return ``{"error": {"code", "message"}}`` as Azure does."""
        return msgspec.json.encode({"error": {"code": error_type, "message": message}})

    def with_model(self, route: Route, target: bytes, body: bytes, model: str) -> Rewritten | None:
        """Put another deployment into the path, and into the body where that names one."""
        if route.model is None:
            return super().with_model(route, target, body, model)
        found = _find_deployment_in_target(target)
        if found is None:
            return None
        name = quote(model, safe="").encode()
        target = target[: found.start()] + name + target[found.end() :]
        changed = with_model(body, model)
        return Rewritten(target, body if changed is None else changed)
