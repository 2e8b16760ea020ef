"""OTLP over gRPC beside the live endpoint, where grpcio is installed."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from tollbook.audit.inputs.errors import MissingExtraError
from tollbook.audit.inputs.live_http import BODY_MAX_BYTES
from tollbook.capture.otlp.outcome import Kind, Signal
from tollbook.capture.otlp.status_body import answer_protobuf

if TYPE_CHECKING:
    from tollbook.audit.inputs.live_inbox import Inbox

_PACKAGE: Final = "opentelemetry.proto.collector"
_SERVICES: Final = {
    f"{_PACKAGE}.trace.v1.TraceService": Signal.TRACES,
    f"{_PACKAGE}.logs.v1.LogsService": Signal.LOGS,
    f"{_PACKAGE}.metrics.v1.MetricsService": Signal.METRICS,
}
_THREADS: Final = 4
_STREAMS_MAX: Final = 64
_GRACE_S: Final = 2.0


class GrpcServer:
    """Takes OTLP over gRPC until it is closed.

    Args:
        host: to listen on.
        port: 0 is any free one.
        inbox: gets what comes.

    Raises:
        MissingExtraError: grpcio is not installed.
        OSError: the address is taken or does not exist.
    """

    def __init__(self, host: str, port: int, inbox: Inbox) -> None:
        try:
            import grpc  # noqa: PLC0415 -- of an extra
        except ImportError:
            raise MissingExtraError("OTLP over gRPC") from None
        self._grpc = grpc
        self._inbox = inbox
        self._threads = ThreadPoolExecutor(_THREADS, thread_name_prefix="audit-grpc")
        self._server: Any = grpc.server(
            self._threads,
            options=[
                ("grpc.so_reuseport", 0),  # else a second process would get half of what is sent
                ("grpc.max_receive_message_length", BODY_MAX_BYTES),
                ("grpc.max_concurrent_streams", _STREAMS_MAX),
            ],
        )
        for service, signal in _SERVICES.items():
            method = grpc.unary_unary_rpc_method_handler(partial(self._export, signal))
            handler = grpc.method_handlers_generic_handler(service, {"Export": method})
            self._server.add_generic_rpc_handlers((handler,))
        bracketed = f"[{host}]" if ":" in host else host
        try:
            self.port: int = self._server.add_insecure_port(f"{bracketed}:{port}")
        except RuntimeError:  # grpc's own, with a page of text
            self.port = 0
        if not self.port:
            self._threads.shutdown(wait=False)
            raise OSError(0, "the address is in use or does not exist")
        self._server.start()

    def close(self) -> None:
        """Answer what is in hand, then stop."""
        self._server.stop(_GRACE_S).wait()
        self._threads.shutdown(wait=False)

    def _export(self, signal: Signal, body: bytes, context: Any) -> bytes:
        outcome = self._inbox.take(signal, body, is_json=False)
        if outcome.kind is not Kind.OK:
            code = self._grpc.StatusCode.UNAVAILABLE
            if outcome.kind is Kind.MALFORMED:
                code = self._grpc.StatusCode.INVALID_ARGUMENT
            context.abort(code, outcome.message)
        return answer_protobuf(outcome)
