"""What the gateway answers itself: health, readiness, metrics, and that a path is nobody's."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from tollbook.capture.gateway import metrics
from tollbook.capture.gateway.headers import own_response
from tollbook.capture.gateway.routing.local import routed_reply

if TYPE_CHECKING:
    from tollbook.capture.gateway.parsed import Request
    from tollbook.capture.gateway.service import Service

_JSON = b"application/json"


def local_response(service: Service, request: Request, *, keep_alive: bool) -> bytes:
    """Return the whole response to a request that no provider has; errors are counted."""
    routed = routed_reply(
        service.router, service.admission.caller, request.method, request.target, request.headers
    )
    if routed is not None:
        status, body = routed
        content_type = _JSON
    else:
        status, content_type, body = local_reply(service, request.method, request.target)
    if status >= 400 and not request.target.startswith(b"/healthz"):  # noqa: PLR2004 -- HTTP
        service.metrics.refused(status)
    return own_response(
        status,
        body,
        content_type=content_type,
        keep_alive=keep_alive,
        is_head=request.method == "HEAD",
    )


def local_reply(service: Service, method: str, target: bytes) -> tuple[int, bytes, bytes]:
    """Return status, content type and body for a path that no provider has."""
    path = target.partition(b"?")[0]
    if path in {b"/healthz", b"/readyz", b"/metrics"} and method not in {"GET", "HEAD"}:
        return 405, _JSON, error_reply(f"{path.decode()} answers GET only")
    if path == b"/healthz":
        return _health(service)
    if path == b"/readyz":
        if service.is_draining:
            return 503, _JSON, msgspec.json.encode({"status": "draining"})
        return 200, _JSON, msgspec.json.encode({"status": "ready"})
    if path == b"/metrics":
        return 200, metrics.CONTENT_TYPE, service.answer_metrics()
    prefixes = ", ".join(f"/{upstream.name}/" for upstream in service.upstreams.values())
    return 404, _JSON, error_reply(f"no provider has this path; the prefixes are: {prefixes}")


def error_reply(message: str) -> bytes:
    """Return an error of the gateway itself, where no provider's shape applies."""
    return msgspec.json.encode({"error": {"type": "gateway_error", "message": message}})


def _health(service: Service) -> tuple[int, bytes, bytes]:
    health = service.spool.health
    is_failing = service.config.gateway.strict and not health.ok
    body = {
        "status": "failing" if is_failing else "ok" if health.ok else "degraded",
        "worker": service.worker,
        "spool": {
            "ok": health.ok,
            "error": health.error,
            "ring_bytes": health.ring_bytes,
            "frames_lost": health.frames_lost,
        },
    }
    return 503 if is_failing else 200, _JSON, msgspec.json.encode(body)
