"""The pages of docs/sdk about context, frameworks and queues: their code is run as it stands."""

from __future__ import annotations

import asyncio
import http.server
import re
import threading
import time
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import arq
import dramatiq
import httpx
import pytest
from celery.contrib.testing.worker import start_worker
from django.http import HttpResponse
from django.test import RequestFactory
from opentelemetry.propagate import get_global_textmap, set_global_textmap
from rq.worker import SimpleWorker
from starlette.authentication import AuthCredentials, BaseUser
from starlette.middleware.authentication import AuthenticationMiddleware
from starlette.testclient import TestClient

from tollbook import sdk as tollbook
from tollbook.sdk.middleware.django import TollbookMiddleware
from tollbook.sdk.propagation import rq as carries_rq

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

PAGES = Path(__file__).resolve().parents[2] / "docs" / "sdk"
OWN = {
    "aiohttp", "apscheduler", "arq", "asgi", "celery", "context", "django", "dramatiq", "fastapi",
    "flask", "httpx", "kafka", "requests", "rq", "starlette", "threads", "wsgi",
}  # fmt: skip


def run(page: str, **changed: str) -> dict[str, Any]:
    """Run the Python of a page in one namespace; return its names."""
    text = (PAGES / f"{page}.md").read_text(encoding="utf-8")
    blocks = re.findall(r"^```python\n(.*?)^```$", text, re.DOTALL | re.MULTILINE)
    assert blocks
    code = "\n\n".join(blocks)
    for old, new in changed.items():
        assert old in code
        code = code.replace(old, new)
    names: dict[str, Any] = {"__name__": f"page_{page}"}
    exec(compile(code, f"{page}.md", "exec"), names)
    return names


def at(url: str) -> dict[str, str]:
    return {"redis://localhost:6379/0": url}


class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        body = (self.headers["baggage"] or "").encode()
        self.send_response(200)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 -- the base class's name
        pass


@pytest.fixture
def url() -> Iterator[str]:
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}/"
        server.shutdown()
        thread.join()


def wait_until(done: Callable[[], object]) -> None:
    for _ in range(400):
        if done():
            return
        time.sleep(0.025)
    raise AssertionError("it did not happen")


def test_every_page_is_run_here() -> None:
    here = Path(__file__).read_text(encoding="utf-8")
    for page in OWN:
        assert (PAGES / f"{page}.md").is_file()
        assert f'run("{page}"' in here, page


def test_context() -> None:
    before = get_global_textmap()
    try:
        assert run("context")["span"] is not None
    finally:
        set_global_textmap(before)


def test_threads() -> None:
    assert run("threads")["seen"] == ["acme"] * 5


def test_asgi() -> None:
    client = TestClient(run("asgi")["app"])  # without lifespan: the page's application has none
    assert client.get("/", headers={"x-session": "s1"}).text == "acme"
    assert client.get("/").text == "None"


def test_fastapi() -> None:
    names = run("fastapi")
    with TestClient(names["app"]) as client:
        assert client.get("/ask", headers={"authorization": "Bearer a"}).json() == "acme"


def test_starlette() -> None:
    app = run("starlette")["app"]

    class User(BaseUser):
        organisation = "acme"

    class Backend:
        async def authenticate(self, conn: Any) -> Any:
            return AuthCredentials(), User()

    app.add_middleware(AuthenticationMiddleware, backend=Backend())
    with TestClient(app) as client:
        assert client.get("/").text == "acme"
    inside = run("starlette")["app"]
    inside.user_middleware.append(
        type(app.user_middleware[0])(AuthenticationMiddleware, backend=Backend())
    )
    with TestClient(inside) as client:
        assert client.get("/").text == "acme"


def test_wsgi() -> None:
    app = run("wsgi")["app"]
    environ = {"REQUEST_METHOD": "GET", "PATH_INFO": "/", "HTTP_X_API_KEY": "k1"}
    assert list(app(environ, lambda *_: None)) == [b"acme"]


def test_flask() -> None:
    client = run("flask")["app"].test_client()
    assert client.get("/ask", headers={"authorization": "Bearer a"}).text == "acme acme "


def test_django(monkeypatch: pytest.MonkeyPatch) -> None:
    from django.conf import settings  # noqa: PLC0415 -- configured once for all tests

    if not settings.configured:
        settings.configure(ALLOWED_HOSTS=["*"], DEFAULT_CHARSET="utf-8")
    names = run("django")
    assert names["MIDDLEWARE"] == [f"{TollbookMiddleware.__module__}.TollbookMiddleware"]
    for name in ("TOLLBOOK_TENANT_OF", "TOLLBOOK_ROUTE_AS_FEATURE"):
        monkeypatch.setattr(settings, name, names[name], raising=False)
    monkeypatch.setattr(settings, "TOLLBOOK_TENANT_OF", names["tenant_of"], raising=False)

    def view(request: Any) -> HttpResponse:
        request.resolver_match = SimpleNamespace(view_name="ask", route="")
        known = tollbook.current()
        return HttpResponse(f"{known.tenant_id} {known.user_id} {known.feature}")

    request: Any = RequestFactory().get("/")
    request.user = SimpleNamespace(is_authenticated=True, organisation_id=7, pk=5)
    assert TollbookMiddleware(view)(request).content == b"7 5 ask"


@pytest.mark.filterwarnings("ignore::DeprecationWarning:celery.*")
def test_celery(redis_url: str) -> None:
    names = run("celery", **at(redis_url))
    app = names["app"]
    with start_worker(app, perform_ping_check=False, pool="solo"):
        with tollbook.tenant("bolt"):
            job = names["summarise"].delay("text")
        assert job.get(timeout=30, disable_sync_subtasks=False) == "bolt"
        nightly = app.conf.beat_schedule["nightly"]
        job = app.send_task(nightly["task"], nightly["args"], **nightly["options"])
        assert job.get(timeout=30, disable_sync_subtasks=False) == "acme"
    app.close()


def test_rq(redis_url: str) -> None:
    try:
        names = run("rq", **at(redis_url))
        from tollbook.sdk.propagation import rq_worker  # noqa: PLC0415 -- it instruments

        assert issubclass(rq_worker.SimpleWorker, SimpleWorker)
        queue = names["queue"]
        rq_worker.SimpleWorker([queue], connection=queue.connection).work(burst=True)
        assert names["job"].return_value().tenant_id == "acme"
        queue.connection.close()
    finally:
        carries_rq.uninstrument()


def test_dramatiq(redis_url: str) -> None:
    before = dramatiq.broker.global_broker
    try:
        names = run("dramatiq", **at(redis_url))
        worker = dramatiq.Worker(names["broker"], worker_timeout=50, worker_threads=1)
        worker.start()
        wait_until(lambda: names["seen"])
        worker.stop()
        names["broker"].close()
    finally:
        dramatiq.broker.global_broker = before
    assert names["seen"] == ["acme"]


@pytest.mark.filterwarnings("ignore:Call to deprecated close:DeprecationWarning")  # arq's own
def test_arq(redis_url: str) -> None:
    names = run("arq", **at(redis_url))

    async def main() -> None:
        job = await names["enqueue"]("contract.pdf")
        settings = {
            name: value
            for name, value in vars(names["WorkerSettings"]).items()
            if not name.startswith("__")
        }
        worker = arq.Worker(**settings, burst=True, handle_signals=False, poll_delay=0.01)
        await worker.async_run()
        results = await worker.pool.all_job_results()
        assert [one.result for one in results if one.job_id == job.job_id] == ["acme"]
        await worker.close()

    asyncio.run(main())


def test_kafka() -> None:
    names = run("kafka")
    sent: list[Any] = []

    class Producer:
        def produce(self, topic: str, value: bytes, headers: Any) -> None:
            sent.append(SimpleNamespace(topic=lambda: topic, headers=lambda: headers))

    with tollbook.tenant("acme"):
        names["publish"](Producer(), "orders", b"x")
    assert names["handle"](sent[0]) == "acme"


def test_apscheduler() -> None:
    names = run("apscheduler")
    names["scheduler"].start()
    wait_until(lambda: names["seen"])
    names["scheduler"].shutdown()
    assert names["seen"] == [("acme", "scheduled")]


def test_httpx() -> None:
    names = run("httpx")

    def answer(request: httpx.Request) -> httpx.Response:
        if request.url.host == "agents.internal":
            return httpx.Response(302, headers={"location": "http://elsewhere.example/"})
        return httpx.Response(200, text=str(request.headers.get("baggage")))

    client = names["client"]
    client._transport.close()
    client._transport = httpx.MockTransport(answer)
    client._mounts = {}
    seen: list[Any] = []
    client.event_hooks["request"].append(lambda one: seen.append(one.headers.get("baggage")))
    with tollbook.tenant("acme"):
        assert names["run"]("x").text == "None"
    assert seen == ["tenant.id=acme,feature=agent", None]
    client.close()


def test_aiohttp(url: str) -> None:
    assert asyncio.run(run("aiohttp")["run"](url)) == "tenant.id=acme"


def test_requests(url: str) -> None:
    names = run("requests")
    assert names["ask"](url).text == "tenant.id=acme"
    names["session"].close()
