"""Whether what a call makes is passed to ``tollbook.wrap``, or goes to the gateway."""

from __future__ import annotations

import ast
import re
from typing import TYPE_CHECKING, Final

from tollbook.lint import known
from tollbook.lint.source import keyword, targets_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tollbook.lint.source import Source

_TRANSPARENT: Final = (ast.Await, ast.NamedExpr, ast.IfExp, ast.BoolOp, ast.Starred, ast.Attribute)
_GATEWAY_WORD: Final = re.compile(r"gateway|tollbook", re.IGNORECASE)


class Wrapped:
    """Knows which values of a file are wrapped.

    Args:
        source: the file.
        gateways: beginnings of addresses that are the gateway's.
    """

    def __init__(self, source: Source, gateways: Sequence[str] = ()) -> None:
        self._source, self._gateways = source, tuple(gateways)
        self._texts: set[tuple[ast.AST | None, str]] = set()
        for call in source.calls:
            if source.is_wrap(call) and call.args:
                self._texts.add(self._key(call.args[0]))

    def _key(self, node: ast.expr) -> tuple[ast.AST | None, str]:
        """Return what tells a variable: a local name by its function, all else by its text."""
        scope = self._source.function_of(node) if isinstance(node, ast.Name) else None
        return scope, ast.unparse(node)

    def is_wrapped(self, call: ast.Call) -> bool:
        """Whether what this call returns is wrapped, at once or under its name later."""
        node: ast.AST = call
        for parent in self._source.ancestors(call):
            if isinstance(parent, ast.Call) and node is not parent.func:
                return self._source.is_wrap(parent)
            if isinstance(parent, ast.Assign | ast.AnnAssign):
                return any(self.is_wrapped_name(one) for one in targets_of(parent))
            if isinstance(parent, ast.NamedExpr) and self.is_wrapped_name(parent.target):
                return True
            if isinstance(parent, ast.withitem):
                names = parent.optional_vars
                return names is not None and self.is_wrapped_name(names)
            if not isinstance(parent, (*_TRANSPARENT, ast.Call)):
                return False
            node = parent
        return False

    def is_wrapped_name(self, node: ast.expr) -> bool:
        """Whether a variable is passed to ``wrap`` in its function (or anywhere, if global)."""
        scope, text = self._key(node)
        if (scope, text) in self._texts:
            return True
        tree = self._source.tree
        return scope is tree and any(known_text == text for _, known_text in self._texts)

    def holds_wrapped(self, node: ast.expr) -> bool:
        """Whether an expression contains a wrapped client, by its name or made in place."""
        for one in ast.walk(node):
            if isinstance(one, ast.Call) and self._source.is_wrap(one):
                return True
            if isinstance(one, ast.Name | ast.Attribute) and self._is_bound_to_wrapped(one):
                return True
        return False

    def _is_bound_to_wrapped(self, node: ast.Name | ast.Attribute) -> bool:
        if self.is_wrapped_name(node):
            return True
        value = self._source.bound_to(node)
        return isinstance(value, ast.Call) and self._source.is_wrap(value)

    def goes_to_gateway(self, call: ast.Call) -> bool:
        """Whether a call names the gateway's address.

        An address that is not written out is taken for the gateway's by its name: ``GATEWAY_URL``,
        ``settings.tollbook_url``.
        """
        value = keyword(call, *known.URL_ARGUMENTS)
        if value is None:
            return False
        text = self._source.text_of(value)
        if text is not None and self._gateways:
            return text.startswith(self._gateways)
        if text is not None and known.HOSTS.match(text):
            return False
        if text is not None and not any(
            isinstance(one, ast.Name | ast.Attribute) for one in ast.walk(value)
        ):
            return _is_local(text) or _GATEWAY_WORD.search(text) is not None
        return _GATEWAY_WORD.search(ast.unparse(value)) is not None or (
            text is not None and _is_local(text)
        )


def _is_local(text: str) -> bool:
    """Whether an address is on this host, where a gateway is and no provider."""
    return re.match(r"https?://(127\.\d+\.\d+\.\d+|localhost|\[::1\])[:/]", text + "/") is not None
