"""The API as a Litestar application. Queries run in threads, so the event loop stays free."""

from __future__ import annotations

import secrets
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Final, NamedTuple, Protocol

from litestar import Litestar, Request, Response, Router, get, post
from litestar.datastructures import State
from litestar.middleware import DefineMiddleware
from litestar.openapi import OpenAPIConfig
from litestar.openapi.plugins import JsonRenderPlugin
from litestar.openapi.spec import Components, SecurityScheme
from litestar.params import FromPath, FromQuery

from tollbook import __version__
from tollbook.console.analyses import analyses
from tollbook.console.answers import Answers  # noqa: TC001 -- in handlers, read at run time
from tollbook.console.audits.jobs import Jobs
from tollbook.console.audits.routes import audit_routers
from tollbook.console.bearer import process_token
from tollbook.console.etags import Conditional, tagging
from tollbook.console.gate import Gate
from tollbook.console.login import login_router
from tollbook.console.metrics import LedgerMetrics, metrics_route
from tollbook.console.negotiate import read_pairs, table
from tollbook.console.openapi import complete
from tollbook.console.pages.context import House
from tollbook.console.pages.remembered import Views
from tollbook.console.pages.router import pages_router
from tollbook.console.permit import OPEN, check_permit, needs
from tollbook.console.portal.routes import portal_router
from tollbook.console.problems import HANDLERS
from tollbook.console.sql.routes import SqlDesk, sql_router
from tollbook.console.watch import Watch
from tollbook.desk.permits import Access, Permit, Scope
from tollbook.desk.registry import operations as all_operations
from tollbook.reports.batches import BatchesReport  # noqa: TC001 -- in handlers, read at run time
from tollbook.reports.calls import CallsReport  # noqa: TC001 -- in handlers, read at run time
from tollbook.reports.explain import Explanation  # noqa: TC001 -- in handlers, read at run time
from tollbook.reports.reader import DuckdbReader
from tollbook.reports.rollup import RollupReport  # noqa: TC001 -- in handlers, read at run time
from tollbook.reports.spend import SpendReport  # noqa: TC001 -- in handlers, read at run time
from tollbook.reports.stitching import StitchingReport  # noqa: TC001 -- as above

if TYPE_CHECKING:
    from litestar.handlers import HTTPRouteHandler
    from litestar.types import BeforeRequestHookHandler

    from tollbook.console.doors import Doors
    from tollbook.desk import Desk
    from tollbook.reports.params import Pairs

_BODY_MAX_BYTES: Final = 65_536
_Asked = Request[Any, Any, Any]
_Text = FromQuery[str | None]
_Texts = FromQuery[list[str] | None]
_LOOKS: Final = frozenset(["GET", "HEAD", "OPTIONS"])
_NO_STORE: Final = {"cache-control": "no-store"}


class Operations(Protocol):
    """What the ledger process can be asked to do; each call may take long and runs in a thread."""

    def status(self) -> dict[str, Any]:
        """Return how far the ledger is, what it reads and what it has found wrong."""

    def ingest(self, pairs: Pairs) -> dict[str, Any]:
        """Read the spool up to the moment of the call, then return how far the ledger is."""

    def verify(self) -> dict[str, Any]:
        """Recompute everything and return the findings."""

    def rerate(self, pairs: Pairs) -> dict[str, Any]:
        """Return what today's price cards change; book it where ``apply=true``."""

    def skip_corrupt(self, pairs: Pairs) -> dict[str, Any]:
        """Give up the damaged part of one writer's spool."""


class Services(NamedTuple):
    """All that the API and the pages need."""

    answers: Answers
    operations: Operations
    token: str
    finance: Router | None = None
    desk: Desk | None = None
    """What the pages' operations work on; None: there are no pages."""
    doors: Doors | None = None
    """How people come in; None: only who has the token of this process."""


def create_app(services: Services) -> Litestar:
    """Return the application; everything but ``/healthz`` and signing in needs a principal.

    ``app.state.audits`` are the audits of what is handed in, which whoever serves it closes.
    """
    books = None if services.desk is None else services.desk.books
    tags = None if books is None else tagging(services.answers.reader, books)
    reads, operations = _reads(services.answers, tags), _operations(services.operations)
    finance = [] if services.finance is None else [services.finance]
    doors = services.doors
    pages: list[Router | HTTPRouteHandler] = []
    views = jobs = None
    if services.desk is not None:
        reader = services.answers.reader
        assert isinstance(reader, DuckdbReader), "the process that has pages has the ledger"
        sql = SqlDesk(reader, services.desk.books)
        desk = services.desk
        jobs = Jobs(desk.data_dir, desk.books, desk.config_path)
        house = House(
            services.answers, desk, all_operations(), services.operations.status, sql, jobs
        )
        views = Views(house)
        # The reader of reports, whose limit of time is that of a page.
        portal = portal_router(services.desk._replace(reader=services.answers.reader))
        csrf_secret = secrets.token_bytes(32) if doors is None else doors.csrf_secret
        metrics = metrics_route(LedgerMetrics(house.desk, house.status, house.operations))
        pages = [pages_router(house, csrf_secret, views), portal, sql_router(sql), metrics]
        pages += audit_routers(jobs, csrf_secret)

    async def after_response(request: _Asked) -> None:
        if views is not None and request.method not in _LOOKS:
            views.forget()

    return Litestar(
        state=State({} if jobs is None else {"audits": jobs}),
        after_response=after_response,
        route_handlers=[
            _healthz,
            _openapi,
            reads,
            analyses(services.answers, tags),
            operations,
            *finance,
            *pages,
            *([] if doors is None else [login_router(doors)]),
        ],
        middleware=[_gate(services.token, doors), Conditional],
        guards=[check_permit],
        exception_handlers=HANDLERS,
        request_max_body_size=_BODY_MAX_BYTES,
        openapi_config=OpenAPIConfig(
            title="Tollbook",
            version=__version__,
            description="Which tenant, user, feature and agent run spent every dollar.",
            # Its own router answers every path below with HTML, so it gets a corner of its own.
            path="/api/v1/docs",
            render_plugins=[JsonRenderPlugin(path="/openapi.json")],
            use_handler_docstrings=True,
            components=Components(
                security_schemes={"bearer": SecurityScheme(type="http", scheme="bearer")}
            ),
            security=[{"bearer": []}],
        ),
        debug=False,
        logging_config=None,
    )


def _gate(token: str, doors: Doors | None) -> DefineMiddleware:
    if doors is None:
        return DefineMiddleware(Gate, authenticators=[process_token(token)])
    known = [process_token(token), doors.recognised.by_token, doors.recognised.by_session]
    watch = Watch(doors.accesses, is_on=doors.console.access_log)
    return DefineMiddleware(Gate, authenticators=known, console=doors.console, watch=watch)


@get("/healthz", security=[], opt=OPEN, sync_to_thread=False)
def _healthz() -> dict[str, str]:
    """Tell that the process answers."""
    return {"status": "ok", "version": __version__}


@get("/api/v1/openapi.json", opt=needs(Scope.SPEND), sync_to_thread=True, include_in_schema=False)
def _openapi(request: _Asked) -> Response[dict[str, Any]]:
    """Return the OpenAPI 3.1 document."""
    state = request.app.state
    if "document" not in state:
        state.document = complete(request.app.openapi_schema.to_schema(), all_operations())
    return Response(
        state.document,
        media_type="application/vnd.oai.openapi+json;version=3.1",
    )


def _reads(answers: Answers, tags: BeforeRequestHookHandler | None) -> Router:
    # The parameters are named for the OpenAPI document; the query itself is read as pairs, which
    # refuses what is misspelt instead of passing over it.
    @get("/spend", sync_to_thread=True, before_request=tags)
    def spend(
        request: _Asked, since: _Text = None, until: _Text = None,
        period: _Text = None, tz: _Text = None, by: _Text = None,
        where: _Texts = None, measures: _Text = None, order: _Text = None,
        limit: _Text = None, booked_before: _Text = None, billing_period: _Text = None,
        format: _Text = None,  # noqa: A002 -- its public name
    ) -> Response[SpendReport]:  # fmt: skip
        """Sum the ledger's entries by any dimensions, with totals and completeness."""
        del since, until, period, tz, by, where, measures, order, limit
        del booked_before, billing_period, format
        return table(request, answers.spend(read_pairs(request)))

    @get("/rollup", sync_to_thread=True, before_request=tags)
    def rollup(
        request: _Asked, since: _Text = None, until: _Text = None,
        period: _Text = None, tz: _Text = None, where: _Texts = None,
        order: _Text = None, limit: _Text = None, booked_before: _Text = None,
        billing_period: _Text = None,
        format: _Text = None,  # noqa: A002 -- its public name
    ) -> Response[RollupReport]:  # fmt: skip
        """Return the monthly billing rollup by tenant, month and model."""
        del since, until, period, tz, where, order, limit, booked_before, billing_period, format
        return table(request, answers.rollup(read_pairs(request)))

    @get("/calls", opt=needs(Scope.CALLS), sync_to_thread=True, before_request=tags)
    def calls(
        request: _Asked, since: _Text = None, until: _Text = None,
        period: _Text = None, tz: _Text = None, where: _Texts = None,
        limit: _Text = None, before: _Text = None, order: _Text = None, format: _Text = None,  # noqa: A002 -- its public name
    ) -> Response[CallsReport]:  # fmt: skip
        """List calls, newest first; ``next_before`` of a page is ``before`` of the next."""
        del since, until, period, tz, where, limit, before, order, format
        return table(request, answers.calls(read_pairs(request)))

    @get("/batches", opt=needs(Scope.CALLS), sync_to_thread=True)
    def batches(
        request: _Asked, since: _Text = None, until: _Text = None,
        period: _Text = None, tz: _Text = None, states: _Text = None,
        provider: _Text = None, limit: _Text = None, format: _Text = None,  # noqa: A002 -- its public name
    ) -> Response[BatchesReport]:  # fmt: skip
        """List batches, newest first: what was submitted, booked and is still waited for."""
        del since, until, period, tz, states, provider, limit, format
        return table(request, answers.batches(read_pairs(request)))

    @get("/stitching", opt=needs(Scope.CALLS), sync_to_thread=True)
    def stitching(
        request: _Asked, since: _Text = None, until: _Text = None,
        period: _Text = None, tz: _Text = None, show: _Text = None,
        limit: _Text = None, format: _Text = None,  # noqa: A002 -- its public name
    ) -> Response[StitchingReport]:  # fmt: skip
        """Count calls that several observers saw, and those whose owner came from a trace."""
        del since, until, period, tz, show, limit, format
        return table(request, answers.stitching(read_pairs(request)))

    @get("/tail", opt=needs(Scope.CALLS), sync_to_thread=True)
    def tail(
        request: _Asked, after: _Text = None, since: _Text = None, until: _Text = None,
        tz: _Text = None, where: _Texts = None, limit: _Text = None,
    ) -> Response[dict[str, Any]]:  # fmt: skip
        """Return the calls booked after an entry id, oldest first; without it, the newest id."""
        del after, since, until, tz, where, limit
        return Response(answers.tail(read_pairs(request)), headers=_NO_STORE)

    @get("/calls/{call_id:str}/explain", opt=needs(Scope.CALLS), sync_to_thread=True)
    def explain(call_id: FromPath[str]) -> Response[Explanation]:
        """Explain one call: identity, usage, price, arithmetic and entries."""
        return Response(answers.explain(call_id), headers=_NO_STORE)

    handlers = [spend, rollup, calls, batches, stitching, tail, explain]
    return Router("/api/v1", route_handlers=handlers, tags=["reports"], opt=needs(Scope.SPEND))


def _operations(operations: Operations) -> Router:
    @get("/status", opt=needs(Scope.LEDGER), sync_to_thread=True)
    def status() -> Response[dict[str, Any]]:
        """Return watermark, lag, spool writers, incidents and versions."""
        return Response(operations.status(), headers=_NO_STORE)

    @post("/ingest", status_code=HTTPStatus.OK, sync_to_thread=True)
    def ingest(
        request: _Asked, until: _Text = None, writers: _Text = None
    ) -> Response[dict[str, Any]]:
        """Read the spool up to now, then answer; with how many calls some writers' frames made."""
        del until, writers
        return Response(operations.ingest(read_pairs(request)), headers=_NO_STORE)

    @post("/verify", status_code=HTTPStatus.OK, sync_to_thread=True)
    def verify() -> Response[dict[str, Any]]:
        """Recompute every hash, sum and price and return what differs."""
        return Response(operations.verify(), headers=_NO_STORE)

    @post("/rerate", status_code=HTTPStatus.OK, sync_to_thread=True)
    def rerate(
        request: _Asked, since: _Text = None, until: _Text = None,
        tz: _Text = None, apply: _Text = None, reason: _Text = None, author: _Text = None,
    ) -> Response[dict[str, Any]]:  # fmt: skip
        """Preview, or with ``apply=true`` and a reason book, what today's price cards change."""
        del since, until, tz, apply, reason, author
        return Response(operations.rerate(read_pairs(request)), headers=_NO_STORE)

    @post("/skip-corrupt", status_code=HTTPStatus.OK, sync_to_thread=True)
    def skip_corrupt(request: _Asked, writer: _Text = None) -> Response[dict[str, Any]]:
        """Give up the damaged part of a spool writer's files and read on behind it."""
        del writer
        return Response(operations.skip_corrupt(read_pairs(request)), headers=_NO_STORE)

    return Router(
        "/api/v1", route_handlers=[status, ingest, verify, rerate, skip_corrupt], tags=["ledger"],
        opt=needs(Scope.LEDGER, Permit(Scope.LEDGER, Access.WRITE)),
    )  # fmt: skip
