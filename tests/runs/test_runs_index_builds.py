"""Embeddings and rerank calls belong to whose ingestion or query made them."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Any, NamedTuple

import pytest

from tollbook.call import Metering
from tollbook.config import Config
from tollbook.dialects.registry import dialect_named
from tollbook.layers import LAYER_COSTS, LAYERS, Section
from tollbook.prices.book import PriceBook
from tollbook.reports.params import from_pairs
from tollbook.reports.reader import DuckdbReader
from tollbook.reports.spend import SpendReport, run_spend
from tollbook.reports.units import run_units, units_query

if TYPE_CHECKING:
    from tests.runs.runs_kit import RunWorld

NOW = datetime(2026, 12, 1, tzinfo=UTC)
INDEX = {
    "tenant_id": "acme", "feature": "search", "request_origin": "system",
    "agent_run_id": "index-7", "workflow_id": "index build",
}  # fmt: skip
QUERY = {
    "tenant_id": "globex", "feature": "search", "request_origin": "user", "request_id": "q-1",
}  # fmt: skip


class Answered(NamedTuple):
    """What a provider answered to whom."""

    provider: str
    path: str
    model: str
    usage: bytes
    owner: dict[str, str]
    usd: str
    """By its list price."""


CALLS = [
    Answered("openai", "/v1/embeddings", "text-embedding-3-small",
             b'{"prompt_tokens":500000,"total_tokens":500000}', INDEX, "0.01"),
    Answered("cohere", "/v2/embed", "embed-v4.0",
             b'{"billed_units":{"input_tokens":1000000}}', INDEX, "0.12"),
    Answered("voyage", "/v1/embeddings", "voyage-3.5",
             b'{"total_tokens":1000000}', INDEX, "0.06"),
    Answered("jina", "/v1/embeddings", "jina-embeddings-v3",
             b'{"total_tokens":2000000,"prompt_tokens":2000000}', INDEX, "0.1"),
    Answered("openai", "/v1/embeddings", "text-embedding-3-small",
             b'{"prompt_tokens":50,"total_tokens":50}', QUERY, "0.000001"),
    Answered("cohere", "/v2/rerank", "rerank-v3.5",
             b'{"billed_units":{"search_units":2}}', QUERY, "0.004"),
    Answered("voyage", "/v1/rerank", "rerank-2.5", b'{"total_tokens":20000}', QUERY, "0.001"),
    Answered("jina", "/v1/rerank", "jina-reranker-v2-base-multilingual",
             b'{"total_tokens":10000}', QUERY, "0.0005"),
]  # fmt: skip


@pytest.fixture
def told(runs: RunWorld) -> RunWorld:
    """A ledger with an index build of one tenant and a query of another."""
    config = Config()
    providers = config.providers
    runs.price_book = PriceBook.of_config(config, "t")
    runs.ingester = runs.new_ingester()
    for one in CALLS:
        dialect = providers[one.provider].dialect
        route = dialect_named(dialect).route("POST", one.path)
        assert route.metering is Metering.METERED
        runs.made(
            None, provider=one.provider, dialect=dialect, operation=route.operation,
            path=one.path, model_requested=one.model, identity=one.owner,
            layers=(int(Section.USER_INPUT), 1, int(Section.RETRIEVED), 3),
            closed={"usage": (one.usage,), "model_actual": one.model},
        )  # fmt: skip
    runs.book()
    return runs


def _spend(world: RunWorld, **question: str) -> SpendReport:
    pairs = [("since", "2026-01-01"), *question.items()]
    connection = world.store.reader()
    try:
        return run_spend(DuckdbReader(connection), from_pairs(pairs, NOW))
    finally:
        connection.close()


def test_every_one_is_priced_and_has_its_owner(told: RunWorld) -> None:
    rows = told.rows("SELECT provider, operation, cost_usd FROM entries ORDER BY entry_id")
    wanted = [
        (one.provider, "rerank" if "rerank" in one.path else "embeddings", Decimal(one.usd))
        for one in CALLS
    ]
    assert rows == wanted
    report = _spend(told, by="tenant,origin,operation", measures="calls,cost_usd")
    assert report.rows == [
        {"tenant": "acme", "origin": "system", "operation": "embeddings", "calls": 4,
         "cost_usd": "0.290000000000"},
        {"tenant": "globex", "origin": "user", "operation": "rerank", "calls": 3,
         "cost_usd": "0.005500000000"},
        {"tenant": "globex", "origin": "user", "operation": "embeddings", "calls": 1,
         "cost_usd": "0.000001000000"},
    ]  # fmt: skip
    assert report.completeness.unattributed.calls == 0
    assert report.completeness.unpriced.calls == 0


def test_index_builds_are_found_by_their_origin(told: RunWorld) -> None:
    report = _spend(told, by="tenant,provider", where="origin=system", measures="cost_usd")
    assert {row["tenant"] for row in report.rows} == {"acme"}
    assert {row["provider"] for row in report.rows} == {"openai", "cohere", "voyage", "jina"}
    run = told.run("index-7")
    assert run.operations == [
        {"operation": "embeddings", "calls": 4, "cost_usd": "0.290000000000"}
    ]  # fmt: skip
    assert run.tenants == [{"tenant": "acme", "calls": 4, "cost_usd": "0.290000000000"}]


def test_a_query_costs_its_embedding_and_its_reranks(told: RunWorld) -> None:
    connection = told.store.reader()
    pairs = [("since", "2026-01-01"), ("by", "origin")]
    report = run_units(
        DuckdbReader(connection), "request", units_query("request", pairs, NOW)
    )  # fmt: skip
    connection.close()
    by_origin: dict[str, Any] = {row["origin"]: row for row in report.rows}
    assert by_origin["user"]["cost_per_unit_usd"] == "0.005501000000"
    assert by_origin["system"]["units"] == 0
    assert by_origin["system"]["unnamed_cost_usd"] == "0.290000000000"
    assert told.run("q-1").totals["calls"] == 4


def test_rerank_by_the_search_is_unsplit_and_by_the_token_split(told: RunWorld) -> None:
    report = _spend(told, by="model", measures="cost_usd," + ",".join(LAYER_COSTS))
    rows = {row["model"]: [row[name] for name in LAYER_COSTS] for row in report.rows}
    context, user, unsplit = (LAYERS.index(one) for one in ("context", "user", "unsplit"))
    assert rows["rerank-v3.5"][unsplit] == "0.004000000000"
    assert rows["rerank-2.5"][context] == "0.000750000000"
    assert rows["rerank-2.5"][user] == "0.000250000000"
    assert told.verify().findings == ()
