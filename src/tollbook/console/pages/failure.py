"""What a person sees in the place of a page that cannot be shown, and what to do about it."""

from __future__ import annotations

from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Final

from litestar import Response

from tollbook.console.pages.page import pages
from tollbook.console.pages.render import Frame, html
from tollbook.console.pages.view import Choice, Notice, Section, Text, View
from tollbook.desk.permits import Principal

if TYPE_CHECKING:
    from collections.abc import Mapping

    from litestar import Request

_DEFECT: Final = 500
_WORDS: Final = {
    400: ("This cannot be asked", "Something in the address of the page is not understood."),
    401: ("Please sign in", "The page is for people who have signed in."),
    403: ("This is not for you", "Your role does not include it; an owner can change that."),
    404: ("There is no such page", "The address may be misspelt, or it is not in the ledger yet."),
    409: ("That is not possible now", "Something stands against it; the line above says what."),
    413: ("That is too large", "What is sent to this console is limited; commands are not."),
    414: ("The address is too long", "Take away some of its filters."),
    503: ("Not just now", "Somebody else's work comes first; try again in a minute."),
    504: ("This took too long", "A shorter range, or one filter more, makes it faster."),
    _DEFECT: (
        "Something went wrong",
        "The ledger's log has the details; no number was changed. Does tollbook doctor know more?",
    ),
}
"""Title and advice by status of HTTP."""


def failure_view(status: int, detail: str, path: str, query: str) -> View:
    """Return the page of a status of HTTP."""
    title, advice = _WORDS.get(status, _WORDS[_DEFECT])
    sections: list[Section] = [
        Notice(text=detail, tone="bad" if status >= HTTPStatus.INTERNAL_SERVER_ERROR else "warn"),
        Text(text=advice),
    ]
    actions = [Choice("Overview", "/")]
    if status == HTTPStatus.UNAUTHORIZED:
        actions.insert(0, Choice("Sign in", "/login"))
    elif query:
        actions.insert(0, Choice("The page without its settings", path))
    return View(title=title, sections=tuple(sections), actions=tuple(actions))


def failure_page(
    request: Request[Any, Any, Any], status: int, detail: str,
    headers: Mapping[str, str] | None = None,
) -> Response[str]:  # fmt: skip
    """Return the page in the place of another."""
    from tollbook.console.pages.router import HEADERS  # noqa: PLC0415 -- they know each other

    found = request.scope.get("user")
    principal = found if isinstance(found, Principal) else None
    path = request.scope["path"]
    frame = Frame(pages(), principal, path, request.url.query)
    view = failure_view(status, detail, path if path in pages() else "/", request.url.query)
    return Response(
        html(view, frame), status_code=status, media_type="text/html",
        headers={**(headers or {}), **HEADERS},
    )  # fmt: skip
