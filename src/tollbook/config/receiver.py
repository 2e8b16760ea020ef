"""``[receiver]``: where OpenTelemetry exporters and SDKs send what they saw."""

from __future__ import annotations

import ipaddress
from typing import Annotated

from msgspec import Meta, Struct

OptionalPort = Annotated[int, Meta(ge=0, le=65535)]
Above0 = Annotated[float, Meta(gt=0)]
Size = Annotated[int, Meta(ge=1024)]
Count = Annotated[int, Meta(ge=1)]


class Receiver(Struct, forbid_unknown_fields=True, frozen=True, kw_only=True):
    """``[receiver]``: OTLP over HTTP and gRPC, and frames of SDKs."""

    enabled: bool | None = None
    """Whether ``tollbook up`` starts it. Unset: on those of its ports that are free, which a
    warning says; true refuses to start when one is taken."""
    host: str = "127.0.0.1"
    """Address it listens on; by default nobody else on the network can reach it."""
    http_port: OptionalPort = 4318
    """Port of OTLP over HTTP and of ``/v1/frames``; 0 for none."""
    grpc_port: OptionalPort = 4317
    """Port of OTLP over gRPC; 0 for none."""
    require_key: bool | None = None
    """Take only what comes with a virtual key. Unset: needed unless the host is this machine's own
    (loopback). A key that is sent must be good in any case."""
    max_body_bytes: Size = 16 * 1024 * 1024
    """Largest request as it is sent; a larger one gets 413 or RESOURCE_EXHAUSTED."""
    max_decoded_bytes: Size = 64 * 1024 * 1024
    """Largest request after decompression."""
    max_waiting: Count = 64
    """Requests in hand at once; further ones are told to come again (503, UNAVAILABLE)."""
    max_waiting_bytes: Size = 128 * 1024 * 1024
    """Bytes of requests in hand at once; as above."""
    header_timeout_s: Above0 = 10.0
    """Longest wait for the head of a request on a new connection."""
    body_timeout_s: Above0 = 30.0
    """Longest time for the whole body of a request; then 408."""
    shutdown_timeout_s: Above0 = 10.0
    """How long requests in hand may take to end when the process stops."""


def is_loopback(host: str) -> bool:
    """Whether only this machine can reach an address that is listened on."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def needs_key(settings: Receiver, host: str) -> bool:
    """Whether what comes to a host must come with a virtual key."""
    return not is_loopback(host) if settings.require_key is None else settings.require_key


def receiver_ports(settings: Receiver) -> list[tuple[int, str]]:
    """Return the ports that are to be listened on, each with the name of its setting."""
    ports = ((settings.http_port, "receiver.http_port"), (settings.grpc_port, "receiver.grpc_port"))
    return [(port, setting) for port, setting in ports if port]
