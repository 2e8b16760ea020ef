"""Part ``reports``: how long questions over five million calls take, beside hand-written SQL."""

from __future__ import annotations

import os
from datetime import datetime
from statistics import median
from typing import TYPE_CHECKING

from bench.figures import Aim, Figure, figure
from bench.ledgerfile import CALLS, SINCE, UNTIL, ledger_file
from bench.stats import paired_ratio
from tollbook import clock
from tollbook.ledger.store import connect_readonly
from tollbook.reports.build import spend_statement
from tollbook.reports.compiled import forget_compiled
from tollbook.reports.query import SpendQuery
from tollbook.reports.reader import DuckdbReader
from tollbook.reports.rollup import rollup_query, run_rollup
from tollbook.reports.spend import run_spend

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

_WARM_RUNS = 5
_ROLLUP_AIM = Aim("value", "at most", 0.5)
_MODEL = "coalesce(model_actual, model_requested)"
_INPUT = (
    "sum(uncached_input_tokens), sum(cache_read_tokens), sum(cache_write_5m_tokens),"
    " sum(cache_write_1h_tokens), sum(input_audio_tokens)"
)
_OUTPUT = "sum(visible_output_tokens), sum(reasoning_tokens), sum(output_audio_tokens)"
_FROM = f"""FROM entries WHERE called_at >= TIMESTAMP '{SINCE[:10]}'
 AND called_at < TIMESTAMP '{UNTIL[:10]}' GROUP BY ALL"""
_BY_HAND = {
    "monthly rollup": f"SELECT tenant_id, date_trunc('month', called_at), {_MODEL}, sum(calls),"
    f" {_INPUT}, {_OUTPUT}, sum(cost_usd) {_FROM}",
    "spend by tenant": f"SELECT tenant_id, sum(calls), {_INPUT}, {_OUTPUT}, sum(cost_usd) {_FROM}",
    "spend by tenant, model, day": f"SELECT tenant_id, {_MODEL}, date_trunc('day', called_at),"
    f" sum(calls), {_INPUT}, {_OUTPUT}, sum(cost_usd) {_FROM}"
    " ORDER BY sum(cost_usd) DESC NULLS LAST LIMIT 10000",
}


def run() -> list[Figure]:
    """Measure each report cold (file out of the page cache, new connection) and warm."""
    path = ledger_file()
    since, until = datetime.fromisoformat(SINCE), datetime.fromisoformat(UNTIL)
    pairs = [("since", SINCE), ("until", UNTIL)]
    rollup = rollup_query(pairs, until)
    by_tenant = SpendQuery(since=since, until=until, by=("tenant",))
    by_three = SpendQuery(since=since, until=until, by=("tenant", "model", "day"))
    ours: dict[str, Callable[[DuckdbReader], object]] = {
        "monthly rollup": lambda reader: run_rollup(reader, rollup),
        "spend by tenant": lambda reader: run_spend(reader, by_tenant),
        "spend by tenant, model, day": lambda reader: run_spend(reader, by_three),
    }
    by_user = SpendQuery(since=since, until=until, by=("user",))
    compile_s = _seconds(lambda: spend_statement(by_user, None))
    figures = [
        figure("reports.first_expression", compile_s, "s",
               note="loading Ibis and making the first statement, once in a process"),
        figure("reports.ledger_file", path.stat().st_size / CALLS, "bytes per call",
               note=f"{CALLS} calls in one month, 200 tenants, 10 models, most columns filled"),
    ]  # fmt: skip
    for name, ask in ours.items():
        figures += _measure(path, name, ask)
    return figures


def _measure(path: Path, name: str, ask: Callable[[DuckdbReader], object]) -> list[Figure]:
    key = "reports." + name.replace(", ", "_").replace(" ", "_")
    sql = _BY_HAND[name]
    aim = _ROLLUP_AIM if name == "monthly rollup" else None
    cold_ours = _cold(path, ask)
    cold_by_hand = _cold(path, lambda reader: reader.fetch(sql))
    warm_ours: list[float] = []
    warm_by_hand: list[float] = []
    connection = connect_readonly(path)
    try:
        reader = DuckdbReader(connection)
        _seconds(lambda: ask(reader))  # warms the page cache; not counted
        for _ in range(_WARM_RUNS):
            warm_ours.append(_seconds(lambda: ask(reader)))
            warm_by_hand.append(_seconds(lambda: reader.fetch(sql)))
    finally:
        connection.close()
    by_hand = "same sums in hand-written SQL"
    return [
        figure(f"{key}.warm", median(warm_ours), "s", baseline=median(warm_by_hand),
               ratio=paired_ratio(warm_ours, warm_by_hand), baseline_is=by_hand, aim=aim,
               samples=warm_ours, note="rows, totals and completeness, on all cores"),
        figure(f"{key}.cold", cold_ours, "s", baseline=cold_by_hand, baseline_is=by_hand, aim=aim,
               note="file out of the page cache, new connection, expression compiled; one run"),
    ]  # fmt: skip


def _cold(path: Path, ask: Callable[[DuckdbReader], object]) -> float:
    forget_compiled()
    drop_from_cache(path)

    def whole() -> None:
        connection = connect_readonly(path)
        try:
            ask(DuckdbReader(connection))
        finally:
            connection.close()

    return _seconds(whole)


def _seconds(work: Callable[[], object]) -> float:
    start = clock.monotonic_ns()
    work()
    return (clock.monotonic_ns() - start) / clock.NS_PER_S


def drop_from_cache(path: Path) -> None:
    """Ask the kernel to forget the pages of a file, as after a reboot."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
        os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)
    finally:
        os.close(descriptor)
