"""The API's reports of where in a request or a run the money went."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from litestar import Request, Response, Router, get
from litestar.params import FromPath, FromQuery

from tollbook.console.answers import Answers  # noqa: TC001 -- in handlers, read at run time
from tollbook.console.negotiate import read_pairs, table
from tollbook.console.permit import needs
from tollbook.desk.permits import Scope
from tollbook.reports.layers import LINE_NAMES, LayersReport
from tollbook.reports.runs import RunReport  # noqa: TC001 -- in handlers, read at run time
from tollbook.reports.runs_list import RunsReport  # noqa: TC001 -- in handlers, read at run time
from tollbook.reports.units import UnitsReport  # noqa: TC001 -- in handlers, read at run time

if TYPE_CHECKING:
    from litestar.types import BeforeRequestHookHandler

_CSV: Final = ".csv"
_Asked = Request[Any, Any, Any]
_Text = FromQuery[str | None]
_Texts = FromQuery[list[str] | None]


def analyses(answers: Answers, tags: BeforeRequestHookHandler | None = None) -> Router:
    """Return the routes of layers, units and runs; ``tags`` runs before what it can tag."""

    @get("/layers", sync_to_thread=True, before_request=tags)
    def layers(
        request: _Asked, since: _Text = None, until: _Text = None,
        period: _Text = None, tz: _Text = None, by: _Text = None,
        where: _Texts = None, order: _Text = None, limit: _Text = None,
        booked_before: _Text = None, billing_period: _Text = None,
        format: _Text = None,  # noqa: A002 -- its public name
    ) -> Response[LayersReport]:  # fmt: skip
        """Return tokens and cost by layer: prompt, tool, context, user, response, unsplit."""
        del since, until, period, tz, by, where, order, limit, booked_before, billing_period, format
        return table(request, answers.layers(read_pairs(request)), measures=LINE_NAMES)

    @get("/per/{unit:str}", sync_to_thread=True, before_request=tags)
    def per(
        request: _Asked, unit: FromPath[str], since: _Text = None, until: _Text = None,
        period: _Text = None, tz: _Text = None, by: _Text = None,
        where: _Texts = None, limit: _Text = None,
        booked_before: _Text = None, billing_period: _Text = None,
        format: _Text = None,  # noqa: A002 -- its public name
    ) -> Response[UnitsReport]:  # fmt: skip
        """Return what one request, run, trace or operation costs, by any dimensions."""
        del since, until, period, tz, by, where, limit, booked_before, billing_period, format
        return table(request, answers.per(unit, read_pairs(request)))

    @get("/runs", opt=needs(Scope.CALLS), sync_to_thread=True)
    def runs(
        request: _Asked, since: _Text = None, until: _Text = None,
        period: _Text = None, tz: _Text = None, where: _Texts = None,
        limit: _Text = None, format: _Text = None,  # noqa: A002 -- its public name
    ) -> Response[RunsReport]:  # fmt: skip
        """List the runs of agents, the dearest first."""
        del since, until, period, tz, where, limit, format
        return table(request, answers.runs(read_pairs(request)))

    # An id of the caller's own may hold anything, a slash too, so it is the rest of the path.
    @get("/runs/{run_id:path}", opt=needs(Scope.CALLS), sync_to_thread=True)
    def run(
        request: _Asked, run_id: FromPath[str], limit: _Text = None,
        format: _Text = None,  # noqa: A002 -- its public name
    ) -> Response[RunReport]:  # fmt: skip
        """Return the tree of a run, by its id, its trace id or its request's; ``.csv`` as CSV."""
        del limit, format
        wanted = run_id.removeprefix("/")
        report = answers.run(wanted.removesuffix(_CSV), read_pairs(request))
        return table(request, report, is_csv=wanted.endswith(_CSV))

    return Router(
        "/api/v1", route_handlers=[layers, per, runs, run], tags=["reports"],
        opt=needs(Scope.SPEND),
    )  # fmt: skip
