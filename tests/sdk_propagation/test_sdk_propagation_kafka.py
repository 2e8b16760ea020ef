"""Records of the three Kafka libraries, through the broker that librdkafka brings along."""

from __future__ import annotations

import asyncio
import uuid
import warnings
from typing import TYPE_CHECKING, Any

import aiokafka
import confluent_kafka
import pytest

from tollbook import sdk as tollbook
from tollbook.sdk.propagation.kafka import consume, with_headers

with warnings.catch_warnings():
    warnings.simplefilter("ignore", DeprecationWarning)  # the library's own, while it is imported
    from kafka.consumer.fetcher import ConsumerRecord
    from kafka.record.memory_records import MemoryRecords, MemoryRecordsBuilder

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tollbook.sdk.sink import MemorySink


def who() -> str | None:
    return tollbook.current().tenant_id


@pytest.fixture(scope="module")
def mock() -> Iterator[tuple[confluent_kafka.Producer, str]]:
    """A producer with a broker in its own process."""
    producer = confluent_kafka.Producer(
        {"test.mock.num.brokers": 1, "bootstrap.servers": "none", "log_level": 0}
    )
    (broker,) = producer.list_topics(timeout=10).brokers.values()
    yield producer, f"{broker.host}:{broker.port}"
    producer.flush(10)


@pytest.fixture
def topic() -> str:
    return f"t-{uuid.uuid4().hex}"


def consumed(records: Any, count: int) -> list[tuple[bytes, str | None]]:
    found = []
    for record in records:
        value = record.value
        with consume(record):
            found.append((value() if callable(value) else value, who()))
        assert who() is None
        if len(found) == count:
            break
    return found


EXPECTED = [(b"0", "t0"), (b"1", "t1"), (b"2", "t2"), (b"none", None)]


def test_confluent_kafka(mock: tuple[confluent_kafka.Producer, str], topic: str) -> None:
    producer, address = mock
    for n in range(3):
        with tollbook.tenant(f"t{n}"):
            producer.produce(topic, str(n), headers=with_headers({"mine": "1"}))
    producer.produce(topic, b"none")
    producer.flush(10)
    consumer = confluent_kafka.Consumer(
        {"bootstrap.servers": address, "group.id": topic, "auto.offset.reset": "earliest"}
    )
    consumer.subscribe([topic])
    try:
        assert sorted(consumed(iter(lambda: consumer.poll(20), None), 4)) == EXPECTED
    finally:
        consumer.close()


def test_aiokafka(mock: tuple[confluent_kafka.Producer, str], topic: str) -> None:
    async def main() -> None:
        producer = aiokafka.AIOKafkaProducer(bootstrap_servers=mock[1])
        await producer.start()
        for n in range(3):
            with tollbook.tenant(f"t{n}"):
                await producer.send_and_wait(topic, str(n).encode(), headers=with_headers())
        await producer.send_and_wait(topic, b"none")
        await producer.stop()
        consumer = aiokafka.AIOKafkaConsumer(
            topic, bootstrap_servers=mock[1], auto_offset_reset="earliest"
        )
        await consumer.start()
        try:
            records = [await consumer.getone() for _ in range(4)]
        finally:
            await consumer.stop()
        assert sorted(consumed(records, 4)) == EXPECTED

    asyncio.run(asyncio.wait_for(main(), 40))


def test_kafka_python(topic: str) -> None:
    """Encoded and decoded as on the wire; the library cannot talk to librdkafka's broker."""
    builder = MemoryRecordsBuilder(magic=2, compression_type=0, batch_size=1 << 16)
    for n in range(3):
        with tollbook.tenant(f"t{n}"):
            builder.append(0, None, str(n).encode(), with_headers([("mine", b"1")]))
    builder.append(0, None, b"none", [])
    builder.close()
    batches = MemoryRecords(builder.buffer())
    batch = batches.next_batch()
    assert batch is not None
    records = [
        ConsumerRecord(
            topic=topic, partition=0, leader_epoch=0, offset=one.offset, timestamp=one.timestamp,
            timestamp_type=one.timestamp_type, key=one.key, value=one.value, headers=one.headers,
            checksum=None, serialized_key_size=-1, serialized_value_size=-1,
            serialized_header_size=-1,
        )
        for one in batch
    ]  # fmt: skip
    assert consumed(records, 4) == EXPECTED


def test_headers_of_ones_own_are_kept_in_their_order() -> None:
    mine = [("a", b"1"), ("baggage", b"other=1"), ("a", b"2"), ("text", "x"), ("none", None)]
    with tollbook.tenant("acme"):
        assert with_headers(mine) == [
            ("a", b"1"), ("a", b"2"), ("text", b"x"), ("none", b""),
            ("baggage", b"tenant.id=acme,other=1"),
        ]  # fmt: skip
        assert with_headers(None) == [("baggage", b"tenant.id=acme")]
    assert with_headers() == []


def test_a_record_is_a_span_if_something_happens_in_it(sink: MemorySink) -> None:
    class Record:
        topic = "orders"
        headers = (("baggage", b"tenant.id=acme"), ("junk", None), ("bad",), 5)

    with consume(Record()), tollbook.step("inner"):
        assert who() == "acme"
    assert [one.name for one in sink.spans] == ["inner", "orders"]
    with consume(object()):
        assert who() is None
