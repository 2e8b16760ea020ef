"""Why one call cost what it did: whose, what was used, which price, and every entry about it."""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING, Any, Final

import msgspec
from msgspec import Struct

from tollbook.call import IDENTITY_FIELDS
from tollbook.ledger.late_table import LATE_USAGE
from tollbook.ledger.schema import COST_COLUMNS, ENTRY_NAMES
from tollbook.ledger.stitch.sight import GATEWAY
from tollbook.ledger.usagetext import usage_objects
from tollbook.money import pico_from_usd, usd_text
from tollbook.prices.explain import CardSummary, ExplainLine, describe, explain
from tollbook.reports.calls import plain
from tollbook.reports.errors import CallNotFoundError
from tollbook.reports.explain_billable import Billable, explain_billable, no_rule
from tollbook.reports.explain_layers import LayerLines, explain_layers
from tollbook.reports.sightings import Sighting, charged_as, sightings_of
from tollbook.reports.spend import CURRENCY
from tollbook.reports.words import kind_words
from tollbook.usage import INPUT_KINDS, KINDS, OUTPUT_KINDS, Kinds

if TYPE_CHECKING:
    from collections.abc import Callable

    from tollbook.prices.card import RateCard
    from tollbook.reports.explain_billable import LoadRule
    from tollbook.reports.reader import Reader

    LoadCard = Callable[[str], RateCard | None]
    """Card id to the card as the books keep it."""

ENTRIES_MAX: Final = 1_000
_ID_MAX: Final = 256
_WHAT: Final = (
    "provider", "dialect", "operation", "metering", "method", "path", "model_requested",
    "model_actual", "service_tier", "region", "route", "operation_id", "retry_of", "fallback_from",
    "cached_from", "provider_batch_id", "custom_id", "asked", "is_stream", "status", "http_status",
    "error_type", "attempt",
    "provider_request_id", "provider_response_id", "idempotency_key", "trace_id", "span_id",
    "parent_span_id", "observer", "observed_by", "call_site",
    "request_bytes", "response_bytes", "input_chars", "output_chars", "output_events",
    "max_output_tokens", "usage_complete", "is_billable",
)  # fmt: skip
ROUNDING: Final = (
    "each line is rounded once, half to even, to 0.000000000001 USD; the lines add up to the cost"
)


class Owner(Struct, frozen=True):
    """One identity field and the mechanism that carried it."""

    value: str
    source: str | None


class KindCount(Struct, frozen=True):
    """A disjoint token kind, and how it comes from what the provider reported."""

    quantity: int
    derivation: str


class Price(Struct, frozen=True, kw_only=True):
    """The card and the arithmetic; ``lines`` add up to ``cost_usd``."""

    state: str
    tier: str | None
    """What the price was chosen by beside the model, such as ``batch``."""
    card_id: str | None
    card: CardSummary | None
    flags: list[str]
    lines: list[ExplainLine]
    lines_sum_usd: str | None
    """What the card makes of the usage."""
    cost_usd: str | None
    """As booked; None is unknown."""
    cost_source: str | None
    """``card``, or ``provider`` where its own figure is the cost."""
    saved_usd: str | None
    """What an answer from the response cache would have cost."""
    rounding: str = ROUNDING


class PartLine(Struct, frozen=True, kw_only=True):
    """A share of the call that another model or another price made."""

    part: int
    label: str | None
    model: str | None
    kinds: dict[str, int] | None
    price: Price


class EntryLine(Struct, frozen=True, kw_only=True):
    """One entry about the call; their sum is the call."""

    entry_id: int
    batch_id: int
    batch_hash: str | None
    kind: str
    part: int | None
    replaces: int | None
    reason: str | None
    calls: int
    cost_usd: str | None
    price_card_id: str | None
    tenant_id: str | None
    booked_at: str
    billing_period: str | None
    """In whose bill it is; in the ledger itself only where it names one."""


class Explanation(Struct, frozen=True, kw_only=True):
    """Everything the ledger knows of a call."""

    call_id: str
    called_at: str
    times: dict[str, Any]
    what: dict[str, Any]
    identity: dict[str, Owner]
    tags: dict[str, str]
    conflicts: list[Any]
    identity_problems: list[str]
    usage_source: str | None
    usage_raw: list[str]
    """The provider's usage objects, byte for byte."""
    usage_problems: list[str]
    usage_late: str | None
    """That the usage came after the call was booked, and from which request."""
    kinds: dict[str, KindCount] | None
    input_tokens: int | None
    output_tokens: int | None
    layers: LayerLines | None
    """Tokens and cost by layer of the request, the parts below left out; None: not split."""
    price: Price
    billable: Billable | None
    """What its tenant is charged, its parts included; None: no rule bills it."""
    parts: list[PartLine]
    """What the kinds and the price above leave out, since it is priced for itself."""
    reported_cost_usd: str | None
    """What the provider itself says that the call cost."""
    ours_less_reported_usd: str | None
    """What the cards make of the usage, all parts, less what the provider says."""
    components: dict[str, str]
    observed_by: list[str]
    """Everybody who saw it, the most trusted first."""
    sightings: list[Sighting]
    """What each of them but the gateway said."""
    entries: list[EntryLine]
    net_cost_usd: str | None
    evidence: dict[str, Any]
    other_call_ids: list[str]
    """Further calls that bear the same provider id."""
    currency: str = CURRENCY


def explain_call(
    reader: Reader, wanted: str, load_card: LoadCard, load_rule: LoadRule = no_rule
) -> Explanation:
    """Explain the call with this id: ours (``x-tollbook-call-id``) or the provider's.

    Args:
        reader: of the ledger.
        wanted: the id.
        load_card: finds a kept card by its id.
        load_rule: finds a version of a billing rule, and why it was written.

    Raises:
        CallNotFoundError: no entry bears the id.
        QueryTimeoutError: it took too long.
    """
    wanted = wanted.strip()
    # One that another observer saw as well is charged under that one's id.
    rows = _entries_of(reader, charged_as(reader, wanted) or wanted)
    if not rows:
        raise CallNotFoundError(wanted)
    ids = _call_ids(rows)
    rows = [row for row in rows if str(row["call_id"]) == ids[0]]
    now, *further = _in_force(rows)
    detail = _json(now["identity_detail"]) or {}
    sources = detail.get("sources", {})
    kinds = _kinds(now)
    whole = _price(now, kinds, load_card)
    parts = [_part(row, load_card) for row in further]
    return Explanation(
        call_id=ids[0],
        called_at=plain(now["called_at"]),
        times={
            "called_at": plain(now["called_at"]),
            "duration_ns": now["duration_ns"],
            "time_to_first_token_ns": now["time_to_first_token_ns"],
            "booked_at": plain(now["booked_at"]),
        },
        what={name: plain(now[name]) for name in _WHAT},
        identity={
            name: Owner(now[name], sources.get(name))
            for name in (*IDENTITY_FIELDS, "api_key_id")
            if now[name] is not None
        },
        tags=_json(now["tags"]) or {},
        conflicts=detail.get("conflicts", []),
        identity_problems=detail.get("problems", []),
        usage_source=now["usage_source"],
        usage_raw=_raw_usage(now["usage_raw"]),
        usage_problems=_json(now["usage_problems"]) or [],
        usage_late=_late(rows),
        kinds=_kind_counts(now, kinds),
        input_tokens=_total(kinds, INPUT_KINDS),
        output_tokens=_total(kinds, OUTPUT_KINDS),
        layers=explain_layers(now, kinds),
        price=whole,
        billable=explain_billable([now, *further], load_rule, load_card),
        parts=parts,
        reported_cost_usd=plain(now["reported_cost_usd"]),
        ours_less_reported_usd=_difference(
            now["reported_cost_usd"], [whole, *(part.price for part in parts)]
        ),
        components={
            kind: usd_text(pico_from_usd(now[column]))
            for kind, column in zip(KINDS, COST_COLUMNS, strict=True)
            if now[column]
        },
        observed_by=_json(now["observed_by"]) or [now["observer"] or GATEWAY],
        sightings=sightings_of(reader, ids[0]),
        entries=[_entry(row) for row in rows],
        net_cost_usd=_net(rows, [now, *further]),
        evidence={
            "spool_writer": now["spool_writer"],
            "spool_segment": now["spool_segment"],
            "spool_offset": now["spool_offset"],
            "gateway_version": now["gateway_version"],
        },
        other_call_ids=ids[1:],
    )


def _call_ids(rows: list[dict[str, Any]]) -> list[str]:
    """Return the ids of calls, those that are in force first."""
    counted: dict[str, int] = {}
    for row in rows:
        counted[str(row["call_id"])] = counted.get(str(row["call_id"]), 0) + row["calls"]
    return sorted(counted, key=lambda one: counted[one] <= 0)


def _entries_of(reader: Reader, wanted: str) -> list[dict[str, Any]]:
    """Return the entries of the calls that bear an id, oldest first, with their batch's hash."""
    columns = ", ".join(f"entries.{name}" for name in ENTRY_NAMES)
    start = f"SELECT {columns}, batches.hash FROM entries LEFT JOIN batches USING (batch_id) WHERE"  # noqa: S608 -- constants
    end = f"ORDER BY entries.entry_id LIMIT {ENTRIES_MAX}"
    names = (*ENTRY_NAMES, "batch_hash")
    if len(wanted) > _ID_MAX:
        return []
    try:
        found = reader.fetch(f"{start} entries.call_id = ? {end}", [uuid.UUID(wanted)])
    except ValueError:
        found = []
    if not found:
        either = "(entries.provider_response_id = ? OR entries.provider_request_id = ?)"
        found = reader.fetch(f"{start} {either} {end}", [wanted, wanted])
    return [dict(zip(names, row, strict=True)) for row in found]


def _in_force(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return the charges that nothing has reversed, the call's own first, then its parts.

    Where all are reversed, the last entry stands for the call.
    """
    gone = {row["replaces"] for row in rows if row["kind"] == "reversal"}
    charges = [row for row in rows if row["kind"] == "charge" and row["entry_id"] not in gone]
    latest = {row["part"] or 0: row for row in charges}
    own = latest.pop(0, rows[-1])
    return [own, *(latest[part] for part in sorted(latest))]


def _kinds(row: dict[str, Any]) -> Kinds | None:
    return None if row[KINDS[0]] is None else Kinds(*(row[kind] for kind in KINDS))


def _part(row: dict[str, Any], load_card: LoadCard) -> PartLine:
    kinds = _kinds(row)
    return PartLine(
        part=row["part"],
        label=row["part_label"],
        model=row["model_actual"] or row["model_requested"],
        kinds=None
        if kinds is None
        else {kind: n for kind, n in zip(KINDS, kinds, strict=True) if n},
        price=_price(row, kinds, load_card),
    )


def _difference(reported: Any, prices: list[Price]) -> str | None:
    """Return our sum less the provider's; None where one of them is not known."""
    sums = [price.lines_sum_usd for price in prices]
    if reported is None or None in sums:
        return None
    ours = sum(pico_from_usd(one) for one in sums if one is not None)
    return usd_text(ours - pico_from_usd(reported))


def _json(text: str | None) -> Any:
    """Return stored JSON; text that is none is kept as it is, for a person to see."""
    if text is None:
        return None
    try:
        return msgspec.json.decode(text)
    except msgspec.DecodeError:
        return [text]


def _raw_usage(text: str | None) -> list[str]:
    try:
        return [raw.decode(errors="backslashreplace") for raw in usage_objects(text)]
    except ValueError:
        return [text or ""]


def _kind_counts(now: dict[str, Any], kinds: Kinds | None) -> dict[str, KindCount] | None:
    if kinds is None:
        return None
    return {
        kind: KindCount(quantity, kind_words(now["dialect"], now["usage_source"], kind))
        for kind, quantity in zip(KINDS, kinds, strict=True)
    }


def _total(kinds: Kinds | None, names: tuple[str, ...]) -> int | None:
    return None if kinds is None else sum(getattr(kinds, name) for name in names)


def _price(now: dict[str, Any], kinds: Kinds | None, load_card: LoadCard) -> Price:
    card_id, cost = now["price_card_id"], now["cost_usd"]
    card = load_card(card_id) if card_id else None
    lines = explain(card, kinds) if card is not None and kinds is not None else []
    costs = [pico_from_usd(line.cost_usd) for line in lines if line.cost_usd is not None]
    return Price(
        state=now["price_state"],
        tier=now["price_tier"],
        card_id=card_id,
        card=None if card is None else describe(card),
        flags=_json(now["price_flags"]) or [],
        lines=lines,
        lines_sum_usd=usd_text(sum(costs)) if costs else None,
        cost_usd=plain(cost),
        cost_source=now["cost_source"],
        saved_usd=plain(now["saved_cost_usd"]),
    )


def _late(rows: list[dict[str, Any]]) -> str | None:
    reasons = [row["reason"] or "" for row in rows if row["kind"] == "charge"]
    return next((reason for reason in reasons if reason.startswith(LATE_USAGE)), None)


def _entry(row: dict[str, Any]) -> EntryLine:
    return EntryLine(**{name: plain(row[name]) for name in EntryLine.__struct_fields__})


def _net(rows: list[dict[str, Any]], in_force: list[dict[str, Any]]) -> str | None:
    if any(row["cost_usd"] is None for row in in_force):
        return None
    return usd_text(sum(pico_from_usd(row["cost_usd"]) for row in rows if row["cost_usd"]))
