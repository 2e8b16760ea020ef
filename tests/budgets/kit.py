"""Budgets without a gateway: rules, calls, prices that are always the same."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import msgspec

from tollbook import ids
from tollbook.budgets.rules import Rule, read_rules
from tollbook.budgets.seed import TABLE_FILE, seed_table
from tollbook.call import CallClosed, CallOpened, Identity, Metering, Status
from tollbook.config.budgets import Budget

if TYPE_CHECKING:
    from pathlib import Path


class Cost(NamedTuple):
    cost_pico: int | None
    usage: tuple[tuple[str, int], ...] = (("uncached_input_tokens", 10),)


class FixedPrices:
    """Every call costs the same; None is not known."""

    def __init__(self, pico: int | None) -> None:
        self.pico = pico

    def of(self, opened: CallOpened, closed: CallClosed) -> Cost:
        return Cost(self.pico)


def rules_of(**fields: Any) -> tuple[Rule, ...]:
    budget = msgspec.convert({"name": "cap", **fields}, Budget, strict=False)
    return read_rules([budget], "tollbook.toml")


def table_in(directory: Path) -> Path:
    """Make an empty table."""
    path = directory / TABLE_FILE
    seed_table(path, 0, ())
    return path


def call(**fields: Any) -> CallOpened:
    defaults: dict[str, Any] = {
        "call_id": ids.new_id(1_790_000_000_000_000_000), "started_at_ns": 1,
        "identity": Identity(tenant_id="acme"), "provider": "openai", "dialect": "openai",
        "operation": "chat", "metering": Metering.METERED, "method": "POST", "path": "/v1/chat",
        "model_requested": "m-1",
    }  # fmt: skip
    return CallOpened(**(defaults | fields))


def closed_of(opened: CallOpened, **fields: Any) -> CallClosed:
    return CallClosed(opened.call_id, 2, fields.pop("status", Status.OK), **fields)
