"""WSGI, Flask and Django: whose request it is, in streamed bodies too."""

from __future__ import annotations

import asyncio
import io
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import django
import flask
import pytest
from django.conf import settings as django_settings
from django.core.handlers.asgi import ASGIRequest
from django.http import FileResponse, HttpResponse, StreamingHttpResponse
from django.test import RequestFactory
from opentelemetry import baggage

from tollbook import sdk as tollbook
from tollbook.sdk.middleware import identify
from tollbook.sdk.middleware.django import TollbookMiddleware as DjangoMiddleware
from tollbook.sdk.middleware.flask import Tollbook
from tollbook.sdk.middleware.wsgi import TollbookMiddleware

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

    from tollbook.sdk.sink import MemorySink

USERS = {"Bearer a": "acme", "Bearer b": "bolt"}


def who() -> str | None:
    return tollbook.current().tenant_id


def by_token(request: Any) -> str | None:
    return USERS.get(request.headers.get("authorization", ""))


def environ(**more: Any) -> dict[str, Any]:
    return {"REQUEST_METHOD": "GET", "PATH_INFO": "/x", **more}


def start_response(*_: Any) -> None:
    pass


class Body:
    """A body that notes who closed it."""

    def __init__(self, fails: bool = False) -> None:  # noqa: FBT001, FBT002 -- a test's switch
        self.left = 3
        self.closed_by: list[str | None] = []
        self._fails = fails

    def __iter__(self) -> Body:
        return self

    def __next__(self) -> bytes:
        if self._fails:
            raise OSError("broken")
        if self.left == 0:
            raise StopIteration
        self.left -= 1
        return str(who()).encode()

    def close(self) -> None:
        self.closed_by.append(who())


def test_a_streamed_body_is_made_as_the_requests_owner_and_leaves_nothing_between() -> None:
    bodies: dict[str, Body] = {}

    def app(environ: Any, start: Any) -> Body:
        assert who() is not None
        return bodies.setdefault(str(who()), Body())

    served = TollbookMiddleware(app, by_token)
    first = served(environ(HTTP_AUTHORIZATION="Bearer a"), start_response)
    second = served(environ(HTTP_AUTHORIZATION="Bearer b"), start_response)
    assert who() is None
    for one, two in zip(first, second, strict=True):
        assert (one, two) == (b"acme", b"bolt")
        assert who() is None
    first.close()  # type: ignore[attr-defined]
    assert bodies["acme"].closed_by == ["acme"]
    assert who() is None


def test_a_scope_within_a_generator_body_is_there_at_the_next_step() -> None:
    def app(environ: Any, start: Any) -> Iterator[bytes]:
        with tollbook.feature("inner"):
            for _ in range(2):
                yield f"{who()}/{tollbook.current().feature}".encode()
        yield f"{who()}/{tollbook.current().feature}".encode()

    body = TollbookMiddleware(app, by_token)(environ(HTTP_AUTHORIZATION="Bearer a"), start_response)
    seen = []
    for step in body:
        seen.append(step)
        assert tollbook.current().feature is None
        assert not baggage.get_all()
    assert seen == [b"acme/inner", b"acme/inner", b"acme/None"]


def test_a_body_that_is_there_already_is_given_as_it_is() -> None:
    whole = [b"x"]
    served = TollbookMiddleware(lambda *_: whole, by_token)
    assert served(environ(), start_response) is whole

    class Wrapper(Body):
        pass

    sent = Wrapper()
    served = TollbookMiddleware(lambda *_: sent, by_token)
    assert served(environ(**{"wsgi.file_wrapper": Wrapper}), start_response) is sent


def test_errors_pass_and_leave_nothing(sink: MemorySink) -> None:
    def fails(environ: Any, start: Any) -> list[bytes]:
        with tollbook.step("s"):
            raise KeyError("x")

    with pytest.raises(KeyError):
        TollbookMiddleware(fails)(environ(), start_response)
    body = TollbookMiddleware(lambda *_: Body(fails=True))(environ(), start_response)
    with pytest.raises(OSError, match="broken"):
        list(body)
    assert who() is None
    assert [(one.name, one.is_error) for one in sink.spans] == [("s", True), ("GET", True)]


def test_inbound_identity_is_believed_only_where_that_was_said() -> None:
    seen: list[Any] = []

    def app(environ: Any, start: Any) -> list[bytes]:
        seen.append((tollbook.current().tenant_id, tollbook.current().request_id))
        return []

    inbound = environ(HTTP_BAGGAGE="tenant.id=acme,request.id=r1", HTTP_X_REQUEST_ID="r2")
    TollbookMiddleware(app)(inbound, start_response)
    TollbookMiddleware(app, trust_inbound=True)(inbound, start_response)
    assert seen == [(None, "r2"), ("acme", "r1")]


def flask_app(**settings: Any) -> flask.Flask:
    app = flask.Flask("test")
    Tollbook(app, **settings)

    @app.get("/plain")
    def plain() -> list[Any]:
        return [who(), tollbook.current().feature, baggage.get_baggage("tenant.id")]

    @app.get("/stream")
    def stream() -> flask.Response:
        return flask.Response(str(who()) for _ in range(3))

    @app.get("/with")
    def stream_with() -> flask.Response:
        def body() -> Iterator[str]:
            for _ in range(3):
                yield f"{who()}{flask.request.path}"

        return flask.Response(flask.stream_with_context(body()))

    @app.get("/identify")
    def view() -> list[Any]:
        before = who()
        identify("acme", user="ada")
        return [before, who(), tollbook.current().user_id]

    return app


def test_flask_views_and_streams() -> None:
    app = flask_app(tenant_of=by_token, route_as_feature=True)
    for token, tenant in USERS.items():
        client = app.test_client()
        headers = {"authorization": token}
        assert client.get("/plain", headers=headers).json == [tenant, "plain", tenant]
        assert client.get("/stream", headers=headers).text == tenant * 3
        assert client.get("/with", headers=headers).text == f"{tenant}/with" * 3
        assert client.get("/plain").json == [None, "plain", None]
    assert who() is None
    assert not baggage.get_all()


def test_flask_authentication_that_runs_later_is_found() -> None:
    app = flask_app(tenant_of=lambda request: flask.g.get("org"))

    @app.before_request
    def authenticate() -> None:
        flask.g.org = by_token(flask.request)

    client = app.test_client()
    assert client.get("/plain", headers={"authorization": "Bearer a"}).json[0] == "acme"  # type: ignore[index]
    assert client.get("/stream", headers={"authorization": "Bearer b"}).text == "boltboltbolt"
    assert client.get("/identify").json == [None, "acme", "ada"]
    assert client.get("/plain").json == [None, None, None]


def test_a_request_of_flask_is_a_span_with_the_routes_name(sink: MemorySink) -> None:
    app = flask_app(tenant_of=by_token)

    @app.get("/secret/<token>")
    def reset(token: str) -> str:
        with tollbook.tool("mail"):
            return "sent"

    answer = app.test_client().get("/secret/s3cret", headers={"authorization": "Bearer a"})
    assert answer.text == "sent"
    assert [one.name for one in sink.spans] == ["mail", "GET reset"]
    assert sink.spans[1].identity is not None
    assert sink.spans[1].identity.tenant_id == "acme"


def test_flasks_test_client_may_keep_the_request() -> None:
    app = flask_app(tenant_of=by_token)
    with app.test_client() as client:
        client.get("/plain", headers={"authorization": "Bearer a"})
        assert flask.request.path == "/plain"
        assert who() is None


@pytest.fixture(scope="module", autouse=True)
def _django() -> None:
    if not django_settings.configured:
        django_settings.configure(ALLOWED_HOSTS=["*"], DEFAULT_CHARSET="utf-8")
        django.setup()


def with_settings(monkeypatch: pytest.MonkeyPatch, **values: Any) -> None:
    for name, value in values.items():
        monkeypatch.setattr(django_settings, f"TOLLBOOK_{name}", value, raising=False)


def test_django_views_and_streams(monkeypatch: pytest.MonkeyPatch) -> None:
    with_settings(monkeypatch, TENANT_OF=by_token, ROUTE_AS_FEATURE=True)

    def view(request: Any) -> Any:
        request.resolver_match = SimpleNamespace(view_name="orders", route="o/")
        if request.path == "/stream":
            return StreamingHttpResponse(str(who()) for _ in range(3))
        if request.path == "/file":
            return FileResponse(io.BytesIO(b"x"))
        return HttpResponse(f"{who()} {tollbook.current().feature}")

    serve = DjangoMiddleware(view)
    make = RequestFactory(headers={"authorization": "Bearer a"})
    assert serve(make.get("/")).content == b"acme orders"
    streamed = serve(make.get("/stream"))
    assert who() is None
    assert b"".join(streamed) == b"acme" * 3
    assert isinstance(serve(make.get("/file")), FileResponse)
    assert serve(RequestFactory().get("/")).content == b"None orders"
    assert who() is None


def test_django_under_asgi(monkeypatch: pytest.MonkeyPatch) -> None:
    with_settings(monkeypatch, TENANT_OF=f"{__name__}.by_token")
    monkeypatch.setattr("django.utils.module_loading.import_string", lambda _: by_token)

    async def view(request: Any) -> Any:
        await asyncio.sleep(0.001)
        if request.path == "/stream":

            async def body() -> AsyncIterator[str]:
                with tollbook.feature("inner"):
                    for _ in range(3):
                        await asyncio.sleep(0.001)
                        yield f"{who()}{tollbook.current().feature} "

            return StreamingHttpResponse(body())
        return HttpResponse(str(who()))

    serve = DjangoMiddleware(view)
    assert asyncio.iscoroutinefunction(serve) or django.VERSION

    def make(path: str, token: str) -> Any:
        scope = {
            "type": "http", "method": "GET", "path": path, "query_string": b"",
            "headers": [(b"authorization", token.encode())],
        }  # fmt: skip
        return ASGIRequest(scope, io.BytesIO())

    async def main() -> None:
        answers = await asyncio.gather(
            *(serve(make("/", f"Bearer {'ab'[n % 2]}")) for n in range(10))
        )
        assert [one.content for one in answers] == [b"acme", b"bolt"] * 5
        first = await serve(make("/stream", "Bearer a"))
        second = await serve(make("/stream", "Bearer b"))
        assert who() is None
        steps = [aiter(first), aiter(second)]
        for _ in range(3):
            assert await anext(steps[0]) == b"acmeinner "
            assert tollbook.current().feature is None
            assert await anext(steps[1]) == b"boltinner "
        assert who() is None

    asyncio.run(main())
