"""Rows of any log to records, by fields that a mapping names."""

from __future__ import annotations

from datetime import tzinfo
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Final

from msgspec import Struct

from tollbook.call import IDENTITY_FIELDS
from tollbook.capture.imports.errors import RowError
from tollbook.capture.imports.providers import (
    operation_named,
    provider_named_in,
    without_provider,
)
from tollbook.capture.imports.record import Record, cost, new_owner, raw_usage, tokens
from tollbook.capture.imports.row import json_text

if TYPE_CHECKING:
    from tollbook.capture.imports.row import Row
    from tollbook.identity.values import ClaimsBuilder

_NS_PER_MS: Final = 10**6
_FAILED: Final = frozenset({"error", "failed", "failure", "cancelled", "timeout"})
_HTTP_ERROR: Final = 400


class MappedRows(Struct, frozen=True, kw_only=True):
    """A mapping that has been checked; :mod:`tollbook.capture.imports.mapping` makes it."""

    source: str
    fields: dict[str, str]
    constants: dict[str, str]
    tags: dict[str, str]
    zone: tzinfo
    time_format: str
    usd_per_unit: Decimal
    cache_is_beside: bool
    raw_dialect: str | None
    token_fields: dict[str, str]

    def record_of(self, row: Row, default_provider: str | None) -> Record:
        """Return the call of a row.

        Raises:
            RowError: a field is missing or not what it should be; named as the log has it.
        """
        row.zone = self.zone
        started_ns = row.required(self._time(row, "started_at"), self.fields["started_at"])
        ended_ns = self._time(row, "ended_at")
        took_ms = self._number(row, "duration_ms")
        if ended_ns is None and took_ms is not None:
            ended_ns = started_ns + int(took_ms * _NS_PER_MS)
        first_ms = self._number(row, "time_to_first_token_ms")
        name, model = self._text(row, "provider"), self._text(row, "model")
        provider, notes = provider_named_in(name, None, model, default_provider)
        http_status = self._status(row)
        error_type = self._text(row, "error_type")
        status = (self._text(row, "status") or "").lower()
        model = without_provider(model, provider, name)
        return Record(
            row_id=row.required(self._text(row, "id"), self.fields["id"]),
            started_at_ns=started_ns,
            ended_at_ns=ended_ns,
            time_to_first_token_ns=None if first_ms is None else int(first_ms * _NS_PER_MS),
            provider=provider,
            operation=operation_named(self._text(row, "operation")),
            model_requested=self._text(row, "model_requested") or model,
            model_actual=model,
            usage=self._usage(row),
            notes=notes,
            http_status=http_status,
            is_error=status in _FAILED or error_type is not None
            or (http_status is not None and http_status >= _HTTP_ERROR),
            error_type=error_type,
            is_stream=(self._text(row, "is_stream") or "").lower() in {"true", "1", "yes"},
            provider_response_id=self._text(row, "response_id"),
            service_tier=self._text(row, "service_tier"),
            trace_id=self._text(row, "trace_id"),
            span_id=self._text(row, "span_id"),
            parent_span_id=self._text(row, "parent_span_id"),
            owner=self._owner(row),
        )  # fmt: skip

    def _text(self, row: Row, name: str) -> str | None:
        path = self.fields.get(name)
        found = None if path is None else row.text(path)
        return self.constants.get(name) if found is None else found

    def _time(self, row: Row, name: str) -> int | None:
        path = self.fields.get(name)
        return None if path is None else row.time_ns(path, form=self.time_format)

    def _number(self, row: Row, name: str) -> Decimal | None:
        path = self.fields.get(name)
        return None if path is None else row.number(path)

    def _status(self, row: Row) -> int | None:
        path = self.fields.get("http_status")
        status = None if path is None else row.count(path)
        if status is not None and not 100 <= status <= 599:  # noqa: PLR2004 -- RFC 9110 section 15
            raise RowError(path or "", "is not an HTTP status")
        return status

    def _usage(self, row: Row) -> dict[str, Any]:
        usage: dict[str, Any] = {}
        cost_path = self.fields.get("cost")
        if cost_path is not None:
            amount = row.usd(cost_path)
            usage = cost(None if amount is None else amount * self.usd_per_unit)
        raw_path = self.fields.get("raw_usage")
        if raw_path is not None and self.raw_dialect is not None:
            raw = row.mapping(raw_path)
            if raw:
                usage |= raw_usage(self.raw_dialect, json_text(raw))
        counts = {
            quantity: row.count(self.fields[name])
            for name, quantity in self.token_fields.items()
            if name in self.fields
        }
        if self.cache_is_beside and counts.get("input") is not None:
            beside = (counts.get("cache_read"), *self._writes(counts))
            counts["input"] = (counts["input"] or 0) + sum(one or 0 for one in beside)
        return usage | tokens(**counts)

    @staticmethod
    def _writes(counts: dict[str, int | None]) -> tuple[int | None, ...]:
        if counts.get("cache_write") is not None:
            return (counts["cache_write"],)
        return counts.get("cache_write_5m"), counts.get("cache_write_1h")

    def _owner(self, row: Row) -> ClaimsBuilder:
        owner = new_owner()
        for field in IDENTITY_FIELDS:
            text = self._text(row, field)
            if text is not None:
                owner.put_field(field, text, self.fields.get(field, f"constants.{field}"))
        for tag, path in self.tags.items():
            text = row.text(path)
            if text is not None:
                owner.put_tag(tag, text, path)
        return owner
