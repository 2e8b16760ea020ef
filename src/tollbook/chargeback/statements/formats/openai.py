"""OpenAI: usage by bucket and costs by day, of the Administration API or the console's download.

https://platform.openai.com/docs/api-reference/usage. ``input_tokens`` includes cached tokens and
those written to a cache; they are taken apart here. Costs are JSON numbers in dollars, read as the
decimal text they are; project and line item are all that costs are told by, so that model, kind
and tier are read out of the line item's words.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final

from tollbook.chargeback.statements.formats.base import Cells, Format, buckets, line, tags_of
from tollbook.chargeback.statements.model import Basis
from tollbook.chargeback.statements.models import model_in
from tollbook.chargeback.statements.told import Group, Told
from tollbook.chargeback.statements.words import kind_in, tier_in
from tollbook.prices.tiers import tier_of, with_batch

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from tollbook.chargeback.statements.model import StatementLine
    from tollbook.chargeback.statements.rows_in import Row
    from tollbook.chargeback.statements.told import Reading

PROVIDER: Final = "openai"
USAGE_MARK: Final = "organization.usage"
COSTS_MARK: Final = "organization.costs"
_PIECES: Final = (
    # Field, kind, how many of the kind one is.
    ("images", "images", 1),
    ("characters", "characters", 1),
    ("seconds", "audio_ms", 1000),
    ("num_sessions", "code_sessions", 1),
)
_KNOWN: Final = frozenset({
    "object", "project_id", "api_key_id", "model", "batch", "service_tier", "num_model_requests",
    "num_requests", "usage_bytes", "amount", "line_item", "quantity", "quantity_unit", "start_time",
    "end_time", "start_time_iso", "end_time_iso", "organization_id", "organization_name", "results",
    "amount_value", "amount_currency", "images", "characters", "seconds", "num_sessions",
})  # fmt: skip
_UNITS: Final = {
    "tokens": (None, 1), "1000_tokens": (None, 1000), "images": ("images", 1),
    "characters": ("characters", 1), "duration_seconds": ("audio_ms", 1000),
    "duration_minutes": ("audio_ms", 60_000), "duration_hours": ("audio_ms", 3_600_000),
}  # fmt: skip
_MODEL: Final = re.compile(r"(ft:)?[A-Za-z0-9][\w.:/-]*")


def read_usage(rows: Iterable[Row], reading: Reading) -> Iterator[Told]:
    """Yield the lines of usage buckets, one of each kind that is not zero."""
    provider = reading.provider or PROVIDER
    for at, start_ns, end_ns, results in buckets(rows, reading, "start_time", "end_time"):
        reading.cover(start_ns, end_ns)
        for result in results:
            cells = Cells(at, result, reading)
            named = cells.text("object") or ""
            scope = named.removeprefix(USAGE_MARK + ".").removesuffix(".result")
            scope = reading.scope or scope or "completions"
            account = reading.account or cells.text("organization_id")
            common = _common(cells) | {"start_ns": start_ns, "end_ns": end_ns, "provider": provider}
            for one in _usage_lines(cells, scope, common, reading):
                yield Told(Group(provider, account, scope), one)


def _common(cells: Cells) -> dict[str, Any]:
    tier = tier_of(cells.text("service_tier"))
    is_batch = str(cells.values.get("batch")).lower() == "true"
    others = (
        (name, value) for name, value in cells.values.items()
        if name not in _KNOWN and not name.startswith(("input_", "output_"))
    )  # fmt: skip
    return {
        "project": cells.text("project_id"),
        "api_key": cells.text("api_key_id"),
        "model": cells.text("model"),
        "tier": with_batch(tier) if is_batch else tier,
        "tags": tags_of(others),
    }


def _usage_lines(
    cells: Cells, scope: str, common: dict[str, Any], reading: Reading
) -> Iterator[StatementLine]:
    kinds: dict[str, int] = {}
    if cells.first("input_tokens", "output_tokens") is not None:
        kinds = _token_kinds(cells, reading)
    for field, kind, unit in _PIECES:
        count = cells.whole(field)
        if count:
            kinds[kind] = count * unit
    if scope in {"web_searches", "file_searches"}:
        kinds[f"{scope.split('_', maxsplit=1)[0]}_search_requests"] = (
            cells.whole("num_requests") or 0
        )
    for kind, quantity in kinds.items():
        if quantity:
            yield line(**common, kind=kind, quantity=quantity, description=scope)
    if stored := cells.whole("usage_bytes"):
        yield line(**common, quantity=stored, description=f"{scope} bytes")
    # Calls are a kind of their own, once for each result: as the ledger counts them.
    if requests := cells.whole("num_model_requests"):
        yield line(
            **common, kind="requests", quantity=requests, requests=requests, description=scope
        )


def _token_kinds(cells: Cells, reading: Reading) -> dict[str, int]:
    """Return disjoint kinds; they sum to ``input_tokens`` and ``output_tokens``."""

    def count(name: str) -> int:
        return cells.whole(name) or 0

    given, out = count("input_tokens"), count("output_tokens")
    cached, written = count("input_cached_tokens"), count("input_cache_write_tokens")
    cached_audio, cached_image = (
        count("input_cached_audio_tokens"),
        count("input_cached_image_tokens"),
    )
    audio, image = count("input_audio_tokens"), count("input_image_tokens")
    if cells.first("input_uncached_tokens", "input_text_tokens") is None:
        # Answers from before 2026 count cached audio within the audio.
        audio = max(0, audio - cached_audio)
    long_kept = count("input_cache_write_12h_tokens")
    beside = cached + written + audio + image
    if beside > given or cached_audio + cached_image > cached or long_kept > written:
        reading.problem(
            cells.row, "input_tokens", f"{given} is less than its parts, which sum to {beside}"
        )
    sound_out, image_out = count("output_audio_tokens"), count("output_image_tokens")
    if sound_out + image_out > out:
        reading.problem(cells.row, "output_tokens", f"{out} is less than its parts")
    return {
        "uncached_input_tokens": max(0, given - beside),
        "cache_read_tokens": max(0, cached - cached_audio - cached_image),
        "cache_read_audio_tokens": cached_audio,
        "cache_read_image_tokens": cached_image,
        "cache_write_5m_tokens": max(0, written - long_kept),
        "cache_write_1h_tokens": long_kept,
        "input_audio_tokens": audio,
        "input_image_tokens": image,
        "visible_output_tokens": max(0, out - sound_out - image_out),
        "output_audio_tokens": sound_out,
        "output_image_tokens": image_out,
    }


def read_costs(rows: Iterable[Row], reading: Reading) -> Iterator[Told]:
    """Yield a line for each result of the cost buckets."""
    provider = reading.provider or PROVIDER
    for at, start_ns, end_ns, results in buckets(rows, reading, "start_time", "end_time"):
        reading.cover(start_ns, end_ns)
        for result in results:
            told = result.get("amount")
            if isinstance(told, dict):
                result = result | {  # noqa: PLW2901 -- the flat form, as the console's download has it
                    "amount_value": told.get("value"), "amount_currency": told.get("currency"),
                }  # fmt: skip
            cells = Cells(at, result, reading)
            account = reading.account or cells.text("organization_id")
            one = _cost_line(cells, provider, (start_ns, end_ns), reading)
            if one is not None:
                yield Told(Group(provider, account), one)


def _cost_line(
    cells: Cells, provider: str, span: tuple[int, int], reading: Reading
) -> StatementLine | None:
    amount = cells.pico("amount_value")
    if amount is None and cells.first("quantity") is None:
        return None  # a day without cost, in the flat form
    currency = (cells.text("amount_currency") or "usd").upper()
    item = cells.text("line_item") or ""
    model, kind, tier = words_of_line_item(item)
    kind_of_unit, unit = _UNITS.get(cells.text("quantity_unit") or "tokens", (None, 0))
    return line(
        start_ns=span[0], end_ns=span[1], provider=provider, project=cells.text("project_id"),
        api_key=cells.text("api_key_id"), model=model, kind=kind or kind_of_unit, tier=tier,
        quantity=cells.whole("quantity", unit=unit) if unit else None,
        amount=reading.dollars(cells.row, amount, currency, span[0]), currency=currency,
        amount_in_currency=None if currency == "USD" else amount, description=item or None,
        tags=tags_of((n, v) for n, v in cells.values.items() if n not in _KNOWN),
    )  # fmt: skip


def words_of_line_item(item: str) -> tuple[str | None, str | None, str | None]:
    """Return model, kind and tier that a line item names: ``gpt-5-mini batch, cached input``."""
    parts = [part.strip() for part in re.split(r"\s*[,|]\s*", item) if part.strip()]
    model: str | None = None
    rest: list[str] = []
    for part in parts:
        name, *words = part.split(" ")
        if model is None and _is_model(name) and all(tier_in(word) for word in words):
            model = name
            rest.extend(words)
        else:
            rest.append(part)
    words = " ".join(rest)
    if model is None:
        model = model_in(item)
    return model, kind_in(words), tier_in(words)


def _is_model(name: str) -> bool:
    has_mark = any(mark in name for mark in "-:0123456789")
    return bool(_MODEL.fullmatch(name)) and has_mark and kind_in(name.replace("-", "")) is None


USAGE: Final = Format(
    "openai.usage", Basis.USAGE,
    (frozenset({USAGE_MARK}), frozenset({"starttime", "endtime", "nummodelrequests"})), read_usage,
)  # fmt: skip
COSTS: Final = Format(
    "openai.costs", Basis.COST,
    (frozenset({COSTS_MARK}), frozenset({"starttime", "endtime", "amountvalue"})), read_costs,
)  # fmt: skip
