"""Pages of lists: every row once, in order, and the totals of all of them."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import pytest
from tests.portal.conftest import OWNER

if TYPE_CHECKING:
    from tests.portal.conftest import Ledger

RANGE = "since=2020-01-01&until=2030-01-01"
LISTS = [
    f"/api/v1/spend?by=tenant,feature,status,user&{RANGE}",
    f"/api/v1/per/request?by=tenant,feature&{RANGE}",
    f"/api/v1/runs?{RANGE}",
    f"/api/v1/calls?{RANGE}&limit=5",
    "/api/v1/budgets/standing",
    f"/api/v1/insights/skew?{RANGE}",
]


def ask(ledger: Ledger, path: str) -> Any:
    answer = ledger.get(path, OWNER)
    assert answer.status_code == 200, answer.text
    return answer


def following(answer: Any) -> str | None:
    found = re.fullmatch(r'<([^>]+)>; rel="next"', answer.headers.get("link", ""))
    return found[1] if found else None


@pytest.mark.parametrize("path", LISTS)
@pytest.mark.parametrize("size", [1, 2, 1000])
def test_pages_are_the_whole(ledger: Ledger, path: str, size: int) -> None:
    whole = ask(ledger, path).json()
    rows: list[Any] = []
    url: str | None = f"{path}{'&' if '?' in path else '?'}page_size={size}"
    tags = set()
    while url is not None and len(rows) < len(whole["rows"]):
        answer = ask(ledger, url)
        page = answer.json()
        assert 0 < len(page["rows"]) <= size
        assert page.get("totals") == whole.get("totals")
        tags.add(answer.headers["etag"])
        rows += page["rows"]
        url = following(answer)
    assert rows == whole["rows"]
    assert len(tags) == -(-len(rows) // size), "pages are told apart"
    if "next_before" not in whole:
        assert url is None


def test_a_page_as_csv_has_its_rows(ledger: Ledger) -> None:
    path = f"/api/v1/spend?by=feature,tenant&{RANGE}"
    whole = ask(ledger, f"{path}&format=csv").text.splitlines()
    assert len(whole) > 3
    answer = ask(ledger, f"{path}&format=csv&page_size=2")
    assert answer.text.splitlines() == whole[:3]
    url = following(answer)
    assert url is not None
    assert ask(ledger, url).text.splitlines() == [whole[0], *whole[3:5]]


@pytest.mark.parametrize(
    ("query", "words"),
    [("page_size=0", "page_size"), ("page_size=x", "page_size"), ("page_size=10001", "page_size"),
     ("cursor=r1", "page_size"), ("page_size=5&cursor=-1", "cursor"),
     ("page_size=5&cursor=r0", "cursor")],
)  # fmt: skip
def test_what_is_no_page_is_told(ledger: Ledger, query: str, words: str) -> None:
    for path in LISTS:
        answer = ledger.get(f"{path}{'&' if '?' in path else '?'}{query}", OWNER)
        assert answer.status_code == 400, path
        assert words in answer.json()["detail"]


def test_beyond_the_end_there_is_nothing(ledger: Ledger) -> None:
    answer = ask(ledger, f"/api/v1/spend?by=tenant&{RANGE}&page_size=5&cursor=r500")
    assert answer.json()["rows"] == []
    assert "link" not in answer.headers
