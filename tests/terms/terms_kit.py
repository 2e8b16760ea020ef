"""Calls with any kinds and rates, in a ledger whose terms are worked out."""

from __future__ import annotations

import re
from collections import defaultdict
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, NamedTuple

import msgspec
import pyarrow as pa

from tollbook.chargeback.terms import operations
from tollbook.ledger.exact import money_array
from tollbook.ledger.schema import TIME_ARROW, UUID_ARROW, Kind

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from tests.periods.finance_kit import World

AUGUST = datetime(2026, 8, 12, 8, 30, tzinfo=UTC)


class Made(NamedTuple):
    """One call."""

    units: Mapping[str, int]
    rate: int = 10
    """Pico a unit, of every kind."""
    at: datetime = AUGUST
    tenant: str | None = "acme"
    model: str = "gpt-5"
    provider: str = "openai"
    feature: str | None = "chat"
    price_tier: str | None = None
    is_priced: bool = True
    price_state: str | None = None
    tags: str | None = None
    """JSON."""
    batch: str | None = None

    @property
    def cost(self) -> int:
        return sum(self.units.values()) * self.rate


def make(world: World, given: Iterable[Made]) -> None:
    """Append calls, as one batch."""
    made = list(given)
    count = len(made)
    start = world.reader.fetch("SELECT count(*) FROM entries")[0][0]
    ids = [(10**9 + start + at).to_bytes(16, "big") for at in range(count)]
    states: list[str | None] = [
        one.price_state or ("priced" if one.is_priced else "unpriced") for one in made
    ]
    texts: dict[str, list[str | None]] = {
        "kind": [Kind.CHARGE.value] * count, "tenant_id": [one.tenant for one in made],
        "feature": [one.feature for one in made], "provider": [one.provider for one in made],
        "model_actual": [one.model for one in made], "price_state": states,
        "price_tier": [one.price_tier for one in made], "tags": [one.tags for one in made],
        "provider_batch_id": [one.batch for one in made],
        "cost_center": [one.tenant and f"cc-{one.tenant}" for one in made],
    }  # fmt: skip
    columns: dict[str, Any] = {
        name: pa.array(values, pa.string()) for name, values in texts.items()
    }
    columns |= {
        "calls": pa.array([1] * count, pa.int32()),
        "part": pa.array([0] * count, pa.int32()),
        "call_id": pa.ExtensionArray.from_storage(UUID_ARROW, pa.array(ids, pa.binary(16))),
        "called_at": pa.array([int(one.at.timestamp()) * 10**6 for one in made], pa.int64()).cast(
            TIME_ARROW
        ),
        "cost_usd": money_array([one.cost if one.is_priced else None for one in made]),
    }
    for kind in {kind for one in made for kind in one.units}:
        units = [one.units.get(kind, 0) for one in made]
        columns[kind] = pa.array(units)
        columns[f"{kind}_cost_usd"] = money_array([
            unit * one.rate if one.is_priced else 0 for unit, one in zip(units, made, strict=True)
        ])  # fmt: skip
    if count:
        with world.store.transaction():
            world.store.append(columns, count)


def tokens(count: int, **more: Any) -> Made:
    """A call of so many tokens of input."""
    return Made({"uncached_input_tokens": count}, **more)


def keep(world: World, *terms: Mapping[str, Any], reason: str = "contract") -> Any:
    """Keep terms; the start is that of 2026 unless one says another."""
    bodies = [{"start": "2026-01-01", "provider": "openai"} | dict(one) for one in terms]
    text = msgspec.json.encode({"terms": bodies}).decode()
    return world.ask(operations.IMPORT, file="terms.json", text=text, reason=reason)


def apply(world: World, period: str = "2026-08") -> Any:
    return world.ask(operations.APPLY, period=period)


def adjusted(world: World, *by: str) -> dict[tuple[Any, ...], int]:
    """What adjustments come to, by their type and further dimensions."""
    found: dict[tuple[Any, ...], int] = defaultdict(int)
    for key, cost in world.total("adjustment", *by).items():
        if key[0] is not None:
            found[key] += cost
    return dict(found)


def blocks(page: str, language: str) -> list[str]:
    """The blocks of code on a page, in one language."""
    return re.findall(rf"```{language}\n(.*?)```", page, re.DOTALL)
