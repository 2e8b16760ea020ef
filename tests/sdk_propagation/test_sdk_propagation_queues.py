"""RQ, Dramatiq, arq and APScheduler with their real workers over Redis."""

from __future__ import annotations

import asyncio
import json
import os
import uuid
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import arq
import arq.worker
import dramatiq
import pytest
import rq
from apscheduler.jobstores.base import ConflictingIdError
from apscheduler.jobstores.redis import RedisJobStore
from apscheduler.schedulers.asyncio import AsyncIOScheduler
from apscheduler.schedulers.background import BackgroundScheduler
from arq.connections import RedisSettings
from dramatiq.brokers.redis import RedisBroker
from redis import Redis
from rq.job import Job
from rq.registry import FailedJobRegistry
from rq.worker import SimpleWorker, Worker
from tests.sdk_propagation import queue_jobs
from tests.sdk_propagation.queue_jobs import noted, who

import tollbook
from tollbook.sdk.propagation import apscheduler as carries_apscheduler
from tollbook.sdk.propagation import arq as carries_arq
from tollbook.sdk.propagation import dramatiq as carries_dramatiq
from tollbook.sdk.propagation import rq as carries_rq

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tollbook.sdk.sink import MemorySink

NOBODY = [None, None]


@pytest.fixture
def key() -> str:
    return uuid.uuid4().hex


@pytest.fixture
def connection(redis_url: str) -> Iterator[Redis]:
    with Redis.from_url(redis_url) as client:
        yield client


@pytest.fixture
def _rq() -> Iterator[None]:
    carries_rq.instrument()
    carries_rq.instrument()
    yield
    carries_rq.uninstrument()


@pytest.mark.usefixtures("_rq")
@pytest.mark.parametrize("worker_class", [Worker, SimpleWorker])
def test_rq_jobs_of_tenants(redis_url: str, connection: Redis, key: str, worker_class: Any) -> None:
    queue = rq.Queue(key, connection=connection)
    for n in range(4):
        with tollbook.scope(tenant=f"t{n}", origin="user"):
            queue.enqueue(queue_jobs.note, redis_url, key)
    with tollbook.tenant("acme"):
        queue.enqueue(queue_jobs.note_later, redis_url, key)
        queue.enqueue_many([rq.Queue.prepare_data(queue_jobs.note, (redis_url, key))])
        queue.enqueue(queue_jobs.fails_once, redis_url, f"{key}-retry", retry=rq.Retry(max=1))
        with tollbook.feature("late"):
            first = queue.enqueue(queue_jobs.note, redis_url, key)
        queue.enqueue(queue_jobs.note, redis_url, key, depends_on=first)
    queue.enqueue(queue_jobs.note, redis_url, key)
    worker_class([queue], connection=connection).work(burst=True)
    found = noted(redis_url, key, 9)
    owners = sorted(map(str, [one[0] for one in found]))
    assert owners == ["None", *["acme"] * 4, "t0", "t1", "t2", "t3"]
    assert [one[0] for one in noted(redis_url, f"{key}-retry", 2)] == ["acme", "acme"]
    assert who() == NOBODY
    assert not FailedJobRegistry(queue=queue).get_job_ids()


@pytest.mark.usefixtures("_rq")
@pytest.mark.parametrize("worker_class", [Worker, SimpleWorker])
def test_what_a_forked_rq_worker_has_counted_is_delivered(
    redis_url: str, connection: Redis, key: str, worker_class: Any
) -> None:
    queue = rq.Queue(key, connection=connection)
    job = queue.enqueue(queue_jobs.holds_calls, redis_url, key)
    worker_class([queue], connection=connection).work(burst=True)
    pid = job.return_value()
    found = [json.loads(one) for one in connection.lrange(key, 0, -1)]
    if pid == os.getpid():
        assert found == [], "a process that goes on needs not wait"
    else:
        assert found == [[pid, 5.0]], "else it is lost: RQ ends its children by os._exit"


@pytest.mark.usefixtures("_rq")
def test_rq_jobs_that_run_at_once_and_jobs_with_a_damaged_payload(
    redis_url: str, connection: Redis, key: str
) -> None:
    queue = rq.Queue(key, connection=connection, is_async=False)
    with tollbook.tenant("acme"):
        assert queue.enqueue(queue_jobs.who).return_value() == ["acme", None]
        assert who() == ["acme", None]
    job = Job.create(queue_jobs.who, connection=connection, meta={"tollbook": 5})
    assert job.perform() == NOBODY
    with tollbook.tenant("acme"):
        mine = Job.create(queue_jobs.who, connection=connection, meta={"mine": 1})
    assert mine.meta == {"mine": 1, "tollbook": {"baggage": "tenant.id=acme"}}
    failing = Job.create(queue_jobs.fails, (redis_url, key), connection=connection)
    with pytest.raises(LookupError):
        failing.perform()
    assert who() == NOBODY


def test_rq_is_left_as_it_was() -> None:
    def parts() -> tuple[Any, ...]:
        return Job.create.__func__, Job.perform, Worker.perform_job  # type: ignore[attr-defined]

    before = parts()
    carries_rq.instrument()
    assert not set(parts()) & set(before)
    carries_rq.uninstrument()
    assert parts() == before


@pytest.fixture
def broker(redis_url: str, key: str) -> Iterator[RedisBroker]:
    make: Any = RedisBroker
    found = make(url=redis_url, namespace=key)
    assert carries_dramatiq.instrument(found) is found
    carries_dramatiq.instrument(found)
    yield found
    found.close()


def test_dramatiq_messages_of_tenants(broker: RedisBroker, redis_url: str, key: str) -> None:
    actor: Any = dramatiq.actor
    note = actor(queue_jobs.note, broker=broker, actor_name="note")

    def publishes() -> None:
        note.send(redis_url, f"{key}-inner")

    outer = actor(publishes, broker=broker, actor_name="outer")
    once = actor(
        queue_jobs.fails_once, broker=broker, actor_name="once", max_retries=2, min_backoff=10,
        max_backoff=20,
    )  # fmt: skip
    worker = dramatiq.Worker(broker, worker_threads=4, worker_timeout=50)
    worker.start()
    try:
        for n in range(20):
            with tollbook.tenant(f"t{n}"):
                note.send(redis_url, key)
        note.send(redis_url, key)
        with tollbook.tenant("acme"):
            outer.send()
            once.send(redis_url, f"{key}-retry")
            piped = note.message(redis_url, f"{key}-pipe")
            end = note.message_with_options(args=(redis_url, f"{key}-pipe"), pipe_ignore=True)
            pipeline: Any = dramatiq.pipeline([piped, end], broker=broker)
            pipeline.run()
        found = noted(redis_url, key, 21)
        assert sorted(map(str, [one[0] for one in found])) == sorted(
            ["None", *(f"t{n}" for n in range(20))]
        )
        for name, count in (("inner", 1), ("retry", 2), ("pipe", 2)):
            notes = noted(redis_url, f"{key}-{name}", count)
            assert [one[0] for one in notes] == ["acme"] * count, name
        # The threads that worked for tenants work for nobody now.
        for _ in range(8):
            note.send(redis_url, f"{key}-after")
        assert {one[0] for one in noted(redis_url, f"{key}-after", 8)} == {None}
    finally:
        worker.stop()


def test_dramatiqs_asynchronous_actors(broker: RedisBroker, redis_url: str, key: str) -> None:
    broker.add_middleware(dramatiq.middleware.AsyncIO())
    actor: Any = dramatiq.actor
    note = actor(queue_jobs.note_later, broker=broker, actor_name="later")
    worker = dramatiq.Worker(broker, worker_threads=4, worker_timeout=50)
    worker.start()
    try:
        for n in range(8):
            with tollbook.tenant(f"t{n}"):
                note.send(redis_url, key)
        found = {one[0] for one in noted(redis_url, key, 8)}
        assert found == {f"t{n}" for n in range(8)}
    finally:
        worker.stop()


def test_dramatiqs_spans_end_with_the_message(broker: RedisBroker, sink: MemorySink) -> None:
    message: Any = dramatiq.Message(
        queue_name="q", actor_name="job", args=(), kwargs={},
        options={"tollbook": {"baggage": "tenant.id=acme"}},
    )  # fmt: skip
    broker.emit_before("process_message", message)
    with tollbook.step("inner"):
        pass
    broker.emit_after("process_message", message, exception=LookupError())
    assert who() == NOBODY
    assert [(one.name, one.is_error) for one in sink.spans] == [("inner", False), ("job", True)]
    broker.emit_before("process_message", message)
    broker.emit_after("skip_message", message)
    broker.emit_after("skip_message", message)
    assert who() == NOBODY


@pytest.mark.filterwarnings("ignore:Call to deprecated close:DeprecationWarning")  # arq's own
def test_arq_jobs_of_tenants(redis_url: str, key: str) -> None:
    seen: list[Any] = []
    hooks: list[Any] = []

    async def say(ctx: dict[str, Any], n: int) -> list[str | None]:
        await asyncio.sleep(0.005)
        seen.append([n, *who()])
        if n == 99 and ctx["job_try"] == 1:
            raise arq.Retry
        return who()

    async def tick(ctx: dict[str, Any]) -> None:
        seen.append(["tick", *who()])

    async def hook(ctx: dict[str, Any]) -> None:
        hooks.append(who()[0])

    async def main() -> None:
        settings = RedisSettings.from_dsn(redis_url)
        pool = await arq.create_pool(
            settings, job_serializer=carries_arq.serializer(), default_queue_name=key
        )
        plain = await arq.create_pool(settings, default_queue_name=key)
        jobs = []
        for n in range(10):
            with tollbook.scope(tenant=f"t{n}"):
                jobs.append(await pool.enqueue_job("say", n))
        with tollbook.tenant("acme"):
            retried = await pool.enqueue_job("say", 99)
        await pool.enqueue_job("say", -1)
        await plain.enqueue_job("say", -2)
        worker = arq.Worker(
            [arq.worker.func(say, name="say")],
            cron_jobs=[arq.cron(tick, name="cron:tick", run_at_startup=True)],
            redis_settings=settings, queue_name=key, burst=True, poll_delay=0.01,
            handle_signals=False,
            **carries_arq.worker_settings(on_job_start=hook, on_job_end=hook),
        )  # fmt: skip
        with tollbook.tenant("the worker's own"):
            await worker.async_run()
        assert retried is not None
        assert await retried.result(5) == ["acme", None]
        for n, job in enumerate(jobs):
            assert job is not None
            assert await job.result(5) == [f"t{n}", None]
        await worker.close()
        await pool.aclose()
        await plain.aclose()

    asyncio.run(main())
    expected = [[n, f"t{n}", None] for n in range(10)]
    expected += [[99, "acme", None], [99, "acme", None], [-1, None, None], [-2, None, None]]
    expected += [["tick", None, "scheduled"]]
    assert sorted(map(str, seen)) == sorted(map(str, expected))
    assert hooks.count("acme") == 4
    assert hooks.count("t3") == 2
    assert who() == NOBODY


def test_arq_serializers_of_ones_own_are_kept() -> None:
    serialize = carries_arq.serializer(lambda data: json.dumps(data).encode())
    with tollbook.tenant("acme"):
        raw = serialize({"t": None, "f": "say", "a": [], "k": {}, "et": 1})
    assert json.loads(raw)["tollbook"] == {"baggage": "tenant.id=acme"}
    assert json.loads(serialize({"f": "say", "r": 1, "s": True})) == {"f": "say", "r": 1, "s": True}
    read = carries_arq.deserializer(json.loads)
    assert read(b'{"f": "say", "tollbook": 5}')["f"] == "say"
    assert read(b"[1]") == [1]


async def _job(seen: list[Any]) -> None:
    await asyncio.sleep(0.001)
    seen.append(who())


def test_apscheduler_runs_as_whom_it_was_scheduled_for(sink: MemorySink) -> None:
    seen: list[Any] = []

    def job(*args: Any, **more: Any) -> None:
        with tollbook.step("works"):
            seen.append((who(), args, more))

    scheduler = BackgroundScheduler(timezone=UTC)
    assert carries_apscheduler.instrument(scheduler) is scheduler
    carries_apscheduler.instrument(scheduler)
    scheduler.start()
    try:
        soon = datetime.now(UTC) + timedelta(seconds=0.1)
        with tollbook.scope(tenant="acme", origin="user"), tollbook.step("schedules"):
            made = scheduler.add_job(job, "interval", [1], {"a": 2}, seconds=0.1, id="many")
            assert made.name.endswith("job")
        with tollbook.tenant("bolt"):
            scheduler.add_job(job, "date", run_date=soon, args=(2,))
        scheduler.scheduled_job("date", run_date=soon)(job)
        with pytest.raises(ValueError, match="positional arguments"):
            scheduler.add_job(queue_jobs.who, args=(1, 2, 3))
        with pytest.raises(ConflictingIdError):
            scheduler.add_job(job, "date", run_date=soon, id="many")
        for _ in range(200):
            if len(seen) >= 5:
                break
            asyncio.run(asyncio.sleep(0.02))
    finally:
        scheduler.shutdown()
    many = [one for one in seen if one[1] == (1,)]
    assert len(many) >= 2
    assert {str(one) for one in many} == {str((["acme", "scheduled"], (1,), {"a": 2}))}
    assert (["bolt", "scheduled"], (2,), {}) in seen
    assert ([None, "scheduled"], (), {}) in seen
    runs = [one for one in sink.spans if one.links]
    assert len(runs) == len(many)
    assert len({one.trace_id for one in runs}) == len(runs)


def test_apscheduler_with_coroutines_and_a_job_store(redis_url: str, key: str) -> None:
    seen: list[Any] = []

    async def main() -> None:
        memory = AsyncIOScheduler(timezone=UTC)
        carries_apscheduler.instrument(memory)
        memory.start()
        with tollbook.tenant("acme"):
            memory.add_job(_job, args=(seen,))
        for _ in range(500):
            if seen:
                break
            await asyncio.sleep(0.01)
        memory.shutdown()

    asyncio.run(asyncio.wait_for(main(), 20))
    assert seen == [["acme", "scheduled"]]

    url = {"host": "127.0.0.1", "port": int(redis_url.rsplit(":", 1)[1].split("/", maxsplit=1)[0])}

    def stored() -> BackgroundScheduler:
        store = RedisJobStore(jobs_key=f"{key}-j", run_times_key=f"{key}-r", **url)
        return BackgroundScheduler({"apscheduler.timezone": "UTC"}, jobstores={"default": store})

    first = stored()
    carries_apscheduler.instrument(first)
    first.start(paused=True)
    with tollbook.tenant("acme"):
        soon = datetime.now(UTC) + timedelta(seconds=1)
        reference = f"{queue_jobs.__name__}:note"
        first.add_job(reference, "date", run_date=soon, args=(redis_url, key))
        first.add_job(queue_jobs.note, "date", run_date=soon, args=(redis_url, key))
    first.shutdown()
    second = stored()  # another process: it knows nothing but what is stored
    second.start()
    try:
        assert [one[:2] for one in noted(redis_url, key, 2)] == [["acme", "scheduled"]] * 2
    finally:
        second.shutdown()
