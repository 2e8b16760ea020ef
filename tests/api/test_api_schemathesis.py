"""Every documented route, asked by a machine: no server errors, and answers as the document says.

Each route gets a handful of questions; ``TOLLBOOK_API_EXAMPLES`` asks for more.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any, Final

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
)
from tests.portal.conftest import OWNER, B
from tests.portal.test_portal_leaks import check

if TYPE_CHECKING:
    from tests.portal.conftest import Ledger

EXAMPLES: Final = int(os.environ.get("TOLLBOOK_API_EXAMPLES", "2"))
CHECKS: Final = [
    schemathesis.checks.not_a_server_error, status_code_conformance, content_type_conformance,
    response_schema_conformance, response_headers_conformance,
]  # fmt: skip
OUTSIDE: Final = ("/fetch", "/push", "/channels/test")
"""Deeds that ask other companies' servers."""
pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def schema(ledger: Ledger) -> Any:
    document = ledger.get("/api/v1/openapi.json", OWNER).json()
    return schemathesis.openapi.from_dict(document)


def _ask(ledger: Ledger, case: Any, token: str) -> Any:
    """Send a case to the application, without a socket."""
    return ledger.client.request(
        case.method, case.formatted_path, params=_flat(case.query or {}),
        headers={**{name: value for name, value in (case.headers or {}).items()
                    if value.isascii()}, "authorization": f"Bearer {token}"},
        follow_redirects=False, **_body(case),
    )  # fmt: skip


def _flat(query: dict[str, Any]) -> Any:
    return [
        (name, str(one))
        for name, value in query.items()
        for one in (value if isinstance(value, list) else [value])
        if one is not None
    ]


def _body(case: Any) -> dict[str, Any]:
    is_given = case.method != "GET" and not isinstance(case.body, schemathesis.core.NotSet)
    if not is_given:
        return {}
    if case.media_type == "application/octet-stream":
        return {"content": _raw(case.body)}
    if case.media_type == "multipart/form-data" and isinstance(case.body, dict):
        files = case.body.get("files") or []
        return {"files": [("files", (f"{at}.json", _raw(one))) for at, one in enumerate(files)]}
    return {"json": case.body}


def _raw(value: Any) -> bytes:
    """Return the bytes of a file that was made up; whatever else was, as text."""
    found = getattr(value, "data", value)
    return found if isinstance(found, bytes) else str(found).encode(errors="replace")


def _problems(case: Any, response: Any) -> list[str]:
    """Return which checks an answer fails."""
    response.request.read()  # of a form with files; it is a stream until then
    wrapped = schemathesis.Response.from_httpx(response, verify=False)
    found = []
    for one in CHECKS:
        try:
            case.validate_response(wrapped, checks=[one])
        except (AssertionError, BaseExceptionGroup, schemathesis.core.failures.Failure) as error:
            found.append(f"{case.method} {response.request.url}: {response.status_code}: {error}")
    return found


def _questions(operation: Any, ask: Any, examples: int = EXAMPLES) -> None:
    @settings(
        max_examples=examples, deadline=None, database=None,
        phases=[Phase.explicit, Phase.generate], suppress_health_check=list(HealthCheck),
        derandomize=True,
    )  # fmt: skip
    @given(case=operation.as_strategy())
    def every(case: Any) -> None:
        ask(case)

    every()


def test_answers_are_as_documented(ledger: Ledger, schema: Any) -> None:
    wrong: list[str] = []
    asked = 0
    for result in schema.get_all_operations():
        operation = result.ok()
        if operation.path.endswith(OUTSIDE):
            continue
        is_portal = operation.path.startswith("/portal/")

        def ask(case: Any, token: str = ledger.token() if is_portal else OWNER) -> None:
            nonlocal asked
            asked += 1
            wrong.extend(_problems(case, _ask(ledger, case, token)))

        _questions(operation, ask)
    assert not wrong, "\n".join(wrong)[:20_000]
    assert asked >= 150


def test_a_tenants_token_gets_nothing_of_another(ledger: Ledger, schema: Any) -> None:
    token = ledger.token()

    def ask(case: Any) -> None:
        response = _ask(ledger, case, token)
        sent = [case.formatted_path, str(case.query), str(case.body), B]
        check(ledger, response.text.replace(B, ""), sent)
        assert response.status_code < 500, response.text
        if case.operation.path.startswith("/api/"):
            assert response.status_code in (401, 404, 405, 413, 414), response.text

    for result in schema.get_all_operations():
        _questions(result.ok(), ask, max(1, EXAMPLES // 2))
