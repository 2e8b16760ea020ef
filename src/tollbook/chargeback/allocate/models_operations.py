"""What can be asked of attribution models: keep them, list them, run them over a month."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import msgspec
from msgspec import Struct

from tollbook.books.documents import Subject, document_history, documents_at, put_document
from tollbook.chargeback.allocate.backtest import backtest, rows_of, summary_of
from tollbook.chargeback.allocate.backtest_suggest import suggested_features, suggested_weights
from tollbook.chargeback.allocate.models import read_activity
from tollbook.chargeback.allocate.models_document import (
    BUILT_IN,
    AttributionModel,
    ModelError,
    read_model,
)
from tollbook.chargeback.periods.cutoffs import the_period, timezone_of_periods
from tollbook.chargeback.periods.period import Period
from tollbook.chargeback.terms.answers import when
from tollbook.desk import Desk, Operation

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tollbook.books.documents import Document
    from tollbook.chargeback.allocate.models import Activity

CURRENCY: Final = "USD"
_MODELS_MAX: Final = 50


class ImportModel(Struct, forbid_unknown_fields=True, kw_only=True):
    """A model, from a month on."""

    name: str
    body: dict[str, Any]
    effective_from: str
    """First month that it is for, ``2026-10``."""
    reason: str
    author: str | None = None


class ListModels(Struct, forbid_unknown_fields=True, kw_only=True):
    """Which models."""

    name: str | None = None


class WhichBacktest(Struct, forbid_unknown_fields=True, kw_only=True):
    """Which models over which month."""

    period: str
    models: str = ""
    """Names with commas between; empty: all documents, and calls, tokens and prices."""
    suggest: bool = False
    """Also fit weights, and show what they would do."""


def import_model(desk: Desk, asked: ImportModel) -> dict[str, Any]:
    """Check a model and keep it as a new version."""
    read = read_model(asked.name, msgspec.json.encode(asked.body))
    zone = timezone_of_periods(desk.books, desk.config)
    document, is_new = put_document(
        desk.books, Subject.ATTRIBUTION_MODEL, asked.name, msgspec.json.encode(read).decode(),
        effective_from_ns=Period.parse(asked.effective_from, zone).start_ns,
        author=asked.author or desk.author, reason=asked.reason,
    )  # fmt: skip
    return {"rows": [_document(document)], "is_new": is_new}


def list_models(desk: Desk, asked: ListModels) -> dict[str, Any]:
    """Return every version of the models, or of one, oldest first."""
    found = document_history(desk.books, Subject.ATTRIBUTION_MODEL, asked.name)
    return {"rows": [_document(one) for one in found]}


def _document(one: Document) -> dict[str, Any]:
    return {
        "name": one.name, "version": one.version, "effective_from": when(one.effective_from_ns),
        "author": one.author, "reason": one.reason, "created_at": when(one.created_at_ns),
        "body": msgspec.json.decode(one.body),
    }  # fmt: skip


def run_backtest(desk: Desk, asked: WhichBacktest) -> dict[str, Any]:
    """Return what models make of a month's identified calls, held against what is known."""
    period = the_period(desk.books, desk.config, asked.period)
    models = _chosen(desk, period, asked.models)
    activity = read_activity(desk, period.start, period.end)
    direct: dict[str, int] = {}
    for one in activity:
        direct[one.tenant] = direct.get(one.tenant, 0) + one.cost
    suggestions = _suggestions(activity) if asked.suggest else {}
    rows: list[dict[str, Any]] = []
    summaries: list[dict[str, Any]] = []
    for name, model in (models | suggestions).items():
        result = backtest(desk, name, model, direct, period.start, period.end)
        rows += rows_of(result)
        summaries.append(summary_of(result))
    return {
        "rows": rows, "models": summaries, "period": period.name, "currency": CURRENCY,
        "suggestions": [
            {"name": name, "body": msgspec.to_builtins(one)} for name, one in suggestions.items()
        ],
    }  # fmt: skip


def _suggestions(activity: Sequence[Activity]) -> dict[str, AttributionModel]:
    found = {
        "suggested-weights": suggested_weights(activity),
        "suggested-features": suggested_features(activity),
    }
    return {name: model for name, model in found.items() if model is not None}


def _chosen(desk: Desk, period: Period, names: str) -> dict[str, AttributionModel]:
    held = documents_at(desk.books, Subject.ATTRIBUTION_MODEL, period.start_ns)
    known = BUILT_IN | {name: read_model(name, one.body) for name, one in sorted(held.items())}
    wanted = [name.strip() for name in names.split(",") if name.strip()] or list(known)
    if len(wanted) > _MODELS_MAX:
        raise ModelError(wanted[_MODELS_MAX], f"more than {_MODELS_MAX} are asked for")
    for name in wanted:
        if name not in known:
            raise ModelError(name, f"is not in force in {period.name}; known: {', '.join(known)}")
    return {name: known[name] for name in wanted}


BACKTEST: Final = Operation(
    "backtest.run", "GET", "/backtest", WhichBacktest, run_backtest,
    "Run attribution models over a month whose owners are known.",
)  # fmt: skip
IMPORT: Final = Operation(
    "backtest.import", "POST", "/backtest/models", ImportModel, import_model,
    "Keep a new version of an attribution model.",
)  # fmt: skip
MODELS: Final = Operation(
    "backtest.models", "GET", "/backtest/models", ListModels, list_models,
    "List the versions of attribution models.",
)  # fmt: skip
OPERATIONS: Final = (BACKTEST, IMPORT, MODELS)
"""All that can be asked of attribution models."""
