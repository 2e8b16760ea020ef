"""HTTP clients tell identity to hosts that may know, and to no other, redirects included."""

from __future__ import annotations

import asyncio
import http.server
import json
import threading
from typing import TYPE_CHECKING, Any

import aiohttp
import httpx
import httpx2
import pytest
import requests
from opentelemetry import baggage
from opentelemetry.context import attach, detach
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.trace import SpanKind

import tollbook
from tollbook.sdk.propagation import hosts
from tollbook.sdk.propagation.aiohttp import propagate
from tollbook.sdk.propagation.httpx import instrument as instrument_httpx
from tollbook.sdk.propagation.otel import AllowListPropagator
from tollbook.sdk.propagation.requests import instrument as instrument_requests

if TYPE_CHECKING:
    from collections.abc import Iterator

OURS = ("baggage", "traceparent", "tracestate", "x-tollbook-tenant")


class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        if self.path.startswith("/to/"):
            self.send_response(302)
            self.send_header("location", f"http://{self.path[4:]}/")
            self.send_header("content-length", "0")
            self.end_headers()
            return
        body = json.dumps({name.lower(): value for name, value in self.headers.items()}).encode()
        self.send_response(200)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 -- the base class's name
        pass


@pytest.fixture(scope="module")
def port() -> Iterator[int]:
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield server.server_port
        server.shutdown()
        thread.join()


@pytest.fixture(autouse=True)
def _strangers(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make ``localhost`` a stranger's name, as no other would resolve here."""
    hosts._may_receive.cache_clear()
    monkeypatch.setattr(hosts, "is_loopback", lambda name: name == "127.0.0.1")


@pytest.fixture(autouse=True)
def _forget() -> Iterator[None]:
    yield
    hosts._may_receive.cache_clear()


def check(known: dict[str, str], stranger: dict[str, str], redirected: dict[str, str]) -> None:
    assert known["baggage"] == "tenant.id=acme,workflow.step=s"
    assert known["traceparent"].startswith("00-")
    for one in (stranger, redirected):
        assert not set(OURS) & set(one)


@pytest.mark.parametrize("library", [httpx, httpx2])
def test_httpx_and_httpx2(port: int, library: Any) -> None:
    urls = addresses(port)
    with library.Client(follow_redirects=True) as client:
        assert instrument_httpx(client) is client
        instrument_httpx(client)
        assert len(client.event_hooks["request"]) == 1
        with tollbook.tenant("acme"), tollbook.step("s"):
            check(*(client.get(url, headers={"tracestate": "x=1"}).json() for url in urls))
            # From a stranger to a host that may know.
            back = client.get(f"http://localhost:{port}/to/127.0.0.1:{port}").json()
            assert back["baggage"].startswith("tenant.id=acme")
        assert "baggage" not in client.get(urls[0]).json()

    async def main() -> None:
        async with library.AsyncClient(follow_redirects=True) as client:
            instrument_httpx(client)
            with tollbook.tenant("acme"), tollbook.step("s"):
                check(*[(await client.get(url)).json() for url in urls])

    asyncio.run(main())


def addresses(port: int) -> list[str]:
    return [
        f"http://127.0.0.1:{port}/",
        f"http://localhost:{port}/",
        f"http://127.0.0.1:{port}/to/localhost:{port}",
    ]


def test_requests(port: int) -> None:
    with requests.Session() as session:
        assert instrument_requests(session) is session
        instrument_requests(session)
        with tollbook.tenant("acme"), tollbook.step("s"):
            check(*(session.get(url).json() for url in addresses(port)))
            forced = session.get(addresses(port)[1], headers={"X-Tollbook-Tenant": "acme"})
            assert not set(OURS) & set(forced.json())
        assert "baggage" not in session.get(addresses(port)[0]).json()


def test_aiohttp(port: int) -> None:
    async def main() -> None:
        async with aiohttp.ClientSession(middlewares=(propagate,)) as session:

            async def get(url: str) -> Any:
                async with session.get(url) as answer:
                    return await answer.json(content_type=None)

            with tollbook.tenant("acme"), tollbook.step("s"):
                check(*[await get(url) for url in addresses(port)])
            assert "baggage" not in await get(addresses(port)[0])

    asyncio.run(main())


def test_clients_used_by_several_tenants_at_once_do_not_mix(port: int) -> None:
    async def main() -> list[str]:
        async with httpx.AsyncClient() as client:
            instrument_httpx(client)

            async def ask(tenant: str) -> str:
                with tollbook.tenant(tenant):
                    found = (await client.get(addresses(port)[0])).json()
                    return str(found["baggage"])

            return await asyncio.gather(*(ask(f"t{n}") for n in range(20)))

    assert asyncio.run(main()) == [f"tenant.id=t{n}" for n in range(20)]


@pytest.mark.parametrize(
    ("kind", "attributes", "carrier", "expected"),
    [
        (SpanKind.CLIENT, {"url.full": "http://127.0.0.1:1/x"}, {}, {"traceparent", "baggage"}),
        (SpanKind.CLIENT, {"http.url": "https://api.openai.com/v1"}, {}, set()),
        (SpanKind.CLIENT, {"server.address": "api.openai.com"}, {}, set()),
        (SpanKind.CLIENT, {"server.address": "agents.corp"}, {}, {"traceparent", "baggage"}),
        (SpanKind.CLIENT, {"url.full": "nonsense"}, {}, set()),
        (SpanKind.CLIENT, {}, {"host": "api.openai.com"}, set()),
        (SpanKind.CLIENT, {}, {"host": "agents.corp:80"}, {"traceparent", "baggage"}),
        (SpanKind.CLIENT, {}, {}, {"traceparent"}),
        (SpanKind.INTERNAL, {}, {}, {"traceparent"}),
        (SpanKind.PRODUCER, {"server.address": "broker"}, {}, {"traceparent", "baggage"}),
    ],
)
def test_opentelemetrys_own_instrumentations_tell_known_hosts_only(
    kind: SpanKind, attributes: dict[str, str], carrier: dict[str, str], expected: set[str]
) -> None:
    tollbook.configure(allowed_hosts=("agents.corp",))
    propagator = AllowListPropagator()
    tracer = TracerProvider().get_tracer("test")
    given = dict(carrier)
    with (
        tollbook.tenant("acme"),
        tracer.start_as_current_span("GET", kind=kind, attributes=attributes),
    ):
        propagator.inject(carrier)
    assert set(carrier) - set(given) == expected
    assert {"baggage", "traceparent"} <= propagator.fields


def test_the_propagator_reads_what_it_wrote() -> None:
    propagator = AllowListPropagator()
    token = attach(baggage.set_baggage("tenant.id", "acme"))
    try:
        carrier = {"host": "127.0.0.1"}
        propagator.inject(carrier)
    finally:
        detach(token)
    assert tollbook.current(propagator.extract(carrier)).tenant_id == "acme"
