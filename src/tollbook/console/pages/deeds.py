"""Forms of pages: each is a request for an operation, as the API and the commands know it."""

from __future__ import annotations

from base64 import b64encode
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlencode, urlsplit

import msgspec
from litestar import Request, Response, post
from litestar.datastructures import UploadFile
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
from tollbook.reports.errors import QueryError
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
OBJECT_MARK: Final = "{}"
"""Ends the names of fields whose text is JSON or TOML of an object."""
FILE_MARK: Final = "|"
"""Stands between the name of a file's content and the name of the field for the file's name."""


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
        try:
            given = await _given(form)
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
    """Return a form's fields as an operation takes them; empty ones are not given.

    Raises:
        QueryError: text that should be an object and is none.
    """
    given: dict[str, Any] = {}
    for key, value in form.multi_items():
        name, _, names_file = key.partition(FILE_MARK)
        if name in (FIELD, THEN, SHOW):
            continue
        if isinstance(value, UploadFile):
            content = await value.read()
            if content and names_file:
                given[names_file] = value.filename
            value = uploaded(name, content)  # noqa: PLW2901 -- what it is
        if not value:
            continue
        if name.endswith(LIST_MARK):
            listed = given.setdefault(name.removesuffix(LIST_MARK), [])
            listed += [one.strip() for one in value.replace("\n", ",").split(",") if one.strip()]
        elif name.endswith(OBJECT_MARK):
            name = name.removesuffix(OBJECT_MARK)
            given[name] = object_of(name, value)
        else:
            given[name] = value
    return given


def uploaded(name: str, content: bytes) -> str:
    """Return a file's content as text, or in base64 where the field is named so.

    Raises:
        QueryError: it is not text.
    """
    if name.endswith("_base64"):
        return b64encode(content).decode()
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise QueryError(name, "the file is not text in UTF-8") from error


def object_of(name: str, text: str) -> dict[str, Any]:
    """Return an object that is written as JSON, or as TOML.

    Raises:
        QueryError: it is neither.
    """
    is_json = text.lstrip().startswith("{")
    try:
        found = msgspec.json.decode(text) if is_json else msgspec.toml.decode(text)
    except (msgspec.DecodeError, RecursionError) as error:
        raise QueryError(name, f"is no {'JSON' if is_json else 'TOML'}: {error}") from error
    return msgspec.convert(msgspec.to_builtins(found), dict[str, Any])


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
    others = []
    for name, value in answer.items():
        label = name.replace("_", " ")
        if isinstance(value, list) and (name == "rows" or (value and isinstance(value[0], dict))):
            title = None if name == "rows" else label.capitalize()
            sections.append(_answer_table(name, title, value))
        elif isinstance(value, dict):
            others += [{"name": f"{label}: {key}", "value": one} for key, one in value.items()]
        else:
            others.append({"name": label, "value": value})
    if others:
        pair = (Column("name", "What"), Column("value", "Value", "code"))
        sections.append(Table(name="answer", columns=pair, rows=others))
    return View(
        title="Done", subtitle=what, sections=tuple(sections), trail=(Choice("Back", back),)
    )


def _answer_table(name: str, title: str | None, rows: list[dict[str, Any]]) -> Table:
    columns = tuple(
        Column(each, each.replace("_", " "), "usd" if is_number_column(each) else "text")
        for each in column_names(rows, ())
    )
    return Table(name=name, title=title, columns=columns, rows=rows, empty="No rows.")
