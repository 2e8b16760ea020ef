"""Forms of pages: each is a request for an operation, as the API and the commands know it."""

from __future__ import annotations

from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlencode, urlsplit

from litestar import Request, Response, post
from litestar.exceptions import PermissionDeniedException
from litestar.params import FromPath  # noqa: TC002 -- read when handlers are made
from litestar.response import Redirect

from tollbook.console.finance import carry_out
from tollbook.console.pages.csrf import FIELD, is_genuine, token_for
from tollbook.console.pages.render import Frame, html
from tollbook.console.pages.view import Choice, Column, Notice, Section, Table, View
from tollbook.console.permit import OPEN, principal_of_request
from tollbook.desk import BODY_MAX_BYTES
from tollbook.errors import TollbookError
from tollbook.reports.tabular import column_names, is_number_column

if TYPE_CHECKING:
    from collections.abc import Mapping

    from litestar.datastructures import FormMultiDict
    from litestar.handlers import HTTPRouteHandler

    from tollbook.console.pages.context import House
    from tollbook.console.pages.page import Page

_Asked = Request[Any, Any, Any]
THEN: Final = "return_to"
SHOW: Final = "show_answer"
LIST_MARK: Final = "[]"
"""Ends the names of fields whose text is a list."""


def deed_handler(house: House, found: Mapping[str, Page], csrf_secret: bytes) -> HTTPRouteHandler:
    """Return the route that forms are sent to: ``/do/OPERATION``."""
    from tollbook.console.pages.router import HEADERS  # noqa: PLC0415 -- they know each other

    # What is needed differs by operation, and is checked below.
    @post("/do/{operation:str}", opt=OPEN | {"signed_in": True}, status_code=HTTPStatus.OK,
          request_max_body_size=BODY_MAX_BYTES)  # fmt: skip
    async def do(request: _Asked, operation: FromPath[str]) -> Response[Any]:
        principal = principal_of_request(request)
        form = await request.form()
        one = house.operations.get(operation)
        if one is None or one.method != "POST":
            raise PermissionDeniedException(f"there is no deed {operation[:64]!r}")
        if not principal.may(one.needs):
            raise PermissionDeniedException(f"this needs the permit {one.needs}")
        if not is_genuine(csrf_secret, principal, str(form.get(FIELD, ""))):
            raise PermissionDeniedException(
                "the form was not made for this session; load the page again and repeat it"
            )
        back = own_path(str(form.get(THEN, "/")))
        frame = Frame(found, principal, urlsplit(back).path, urlsplit(back).query,
                      token_for(csrf_secret, principal))  # fmt: skip
        desk = house.desk if one.writes else house.desk._replace(writer=None)
        given = await _given(form)
        try:
            answer = await _in_thread(carry_out, one, desk._replace(author=principal.name), given)
        except TollbookError as error:
            view = refused(error.message, one.summary, back)
            return Response(
                html(view, frame), media_type="text/html", headers=HEADERS,
                status_code=HTTPStatus.UNPROCESSABLE_ENTITY,
            )  # fmt: skip
        if form.get(SHOW):
            view = answer_view(one.summary, answer, back)
            return Response(html(view, frame), media_type="text/html", headers=HEADERS)
        return Redirect(with_done(back, one.summary), status_code=303)

    return do


async def _in_thread(function: Any, *arguments: Any) -> Any:
    from anyio.to_thread import run_sync  # noqa: PLC0415 -- a dependency of Litestar

    return await run_sync(function, *arguments)


async def _given(form: FormMultiDict) -> dict[str, Any]:
    """Return a form's fields as an operation takes them; empty ones are not given."""
    given: dict[str, Any] = {}
    for name, value in form.multi_items():
        if name in (FIELD, THEN, SHOW):
            continue
        if hasattr(value, "read"):
            value = (await value.read()).decode("utf-8-sig", "surrogateescape")  # noqa: PLW2901 -- what it is
        if not value:
            continue
        if name.endswith(LIST_MARK):
            listed = given.setdefault(name.removesuffix(LIST_MARK), [])
            listed += [one.strip() for one in value.replace("\n", ",").split(",") if one.strip()]
        else:
            given[name] = value
    return given


def own_path(target: str) -> str:
    """Return a path of this console; anything else is its first page (no open redirect)."""
    parts = urlsplit(target)
    is_own = not parts.scheme and not parts.netloc and target.startswith("/")
    is_plain = target.isprintable() and not target.startswith(("//", "/\\")) and "\\" not in target
    return target if is_own and is_plain else "/"


def with_done(path: str, what: str) -> str:
    """Return a path that says what has been done."""
    parts = urlsplit(path)
    joined = "&".join(filter(None, [parts.query, urlencode({"done": what})]))
    return f"{parts.path}?{joined}"


def refused(message: str, what: str, back: str) -> View:
    """Return the page of a deed that was refused."""
    return View(
        title="That was not done", subtitle=what, trail=(Choice("Back", back),),
        sections=(Notice(text=message, tone="bad", url=back, action="Back to the form"),),
    )  # fmt: skip


def answer_view(what: str, answer: Mapping[str, Any], back: str) -> View:
    """Return the page of what an operation answered: its rows, and whatever else it said."""
    sections: list[Section] = [Notice(text=f"Done: {what}", tone="good", url=back, action="Back")]
    rows = answer.get("rows")
    if isinstance(rows, list):
        names = column_names(rows, ())
        columns = tuple(
            Column(name, name.replace("_", " "), "usd" if is_number_column(name) else "text")
            for name in names
        )
        sections.append(Table(name="rows", columns=columns, rows=rows, empty="No rows."))
    others = [
        {"name": name.replace("_", " "), "value": value}
        for name, value in answer.items()
        if name != "rows" and not isinstance(value, dict)
    ]
    if others:
        pair = (Column("name", "What"), Column("value", "Value", "code"))
        sections.append(Table(name="answer", columns=pair, rows=others))
    return View(
        title="Done", subtitle=what, sections=tuple(sections), trail=(Choice("Back", back),)
    )
