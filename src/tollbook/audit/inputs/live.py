"""A live OTLP endpoint as an input: whatever is sent to it for some minutes is audited.

Base install only; gRPC where grpcio is installed. It listens on the loopback address unless
another is named, keeps nothing on disk and forwards nothing.
"""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any, Final

from tollbook import clock
from tollbook.audit.inputs.errors import MissingExtraError
from tollbook.audit.inputs.live_http import LiveServer
from tollbook.audit.inputs.live_inbox import Inbox
from tollbook.audit.read import Batch, InputRead, Trouble, Where
from tollbook.errors import TollbookError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tollbook.audit.inputs.live_inbox import Came
    from tollbook.capture.otlp.spans import Span

HTTP_PORT: Final = 4318
GRPC_PORT: Final = 4317
"""OTLP's own."""
_NS_PER_MIN: Final = 60 * clock.NS_PER_S
_WAIT_S: Final = 0.25
_POLL_S: Final = 0.1


class ListenError(TollbookError):
    """The endpoint cannot be opened."""

    def __init__(self, host: str, port: int, problem: str) -> None:
        super().__init__(
            f"cannot listen on {host}:{port}: {problem}; free the port or name another with"
            " --listen HOST:PORT"
        )


def listen(
    host: str = "127.0.0.1",
    port: int = HTTP_PORT,
    minutes: float | None = None,
    on_progress: Callable[[InputRead], None] | None = None,
    *,
    grpc_port: int | None = None,
) -> Live:
    """Open an OTLP endpoint and return it as an input.

    Args:
        host: to listen on.
        port: of HTTP, 0 for any free one.
        minutes: how long; None is until :meth:`Live.stop` or Ctrl-C.
        on_progress: is told of what has come, several times a second.
        grpc_port: 0 for any free one; None is 4317 where HTTP is at 4318, else no gRPC.

    Raises:
        ListenError: the address is taken or does not exist.
    """
    if grpc_port is None and port == HTTP_PORT:
        grpc_port = GRPC_PORT
    return Live(host, port, minutes, on_progress, grpc_port)


class Live:
    """What is sent here, see :class:`tollbook.audit.read.Input`; iterated once.

    Attributes:
        url: where exporters send to over HTTP (``OTEL_EXPORTER_OTLP_ENDPOINT``).
        grpc_url: over gRPC, None where that is not served.
    """

    def __init__(
        self,
        host: str,
        port: int,
        minutes: float | None,
        on_progress: Callable[[InputRead], None] | None,
        grpc_port: int | None,
    ) -> None:
        self._inbox = Inbox()
        try:
            self._server = LiveServer(host, port, self._inbox)
        except (OSError, OverflowError) as error:
            problem = getattr(error, "strerror", None) or str(error)
            raise ListenError(host, port, problem.lower()) from error
        shown = f"[{host}]" if ":" in host else host
        bound: int = self._server.server_address[1]
        self.url = f"http://{shown}:{bound}"
        self.grpc_url: str | None = None
        self.read = InputRead(source=f"otlp://{shown}:{bound}", format="otlp-live")
        self._on_progress = on_progress
        self._is_stopped = threading.Event()
        self._begun_ns = clock.monotonic_ns()
        self._minutes = minutes
        self._troubles: list[Trouble] = []
        threading.Thread(
            target=self._server.serve_forever, args=(_POLL_S,), name="audit-live", daemon=True
        ).start()
        self._grpc = self._served_grpc(host, shown, grpc_port)

    def __iter__(self) -> Iterator[Batch | Trouble]:
        """Yield what comes, until the time is over, :meth:`stop` or Ctrl-C."""
        try:
            for one in self._troubles:
                self.read.troubles += 1
                yield one
            while True:
                try:
                    came = self._inbox.get(_WAIT_S)
                except KeyboardInterrupt:
                    self.stop()
                    came = None
                if came is not None:
                    yield from self._parts(came)
                if self._on_progress is not None:
                    self._on_progress(self.read)
                if self._is_over():
                    break
            self.close()
            yield from self._rest()
        finally:
            self.close()

    def stop(self) -> None:
        """End the iteration, once what has come is read; from any thread."""
        self._is_stopped.set()

    def close(self) -> None:
        """Stop serving; what has come is kept."""
        self._is_stopped.set()
        if self._grpc is not None:
            self._grpc.close()
            self._grpc = None
        self._server.shutdown()
        self._server.server_close()
        self._inbox.close()

    def _is_over(self) -> bool:
        if self._is_stopped.is_set():
            return True
        if self._minutes is None:
            return False
        return clock.monotonic_ns() - self._begun_ns >= self._minutes * _NS_PER_MIN

    def _rest(self) -> Iterator[Batch | Trouble]:
        """Yield what still waits, all spans at once: who was interrupted may take one part only."""
        where = Where(self.read.source)
        spans: list[Span] = []
        others: list[Batch | Trouble] = []
        came = self._inbox.get(0)
        while came is not None:
            for part in self._parts(came):
                if isinstance(part, Batch) and part.has_traces:
                    spans += part.spans
                else:
                    others.append(part)
            came = self._inbox.get(0)
        if spans:
            yield Batch(spans, where)
        yield from others

    def _parts(self, came: Came) -> Iterator[Batch | Trouble]:
        where = Where(self.read.source)
        read = self.read
        read.records += 1
        read.read_bytes += came.size_bytes
        read.usage_points += came.usage_points
        read.spans += len(came.spans) + len(came.calls)
        if came.spans:
            yield Batch(came.spans, where)
        if came.calls:
            yield Batch(came.calls, where, has_traces=False)
        if came.problem:
            read.troubles += 1
            yield Trouble(where, came.problem)

    def _served_grpc(self, host: str, shown: str, port: int | None) -> Any:
        """Serve gRPC too where that is possible; where not, the report says so."""
        if port is None:
            return None
        # Only where it is asked for: the module needs an extra.
        from tollbook.audit.inputs.live_grpc import GrpcServer  # noqa: PLC0415 -- see above

        try:
            server = GrpcServer(host, port, self._inbox)
        except MissingExtraError as error:
            self.read.notes.append(f"{error.message}; HTTP is served")
            return None
        except OSError as error:
            words = f"gRPC is not served on {shown}:{port}: {error.strerror}; HTTP is"
            self._troubles.append(Trouble(Where(self.read.source), words))
            return None
        self.grpc_url = f"http://{shown}:{server.port}"
        return server
