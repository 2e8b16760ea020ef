"""Identity in the headers of Kafka records: aiokafka, kafka-python and confluent-kafka."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from tollbook.sdk.propagation.carrier import CARRIED, inject, use_carrier

if TYPE_CHECKING:
    from tollbook.sdk.context import Scope

RecordHeaders = Iterable[tuple[str, Any]] | Mapping[str, Any] | None


def with_headers(headers: RecordHeaders = None) -> list[tuple[str, Any]]:
    """Return record headers with identity, to give to ``send`` or ``produce`` as ``headers``.

    Args:
        headers: those that the record has anyway; their order is kept.
    """
    pairs = headers.items() if isinstance(headers, Mapping) else headers or ()
    kept = [(name, _bytes(value)) for name, value in pairs]
    carried = {name: value.decode("utf-8", "replace") for name, value in kept if name in CARRIED}
    inject(carried)
    own = [(name, value.encode()) for name, value in carried.items()]
    return [pair for pair in kept if pair[0] not in carried] + own


def consume(record: Any, *, job: str | None = None) -> Scope:
    """Return the scope in which a record is handled: that of whoever produced it.

    Args:
        record: of any of the three libraries.
        job: a name for the work in the tree of a run; the topic without it.
    """
    headers, topic = getattr(record, "headers", None), getattr(record, "topic", None)
    if callable(headers):  # confluent-kafka has methods
        headers = headers()
    if callable(topic):
        topic = topic()
    return use_carrier(headers, job=job or str(topic or "record"))


def _bytes(value: object) -> bytes:
    if isinstance(value, bytes | bytearray | memoryview):
        return bytes(value)
    return b"" if value is None else str(value).encode()
