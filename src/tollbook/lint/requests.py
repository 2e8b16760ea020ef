"""TB003: providers called with a plain HTTP client."""

from __future__ import annotations

import ast
from typing import TYPE_CHECKING, Final

from tollbook.lint import known, rules
from tollbook.lint.source import keyword

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tollbook.lint.clients import Found
    from tollbook.lint.source import Source
    from tollbook.lint.wrapped import Wrapped

_NAMES_METHOD: Final = frozenset(["request", "stream", "build_request"])
"""Methods whose first argument is the HTTP method, the second the address."""


def raw_requests(source: Source, wrapped: Wrapped) -> Iterator[Found]:
    """Find requests to the hosts of providers, and HTTP clients that are made for one."""
    for call in source.calls:
        name = source.qualified(call.func) or ""
        is_of_package = name.startswith(known.HTTP_PACKAGES)
        method = call.func.attr if isinstance(call.func, ast.Attribute) else ""
        if not is_of_package and method not in known.HTTP_METHODS:
            continue
        # Of an object that is not known, only what its method takes for the address.
        at = 3 if is_of_package else 2 if method in _NAMES_METHOD else 1
        host = _host_of(source, call, at, bare=name.startswith("http.client."))
        if host is None or wrapped.is_wrapped(call):
            continue
        if isinstance(call.func, ast.Attribute) and wrapped.holds_wrapped(call.func.value):
            continue
        if _is_inner(source, call):
            continue
        yield call, rules.RAW_HTTP, f"{name or '.' + method}(...) goes to {host}"


def _host_of(source: Source, call: ast.Call, at: int, *, bare: bool) -> str | None:
    values = [*call.args[:at]]
    given = keyword(call, "url", "base_url", "host")
    if given is not None:
        values.append(given)
    for value in values:
        text = source.text_of(value) or ""
        found = known.HOSTS.match(text) or (known.BARE_HOSTS.match(text) if bare else None)
        if found is not None:
            return found[0]
    return None


def _is_inner(source: Source, call: ast.Call) -> bool:
    """Whether a call stands within another that is told of: ``urlopen(Request(...))``."""
    outer = source.parents[call]
    return (
        isinstance(outer, ast.Call)
        and call in outer.args
        and (source.qualified(outer.func) or "").startswith(known.HTTP_PACKAGES)
    )
