"""Celery with its real workers over Redis: who published a task is who its calls are for."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from celery import chain, chord, group
from tests.sdk_propagation import celery_app

import tollbook
from tollbook.sdk.propagation.celery import HEADER, identity_headers

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def celery(redis_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """Start a worker of two processes, and beat in it; the application publishes to it."""
    log = tmp_path_factory.mktemp("celery") / "worker.log"
    app = celery_app.configured(redis_url)
    with log.open("w") as output:
        worker = subprocess.Popen(
            [
                sys.executable, "-c",
                ("import sys; from tests.sdk_propagation import celery_app;"
                "app = celery_app.configured(sys.argv[1], beats=True);"
                "app.worker_main(['worker', '--concurrency', '2', '--pool', 'prefork', '--beat',"
                " '--schedule', sys.argv[2], '--loglevel', 'INFO', '--without-gossip',"
                " '--without-mingle'])"),
                redis_url, str(log.parent / "beat"),
            ],
            cwd=ROOT, stdout=output, stderr=output,
        )  # fmt: skip
        try:
            yield app
        except BaseException:
            print(log.read_text())
            raise
        finally:
            worker.terminate()
            worker.wait(30)
            app.close()


def test_tasks_of_tenants_at_once_do_not_mix(celery: Any) -> None:
    jobs = []
    for n in range(20):
        with tollbook.scope(tenant=f"t{n}", user=f"u{n}", request=f"r{n}", tags={"plan": "gold"}):
            jobs.append(celery_app.say.delay(n))
    nobodys = celery_app.say.delay(-1)
    for n, job in enumerate(jobs):
        assert job.get(timeout=60) == [n, f"t{n}", f"u{n}", None, f"r{n}", {"plan": "gold"}]
    assert nobodys.get(timeout=60) == [-1, None, None, None, None, {}]


def test_retries_keep_it(celery: Any) -> None:
    with tollbook.tenant("acme"):
        job = celery_app.flaky.delay()
    assert job.get(timeout=60) == ["acme", "acme", "acme"]


def test_chains_groups_and_chords_keep_it(celery: Any) -> None:
    with tollbook.tenant("acme"):
        chained = chain(celery_app.add.s([]), celery_app.add.s(), celery_app.add.s()).delay()
        grouped = group(celery_app.add.s([]) for _ in range(3)).delay()
        chorded = chord([celery_app.add.s([]) for _ in range(3)], celery_app.gather.s()).delay()
        linked = celery_app.add.apply_async(([],), link=celery_app.note.s("linked"))
    assert chained.get(timeout=60) == ["acme"] * 3
    assert grouped.get(timeout=60) == [["acme"]] * 3
    assert chorded.get(timeout=60) == ["acme"] * 4
    assert linked.get(timeout=60) == ["acme"]
    assert celery_app.noted("linked", celery.conf.broker_url) == "acme"


def test_tasks_that_tasks_publish_keep_it(celery: Any) -> None:
    with tollbook.tenant("acme"), tollbook.agent_run("r1"):
        job = celery_app.publishes.delay()
    inner = celery.AsyncResult(job.get(timeout=60))
    assert inner.get(timeout=60)[:4] == [0, "acme", None, "r1"]


def test_what_beat_publishes_is_scheduled(celery: Any) -> None:
    url = celery.conf.broker_url
    assert celery_app.noted("beat", url) == json.dumps([None, "scheduled"])
    assert celery_app.noted("beat-acme", url) == json.dumps(["acme", "scheduled"])


def test_the_messages_header_holds_nothing_but_the_payload(celery: Any) -> None:
    with tollbook.tenant("acme"):
        seen: dict[str, Any] = {}
        with celery.producer_or_acquire() as producer:
            original = producer.publish

            def publish(*args: Any, **kwargs: Any) -> Any:
                seen.update(kwargs["headers"])
                return original(*args, **kwargs)

            producer.publish = publish
            celery_app.say.apply_async((1,), producer=producer).get(timeout=60)
    assert seen[HEADER] == {"baggage": "tenant.id=acme"}
    assert identity_headers(tenant="bolt") == {HEADER: {"baggage": "tenant.id=bolt"}}


def test_eager_tasks_run_in_the_context_of_their_caller() -> None:
    app = celery_app.eager()
    with tollbook.tenant("acme"):
        assert app.tasks["say"].delay(1).get()[:2] == [1, "acme"]
        assert tollbook.current().tenant_id == "acme"
    assert app.tasks["say"].delay(1).get()[:2] == [1, None]


def test_a_header_that_is_damaged_does_not_stop_the_task(celery: Any) -> None:
    job = celery_app.say.apply_async((1,), headers={HEADER: {"baggage": "\x00=,;", "x": 5}})
    assert job.get(timeout=60)[:2] == [1, None]
    assert celery_app.say.apply_async((2,), headers={HEADER: 5}).get(timeout=60)[:2] == [2, None]


def test_a_worker_keeps_no_identity_between_tasks(celery: Any) -> None:
    with tollbook.tenant("acme"):
        assert celery_app.fails.delay().get(timeout=60, propagate=False).args == ("acme",)
    for n in range(4):
        assert celery_app.say.delay(n).get(timeout=60)[1] is None
