"""The public JSON of an audit, and back: what programs read, and what a comparison reads later.

It is made from the structs of the report by their fields, so that a field that is added there
appears here: money (``_pico``, integers of 10^-12 USD) becomes decimal text (``_usd``), thousandths
become points of 100 or factors. Sketches are left out unless all is asked for: they are half of it.
"""

from __future__ import annotations

import re
from enum import Enum
from pathlib import Path
from types import UnionType
from typing import TYPE_CHECKING, Any, Final, Union, get_args, get_origin, get_type_hints

import msgspec
from msgspec import Struct

from tollbook.audit.findings import Finding
from tollbook.audit.outputs.comparison import comparison_document
from tollbook.audit.outputs.hops import hop_words
from tollbook.audit.report import Audit, Defensibility
from tollbook.errors import TollbookError
from tollbook.money import pico_from_usd, usd_text

if TYPE_CHECKING:
    from tollbook.audit.compare import Comparison

FORMAT: Final = "tollbook-audit-1"
"""Stands in every document; another number when names change their meaning."""
_READ_MAX_BYTES: Final = 256 * 1024 * 1024
_TOTALS: Final = frozenset(Defensibility.__struct_fields__)
_STEPS_MAX: Final = 1 << 53
_POINTS: Final = 10
"""Thousandths in a point."""


class NoAuditError(TollbookError):
    """A file that should hold an earlier audit and does not."""

    def __init__(self, path: str, problem: str) -> None:
        super().__init__(
            f"{path}: {problem}; expected what tollbook audit --format json --output FILE writes"
        )


def public_name(name: str) -> str:
    """Return the name in the document of a field of the report."""
    if name.endswith("_pico"):
        return name.removesuffix("_pico") + "_usd"
    return name.removesuffix("_millis")


def document(audit: Audit, *, full: bool = False) -> dict[str, Any]:
    """Return the document.

    Args:
        audit: the report.
        full: with the sketch of each finding.
    """
    told = _public(audit)
    totals = told.pop("defensibility")
    findings = told.pop("findings")
    for one, found in zip(findings, audit.findings, strict=True):
        if found.hop is not None:
            one["hop"]["words"] = hop_words(found.hop, is_cause=found.is_cause)
        one["spans"] = one["evidence"]
        one["evidence"] = [span["span_id"] for span in one["spans"]]
        if not full:
            one["sketch"] = None
    head = {"format": FORMAT, "currency": "USD", "score": totals["score"]}
    return {**head, **totals, "findings": findings, **told}


def json_text(audit: Audit, *, full: bool = False, comparison: Comparison | None = None) -> str:
    """Return the document as text, indented, its lines ended; with a comparison, if given."""
    told = document(audit, full=full)
    if comparison is not None:
        told["comparison"] = comparison_document(comparison)
    packed = msgspec.json.encode(told)
    return msgspec.json.format(packed, indent=2).decode() + "\n"


def audit_of(text: bytes, path: str) -> Audit:
    """Return the audit that a document tells of.

    Raises:
        NoAuditError: it is no such document; ``path`` is named.
    """
    try:
        told = msgspec.json.decode(text)
    except (msgspec.DecodeError, RecursionError) as error:
        raise NoAuditError(path, f"no JSON ({str(error)[:120]})") from error
    if not isinstance(told, dict) or told.get("format") != FORMAT:
        raise NoAuditError(path, f"no audit ({FORMAT!r} is not named as its format)")
    totals = {public_name(one) for one in _TOTALS}  # what a later version added may be missing
    told["defensibility"] = {name: told[name] for name in totals & told.keys()}
    findings = told.get("findings")
    for one in findings if isinstance(findings, list) else ():
        if isinstance(one, dict):
            one["evidence"] = one.get("spans")
    try:
        return msgspec.convert(_private(Audit, told), Audit)
    except (msgspec.ValidationError, TollbookError) as error:
        raise NoAuditError(path, _without_path(str(error))) from error


def _without_path(problem: str) -> str:
    """Return why a document is no audit by its public names: a path is that of the structs."""
    what, _, path = problem.partition(" - at `")
    what = re.sub("`([a-z_]+)`", lambda found: f"`{public_name(found[1])}`", what)
    field = re.sub(r"\[[^]]*\]|`$", "", path).rpartition(".")[2]
    is_public = field not in {"", "$", "defensibility"}  # whose fields are those of the document
    return f"no audit that Tollbook wrote: {what[:150]}" + (
        f" in {public_name(field)!r}" if is_public else ""
    )


def read_audit(path: str) -> Audit:
    """Return the audit that a file holds.

    Raises:
        NoAuditError: it cannot be read, or holds none.
    """
    try:
        with Path(path).open("rb") as file:
            text = file.read(_READ_MAX_BYTES + 1)
    except OSError as error:
        raise NoAuditError(path, error.strerror or "cannot be read") from error
    if len(text) > _READ_MAX_BYTES:
        raise NoAuditError(path, f"larger than {_READ_MAX_BYTES} bytes")
    return audit_of(text, path)


def _public(value: Any) -> Any:
    if isinstance(value, Struct):
        return {
            public_name(name): _told(value, name, getattr(value, name))
            for name in value.__struct_fields__
        }
    if isinstance(value, tuple):
        if hasattr(value, "_asdict"):
            return {name: _public(one) for name, one in value._asdict().items()}
        return [_public(one) for one in value]
    return value.value if isinstance(value, Enum) else value


def _told(owner: Struct, name: str, value: Any) -> Any:
    if value is None:
        return None
    if name.endswith("_pico"):
        return usd_text(value)
    step = _step(type(owner), name)
    return _public(value) if step is None else value / step


def _step(owner: type, name: str) -> int | None:
    """Return how many thousandths are 1 in the document; None for what is no thousandths."""
    if name == "score_after" and owner is Finding:
        return _POINTS
    if not name.endswith("_millis"):
        return None
    return 1000 if name == "factor_millis" else _POINTS


def _private(kind: Any, value: Any) -> Any:
    """Return what :func:`_public` was given, as plain values that msgspec converts."""
    if value is None:
        return None
    if get_origin(kind) in {Union, UnionType}:
        kind = next(one for one in get_args(kind) if one is not type(None))
    if get_origin(kind) is tuple and isinstance(value, list):
        return [_private(get_args(kind)[0], one) for one in value]
    if not isinstance(kind, type) or not isinstance(value, dict):
        return value
    if issubclass(kind, Struct):
        hints = get_type_hints(kind)
        return {
            name: _back(kind, name, hints[name], value[public_name(name)])
            for name in kind.__struct_fields__
            if public_name(name) in value
        }
    if hasattr(kind, "_fields"):
        return [value.get(name) for name in kind._fields]
    return value


def _back(owner: type, name: str, kind: Any, value: Any) -> Any:
    if name.endswith("_pico"):
        return pico_from_usd(value) if isinstance(value, str) else value
    step = _step(owner, name)
    if step is not None and isinstance(value, (int, float)):
        return round(min(value, _STEPS_MAX) * step)  # a JSON number may be 1e400
    return _private(kind, value)
