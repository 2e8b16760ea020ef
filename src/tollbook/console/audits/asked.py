"""What can be said about an audit: the options of the command, as a query or a form has them."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from msgspec import Struct

from tollbook.audit.rules.catalogue import CATALOGUE
from tollbook.audit.settings import AuditSettings
from tollbook.reports.errors import QueryError

if TYPE_CHECKING:
    from collections.abc import Iterable

FORMATS: Final = ("json", "html", "sarif", "junit", "csv")
_VALUES_MAX: Final = 20
_CHARS_MAX: Final = 256
_LISTS: Final = frozenset(["tenant_attribute", "trusted_host", "ignore"])
_SWITCHES: Final = frozenset(["hash_names", "show_names", "full"])
_TEXTS: Final = frozenset(["tenant_pattern", "kind", "format"])
NAMES: Final = (*sorted(_LISTS), *sorted(_SWITCHES), *sorted(_TEXTS))
_TRUE: Final = frozenset(["true", "1", "yes", "on"])
_FALSE: Final = frozenset(["false", "0", "no", "off", ""])


class Asked(Struct, frozen=True, kw_only=True):
    """How an audit is made, and what is answered."""

    settings: AuditSettings = AuditSettings()
    kind: str | None = None
    """Of the files, where it cannot be told by content."""
    format: str = "json"
    show_names: bool = False
    """Whether HTML has the names of tenants."""
    full: bool = False
    """Whether JSON has the trace of each finding."""


def asked_of(pairs: Iterable[tuple[str, str]], findings_max: int) -> Asked:
    """Return what the pairs of a query or a form ask for.

    Raises:
        QueryError: a name or a value that is not understood.
    """
    lists: dict[str, list[str]] = {name: [] for name in _LISTS}
    plain: dict[str, str] = {}
    for name, value in pairs:
        if len(value) > _CHARS_MAX:
            raise QueryError(name, f"is longer than {_CHARS_MAX} characters")
        if name in lists:
            lists[name] += [one.strip() for one in value.split(",") if one.strip()]
            if len(lists[name]) > _VALUES_MAX:
                raise QueryError(name, f"has more than {_VALUES_MAX} values")
        elif name in _SWITCHES or name in _TEXTS:
            if name in plain:
                raise QueryError(name, "is given twice")
            plain[name] = value.strip()
        else:
            raise QueryError(name[:64], f"is not one of {', '.join(NAMES)}")
    form = plain.get("format") or "json"
    if form not in FORMATS:
        raise QueryError("format", f"{form[:64]!r} is not one of {', '.join(FORMATS)}")
    return Asked(
        settings=AuditSettings(
            hash_names=_switch("hash_names", plain),
            tenant_attributes=tuple(lists["tenant_attribute"]),
            trusted_hosts=tuple(lists["trusted_host"]),
            tenant_pattern=_pattern(plain.get("tenant_pattern")),
            ignore=_rules(lists["ignore"]),
            findings_max=findings_max,
        ),
        kind=plain.get("kind") or None, format=form,
        show_names=_switch("show_names", plain), full=_switch("full", plain),
    )  # fmt: skip


def _switch(name: str, plain: dict[str, str]) -> bool:
    value = plain.get(name, "").lower()
    if value not in _TRUE | _FALSE:
        raise QueryError(name, f"{value[:64]!r} is neither true nor false")
    return value in _TRUE


def _pattern(value: str | None) -> str | None:
    if not value:
        return None
    try:
        re.compile(value)
    except (re.error, RecursionError, OverflowError) as error:
        raise QueryError("tenant_pattern", f"is no regular expression ({error})") from error
    return value


def _rules(given: list[str]) -> tuple[str, ...]:
    for name in given:
        if name not in CATALOGUE:
            raise QueryError("ignore", f"there is no rule {name[:32]!r}; rules are A01 and on")
    return tuple(given)
