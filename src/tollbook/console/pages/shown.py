"""Values as people read them on a page; the exact value stands beside it in a tooltip."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import ROUND_HALF_UP, Decimal, InvalidOperation
from typing import TYPE_CHECKING, Any, Final
from zoneinfo import ZoneInfo

if TYPE_CHECKING:
    from collections.abc import Callable

NOTHING: Final = "\N{EM DASH}"
MINUS: Final = "\N{MINUS SIGN}"
UNKNOWN_COST: Final = "unknown"
_SMALL_DIGITS: Final = 4
_UNITS: Final = ((10**12, "T"), (10**9, "B"), (10**6, "M"), (10**3, "k"))
_BYTES: Final = ((1 << 40, "TiB"), (1 << 30, "GiB"), (1 << 20, "MiB"), (1 << 10, "KiB"))


def usd(value: Any) -> str:
    """Return dollars: cents from one dollar on, four digits that count below it, never ``2e-7``."""
    if value is None:
        return UNKNOWN_COST
    try:
        amount = Decimal(str(value))
    except InvalidOperation:
        return str(value)
    size = abs(amount)
    if size == 0:
        return "$0.00"
    digits = 2 if size >= 1 else min(12, -size.adjusted() - 1 + _SMALL_DIGITS)
    rounded = size.quantize(Decimal(1).scaleb(-digits), ROUND_HALF_UP)
    text = f"{rounded:,f}"
    if size < 1:
        whole, _, part = text.partition(".")
        text = f"{whole}.{part.rstrip('0').ljust(2, '0')}"
    return f"{MINUS if amount < 0 else ''}${text}"


def count(value: Any) -> str:
    """Return a whole number with separators."""
    if value is None:
        return NOTHING
    return f"{value:,}".replace("-", MINUS) if isinstance(value, int) else str(value)


def short_count(value: Any) -> str:
    """Return a whole number in three digits: ``12.3M``."""
    if not isinstance(value, int):
        return count(value)
    for size, unit in _UNITS:
        if abs(value) >= size:
            tenths = abs(value) * 10 // size
            text = f"{tenths // 10}" if tenths >= 1000 else f"{tenths // 10}.{tenths % 10}"  # noqa: PLR2004 -- three digits
            return f"{MINUS if value < 0 else ''}{text}{unit}"
    return count(value)


def percent(value: Any) -> str:
    """Return percent with at most two digits after the point."""
    if value is None:
        return NOTHING
    try:
        rounded = Decimal(str(value)).quantize(Decimal("0.01"), ROUND_HALF_UP)
    except InvalidOperation:
        return str(value)
    text = f"{rounded:,f}".rstrip("0").rstrip(".")
    return f"{text.replace('-', MINUS) or '0'} %"


def change(value: Any) -> str:
    """Return a change in percent with its sign."""
    text = percent(value)
    return text if text.startswith((MINUS, NOTHING)) or text == "0 %" else f"+{text}"


def rate(value: Any) -> str:
    """Return dollars for a million tokens."""
    return NOTHING if value is None else f"{usd(value)}/M"


def amount(value: Any) -> str:
    """Return dollars where there are any to speak of."""
    return NOTHING if value is None else usd(value)


def usd_change(value: Any) -> str:
    """Return a difference of dollars with its sign."""
    text = amount(value)
    return text if text.startswith((MINUS, NOTHING)) or text == "$0.00" else f"+{text}"


def name(value: Any) -> str:
    """Return the name of a tenant, a feature, ...; calls without one are ``not set``."""
    return "not set" if value is None or value == "" else plain(value)


def moment(value: Any, tz: str) -> str:
    """Return a moment in a zone, to the second, with the zone's short name."""
    if value is None:
        return NOTHING
    at = _moment(value)
    if at is None:
        return str(value)
    local = at.astimezone(ZoneInfo(tz))
    return f"{local:%Y-%m-%d %H:%M:%S} {local.tzname()}"


def _moment(value: Any) -> datetime | None:
    if isinstance(value, str):
        try:
            value = datetime.fromisoformat(value)
        except ValueError:
            return None
    if not isinstance(value, datetime):
        return None
    return value if value.tzinfo is not None else value.replace(tzinfo=UTC)


def seconds(value: Any) -> str:
    """Return a duration: ``340 ms``, ``2.5 s``, ``3 min 5 s``, ``2 h 10 min``, ``4 d 3 h``."""
    if value is None:
        return NOTHING
    ms = int(Decimal(str(value)) * 1000)
    if ms < 1000:  # noqa: PLR2004 -- a second
        return f"{ms} ms"
    whole = ms // 1000
    if whole < 60:  # noqa: PLR2004 -- a minute
        return f"{ms // 100 / 10:g} s"
    for big, small, big_s in (("min", "s", 60), ("h", "min", 3600), ("d", "h", 86_400)):
        if whole < big_s * (60 if big == "min" else 24) or big == "d":
            rest = (whole % big_s) // {"min": 1, "h": 60, "d": 3600}[big]
            return f"{whole // big_s} {big}" + (f" {rest} {small}" if rest else "")
    return f"{whole} s"


def size(value: Any) -> str:
    """Return bytes: ``3.4 MiB``."""
    if value is None:
        return NOTHING
    for unit_bytes, unit in _BYTES:
        if value >= unit_bytes:
            return f"{value * 10 // unit_bytes / 10:g} {unit}"
    return f"{value} B"


def plain(value: Any) -> str:
    """Return text without characters that could pretend to be something else."""
    if value is None or value == "":
        return NOTHING
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, (list, tuple)):
        return ", ".join(plain(one) for one in value) or NOTHING
    return "".join(
        char if char.isprintable() or char in "\n\t" else "\ufffd" for char in str(value)
    )


def cell(kind: str, value: Any, tz: str) -> str:
    """Return a value of a kind of column."""
    if kind == "time":
        return moment(value, tz)
    return _SHOWN.get(kind, plain)(value)


_SHOWN: Final[dict[str, Callable[[Any], str]]] = {
    "usd": usd, "count": count, "percent": percent, "share": percent, "seconds": seconds,
    "bytes": size, "change": change, "rate": rate, "name": name,
    "amount": amount, "usd_change": usd_change,
}  # fmt: skip


def spark(values: list[float | int | None], width: int = 120, height: int = 24) -> str:
    """Return the points of an SVG polyline."""
    known = [value for value in values if value is not None]
    if len(known) < 2:  # noqa: PLR2004 -- a line has two ends
        return ""
    low, high = min(0, *known), max(known)
    span = (high - low) or 1
    step = width / max(1, len(values) - 1)
    return " ".join(
        f"{at * step:.1f},{height - 2 - (value - low) * (height - 4) / span:.1f}"
        for at, value in enumerate(values)
        if value is not None
    )
