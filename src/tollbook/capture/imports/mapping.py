"""``tollbook import file``: any log, by a mapping that says which of its fields means what.

The mapping is a TOML file::

    source = "warehouse"            # part of every call's id, with the row's own id
    zone = "Europe/Berlin"          # of times that name none; UTC without it
    cache = "within"                # or "beside": whether input_tokens has those of the cache

    [fields]                        # ours = "theirs", nested ones as a.b.c
    id = "call.id"
    started_at = "ts"
    model = "model"
    tenant_id = "customer.account.id"
    input_tokens = "usage.in"
    output_tokens = "usage.out"

    [constants]                     # what every row has
    provider = "openai"

    [time]
    format = "unix_ms"              # auto, iso, unix_s, unix_ms, unix_us, unix_ns, or as strptime

    [cost]
    unit = "cents"                  # usd, cents, millicents, micro_usd

    [tags]
    plan = "customer.plan"
"""

from __future__ import annotations

import tomllib
from decimal import Decimal
from typing import TYPE_CHECKING, Final, Literal
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import msgspec
from msgspec import Struct

from tollbook.call import IDENTITY_FIELDS
from tollbook.capture.imports.errors import MappingError
from tollbook.capture.imports.mapped import MappedRows
from tollbook.capture.imports.record import QUANTITIES
from tollbook.capture.imports.times import FORMATS

if TYPE_CHECKING:
    from datetime import tzinfo
    from pathlib import Path


_MAX_FILE_BYTES: Final = 1024 * 1024
TOKEN_FIELDS: Final = {
    f"{name}_tokens" if name not in {"search_units", "web_searches"} else name: name
    for name in QUANTITIES
}
OTHER_FIELDS: Final = (
    "id", "started_at", "ended_at", "duration_ms", "time_to_first_token_ms", "provider", "model",
    "model_requested", "operation", "cost", "status", "http_status", "error_type", "is_stream",
    "response_id", "service_tier", "trace_id", "span_id", "parent_span_id", "raw_usage",
)  # fmt: skip
FIELDS: Final = (*OTHER_FIELDS, *TOKEN_FIELDS, *IDENTITY_FIELDS)
UNITS: Final = {
    "usd": Decimal(1),
    "cents": Decimal("0.01"),
    "millicents": Decimal("0.00001"),
    "micro_usd": Decimal("0.000001"),
}


class _Time(Struct, forbid_unknown_fields=True, frozen=True):
    format: str = "auto"


class _Cost(Struct, forbid_unknown_fields=True, frozen=True):
    unit: Literal["usd", "cents", "millicents", "micro_usd"] = "usd"


class _Usage(Struct, forbid_unknown_fields=True, frozen=True):
    dialect: str


class Mapping(Struct, forbid_unknown_fields=True, frozen=True, kw_only=True):
    """A mapping as it is written; see the module."""

    source: str
    fields: dict[str, str]
    constants: dict[str, str] = {}
    tags: dict[str, str] = {}
    zone: str = "UTC"
    cache: Literal["within", "beside"] = "within"
    time: _Time = _Time()
    cost: _Cost = _Cost()
    raw_usage: _Usage | None = None


def read_mapping(path: Path) -> MappedRows:
    """Return what turns rows into records by the mapping of a file.

    Raises:
        MappingError: naming the file, the key and what was expected.
    """
    mapping = _read(path)
    for section, names in (("fields", mapping.fields), ("constants", mapping.constants)):
        for name in names:
            if name not in FIELDS:
                problem = f"is no field of a call; expected one of {', '.join(FIELDS)}"
                raise MappingError(path, f"{section}.{name}", problem)
    told = {*mapping.fields, *mapping.constants}
    for name in ("id", "started_at"):
        if name not in mapping.fields:
            why = "so that a row is known again" if name == "id" else "the price depends on it"
            raise MappingError(path, f"fields.{name}", f"is missing; {why}")
    if "provider" not in told and "model" not in told:
        raise MappingError(path, "fields.model", "is missing, and provider too")
    if ("raw_usage" in mapping.fields) != (mapping.raw_usage is not None):
        problem = "fields.raw_usage and [raw_usage] dialect need each other"
        raise MappingError(path, "raw_usage", problem)
    if not mapping.source or not mapping.source.isprintable():
        raise MappingError(path, "source", "must be a name, such as warehouse")
    if mapping.time.format not in FORMATS and "%" not in mapping.time.format:
        problem = f"expected one of {', '.join(FORMATS)}, or a format such as %d.%m.%Y %H:%M:%S"
        raise MappingError(path, "time.format", problem)
    return MappedRows(
        source=f"file:{mapping.source}",
        fields=mapping.fields,
        constants=mapping.constants,
        tags=mapping.tags,
        zone=_zone(path, mapping.zone),
        time_format=mapping.time.format,
        usd_per_unit=UNITS[mapping.cost.unit],
        cache_is_beside=mapping.cache == "beside",
        raw_dialect=None if mapping.raw_usage is None else mapping.raw_usage.dialect,
        token_fields=TOKEN_FIELDS,
    )


def _zone(path: Path, name: str) -> tzinfo:
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError) as error:
        problem = f"{name!r} is no time zone; expected one such as Europe/Berlin"
        raise MappingError(path, "zone", problem) from error


def _read(path: Path) -> Mapping:
    try:
        with path.open("rb") as file:
            data = file.read(_MAX_FILE_BYTES + 1)
    except OSError as error:
        raise MappingError(path, "", (error.strerror or str(error)).lower()) from error
    if len(data) > _MAX_FILE_BYTES:
        raise MappingError(path, "", f"is larger than {_MAX_FILE_BYTES} bytes")
    try:
        return msgspec.convert(tomllib.loads(data.decode()), Mapping)
    except UnicodeDecodeError as error:
        raise MappingError(path, "", "is not UTF-8 text") from error
    except tomllib.TOMLDecodeError as error:
        raise MappingError(path, "", f"is not valid TOML: {error}") from error
    except msgspec.ValidationError as error:
        what, _, key = str(error).partition(" - at `$.")
        raise MappingError(path, key.rstrip("`"), what[:1].lower() + what[1:]) from error
