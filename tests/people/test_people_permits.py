"""Every route and every role: allowed if and only if the role's permits say so."""

from __future__ import annotations

from itertools import count
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, NamedTuple

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from litestar.exceptions import PermissionDeniedException
from tests.people.people_kit import TENANT, People, form_of

from tollbook.console.gate import _OPEN_PATHS, _OPEN_PREFIXES
from tollbook.console.pages.page import pages
from tollbook.console.permit import _PERMIT, check_permit
from tollbook.desk.permits import (
    PERMITS,
    Access,
    Permit,
    Principal,
    Role,
    Scope,
    principal_of,
)
from tollbook.desk.registry import operations

if TYPE_CHECKING:
    from collections.abc import Iterator

    import httpx

STAFF = (Role.OWNER, Role.FINANCE, Role.ENGINEER, Role.VIEWER)
DENIED = 403
_CHEAP = ("/api/v1/people", "/api/v1/keys", "/api/v1/audit-log", "/api/v1/status", "/api/v1/spend")
"""Routes that answer in no time."""
_OWN = ("/do/",)
"""Their permit is that of the operation in their path."""


class Route(NamedTuple):
    """One route that a request can be sent to."""

    method: str
    path: str
    permit: Permit | None
    """None: open, or with a check of its own."""
    names_one: bool
    """Whether it names a permit, or says that it is open."""
    handler: Any


def routes(house: People) -> list[Route]:
    """Return all routes of the application."""
    found = []
    for route in house.app.routes:
        for handler in getattr(route, "route_handlers", ()):
            for method in getattr(handler, "http_methods", ()):
                if method not in ("GET", "POST", "PUT", "PATCH", "DELETE"):
                    continue
                path = route.path_format.replace("{", "").replace("}", "")
                names_one = _PERMIT in handler.opt
                found.append(Route(method, path, handler.opt.get(_PERMIT), names_one, handler))
    assert len(found) > 60
    return found


def is_open(path: str) -> bool:
    return path in _OPEN_PATHS or path.startswith(_OPEN_PREFIXES)


def ask(client: httpx.Client, route: Route, house: People, **more: Any) -> httpx.Response:
    headers = {"origin": house.url, "accept": "application/json"}
    return client.request(route.method, route.path, headers=headers, **more)


def test_every_route_names_a_permit_or_is_open(house: People) -> None:
    for route in routes(house):
        if route.path.startswith(("/api/v1/docs", "/schema")):
            continue  # the framework's own; closed, as the next tests see
        assert route.names_one, f"{route.method} {route.path} names no permit"
        if route.permit is None:
            assert is_open(route.path) or route.path.startswith(_OWN), route


def test_strangers_get_nowhere_but_to_the_open_paths(house: People) -> None:
    with house.client() as nobody:
        for route in routes(house):
            if is_open(route.path):
                continue
            answer = ask(nobody, route, house)
            assert answer.status_code == 401, f"{route.method} {route.path}: {answer.status_code}"
            page = nobody.request(route.method, route.path, headers={"accept": "text/html"})
            is_sent = page.status_code == 303 and page.headers["location"].startswith("/login?")
            assert is_sent or page.status_code == 401, route


@pytest.mark.parametrize("role", STAFF)
def test_a_role_is_denied_what_it_does_not_hold_and_nothing_else(house: People, role: Role) -> None:
    held = PERMITS[role]
    principal = principal_of("user:x", role, session="x")
    with house.signed_in(role) as browser:
        for route in routes(house):
            if is_open(route.path) or route.path.startswith(_OWN):
                continue
            allowed = route.names_one and route.permit in held
            assert is_let_through(principal, route) == allowed, f"{role} {route}"
            if not allowed:
                status = ask(browser, route, house).status_code
                assert status == DENIED, f"{role} {route.method} {route.path}: {status}"


def is_let_through(principal: Principal, route: Route) -> bool:
    """Whether the guard of the application lets somebody through to a route."""
    connection: Any = SimpleNamespace(scope={"user": principal})
    try:
        check_permit(connection, route.handler)
    except PermissionDeniedException:
        return False
    return True


@pytest.mark.parametrize("role", STAFF)
def test_a_deed_needs_the_permit_to_write(house: People, role: Role) -> None:
    held = PERMITS[role]
    # Nothing is done: each request has a field that no operation takes.
    wrong = {"no_such_field": "x"}
    with house.signed_in(role) as browser:
        page = form_of(browser, "/account")
        token = {"csrf_token": page["csrf_token"]}
        for one in operations().values():
            if one.method != "POST":
                continue
            allowed = one.needs in held
            status = browser.post(
                f"/api/v1{one.path}", json=wrong, headers={"origin": house.url}
            ).status_code
            assert status == (400 if allowed else DENIED), f"{role} {one.name}: {status}"
            form = browser.post(f"/do/{one.name}", data=token | wrong).status_code
            assert form == (422 if allowed else DENIED), f"{role} form of {one.name}: {form}"


@pytest.fixture(scope="module")
def tenants(house: People) -> Iterator[list[httpx.Client]]:
    """Everybody who sees one tenant only: an account, and a token."""
    browser = house.signed_in(Role.TENANT)
    program = house.with_token(tenant=TENANT, label="of-a-tenant")
    yield [browser, program]
    browser.close()
    program.close()


def test_tenants_get_nowhere_but_to_their_portal(
    house: People, tenants: list[httpx.Client]
) -> None:
    for client in tenants:
        for route in routes(house):
            if is_open(route.path) or (route.permit and route.permit.scope is Scope.PORTAL):
                continue
            status = ask(client, route, house).status_code
            assert status in (DENIED, 413), f"{route.method} {route.path}: {status}"
        for name in operations():
            assert client.post(f"/do/{name}", headers={"origin": house.url}).status_code == DENIED


def test_a_tenant_who_signs_in_lands_in_the_portal(house: People) -> None:
    with house.signed_in(Role.TENANT) as browser:
        assert browser.get("/login").headers["location"].startswith("/portal")


def test_only_tenants_hold_the_permit_of_the_portal() -> None:
    for role in Role:
        assert (Permit(Scope.PORTAL) in PERMITS[role]) == (role is Role.TENANT)
    assert PERMITS[Role.TENANT] == {Permit(Scope.PORTAL)}
    assert all(page.permit != Permit(Scope.PORTAL) for page in pages().values())


_labels = count()
_PERMITS = st.sets(
    st.builds(
        Permit, st.sampled_from([one for one in Scope if one is not Scope.PORTAL]),
        st.sampled_from(Access),
    ),
    min_size=1, max_size=4,
)  # fmt: skip


@settings(max_examples=15, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(permits=_PERMITS, data=st.data())
def test_a_token_may_what_it_was_made_for(
    house: People, permits: set[Permit], data: st.DataObject
) -> None:
    chosen = [one for one in routes(house) if one.method == "GET" and one.permit is not None]
    label = f"token-{next(_labels)}"
    with house.with_token(*(str(one) for one in permits), label=label) as program:
        for route in data.draw(st.lists(st.sampled_from(chosen), min_size=4, max_size=8)):
            assert route.permit is not None
            allowed = route.permit in permits or Permit(route.permit.scope, Access.WRITE) in permits
            if not allowed or route.path in _CHEAP:
                status = ask(program, route, house).status_code
                assert (status != DENIED) == allowed, f"{permits} {route}: {status}"
