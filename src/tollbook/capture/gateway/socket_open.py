"""Whether a request may become a WebSocket, and what is known of it then."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

from msgspec import structs

from tollbook.call import CallOpened, Metering
from tollbook.capture.gateway.callers import Refusal
from tollbook.capture.gateway.framing import HeadError
from tollbook.capture.gateway.socket_handshake import Handshake, model_in_query, read_handshake

if TYPE_CHECKING:
    from tollbook.capture.gateway.admission import Admitted
    from tollbook.capture.gateway.parsed import Request
    from tollbook.capture.gateway.service import Service
    from tollbook.dialects.base import RequestFacts

OPERATION: Final = "websocket"
_NOT_HERE: Final = HeadError(
    501, "protocol upgrades (WebSocket, h2c) are supported for the WebSocket APIs only"
)


class Opening(NamedTuple):
    """A handshake for an endpoint that is a WebSocket."""

    request: Request
    handshake: Handshake
    admitted: Admitted


class Admission(NamedTuple):
    """The open frame of a session, and why it is refused, if it is."""

    opened: CallOpened
    facts: RequestFacts
    refusal: Refusal | None


def read_opening(service: Service, request: Request) -> Opening | HeadError:
    """Return a request for a WebSocket, or why there is none.

    An ``Upgrade`` that is not understood here must not reach a provider: what follows it would be
    bytes that nobody judges.
    """
    framing = request.framing
    if (
        framing.upgrade != b"websocket"
        or request.method != "GET"
        or request.is_http_10
        or framing.is_chunked
        or framing.content_length
        or framing.expects_continue
        or not service.admission.is_socket(request.target)
    ):
        return _NOT_HERE
    handshake = read_handshake(request)
    if isinstance(handshake, str):
        return HeadError(400, handshake)
    admitted = service.admission.at_head("GET", handshake.target, handshake.headers, framing)
    if admitted is None:
        return _NOT_HERE
    model = admitted.route.model or model_in_query(handshake.target)
    if model is not None:
        admitted = admitted._replace(route=structs.replace(admitted.route, model=model))
    return Opening(request, handshake, admitted)


def admit(service: Service, opening: Opening) -> Admission:
    """Return the session's own call, which is free: billed are the responses within."""
    admitted = opening.admitted
    opened, facts, refusal = service.admission.at_body(
        admitted, "GET", opening.handshake.headers, b"", 0
    )
    binding = None if admitted.caller is None else admitted.caller.binding
    if refusal is None and binding is not None and binding.models and not admitted.route.model:
        refusal = Refusal(
            403, "model_not_allowed",
            "this Tollbook key is limited to some models; name the model in the query of the"
            " address (?model=...)",
        )  # fmt: skip
    if refusal is None and len(service.sockets) >= service.config.gateway.max_sockets:
        refusal = Refusal(
            503, "gateway_overloaded", "the gateway has all the WebSockets open that it may have",
            should_retry=True,
        )  # fmt: skip
    opened = structs.replace(opened, operation=OPERATION, metering=Metering.FREE, is_stream=True)
    return Admission(opened, facts, refusal)
