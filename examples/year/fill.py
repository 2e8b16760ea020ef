"""Rows of the year's calls as columns, a batch of the hash chain at a time."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, NamedTuple

import numpy as np
import pyarrow as pa

from examples.year.product import (
    EPOCH,
    FEATURES,
    HOUR_US,
    HOURS,
    MODELS,
    tenant_names,
    weight_of_hours,
)
from tollbook.layers import LAYERS
from tollbook.ledger.exact import money_columns, money_from_int64
from tollbook.ledger.schema import TIME_ARROW, UUID_ARROW
from tollbook.prices.card import effective_rates
from tollbook.usage import KINDS

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

    import numpy.typing as npt

    from tollbook.ledger.store import Store
    from tollbook.prices.book import PriceBook

    Ints = npt.NDArray[np.int64]
    Flags = npt.NDArray[np.bool_]

BATCH: Final = 20_480
USERS_PER_TENANT: Final = 40
_KINDS: Final = ("uncached_input_tokens", "cache_read_tokens", "visible_output_tokens")
_RUNAWAY: Final = 30
"""Hours before the end in which one tenant's agent began to run in circles, for six hours."""
_HOURS_OF_RUN: Final = 3
"""A tenant's calls of an agent within so many hours are one run."""
_RUNAWAY_SHARE: Final = 0.35
_ERRORS: Final = 0.012
_RETRIES: Final = 0.015
_NOBODY: Final = 0.009
_STAGING: Final = 0.03
_SCHEDULED: Final = 0.1
_STREAMED: Final = 0.5
_CACHE_HITS: Final = 0.7
"""Shares of the calls."""


class Year(NamedTuple):
    """What is filled in."""

    calls: int
    tenants: int
    start: datetime
    seed: int


def fill(store: Store, year: Year, prices: PriceBook, progress: Callable[[int], None]) -> None:
    """Append the year's calls, in the order of time."""
    draw = np.random.default_rng(year.seed)
    made = _Maker(draw, year, prices)
    at_us = _times(draw, year)
    for first in range(0, year.calls, BATCH):
        part = at_us[first : first + BATCH]
        with store.transaction():
            store.append(made.columns(part), len(part))
        progress(first + len(part))
    store.checkpoint()


def _times(draw: np.random.Generator, year: Year) -> Ints:
    hours = draw.choice(HOURS, year.calls, p=weight_of_hours(year.start))
    hours.sort()
    start_us = int((year.start - EPOCH).total_seconds()) * 10**6
    at_us: Ints = start_us + hours * HOUR_US + draw.integers(0, HOUR_US, year.calls)
    at_us.sort()
    return at_us


class _Maker:
    """Draws calls and makes columns of them."""

    def __init__(self, draw: np.random.Generator, year: Year, prices: PriceBook) -> None:
        self._draw, self._prices = draw, prices
        self._tenants = tenant_names(year.tenants)
        ranks = np.arange(1, year.tenants + 1)
        weights = 1 / ranks**0.9
        self._tenant_weights = weights / weights.sum()
        start_us = int((year.start - EPOCH).total_seconds()) * 10**6
        self._runaway_us = start_us + (HOURS - _RUNAWAY) * HOUR_US
        self._users = [f"user-{at:02}" for at in range(USERS_PER_TENANT)]

    def columns(self, at_us: Ints) -> dict[str, Any]:
        """Return the columns of calls at these moments (microseconds since the epoch)."""
        rows, draw = len(at_us), self._draw
        shares = np.array([one.share for one in FEATURES])
        feature = draw.choice(len(FEATURES), rows, p=shares / shares.sum())
        tenant = draw.choice(len(self._tenants), rows, p=self._tenant_weights)
        is_runaway = (at_us >= self._runaway_us) & (at_us < self._runaway_us + 6 * HOUR_US)
        is_runaway &= draw.random(rows) < _RUNAWAY_SHARE
        tenant[is_runaway], feature[is_runaway] = min(17, len(self._tenants) - 1), 2
        model = self._models(feature)
        is_error = draw.random(rows) < _ERRORS
        is_retry = draw.random(rows) < _RETRIES
        is_unknown = draw.random(rows) < _NOBODY
        tokens = self._tokens(feature, model, is_error)
        return (
            self._who(at_us, tenant, feature, is_runaway, is_unknown)
            | self._what(at_us, model, is_error, is_retry)
            | self._money(at_us, feature, model, tokens)
        )

    def _models(self, feature: Ints) -> Ints:
        share = np.array([one.share for one in MODELS])
        table = np.array([one.models for one in FEATURES]) * share
        steps = np.cumsum(table / table.sum(axis=1, keepdims=True), axis=1)
        drawn = self._draw.random(len(feature))[:, None]
        places: Ints = np.minimum((drawn > steps[feature]).sum(axis=1), len(MODELS) - 1)
        return places

    def _tokens(
        self,
        feature: Ints,
        model: Ints,
        is_error: Flags,
    ) -> Ints:
        rows, draw = len(feature), self._draw
        usual = np.array([(one.input_tokens, one.output_tokens) for one in FEATURES])[feature]
        drawn = (usual * draw.lognormal(0, 0.5, (rows, 2))).astype(np.int64) + 1
        cached = np.array([one.cached for one in FEATURES])[feature] * (
            draw.random(rows) < _CACHE_HITS
        )
        read = (drawn[:, 0] * cached).astype(np.int64)
        is_embedding = np.array([one.name.startswith("text-emb") for one in MODELS])[model]
        read[is_embedding] = 0
        drawn[is_embedding, 1] = 0
        tokens = np.stack([drawn[:, 0] - read, read, drawn[:, 1]])
        tokens[:, is_error] = 0
        return tokens

    def _who(
        self, at_us: Ints, tenant: Ints, feature: Ints,
        is_runaway: Flags, is_unknown: Flags,
    ) -> dict[str, Any]:  # fmt: skip
        rows, draw = len(at_us), self._draw
        is_agent = np.array([one.is_agent for one in FEATURES])[feature]
        # A tenant's agents have one run in a while; one of them does not end.
        stretch = at_us // (_HOURS_OF_RUN * HOUR_US)
        names = ["run-in-circles" if odd else f"run-{self._tenants[who]}-{int(when)}"
                 for who, when, odd in zip(tenant, stretch, is_runaway, strict=True)]  # fmt: skip
        return {
            "tenant_id": _words(self._tenants, tenant, ~is_unknown),
            "identity_source": _word("virtual_key", rows),
            "user_id": _words(
                self._users, (draw.random(rows) ** 2 * USERS_PER_TENANT).astype(np.int64)
            ),
            "team_id": _words([one.team for one in FEATURES], feature),
            "feature": _words([one.name for one in FEATURES], feature),
            "agent_run_id": pa.array(names, mask=~is_agent), "request_id": _ids(draw, rows),
            "environment": _words(["production", "staging"], _drawn(draw, rows, _STAGING)),
            "request_origin": _words(["user", "scheduled"], _drawn(draw, rows, _SCHEDULED)),
            "api_key_id": _words([f"key-{one.name}" for one in FEATURES], feature),
        }  # fmt: skip

    def _what(
        self, at_us: Ints, model: Ints, is_error: Flags,
        is_retry: Flags,
    ) -> dict[str, Any]:  # fmt: skip
        rows, draw = len(at_us), self._draw
        call_ids, names = _uuids(draw, rows), [one.name for one in MODELS]
        duration_ns = (draw.lognormal(0.3, 0.7, rows) * 10**9).astype(np.int64)
        is_priced = np.array([one.name != "acme-tuned-1" for one in MODELS])[model]
        state = np.where(is_error, 2, np.where(is_priced, 0, 1))
        return {
            "kind": _word("charge", rows), "calls": pa.array(np.ones(rows, np.int32)),
            "part": pa.array(np.zeros(rows, np.int32)), "call_id": call_ids,
            "retry_of": pa.ExtensionArray.from_storage(
                UUID_ARROW, _bytes(draw, rows).take(_places(np.arange(rows), is_retry))
            ),
            "attempt": pa.array(np.where(is_retry, 2, 1).astype(np.int32)),
            "called_at": pa.array(at_us).cast(TIME_ARROW),
            "provider": _words([one.provider for one in MODELS], model),
            "dialect": _words([one.provider for one in MODELS], model),
            "model_requested": _words(names, model), "model_actual": _words(names, model),
            "operation": _words(
                ["embeddings" if one.startswith("text-emb") else "chat" for one in names], model
            ),
            "metering": _word("metered", rows), "method": _word("POST", rows),
            "status": _words(["ok", "error"], is_error.astype(np.int64)),
            "error_type": _only("overloaded", is_error),
            "http_status": pa.array(np.where(is_error, 529, 200).astype(np.int32)),
            "duration_ns": pa.array(duration_ns),
            "is_stream": pa.array(draw.random(rows) < _STREAMED),
            "usage_source": _words(["reported", "none"], is_error.astype(np.int64)),
            "usage_complete": pa.array(~is_error), "is_billable": pa.array(~is_error),
            "price_state": _words(["priced", "unpriced", "not_billed"], state),
            "cost_source": _only("card", state == 0),
        }  # fmt: skip

    def _money(
        self, at_us: Ints, feature: Ints, model: Ints,
        tokens: Ints,
    ) -> dict[str, Any]:  # fmt: skip
        rows = len(at_us)
        cards = [
            self._prices.resolve(one.provider, one.name, int(at_us[0]) * 1000, None)
            for one in MODELS
        ]
        rates = np.zeros((len(MODELS), len(_KINDS)), np.int64)
        for at, card in enumerate(cards):
            if card is not None:
                effective = effective_rates(card, card.rates)
                found = [effective[KINDS.index(kind)] for kind in _KINDS]
                rates[at] = [0 if one is None else one.cost_pico(1) for one in found]
        costs = rates[model].T * tokens
        total = costs.sum(axis=0)
        is_unpriced = np.array([card is None for card in cards])[model]
        is_failed = tokens.sum(axis=0) == 0
        missing = is_unpriced & ~is_failed  # what is not billed costs nothing, and that is known
        money = money_columns(np.column_stack([total, *costs]), missing)
        ids = [None if card is None else card.card_id for card in cards]
        columns: dict[str, Any] = {
            "price_card_id": _words(ids, model, ~is_failed),
            "cost_usd": money[0], "billable_usd": money_from_int64(total + total // 4, missing),
        }  # fmt: skip
        for at, kind in enumerate(_KINDS):
            columns[kind] = pa.array(tokens[at], mask=is_failed)
            columns[f"{kind}_cost_usd"] = money[at + 1]
        columns["requests"] = pa.array(np.ones(rows, np.int64), mask=is_failed)
        return columns | _layers(feature, tokens, costs, missing, is_failed) | {
            "prefix_hash": _words([f"prefix-{one.name}" for one in FEATURES], feature),
            "prefix_chars": pa.array(
                np.array([4 * int(one.input_tokens * one.layers[0]) for one in FEATURES])[feature]
            ),
        }  # fmt: skip


def _layers(
    feature: Ints, tokens: Ints, costs: Ints,
    missing: Flags, is_failed: Flags,
) -> dict[str, Any]:  # fmt: skip
    """Split tokens and cost by the feature's shares; what rounding leaves is the user's."""
    shares = np.array([one.layers for one in FEATURES])[feature].T
    given = tokens[0] + tokens[1]
    cost = costs[0] + costs[1]
    parts_t = [(given * share).astype(np.int64) for share in shares[:3]]
    parts_c = [(cost * (share * 1000).astype(np.int64)) // 1000 for share in shares[:3]]
    parts_t += [given - sum(parts_t), tokens[2], np.zeros_like(given)]
    parts_c += [cost - sum(parts_c), costs[2], np.zeros_like(cost)]
    money = money_columns(np.column_stack(parts_c), missing)
    columns = {
        f"{name}_layer_tokens": pa.array(parts_t[at], mask=is_failed)
        for at, name in enumerate(LAYERS)
    }
    return columns | {f"{name}_layer_cost_usd": money[at] for at, name in enumerate(LAYERS)}


def _bytes(draw: np.random.Generator, rows: int) -> Any:
    return pa.FixedSizeBinaryArray.from_buffers(
        pa.binary(16), rows, [None, pa.py_buffer(draw.bytes(16 * rows))]
    )


def _uuids(draw: np.random.Generator, rows: int) -> Any:
    return pa.ExtensionArray.from_storage(UUID_ARROW, _bytes(draw, rows))


def _ids(draw: np.random.Generator, rows: int) -> Any:
    return pa.array([f"req-{one:012x}" for one in draw.integers(0, 2**47, rows).tolist()])


def _drawn(draw: np.random.Generator, rows: int, share: float) -> Ints:
    return (draw.random(rows) < share).astype(np.int64)


def _word(text: str, rows: int) -> Any:
    return _words([text], np.zeros(rows, np.int64))


def _only(text: str, where: Flags) -> Any:
    return _words([text], np.zeros(len(where), np.int64), where)


def _words(words: list[Any], places: Ints, where: Flags | None = None) -> Any:
    return pa.array(words, pa.string()).take(_places(places, where))


def _places(places: Ints, where: Flags | None) -> Any:
    return pa.array(places) if where is None else pa.array(places, mask=~where)
