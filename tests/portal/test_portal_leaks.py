"""Nothing that a tenant's token or account can ask for shows anything of another tenant."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from litestar.routes import HTTPRoute
from tests.portal.conftest import B_TOKENS, MARK, A, B, Ledger

from tollbook.console.sessions import SESSION
from tollbook.desk.permits import Role
from tollbook.people.accounts import add_account
from tollbook.people.sessions import begin_session

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from tollbook.desk import Desk

METHODS: Final = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")
NAMES: Final = (
    B, "zqx-user", "zqx-feature", "zqx-team", "zqx-model", "zqx-environment", "zqx-run-0",
    "zqx-plan", "zqx-budget", "zqx-key", "zqx portal",
)  # fmt: skip
"""Every name of the second tenant."""
AMOUNTS: Final = (
    B_TOKENS, 3 * B_TOKENS, B_TOKENS + 10, 3 * (B_TOKENS + 10),
    # of all together
    3 * (B_TOKENS + 3_000), 9_000 + 3 * B_TOKENS,
)  # fmt: skip
COSTS: Final = ("53.58", "160.74", "64.29", "192.89", "53,58", "160,74", "64,29", "192,89")
"""What a call and all calls of the second cost and are billed, and of both together: 7,654,331
tokens at 7 dollars a million, and a fifth more."""
PORTAL: Final = (
    "/portal/", "/portal/api/usage", "/portal/api/billed", "/portal/api/budgets",
    "/portal/api/statements", "/portal/api/statement", "/portal/api/projection",
)  # fmt: skip


def paths(ledger: Ledger) -> list[str]:
    """Return the path of every route, with the other tenant's names in the place of variables."""
    found: list[str] = []
    for route in ledger.app.routes:
        if not isinstance(route, HTTPRoute):
            continue
        if not re.search(r"\{", route.path):
            found.append(route.path)
            continue
        values = (ledger.call_ids[B][0], "zqx-run-0", "request", "portal.token")
        found += [re.sub(r"/?\{[^}]*\}", f"/{value}", route.path) for value in values]
    return sorted({path.replace("//", "/") for path in found})


def shown(response: Any) -> str:
    """Return all that a response says."""
    headers = "\n".join(f"{name}: {value}" for name, value in response.headers.items())
    return f"{headers}\n{response.text}"


def check(ledger: Ledger, text: str, sent: Iterable[str] = ()) -> None:
    """Fail if a response says anything of the other tenant that the request did not say itself."""
    asked = " ".join(sent)
    low = text.lower()
    for name in NAMES:
        if MARK in asked.lower() and name.lower() in asked.lower():
            low = low.replace(name.lower(), "")
    if MARK not in asked.lower():
        assert MARK not in low
    for name in NAMES:
        assert name.lower() not in low or name.lower() in asked.lower(), name
    for call_id in ledger.call_ids[B]:
        assert call_id not in text or call_id in asked
    digits = re.sub(r"(?<=\d)[.,'\u2019\u202f\u00a0 ](?=\d{3})", "", text)
    for amount in AMOUNTS:
        assert str(amount) not in digits or str(amount) in asked, amount
    for cost in COSTS:
        assert cost not in text or cost in asked, cost


def account_cookie(desk: Desk, ledger: Ledger) -> str:
    """Sign a tenant's account in and return its cookie."""
    from tollbook.people.sessions import Lives  # noqa: PLC0415 -- here alone

    account = add_account(
        desk.books, name="person@aurora.example", role=Role.TENANT, tenant_id=A,
        password="correct horse battery staple",
    )  # fmt: skip
    session = begin_session(
        desk.books, account.account_id, method="password", address="", agent="",
        lives=Lives(3600 * 10**9, 7200 * 10**9),
    )  # fmt: skip
    del ledger
    return f"{SESSION}={session}"


@pytest.fixture(scope="module")
def ways(ledger: Ledger) -> Mapping[str, Callable[[str], tuple[str, dict[str, str]]]]:
    """Return the ways in which one tenant can come: path to path and headers."""
    token = ledger.token(lifetime_s=86_400)
    cookie = account_cookie(ledger.desk, ledger)

    def in_url(path: str) -> tuple[str, dict[str, str]]:
        return f"{path}{'&' if '?' in path else '?'}token={token}", {}

    return {
        "header": lambda path: (path, {"authorization": f"Bearer {token}"}),
        "url": in_url,
        "account": lambda path: (path, {"cookie": cookie}),
        "account and token": lambda path: (in_url(path)[0], {"cookie": cookie}),
    }


WAYS: Final = ("header", "url", "account", "account and token")


@pytest.mark.parametrize("way", WAYS)
def test_the_tenant_itself_sees_its_own(ledger: Ledger, ways: Any, way: str) -> None:
    path, headers = ways[way]("/portal/api/usage?by=user")
    answer = ledger.client.get(path, headers=headers)
    assert answer.status_code == 200, answer.text
    assert {row["user"] for row in answer.json()["rows"]} == {"plain-user", "other-user"}
    assert answer.json()["totals"]["input_tokens"] == 9_000


def test_the_check_finds_the_other_tenant_where_it_is(ledger: Ledger) -> None:
    """Against a check that could not fail."""
    for path in ("/portal/api/usage", "/portal/api/usage?by=user", "/portal/"):
        with pytest.raises(AssertionError):
            check(ledger, shown(ledger.get(path, ledger.token(B))))


@pytest.mark.slow
@pytest.mark.parametrize("way", WAYS)
def test_no_route_shows_the_other_tenant(ledger: Ledger, ways: Any, way: str) -> None:
    tried = 0
    for plain in paths(ledger):
        path, headers = ways[way](plain)
        for method in METHODS:
            body = {"tenant": B} if method in ("POST", "PUT", "PATCH") else None
            answer = ledger.client.request(
                method, path, headers=headers, follow_redirects=False, json=body
            )
            check(ledger, shown(answer), [plain, str(body)])
            assert answer.status_code < 500, (method, plain, answer.text[:300])
            tried += 1
    assert tried > 500


@pytest.mark.parametrize("way", WAYS)
def test_only_the_portal_opens_to_a_tenant(ledger: Ledger, ways: Any, way: str) -> None:
    opened = set()
    for plain in paths(ledger):
        path, headers = ways[way](plain)
        answer = ledger.client.get(path, headers=headers, follow_redirects=False)
        if answer.status_code == 200:
            opened.add(plain)
    anybody = {
        path for path in paths(ledger)
        if ledger.client.get(path, follow_redirects=False).status_code == 200
    }  # fmt: skip
    own = {"/account", "/account.json", "/account.csv", "/api/v1/account", "/portal"}
    assert {path for path in opened - anybody if not path.startswith("/portal/api/")} <= own


NAMES_OF_PARAMETERS: Final = (
    "since", "until", "period", "tz", "by", "where", "order", "limit", "billing_period", "format",
    "tenant", "tenant_id", "sub", "owner", "token", "measures", "id",
)  # fmt: skip
VALUES: Final = st.one_of(
    st.sampled_from(
        [
            f"tenant={B}", f"tenant!={A}", f"tenant={A},{B}", "tenant=", "tenant", B, A, "unknown",
            "user=zqx-user", "feature=zqx-feature", "feature=plain-feature", "model=zqx-model",
            "month", "all", "2020-01-01", "90d", "2026-11", "day,user", "tenant,user", "trace",
            "cost_usd", "-calls", "csv", "pdf", "json", "1", "1000", "UTC", "tag:plan=zqx-plan",
            f"user=plain-user,tenant={B}", f"feature=\\,tenant={B}", "kind=adjustment", "api_key",
        ]
    ),
    st.text(st.characters(codec="utf-8"), max_size=20),
)  # fmt: skip
HEADERS: Final = st.dictionaries(
    st.sampled_from(
        ["x-tenant", "x-tollbook-tenant", "x-forwarded-user", "tollbook-tenant", "accept",
         "x-original-url", "x-http-method-override", "origin", "if-none-match"]
    ),
    st.sampled_from([B, A, "text/csv", "text/html", "*/*", "PUT", "/api/v1/spend", "*"]),
    max_size=3,
)  # fmt: skip


@settings(
    max_examples=120,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
)
@given(data=st.data())
def test_no_question_shows_the_other_tenant(ledger: Ledger, ways: Any, data: st.DataObject) -> None:
    plain = data.draw(st.sampled_from((*PORTAL, *PORTAL, *paths(ledger))))
    pairs = data.draw(st.lists(st.tuples(st.sampled_from(NAMES_OF_PARAMETERS), VALUES), max_size=5))
    more = data.draw(HEADERS)
    path, headers = ways[data.draw(st.sampled_from(WAYS))](plain)
    method = data.draw(st.sampled_from(("GET", "GET", "GET", "POST")))
    answer = ledger.client.request(
        method, path, params=_joined(path, pairs), headers=headers | more, follow_redirects=False
    )
    check(ledger, shown(answer), [plain, str(pairs), str(more)])
    assert answer.status_code < 500, answer.text[:500]


def _joined(path: str, pairs: list[tuple[str, str]]) -> Any:
    """Return all pairs: what is given as ``params`` takes the place of those in the path."""
    _, _, query = path.partition("?")
    own = [tuple(one.split("=", 1)) for one in query.split("&") if one]
    return [*own, *pairs]


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    where=st.lists(
        st.sampled_from(
            ["feature=plain-feature", "feature!=plain-feature", "user=other-user", "user!=x",
             "model!=plain-model", "team=", "environment!=", "operation=chat"]
        ),
        max_size=4,
    ),
    by=st.lists(st.sampled_from(["feature", "user", "model", "day", "team"]), unique=True,
                max_size=3),
)  # fmt: skip
def test_whatever_is_filtered_sums_are_within_the_tenants_own(
    ledger: Ledger, where: list[str], by: list[str]
) -> None:
    token = ledger.token()
    pairs = [("by", ",".join(by)), *(("where", one) for one in where)]
    answer = ledger.get("/portal/api/usage", token, params=pairs)
    assert answer.status_code == 200, answer.text
    totals = answer.json()["totals"]
    assert totals["calls"] <= 6
    assert (totals["input_tokens"] or 0) <= 9_000


@pytest.mark.parametrize("tenant", ["unknown", "", " ", "a\nb", "x" * 200, '{"a":1}'])
def test_no_token_is_made_for_what_is_no_tenant(ledger: Ledger, tenant: str) -> None:
    answer = ledger.client.post(
        "/api/v1/portal/tokens",
        json={"tenant": tenant},
        headers={"authorization": "Bearer owner-token-of-this-test"},
    )
    assert answer.status_code == 400, answer.text


def test_two_tokens_in_one_request_open_nothing(ledger: Ledger) -> None:
    mine, other = ledger.token(), ledger.token(B)
    for path in (f"/portal/api/usage?token={mine}&token={other}", f"/portal/?token={mine}"):
        answer = ledger.get(path, other)
        assert answer.status_code == 401, path
        check(ledger, shown(answer), [path])
