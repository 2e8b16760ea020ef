"""Terms and what they come to as rows for people and programs: money as decimal text."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import msgspec

from tollbook.chargeback.terms.posting import difference
from tollbook.money import usd_text
from tollbook.reports.dimensions import UNKNOWN

if TYPE_CHECKING:
    from collections.abc import Iterable

    from tollbook.books.documents import Document
    from tollbook.chargeback.terms.booking import Standing
    from tollbook.chargeback.terms.model import Term


def of_document(one: Document, term: Term) -> dict[str, Any]:
    """Return a version as a row, with its body as it can be imported again."""
    return {
        "name": one.name, "version": one.version, "provider": term.provider, "model": term.model,
        "type": type(term.what).__struct_config__.tag, "start": _text(term.start),
        "end": None if term.end is None else _text(term.end),
        "effective_from": when(one.effective_from_ns), "withdrawn": term.withdrawn,
        "author": one.author, "reason": one.reason, "created_at": when(one.created_at_ns),
        "body": msgspec.json.decode(one.body),
    }  # fmt: skip


def _text(at: datetime) -> str:
    return at.isoformat().replace("+00:00", "Z")


def when(at_ns: int) -> str:
    """Return a moment with seconds, in UTC."""
    return _text(datetime.fromtimestamp(at_ns // 10**9, UTC))


def of_standings(found: Iterable[Standing]) -> dict[str, Any]:
    """Return by term, type and tenant what there is to be and what is booked; and the terms."""
    rows: list[dict[str, Any]] = []
    terms: list[dict[str, Any]] = []
    problems: list[str] = []
    for one in found:
        sums: dict[tuple[str, str], list[int]] = {}
        for side, amounts in enumerate((one.wanted, one.booked)):
            for at, amount in amounts.items():
                place = (at.adjustment, at.tenant or UNKNOWN)
                sums.setdefault(place, [0, 0])[side] += amount
        rows += [
            {
                "term": one.name, "adjustment": adjustment, "tenant": tenant,
                "amount_usd": usd_text(wanted), "booked_usd": usd_text(booked),
                "difference_usd": usd_text(wanted - booked),
            }
            for (adjustment, tenant), (wanted, booked) in sorted(sums.items())
        ]  # fmt: skip
        changes = difference(one.booked, one.wanted)
        terms.append({
            "term": one.name, "documents": one.documents,
            "amount_usd": usd_text(sum(one.wanted.values())),
            "booked_usd": usd_text(sum(one.booked.values())),
            "difference_usd": usd_text(sum(changes.values())), "entries": len(changes),
            "facts": [dict(result.facts) for result in one.results],
        })  # fmt: skip
        problems += [f"{one.name}: {text}" for result in one.results for text in result.problems]
    return {"rows": rows, "terms": terms, "problems": problems}
