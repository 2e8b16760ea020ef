"""Over what a span went to another process: the host or queue, and the protocol.

Old and new names of the conventions for HTTP, RPC and messaging are read; the path of a request is
kept as a checksum alone, which is enough to hold two sides of one request against each other.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, NamedTuple
from zlib import crc32

from tollbook.audit.kept.names import DATABASE, HTTP, MESSAGING, RPC

if TYPE_CHECKING:
    from collections.abc import Mapping

_TEXT_MAX_CHARS: Final = 4096
_PEER_MAX_CHARS: Final = 128
_SERVER: Final = 2
_CLIENT_HOSTS: Final = (
    "server.address", "peer.service", "net.peer.name", "http.host", "peer.hostname", "out.host",
    "peer.address", "network.destination.name", "net.peer.ip", "network.peer.address",
)  # fmt: skip
_SERVER_HOSTS: Final = ("server.address", "http.host", "net.host.name")
_PORTS: Final = {True: ("server.port", "net.host.port"), False: ("server.port", "net.peer.port")}
_URLS: Final = ("url.full", "http.url")
_PATHS: Final = ("url.path", "http.target", "http.route")
_QUEUES: Final = (
    "messaging.destination.name", "messaging.destination", "messaging.destination_publish.name",
    "celery.queue", "rq.queue", "rq.queue.name", "dramatiq.queue", "dramatiq.queue_name",
    "arq.queue", "arq.queue_name", "job.queue", "messaging.kafka.topic",
)  # fmt: skip
_SYSTEMS: Final = ("messaging.system",)
_LIBRARIES: Final = (
    "celery", "dramatiq", "remoulade", "taskiq", "apscheduler", "huey", "airflow", "temporal",
    "prefect", "arq", "rq", "kafka", "pika", "kombu", "sqs", "pubsub", "nats", "cron",
)  # fmt: skip
"""By the name of the scope, its parts compared whole; the more telling first."""


class Reach(NamedTuple):
    """What lies on the other side of a span."""

    peer: str | None = None
    protocol: str = ""
    """``http``, ``rpc``, ``db``, ``messaging`` or nothing."""
    messaging: str | None = None
    path_hash: str = ""


_NOWHERE: Final = Reach()


def reach_of(attributes: Mapping[str, Any], groups: int, kind: int, scope: str) -> Reach:
    """Return it, as far as it is told.

    Args:
        attributes: of the span.
        groups: what its names say, :mod:`tollbook.audit.kept.names`.
        kind: SpanKind of OTLP.
        scope: name of the instrumentation.
    """
    library = job_library(scope)
    if groups & MESSAGING or library is not None:
        system = library or _text(attributes, _SYSTEMS) or _job_of(attributes)
        return Reach(_text(attributes, _QUEUES), "messaging", system)
    if not groups & (HTTP | RPC | DATABASE):
        peer = _text(attributes, _CLIENT_HOSTS)
        return _NOWHERE if peer is None else Reach(_named(peer, attributes, kind))
    url = _text(attributes, _URLS)
    host, path = _split(url) if url is not None else (None, None)
    if kind == _SERVER:
        named = _text(attributes, _SERVER_HOSTS) or host
    else:
        named = host or _text(attributes, _CLIENT_HOSTS)
    peer = None if named is None else _named(named, attributes, kind)
    if groups & DATABASE:
        return Reach(peer, "db")
    if not groups & HTTP:
        return Reach(peer, "rpc")
    path = path or _text(attributes, _PATHS)
    return Reach(peer, "http", None, "" if path is None else _checksum(path))


def label_of(peer: str) -> str:
    """Return what a host goes by: ``agent`` of ``agent.prod.svc:8080``, an IP with its port."""
    host, _, port = peer.rpartition(":") if peer.count(":") == 1 else (peer, "", "")
    host = host.lower()
    if host == "localhost" or host.replace(".", "").isdigit() or ":" in host:
        return f"{host}:{port}" if port else host
    return host.partition(".")[0]


_libraries: dict[str, str | None] = {}


def job_library(scope: str) -> str | None:
    """Return the job or messaging library that a scope instruments, if it is one."""
    if scope not in _libraries:
        if len(_libraries) > 4096:  # noqa: PLR2004 -- a bound
            _libraries.clear()
        parts = set(scope.lower().replace("-", ".").replace("_", ".").replace("/", ".").split("."))
        found = next((one for one in _LIBRARIES if one in parts), None)
        if found is None and parts & {"confluent", "aiokafka"}:
            found = "kafka"
        _libraries[scope] = found
    return _libraries[scope]


def _job_of(attributes: Mapping[str, Any]) -> str:
    for name in attributes:
        head = name.partition(".")[0]
        if head in _LIBRARIES:
            return head
    return "queue"


def _text(attributes: Mapping[str, Any], names: tuple[str, ...]) -> str | None:
    for name in names:
        value = attributes.get(name)
        if isinstance(value, str) and value:
            return value[:_TEXT_MAX_CHARS]
    return None


def _named(host: str, attributes: Mapping[str, Any], kind: int) -> str:
    """Return a host with the port where the host alone is no name."""
    host = host.rpartition("@")[2]
    if "//" in host:
        host = _split(host)[0] or host
    bare = host.replace(".", "")
    if ":" not in host and (bare.isdigit() or host == "localhost"):
        for name in _PORTS[kind == _SERVER]:
            port = attributes.get(name)
            if isinstance(port, int):
                host = f"{host}:{port}"
                break
    return host[:_PEER_MAX_CHARS]


def _split(url: str) -> tuple[str | None, str | None]:
    """Return host with port, and path, of a URL; nothing that may be a secret is kept of it."""
    _, scheme, rest = url.partition("://")
    if not scheme:
        return None, url
    host, slash, path = rest.partition("/")
    host = host.partition("?")[0].rpartition("@")[2]
    return host or None, f"/{path}" if slash else "/"


def _checksum(path: str) -> str:
    if "://" in path:
        path = _split(path)[1] or "/"
    path = path.partition("?")[0].partition("#")[0].rstrip("/")
    return f"{crc32(path.encode(errors='replace')):08x}"
