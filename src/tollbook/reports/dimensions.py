"""What a report can be grouped and filtered by."""

from __future__ import annotations

import re
from types import MappingProxyType
from typing import Final

UNKNOWN: Final = "unknown"
"""How a missing tenant is named; who says ``unknown`` is as unattributed as who says nothing."""

COLUMNS: Final = MappingProxyType(
    {
        "tenant": "tenant_id",
        "user": "user_id",
        "team": "team_id",
        "cost_center": "cost_center",
        "feature": "feature",
        "workflow": "workflow_id",
        "agent_run": "agent_run_id",
        "step": "workflow_step",
        "environment": "environment",
        "origin": "request_origin",
        "request": "request_id",
        "trace": "trace_id",
        "provider": "provider",
        "model_requested": "model_requested",
        "operation": "operation",
        "service_tier": "service_tier",
        "price_tier": "price_tier",
        "region": "region",
        "route": "route",
        "fallback_from": "fallback_from",
        "batch_id": "provider_batch_id",
        "custom_id": "custom_id",
        "part": "part_label",
        "api_key": "api_key_id",
        "status": "status",
        "error_type": "error_type",
        "prefix": "prefix_hash",
        "usage_source": "usage_source",
        "price_state": "price_state",
        "price_card": "price_card_id",
        "cost_source": "cost_source",
        "kind": "kind",
        "call_site": "call_site",
        "observer": "observer",
        "adjustment": "adjustment",
        "adjustment_id": "adjustment_id",
        "billing_rule": "billing_rule_id",
        "statement": "statement_id",
        "named_period": "billing_period",
        "corrects": "corrects",
        "reason": "reason",
    }
)
"""Dimension to column of ``entries``."""

IS_BATCH: Final = "is_batch"
"""Whether a call was a line of a batch: ``true`` or ``false``."""

CONTEXT: Final = "context_window"
"""Input tokens of the call in the steps that providers price and report by: ``0-200k`` and
``200k-1M`` (Anthropic's and Google's names for them)."""

OPERATION_ID: Final = "operation_id"
"""The call that the user made; retries and fallbacks of it bear the same."""

TIMES: Final = ("hour", "day", "week", "month")
"""Local calendar buckets in the query's zone; weeks start on Monday (ISO 8601)."""

MODEL: Final = "model"
"""The model that answered, or the one asked for where the answer names none."""

OVER_PREFIX: Final = "input_over:"
"""``input_over:128000``: whether the input of the call was more tokens than that, ``true`` or
``false``: price cards have steps of their own."""

TAG_PREFIX: Final = "tag:"
TAG_NAME_MAX: Final = 128
_OVER: Final = re.compile(r"input_over:\d{1,9}", re.ASCII)

_MADE: Final = frozenset([MODEL, IS_BATCH, OPERATION_ID, CONTEXT])
"""Dimensions that are made of several columns."""

NAMES: Final = (*COLUMNS, MODEL, IS_BATCH, OPERATION_ID, CONTEXT, *TIMES, "tag:NAME")


def is_tag(name: str) -> bool:
    """Whether a dimension is ``tag:NAME`` with a name that can be looked up."""
    tag = name.removeprefix(TAG_PREFIX)
    return (
        name.startswith(TAG_PREFIX)
        and 0 < len(tag) <= TAG_NAME_MAX
        and tag.isprintable()
        and not set(tag) & set('"\\,*')
    )


def is_over(name: str) -> bool:
    """Whether a dimension is ``input_over:N`` with a number of tokens."""
    return _OVER.fullmatch(name) is not None


def is_dimension(name: str) -> bool:
    """Whether rows can be grouped by it."""
    return name in COLUMNS or name in _MADE or name in TIMES or is_tag(name) or is_over(name)


def is_filter(name: str) -> bool:
    """Whether rows can be filtered by it (time is filtered by since and until)."""
    return is_dimension(name) and name not in TIMES
