"""Hold the ledger's report against an invoice, line by line: arithmetic on both sides' rows."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

from tollbook.money import pico_from_usd, usd_text
from tollbook.usage import TOKEN_KINDS

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from typing import Any

    from tollbook.simulator.bill import Bill

LEDGER_KIND: Final = {
    "uncached_input": "uncached_input_tokens",
    "cache_read": "cache_read_tokens",
    "cache_write_5m": "cache_write_5m_tokens",
    "cache_write_1h": "cache_write_1h_tokens",
    "visible_output": "visible_output_tokens",
    "reasoning": "reasoning_tokens",
    "input_audio": "input_audio_tokens",
    "cache_read_audio": "cache_read_audio_tokens",
    "input_image": "input_image_tokens",
    "cache_read_image": "cache_read_image_tokens",
    "input_video": "input_video_tokens",
    "output_audio": "output_audio_tokens",
    "output_image": "output_image_tokens",
    "citation": "citation_tokens",
    "web_search": "web_search_requests",
    "file_search": "file_search_requests",
    "code_session": "code_sessions",
    "search_unit": "search_units",
    "image": "images",
    "audio_ms": "audio_ms",
    "character": "characters",
}
"""The bill's name of a kind to the ledger's."""

KINDS: Final = tuple(LEDGER_KIND.values())
"""All that an invoice is held against."""


class Difference(NamedTuple):
    """One place where ledger and bill disagree."""

    what: tuple[str, ...]
    ledger_tokens: int
    bill_tokens: int
    ledger_pico: int
    bill_pico: int


class TieOut(NamedTuple):
    """What a comparison came to; amounts in pico (10^-12 USD)."""

    lines: int
    ledger_pico: int
    bill_pico: int
    differences: tuple[Difference, ...]

    @property
    def holds(self) -> bool:
        """Whether there are lines and each agrees, in tokens and in money.

        Nothing equal to nothing is no proof.
        """
        return self.lines > 0 and not self.differences

    @property
    def difference_pico(self) -> int:
        """The sum of what the lines differ by, each as an amount; opposite errors do not cancel."""
        return sum(abs(line.ledger_pico - line.bill_pico) for line in self.differences)

    def line(self) -> str:
        """Return the line that ends a run."""
        return f"tie-out difference: {usd_text(self.difference_pico)} USD"


_Amounts = dict[tuple[str, ...], tuple[int, int]]


def by_model_and_kind(rows: Iterable[Mapping[str, Any]], bill: Bill) -> TieOut:
    """Compare provider x model x token kind.

    Args:
        rows: of a spend report by provider and model, with all token kinds and their costs.
        bill: the invoice over the same calls.
    """
    ledger: _Amounts = {}
    for row in rows:
        for kind in KINDS:
            amount = (row[kind] or 0, pico_from_usd(row[f"{kind}_cost_usd"] or 0))
            if any(amount):
                ledger[row["provider"], row["model"], kind] = amount
    billed: _Amounts = {
        (provider, model, LEDGER_KIND[kind]): (amount.quantity, amount.pico)
        for (provider, model, kind), amount in bill.by("provider", "model", "kind").items()
    }
    return _compare(ledger, billed)


def by_tenant(rows: Iterable[Mapping[str, Any]], bills: Mapping[str, Bill]) -> TieOut:
    """Compare the dollars and tokens of each tenant.

    Args:
        rows: of a spend report by tenant.
        bills: the invoice of each tenant over the same calls.
    """
    ledger: _Amounts = {
        (row["tenant"],): (
            row["input_tokens"] + row["output_tokens"],
            pico_from_usd(row["cost_usd"] or 0),
        )
        for row in rows
    }
    billed: _Amounts = {
        (tenant,): (
            sum(
                amount.quantity
                for line, amount in bill.lines.items()
                if LEDGER_KIND[line.kind] in TOKEN_KINDS
            ),
            bill.total_pico,
        )
        for tenant, bill in bills.items()
    }
    return _compare(ledger, billed)


def _compare(ledger: _Amounts, billed: _Amounts) -> TieOut:
    nothing = (0, 0)
    keys = sorted(ledger.keys() | billed.keys())
    pairs = [(key, ledger.get(key, nothing), billed.get(key, nothing)) for key in keys]
    return TieOut(
        lines=len(keys),
        ledger_pico=sum(ours[1] for _, ours, _ in pairs),
        bill_pico=sum(theirs[1] for _, _, theirs in pairs),
        differences=tuple(
            Difference(key, ours[0], theirs[0], ours[1], theirs[1])
            for key, ours, theirs in pairs
            if ours != theirs
        ),
    )
