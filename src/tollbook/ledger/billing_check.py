"""Whether entries are billed what their rule says: recomputed from the version that they name."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import msgspec

from tollbook.ledger.billing_facts import FACT_COLUMNS, facts_of
from tollbook.ledger.exact import pico_list
from tollbook.ledger.rebuild import rows_of
from tollbook.prices.billable_amount import CARD_FLAG, bill

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    import pyarrow as pa

    from tollbook.prices.billable import Rule
    from tollbook.prices.card import RateCard

    LoadCard = Callable[[str], RateCard | None]

CHECK: Final = "billable"
_AMOUNTS: Final = ("billable_usd", "cost_usd", "saved_cost_usd")
_COLUMNS: Final = ("entry_id", "kind", "billing_rule_id", "billing_flags", *FACT_COLUMNS)
_decode_words: Final = msgspec.json.Decoder(tuple[str, ...]).decode


def wrongly_billed(
    table: pa.Table, rules: Mapping[str, Rule], load_card: LoadCard
) -> Iterator[tuple[int, bytes, str]]:
    """Yield charges that are not billed as their rule says: entry id, call id, what is wrong.

    Args:
        table: entries, with every column.
        rules: every version of every rule, by document id.
        load_card: finds a kept card by its id.
    """
    if all(
        table.column(name).null_count == table.num_rows
        for name in ("billing_rule_id", "billable_usd")
    ):
        return
    amounts = zip(*(pico_list(table.column(name)) for name in _AMOUNTS), strict=True)
    for row, (billable, cost, saved) in zip(
        rows_of(table.select(_COLUMNS)), amounts, strict=True
    ):  # fmt: skip
        if row["kind"] == "charge":
            problem = _problem(row, (billable, cost, saved), rules, load_card)
            if problem is not None:
                yield row["entry_id"], row["call_id"], problem


def _problem(
    row: Mapping[str, Any], amounts: tuple[int | None, int | None, int | None],
    rules: Mapping[str, Rule], load_card: LoadCard,
) -> str | None:  # fmt: skip
    billable, cost, saved = amounts
    name = row["billing_rule_id"]
    if name is None:
        return None if billable is None else "is billed without a rule"
    rule = rules.get(name)
    if rule is None:
        return f"billing rule {name} is not in the books"
    try:
        flags = () if row["billing_flags"] is None else _decode_words(row["billing_flags"])
    except msgspec.MsgspecError:
        return "the words beside what is billed cannot be read"
    card_id = card_named(flags)
    card = None if card_id is None else load_card(card_id)
    if card_id is not None and card is None:
        return f"price card {card_id} is not in the books"
    again = bill(rule, facts_of(row, cost, saved), card)
    if again.amount != billable or again.flags != flags:
        return f"what is billed is not what {name} makes of it"
    return None


def card_named(flags: tuple[str, ...]) -> str | None:
    """Return the id of the card that the base was priced by, None where the words name none."""
    return next((one.removeprefix(CARD_FLAG) for one in flags if one.startswith(CARD_FLAG)), None)
