"""What reads the bodies of OTLP requests: spans, log records, and points that are only counted."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

from tollbook.capture.otlp.decode import (
    decode_json,
    decode_logs_json,
    decode_logs_protobuf,
    decode_protobuf,
)
from tollbook.capture.otlp.mapping import frames_of, frames_of_log
from tollbook.capture.otlp.metric_points import count_json, count_protobuf
from tollbook.capture.otlp.outcome import Signal
from tollbook.capture.otlp.providers import KNOWN_HOSTS
from tollbook.config.receiver import is_loopback

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from tollbook.call import Frame
    from tollbook.capture.otlp.receiver import Readers, Told
    from tollbook.capture.otlp.spans import LogRecord, Span
    from tollbook.config import Config

_NO_IDS: Final = "its trace id or span id is none"


def readers(config: Config) -> Readers:
    """Return what reads each signal in each encoding; each raises BadOtlpError."""
    hosts = hosts_of(config)
    return {
        (Signal.TRACES, "protobuf"): partial(_spans, decode_protobuf, hosts),
        (Signal.TRACES, "json"): partial(_spans, decode_json, hosts),
        (Signal.LOGS, "protobuf"): partial(_records, decode_logs_protobuf, hosts),
        (Signal.LOGS, "json"): partial(_records, decode_logs_json, hosts),
        (Signal.METRICS, "protobuf"): lambda body: [_nothing] * count_protobuf(body),
        (Signal.METRICS, "json"): lambda body: [_nothing] * count_json(body),
    }


def hosts_of(config: Config) -> dict[str, str]:
    """Return hosts with the names of their providers: those known, and those configured.

    A host that several providers share tells neither, and this machine's own may be the gateway.
    """
    names: dict[str, set[str]] = {}
    for name, provider in config.providers.items():
        host = urlsplit(provider.base_url).hostname
        if host is not None and not is_loopback(host):
            names.setdefault(host, set()).add(name)
    configured = {host: min(found) for host, found in names.items() if len(found) == 1}
    return KNOWN_HOSTS | configured


def _spans(
    decode: Callable[[bytes], list[Span]], hosts: Mapping[str, str], body: bytes
) -> list[Told]:
    return [partial(_frames_of, span, hosts) for span in decode(body)]


def _frames_of(span: Span, hosts: Mapping[str, str], received_at_ns: int) -> Sequence[Frame] | str:
    return frames_of(span, received_at_ns, hosts) if span.is_valid else _NO_IDS


def _records(
    decode: Callable[[bytes], list[LogRecord]], hosts: Mapping[str, str], body: bytes
) -> list[Told]:
    return [partial(_frames_of_log, record, hosts) for record in decode(body)]


def _frames_of_log(
    record: LogRecord, hosts: Mapping[str, str], received_at_ns: int
) -> Sequence[Frame]:
    return frames_of_log(record, received_at_ns, hosts)


def _nothing(_received_at_ns: int) -> Sequence[Frame]:
    """Say nothing: sums of tokens cannot tell which call they are of, so none is billed by them."""
    return ()
