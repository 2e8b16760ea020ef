"""Links that work once: to make the first owner, and to choose a password."""

from __future__ import annotations

from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Final

from anyio.to_thread import run_sync
from litestar import Request, Response, get, post

from tollbook.console.origin import client_address, is_loopback
from tollbook.console.watch import NOBODY
from tollbook.desk.permits import Role
from tollbook.people.accounts import PREFIX, Account, add_account, set_password
from tollbook.people.errors import PeopleError, SignInError
from tollbook.people.links import account_of_link, use_link
from tollbook.people.passwords import check_password

if TYPE_CHECKING:
    from litestar.handlers import HTTPRouteHandler

    from tollbook.books.store import Books
    from tollbook.console.login import LoginPages

_Asked = Request[Any, Any, Any]
_SETUP: Final = "setup-link"


def link_handlers(pages: LoginPages) -> list[HTTPRouteHandler]:
    """Return the routes at ``/login/link``."""

    @get("/link", sync_to_thread=True, name="login_link")
    def show(request: _Asked) -> Response[Any]:
        """Show what a link is for."""
        secret = request.query_params.get("token", "")
        try:
            account = _account_behind(pages.doors.books, secret, client_address(request.scope))
        except PeopleError as error:
            return pages.page(request, "dead", problem=error.message, status=HTTPStatus.GONE)
        name = None if account is None else account.name
        return pages.page(request, "link", token=secret, account=name, name="")

    @post("/link", status_code=HTTPStatus.OK, name="login_link_use")
    async def use(request: _Asked) -> Response[Any]:
        """Make the first owner, or set a password; then sign in."""
        return await _used(pages, request)

    return [show, use]


async def _used(pages: LoginPages, request: _Asked) -> Response[Any]:
    fields, books = await pages.form(request), pages.doors.books
    address, secret = client_address(request.scope), fields.get("token", "")
    name, password = fields.get("name", ""), fields.get("password", "")

    def carry_out() -> Account:
        pages.doors.throttle.attempt("a link", address)
        account = _account_behind(books, secret, address)
        if account is None:
            return _first_owner(books, secret, name, password)
        return _with_password(books, secret, account, password)

    try:
        account = await run_sync(carry_out)
    except SignInError as error:
        pages.note(request, NOBODY, "sign-in", "failed", "link")
        return pages.page(request, "dead", problem=error.message, status=HTTPStatus.GONE)
    except PeopleError as error:
        bound = await run_sync(_account_behind, books, secret, address)
        return pages.refused(
            request, "link", error, token=secret, name=name[:64],
            account=None if bound is None else bound.name,
        )  # fmt: skip
    return await pages.let_in(request, account, "link", "/")


def _account_behind(books: Books, secret: str, address: str) -> Account | None:
    """Return whose password a link sets, None for the first owner.

    Raises:
        SignInError: it opens nothing, or not from there.
    """
    account = account_of_link(books, secret)
    if account is None and not is_loopback(address):
        raise SignInError(
            "the first owner is made on the machine itself: open the link there, or use "
            "tollbook people add"
        )
    if account is not None and account.disabled_at_ns is not None:
        raise SignInError("this account is disabled; ask an owner")
    return account


def _first_owner(books: Books, secret: str, name: str, password: str) -> Account:
    made = add_account(
        books, name=name, role=Role.OWNER, password=password, actor=_SETUP, is_first=True
    )
    use_link(books, secret)
    return made


def _with_password(books: Books, secret: str, account: Account, password: str) -> Account:
    check_password(password, account.name)  # first, so that a short one does not cost the link
    use_link(books, secret)
    return set_password(books, account.name, password, actor=f"{PREFIX}{account.name}")
