"""Adjustments: what is owed or moved between owners without being any call's.

A true-up to an invoice, the idle part of a commitment, a credit, an allocated share. Each is an
entry of kind ``adjustment`` with ``calls`` 0, so every report stays a sum. The entries of one run
bear its id and are booked together or not at all; the same run twice is one.
"""

from __future__ import annotations

import hashlib
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Final

import pyarrow as pa
from msgspec import Struct

from tollbook.call import IDENTITY_FIELDS
from tollbook.errors import TollbookError
from tollbook.layers import LAYER_COSTS
from tollbook.ledger.columns import said, words_array
from tollbook.ledger.exact import money_array
from tollbook.ledger.schema import (
    COST_COLUMNS,
    TIME_ARROW,
    UUID_ARROW,
    CostSource,
    Kind,
    PriceState,
)
from tollbook.money import pico_from_usd
from tollbook.usage import KINDS

if TYPE_CHECKING:
    from collections.abc import Sequence
    from decimal import Decimal

    from tollbook.ledger.store import Store

BATCH_ENTRIES: Final = 20_480
_UNSPLIT_COST: Final = "unsplit_layer_cost_usd"
_AS_GIVEN: Final = (
    "provider", "price_tier", "region", "billing_period", "statement_id", "corrects",
    "billing_rule_id",
)  # fmt: skip


class AdjustmentType(StrEnum):
    """Why an amount is in the books that is no call's."""

    TRUE_UP = "true_up"  # the ledger is brought to what the provider billed
    VOLUME_TIER = "volume_tier"  # a month's volume earns another rate
    FREE_QUOTA = "free_quota"
    MINIMUM = "minimum"  # what is lacking to a minimum charge
    COMMITMENT = "commitment"  # the used part of capacity that is paid by the hour
    IDLE_COMMITMENT = "idle_commitment"
    CREDIT = "credit"
    TAX = "tax"
    FEE = "fee"  # of a platform, a seat, support
    ROUNDING = "rounding"
    ALLOCATION = "allocation"  # moved from one owner to others; sums to zero
    BILLING = "billing"  # of the tenant's bill alone: an included allowance, a minimum, a discount


class Adjustment(Struct, frozen=True, kw_only=True):
    """One amount to book. Amounts are in pico; ``at_ns`` is the time it is charged for."""

    adjustment: AdjustmentType
    at_ns: int
    cost: int
    """Added to the cost of its owner; negative takes away."""
    billable: int | None = None
    """Added to what its tenant is charged; None: nothing to do with it."""
    identity: dict[str, str] = {}
    """Of :data:`tollbook.call.IDENTITY_FIELDS`; without ``tenant_id`` it is unattributed."""
    provider: str | None = None
    model: str | None = None
    price_tier: str | None = None
    region: str | None = None
    kind: str | None = None
    """The kind of :data:`tollbook.usage.KINDS` whose cost component it is; None: of none."""
    quantity: int = 0
    """Of that kind: usage that no call reported."""
    billing_period: str | None = None
    """``YYYY-MM`` in whose books it stands, where that is not the month of ``at_ns``."""
    statement_id: str | None = None
    corrects: str | None = None
    """The id of the run, or the period, that it corrects."""
    billing_rule_id: str | None = None
    """The document that says what the tenant is charged."""
    billing_flags: tuple[str, ...] = ()
    """Words that go with ``billable``."""
    reason: str
    """For people: what, and from what."""


class AdjustmentConflictError(TollbookError):
    """A run was booked before with other amounts."""

    def __init__(self, adjustment_id: str, booked: int, given: int) -> None:
        super().__init__(
            f"adjustment {adjustment_id} is booked already with {booked} entries of other amounts "
            f"(now {given}); book the difference as a new one that corrects it"
        )


def book_adjustments(store: Store, adjustment_id: str, given: Sequence[Adjustment]) -> int:
    """Append the entries of one run and return how many were new: all of them, or none.

    Args:
        store: the open ledger.
        adjustment_id: of the run, unique for ever, such as ``true-up:2026-10:openai:1``.
        given: what to book.

    Raises:
        AdjustmentConflictError: the run was booked with other amounts.
    """
    if not given:
        return 0
    with store.transaction() as connection:
        booked = connection.execute(
            "SELECT cost_usd, billable_usd FROM entries"
            " WHERE kind = 'adjustment' AND adjustment_id = ?"
            " ORDER BY entry_id",
            [adjustment_id],
        ).fetchall()
        if booked:
            amounts = [(pico_from_usd(cost), _pico(billable)) for cost, billable in booked]
            if amounts != [(one.cost, one.billable) for one in given]:
                raise AdjustmentConflictError(adjustment_id, len(booked), len(given))
            return 0
        for at in range(0, len(given), BATCH_ENTRIES):
            some = given[at : at + BATCH_ENTRIES]
            store.append(_columns(adjustment_id, some, at), len(some))
    return len(given)


def _columns(adjustment_id: str, given: Sequence[Adjustment], first: int) -> dict[str, Any]:
    rows = len(given)
    cost = money_array([one.cost for one in given])
    columns: dict[str, Any] = {
        "kind": _text([Kind.ADJUSTMENT.value] * rows),
        "calls": pa.array([0] * rows, pa.int32()),
        "part": pa.array([0] * rows, pa.int32()),
        "call_id": pa.ExtensionArray.from_storage(
            UUID_ARROW,
            pa.array([_id(adjustment_id, first + at) for at in range(rows)], pa.binary(16)),
        ),
        "called_at": pa.array([one.at_ns // 1000 for one in given], pa.int64()).cast(TIME_ARROW),
        "adjustment": _text([one.adjustment.value for one in given]),
        "adjustment_id": _text([adjustment_id] * rows),
        "reason": _text([one.reason for one in given]),
        "price_state": _text([PriceState.PRICED.value] * rows),
        "cost_source": _text([CostSource.ADJUSTMENT.value] * rows),
        "cost_usd": cost,
        _UNSPLIT_COST: cost,
        "billable_usd": money_array([one.billable for one in given]),
        "model_actual": _text([one.model for one in given]),
    }
    for name in _AS_GIVEN:
        columns[name] = _text([getattr(one, name) for one in given])
    columns["billing_flags"] = words_array([one.billing_flags for one in given])
    for name in IDENTITY_FIELDS:
        columns[name] = _text([one.identity.get(name) for one in given])
    for kind, cost_column in zip(KINDS, COST_COLUMNS, strict=True):
        if any(one.kind == kind for one in given):
            columns[kind] = pa.array([one.quantity if one.kind == kind else 0 for one in given])
            columns[cost_column] = money_array([
                one.cost if one.kind == kind else 0 for one in given
            ])  # fmt: skip
    return said(columns)


def _pico(billable: Decimal | None) -> int | None:
    return None if billable is None else pico_from_usd(billable)


def _id(adjustment_id: str, at: int) -> bytes:
    """Return the id that stands in ``call_id``: made of the run and the place in it."""
    return hashlib.sha256(f"adjustment\0{adjustment_id}\0{at}".encode()).digest()[:16]


def _text(values: list[str | None]) -> Any:
    return pa.array(values, pa.string())


assert _UNSPLIT_COST in LAYER_COSTS
