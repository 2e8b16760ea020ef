from __future__ import annotations

import gzip
import re
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import pytest
from tests.portal.conftest import OWNER, write_calls

from tollbook import clock

if TYPE_CHECKING:
    from pathlib import Path

    from tests.portal.conftest import Ledger

ABSOLUTE = "since=2026-01-01&until=2026-02-01"
READS = ("spend?by=tenant&", "rollup?", "calls?", "layers?", "per/request?")


def ask(ledger: Ledger, path: str, **headers: str) -> Any:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return ledger.get(f"/api/v1/{path}", OWNER, headers=named)


@pytest.fixture
def still(monkeypatch: pytest.MonkeyPatch) -> None:
    """Stop the clock: relative times stay where they are."""
    now = clock.utc_now()
    monkeypatch.setattr(clock, "utc_now", lambda: now)


@pytest.mark.usefixtures("still")
@pytest.mark.parametrize("read", READS)
@pytest.mark.parametrize("times", [ABSOLUTE, "since=30d", "period=month"])
def test_the_same_question_of_the_same_ledger_is_not_answered_again(
    ledger: Ledger, read: str, times: str
) -> None:
    first = ask(ledger, read + times)
    assert first.status_code == 200, first.text
    again = ask(ledger, read + times, if_none_match=first.headers["etag"])
    assert (again.status_code, again.content) == (304, b"")
    assert again.headers["etag"] == first.headers["etag"]


@pytest.mark.usefixtures("still")
def test_another_question_has_another_tag(ledger: Ledger) -> None:
    texts = ["spend?", "spend?by=tenant", "spend?by=user", "spend?since=7d", "rollup?"]
    tags = [ask(ledger, one).headers["etag"] for one in texts]
    tags.append(ask(ledger, "spend?", accept="text/csv").headers["etag"])
    assert len(set(tags)) == len(tags)


def test_a_tag_does_not_open_what_the_asker_may_not_see(ledger: Ledger) -> None:
    tag = ask(ledger, f"spend?{ABSOLUTE}").headers["etag"]
    path = f"/api/v1/spend?{ABSOLUTE}"
    for given in (tag, "*"):
        assert ledger.get(path, headers={"if-none-match": given}).status_code == 401
        assert ledger.get(path, ledger.token(), headers={"if-none-match": given}).status_code == 401


def test_what_is_booked_changes_the_tag(tmp_path: Path) -> None:
    from tests.portal.conftest import open_house  # noqa: PLC0415 -- a ledger of its own

    with open_house(tmp_path) as ledger:
        first = ask(ledger, "spend?by=tenant&since=30d")
        write_calls(tmp_path, days=1)
        while not ledger.ingester.step().at_end:
            pass
        again = ask(ledger, "spend?by=tenant&since=30d", if_none_match=first.headers["etag"])
        assert again.status_code == 200
        assert again.json()["totals"]["calls"] == first.json()["totals"]["calls"] + 3
        assert again.headers["etag"] != first.headers["etag"]


@pytest.mark.parametrize("path", ["portal/keys", "portal/settings", "runs", "stitching"])
def test_other_answers_are_tagged_by_their_bytes(ledger: Ledger, path: str) -> None:
    first = ask(ledger, f"{path}?")
    again = ask(ledger, f"{path}?", if_none_match=first.headers["etag"])
    assert first.status_code == 200, first.text
    assert again.status_code in (200, 304)
    assert (again.status_code == 304) == (again.headers["etag"] == first.headers["etag"])


def test_errors_and_deeds_have_no_tag(ledger: Ledger) -> None:
    assert "etag" not in ask(ledger, "spend?by=nothing").headers
    headers = {"authorization": f"Bearer {OWNER}"}
    made = ledger.client.post("/api/v1/portal/tokens", json={"tenant": "a"}, headers=headers)
    assert made.status_code == 200
    assert "etag" not in made.headers


def test_large_answers_are_packed_for_those_who_take_it(ledger: Ledger) -> None:
    with ledger.client.stream(
        "GET",
        "/api/v1/openapi.json",
        headers={"authorization": f"Bearer {OWNER}", "accept-encoding": "gzip"},
    ) as answer:
        packed = b"".join(answer.iter_raw())
        assert answer.headers["content-encoding"] == "gzip"
        assert int(answer.headers["content-length"]) == len(packed)
    plain = ask(ledger, "openapi.json", accept_encoding="identity")
    assert "content-encoding" not in plain.headers
    assert gzip.decompress(packed) == plain.content
    assert plain.headers["etag"] == answer.headers["etag"]


def test_pages_are_packed_and_portals_are_not(ledger: Ledger) -> None:
    # The tokens of a page's forms are other ones each time, so its length tells nothing of them;
    # a portal's links hold its token.
    page = ledger.get("/", OWNER, headers={"accept-encoding": "gzip", "accept": "text/html"})
    assert page.status_code == 200
    assert page.headers["content-encoding"] == "gzip"
    portal = ledger.get(f"/portal/?token={ledger.token()}", headers={"accept-encoding": "gzip"})
    assert "content-encoding" not in portal.headers


def test_links_lead_through_all_calls(ledger: Ledger) -> None:
    seen: list[str] = []
    path = "/api/v1/calls?since=30d&limit=2&where=model!%3D"
    for _ in range(20):
        answer = ledger.get(path, OWNER)
        assert answer.status_code == 200, answer.text
        seen += [row["call_id"] for row in answer.json()["rows"]]
        if "link" not in answer.headers:
            break
        found = re.fullmatch(r'<([^>]*)>; rel="next"', answer.headers["link"])
        assert found
        path = found[1]
        assert urlsplit(path).path == "/api/v1/calls"
    assert len(seen) == len(set(seen)) == 9
