"""OTLP over gRPC: the three Export methods, on the event loop of the HTTP side.

OTLP 1.x, sections OTLP/gRPC Failures and Throttling: UNAVAILABLE with RetryInfo asks to come
again, INVALID_ARGUMENT and RESOURCE_EXHAUSTED without it say that it would be of no use. Bodies
come as bytes, so that what cannot be read is answered as over HTTP.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any, Final

import grpc
import grpc.aio

from tollbook.capture.otlp.door import Refused
from tollbook.capture.otlp.outcome import Kind, Outcome, Signal, refused
from tollbook.capture.otlp.status_body import answer_protobuf, rpc_status

if TYPE_CHECKING:
    from tollbook.capture.otlp.desk import Desk
    from tollbook.capture.otlp.door import Door
    from tollbook.config.receiver import Receiver as Settings

_PACKAGE: Final = "opentelemetry.proto.collector"
SERVICES: Final = {
    f"{_PACKAGE}.trace.v1.TraceService": Signal.TRACES,
    f"{_PACKAGE}.logs.v1.LogsService": Signal.LOGS,
    f"{_PACKAGE}.metrics.v1.MetricsService": Signal.METRICS,
}
_DETAILS: Final = "grpc-status-details-bin"
_STREAMS_MAX: Final = 64
_IDLE_MS: Final = 600_000
"""A connection without a request for so long is closed; exporters open another."""
_CODES: Final = {
    Kind.MALFORMED: grpc.StatusCode.INVALID_ARGUMENT,
    Kind.TIMED_OUT: grpc.StatusCode.INVALID_ARGUMENT,
    Kind.UNAUTHENTICATED: grpc.StatusCode.UNAUTHENTICATED,
    Kind.TOO_LARGE: grpc.StatusCode.RESOURCE_EXHAUSTED,
    Kind.UNAVAILABLE: grpc.StatusCode.UNAVAILABLE,
}


class GrpcReceiver:
    """The server; belongs to the loop of its desk.

    Args:
        desk: what is in hand.
        door: who may hand something in.
        settings: of the receiver.
    """

    def __init__(self, desk: Desk, door: Door, settings: Settings) -> None:
        self._desk, self._door, self._settings = desk, door, settings
        self._server: Any = None

    async def listen(self, host: str, port: int) -> int:
        """Serve on a port (0: any free one) and return which.

        Raises:
            OSError: the address is taken or does not exist.
        """
        self._server = grpc.aio.server(
            options=[
                # The default lets a second process share the port and take half of the requests.
                ("grpc.so_reuseport", 0),
                # As sent, gRPC cannot tell; the limit is that of a message without compression.
                ("grpc.max_receive_message_length", self._settings.max_decoded_bytes),
                ("grpc.max_concurrent_streams", _STREAMS_MAX),
                ("grpc.max_metadata_size", 65_536),
                ("grpc.max_connection_idle_ms", _IDLE_MS),
            ]
        )
        self._server.add_generic_rpc_handlers(
            tuple(
                grpc.method_handlers_generic_handler(
                    service,
                    {"Export": grpc.unary_unary_rpc_method_handler(partial(self._export, signal))},
                )
                for service, signal in SERVICES.items()
            )
        )
        bracketed = f"[{host}]" if ":" in host else host
        try:
            bound: int = self._server.add_insecure_port(f"{bracketed}:{port}")
        except RuntimeError as error:  # grpc's own, with a page of text
            raise OSError(0, "the address is in use or does not exist") from error
        if not bound:
            raise OSError(0, "the address is in use or does not exist")
        await self._server.start()
        return bound

    async def stop(self) -> None:
        """Answer what is in hand, then stop."""
        if self._server is not None:
            await self._server.stop(self._settings.shutdown_timeout_s)

    async def _export(self, signal: Signal, body: bytes, context: Any) -> bytes:
        outcome = await self._take(signal, body, context)
        if outcome.kind is not Kind.OK:
            await context.abort(
                _CODES[outcome.kind],
                outcome.message,
                trailing_metadata=((_DETAILS, rpc_status(outcome)),),
            )
        return answer_protobuf(outcome)

    async def _take(self, signal: Signal, body: bytes, context: Any) -> Outcome:
        desk = self._desk
        metadata = [
            (name, value)
            for name, value in context.invocation_metadata() or ()
            if isinstance(value, str)
        ]
        admitted = self._door.admit(metadata)
        if isinstance(admitted, Refused):
            return desk.count(signal, refused(Kind.UNAUTHENTICATED, admitted.message))
        if not desk.enter():
            return desk.turn_away(signal)
        held = 0
        try:
            if not desk.hold(len(body)):
                return desk.turn_away(signal)
            held = len(body)
            return await desk.take(signal, "protobuf", "", body, admitted)
        finally:
            desk.leave(held)
