"""ASGI, Starlette and FastAPI: whose request it is, whenever and wherever a call is made."""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, Any

import httpx
import pytest
from fastapi import Depends, FastAPI, Request
from fastapi.responses import StreamingResponse
from opentelemetry import baggage
from starlette.applications import Starlette
from starlette.background import BackgroundTask
from starlette.responses import JSONResponse, PlainTextResponse
from starlette.routing import Route, WebSocketRoute
from starlette.testclient import TestClient

from tollbook import sdk as tollbook
from tollbook.call import Identity
from tollbook.sdk.middleware import identify
from tollbook.sdk.middleware.asgi import TollbookMiddleware
from tollbook.sdk.middleware.fastapi import TollbookMiddleware as FastApiMiddleware
from tollbook.sdk.middleware.fastapi import tenant_from
from tollbook.sdk.middleware.starlette import TollbookMiddleware as StarletteMiddleware

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

    from tollbook.sdk.sink import MemorySink

USERS = {"Bearer a": "acme", "Bearer b": "bolt"}


def who() -> str | None:
    return tollbook.current().tenant_id


def by_token(request: Any) -> str | None:
    return USERS.get(request.headers.get("authorization", ""))


async def say(scope: Any, receive: Any, send: Any) -> None:
    """Answer with what is known, after others have had their turn."""
    await asyncio.sleep(0.002)
    text = "|".join(
        str(one)
        for one in (who(), tollbook.current().request_id, tollbook.current().request_origin)
    )
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": text.encode()})


async def get(app: Any, path: str = "/", **headers: str) -> str:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    async with httpx.AsyncClient(
        transport=httpx.ASGITransport(app), base_url="http://test"
    ) as client:
        answer = await client.get(path, headers=named)
    return answer.text


def test_requests_at_once_do_not_mix_and_leave_nothing() -> None:
    app = TollbookMiddleware(say, by_token)

    async def main() -> None:
        answers = await asyncio.gather(
            *(get(app, authorization=f"Bearer {'ab'[n % 2]}", x_request_id=f"r{n}")
              for n in range(20))
        )  # fmt: skip
        for n, answer in enumerate(answers):
            assert answer == f"{'acme' if n % 2 == 0 else 'bolt'}|r{n}|user"
        # On the very same task, one after the other.
        assert (await get(app, authorization="Bearer a")).startswith("acme|")
        assert (await get(app)).startswith("None|")
        assert who() is None

    asyncio.run(main())


def test_a_request_without_an_id_gets_one() -> None:
    first, second = (
        asyncio.run(get(TollbookMiddleware(say, by_token))).split("|")[1] for _ in range(2)
    )
    assert len(first) == 36
    assert first != second


def test_inbound_identity_is_believed_only_where_that_was_said() -> None:
    inbound = {
        "baggage": "tenant.id=evil,request.origin=scheduled",
        "x-tollbook-user": "eve",
        "traceparent": f"00-{'a' * 32}-{'b' * 16}-01",
    }
    seen: list[Any] = []

    async def note(scope: Any, receive: Any, send: Any) -> None:
        seen.append((tollbook.current(), tollbook.current_span(), dict(baggage.get_all())))
        await say(scope, receive, send)

    async def main() -> None:
        async with httpx.AsyncClient(
            transport=httpx.ASGITransport(TollbookMiddleware(note, by_token)), base_url="http://x"
        ) as edge:
            await edge.get("/", headers=inbound)
        async with httpx.AsyncClient(
            transport=httpx.ASGITransport(TollbookMiddleware(note, trust_inbound=True)),
            base_url="http://x",
        ) as inner:
            await inner.get("/", headers=inbound)

    asyncio.run(main())
    (edge, edge_span, edge_baggage), (inner, inner_span, _) = seen
    assert (edge.tenant_id, edge.user_id, edge.request_origin) == (None, None, "user")
    assert edge_span.trace_id != "a" * 32
    assert "tenant.id" not in edge_baggage
    assert (inner.tenant_id, inner.user_id, inner.request_origin) == ("evil", "eve", "scheduled")
    assert inner_span.trace_id == "a" * 32


def test_forged_baggage_that_an_instrumentation_restored_is_not_believed_at_the_edge() -> None:
    async def main() -> str:
        from opentelemetry.context import attach  # noqa: PLC0415

        attach(baggage.set_baggage("tenant.id", "evil"))
        return await get(TollbookMiddleware(say, by_token))

    assert asyncio.run(main()).startswith("None|")


def test_the_applications_own_authentication_overrules_trusted_headers() -> None:
    app = TollbookMiddleware(say, by_token, trust_inbound=True)
    answer = asyncio.run(get(app, authorization="Bearer a", baggage="tenant.id=other"))
    assert answer.startswith("acme|")


@pytest.mark.parametrize(
    ("said", "tenant", "user"),
    [
        ("acme", "acme", None),
        (7, "7", None),
        ({"tenant": "acme", "user_id": 5, "plan": "gold", "none": None}, "acme", "5"),
        (Identity(tenant_id="acme", user_id="ada"), "acme", "ada"),
        (None, None, None),
        ("", None, None),
        ({}, None, None),
        ("no,id", None, None),
        (object(), None, None),
    ],
)
def test_what_an_authentication_may_answer(said: Any, tenant: str | None, user: str | None) -> None:
    seen: list[Identity] = []

    async def note(scope: Any, receive: Any, send: Any) -> None:
        seen.append(tollbook.current())
        await say(scope, receive, send)

    async def later(request: Any) -> Any:
        await asyncio.sleep(0)
        return said

    asyncio.run(get(TollbookMiddleware(note, lambda _: said)))
    asyncio.run(get(TollbookMiddleware(note, later)))
    for known in seen:
        assert (known.tenant_id, known.user_id) == (tenant, user)
        assert known.request_id is not None
    if isinstance(said, dict) and said:
        assert seen[0].tags == {"plan": "gold"}


def test_an_authentication_that_raises_does_not_break_the_request(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.WARNING, "tollbook")

    def fails(request: Any) -> str:
        raise LookupError("no such session: s3cret")

    async def fails_later(request: Any) -> str:
        raise LookupError

    assert asyncio.run(get(TollbookMiddleware(say, fails))).startswith("None|")
    assert asyncio.run(get(TollbookMiddleware(say, fails_later))).startswith("None|")
    assert "LookupError" in caplog.text
    assert "s3cret" not in caplog.text


def test_other_messages_pass_untouched() -> None:
    seen: list[str] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        seen.append(scope["type"])

    asyncio.run(TollbookMiddleware(app, by_token)({"type": "lifespan"}, None, None))  # type: ignore[arg-type]
    assert seen == ["lifespan"]


def test_starlette_streams_background_tasks_threads_and_websockets() -> None:
    noted: list[Any] = []

    async def stream(request: Any) -> StreamingResponse:
        async def body() -> AsyncIterator[str]:
            for _ in range(3):
                await asyncio.sleep(0.001)
                yield f"{who()} "

        return StreamingResponse(body(), background=BackgroundTask(lambda: noted.append(who())))

    def threaded(request: Any) -> PlainTextResponse:
        return PlainTextResponse(str(who()))

    async def socket(websocket: Any) -> None:
        await websocket.accept()
        await websocket.send_text(str(who()))
        await websocket.close()

    app = Starlette(
        routes=[Route("/s", stream), Route("/t", threaded), WebSocketRoute("/w", socket)]
    )
    app.add_middleware(StarletteMiddleware, tenant_of=by_token)
    with TestClient(app, headers={"authorization": "Bearer a"}) as client:
        assert client.get("/s").text == "acme acme acme "
        assert noted == ["acme"]
        assert client.get("/t").text == "acme"
        with client.websocket_connect("/w") as websocket:
            assert websocket.receive_text() == "acme"
    assert who() is None


def test_an_authentication_in_a_dependency_is_found_although_it_runs_later(
    caplog: pytest.LogCaptureFixture,
) -> None:
    app = FastAPI()
    app.add_middleware(FastApiMiddleware, tenant_of=lambda request: request.state.org)

    def authenticate(request: Request) -> None:
        request.state.org = by_token(request)

    @app.get("/early", dependencies=[Depends(authenticate)])
    async def early() -> StreamingResponse:
        # A scope that was entered before anything was asked still finds out.
        async def body() -> AsyncIterator[str]:
            with tollbook.feature("inner"):
                yield f"{who()}|{tollbook.current().feature}"

        return StreamingResponse(body())

    with TestClient(app) as client:
        assert client.get("/early", headers={"authorization": "Bearer b"}).text == "bolt|inner"
        assert client.get("/early", headers={"authorization": "Bearer a"}).text == "acme|inner"
    assert "raised" not in caplog.text


def test_a_scope_entered_before_the_authentication_finds_out_too() -> None:
    scope_state: dict[str, Any] = {}

    async def app(scope: Any, receive: Any, send: Any) -> None:
        with tollbook.feature("outer"), tollbook.agent_run("r"):
            assert who() is None
            scope.setdefault("state", {})["org"] = "acme"
            known = tollbook.current()
            assert (known.tenant_id, known.feature, known.agent_run_id) == ("acme", "outer", "r")
            assert tollbook.current() is known
        await say(scope, receive, send)

    assert scope_state == {}
    answer = asyncio.run(get(TollbookMiddleware(app, lambda request: request.state.org)))
    assert answer.startswith("acme|")


def test_a_dependency_of_fastapi_names_the_tenant() -> None:
    async def organisation(request: Request) -> dict[str, str | None]:
        await asyncio.sleep(0)
        return {"tenant": by_token(request), "user": "ada"}

    app = FastAPI(dependencies=[tenant_from(organisation)])
    app.add_middleware(FastApiMiddleware, route_as_feature=True)

    @app.get("/sync")
    def plain() -> list[str | None]:
        known = tollbook.current()
        return [known.tenant_id, known.user_id, known.feature]

    @app.get("/async")
    async def later() -> list[str | None]:
        return plain()

    with TestClient(app, headers={"authorization": "Bearer a"}) as client:
        assert client.get("/sync").json() == ["acme", "ada", "plain"]
        assert client.get("/async").json() == ["acme", "ada", "later"]


def test_identify_names_the_tenant_from_anywhere_in_the_request() -> None:
    async def view(request: Any) -> JSONResponse:
        before = who()
        await asyncio.to_thread(identify, "acme", user="ada")
        return JSONResponse([before, who(), tollbook.current().user_id])

    app = Starlette(routes=[Route("/", view)])
    app.add_middleware(StarletteMiddleware)
    with TestClient(app) as client:
        assert client.get("/").json() == [None, "acme", "ada"]
        assert client.get("/").json() == [None, "acme", "ada"]


def test_identify_outside_of_a_request_only_says_so(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.WARNING, "tollbook")
    identify("acme")
    assert who() is None
    assert "outside of a request" in caplog.text


def test_a_request_is_a_span_only_if_something_happened_in_it(sink: MemorySink) -> None:
    async def works(scope: Any, receive: Any, send: Any) -> None:
        with tollbook.step("inner"):
            pass
        await say(scope, receive, send)

    asyncio.run(get(TollbookMiddleware(say, by_token), "/quiet"))
    assert not sink.spans
    asyncio.run(get(TollbookMiddleware(works, by_token), "/busy", authorization="Bearer a"))
    inner, request = sink.spans
    assert request.name == "GET"
    assert inner.parent_span_id == request.span_id
    assert request.identity is not None
    assert request.identity.tenant_id == "acme"


def test_the_span_of_a_request_has_the_name_of_its_route_and_not_its_path(
    sink: MemorySink,
) -> None:
    app = FastAPI()
    app.add_middleware(FastApiMiddleware, tenant_of=by_token)

    @app.get("/reset/{token}")
    def reset(token: str) -> None:
        with tollbook.tool("mail"):
            pass

    with TestClient(app) as client:
        client.get("/reset/s3cret")
    assert [one.name for one in sink.spans] == ["mail", "GET reset"]


def test_the_body_of_a_plain_generator_has_it_in_every_thread() -> None:
    app = FastAPI()
    app.add_middleware(FastApiMiddleware, tenant_of=by_token)

    @app.get("/")
    def stream() -> StreamingResponse:
        def body() -> Iterator[str]:
            for _ in range(4):
                yield f"{who()} "

        return StreamingResponse(body())

    with TestClient(app, headers={"authorization": "Bearer b"}) as client:
        assert client.get("/").text == "bolt bolt bolt bolt "
