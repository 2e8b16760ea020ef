"""A missing tenant is told of before a client sends.

Clients that Stainless generates take what their transport raises for a fault of the network: some
try again and then raise an error of their own, in which a test does not find ours. Requests are
made outside of that.
"""

from __future__ import annotations

from typing import Any

from tollbook.sdk.harness import faults
from tollbook.sdk.harness.transport import Looking
from tollbook.sdk.missing import MissingTenantError
from tollbook.sdk.runtime import runtime


def tell_early(http_client: Any) -> None:
    """Have an HTTP client whose transports are looked at refuse to make a request of nobody's.

    It does where the settings ask to raise, and costs a comparison where they do not.
    """
    original = http_client.build_request
    if hasattr(original, "tells_early"):
        return

    def build_request(*arguments: Any, **named: Any) -> Any:
        request = original(*arguments, **named)
        if runtime().missing_tenant == "raise":
            _look_at(http_client, request)
        return request

    build_request.tells_early = True  # type: ignore[attr-defined] # for wrapping it again
    http_client.build_request = build_request


def _look_at(http_client: Any, request: Any) -> None:
    try:
        transport = http_client._transport_for_url(request.url)  # noqa: SLF001 -- as the client itself does
        if isinstance(transport, Looking):
            transport.refuse(request)
    except MissingTenantError:
        raise
    except Exception as error:  # noqa: BLE001 -- the caller's request goes on as it is
        faults.note("refuse", error)
