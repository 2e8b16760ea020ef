"""TB001, TB002, TB004, TB005: clients that are made or handed on without the harness."""

from __future__ import annotations

import ast
from typing import TYPE_CHECKING, Final

from tollbook.lint import known, rules
from tollbook.lint.source import keyword

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tollbook.lint.rules import Rule
    from tollbook.lint.source import Source
    from tollbook.lint.wrapped import Wrapped

Found = tuple[ast.AST, "Rule", str]

_HARMLESS_CALLS: Final = frozenset(
    ["isinstance", "issubclass", "cast", "TypeVar", "NewType", "partial", "spec_set", "Mock",
     "MagicMock", "AsyncMock", "create_autospec"]
)  # fmt: skip
_HARMLESS: Final = (
    ast.Attribute,
    ast.Compare,
    ast.BinOp,
    ast.MatchClass,
    ast.ClassDef,
    ast.Subscript,
)


def clients(source: Source, wrapped: Wrapped) -> Iterator[Found]:
    """Find clients that are made, or called in a package, without the harness."""
    for call in source.calls:
        name = source.qualified(call.func)
        if name is not None and name in known.CLIENTS | known.LITELLM_CLIENTS:
            if not (wrapped.is_wrapped(call) or wrapped.goes_to_gateway(call)):
                yield call, rules.UNWRAPPED, f"{name}(...) is not passed to tollbook.wrap"
        elif name in known.LITELLM:
            yield call, rules.UNWRAPPED, f"{name}(...) is called without tollbook.wrap_litellm()"
        elif name is not None and known.is_module_call(name):
            yield call, rules.UNWRAPPED, f"{name}(...) uses a client that nobody can wrap"
        elif _is_bedrock(source, call) and not (
            wrapped.is_wrapped(call) or wrapped.goes_to_gateway(call)
        ):
            yield call, rules.UNWRAPPED, "a Bedrock client is not passed to tollbook.wrap"


def _is_bedrock(source: Source, call: ast.Call) -> bool:
    """Whether a call is ``boto3.client("bedrock-runtime")``, or that of a session."""
    if not isinstance(call.func, ast.Attribute) or call.func.attr not in {
        "client",
        "create_client",
    }:
        return False
    service = call.args[0] if call.args else keyword(call, "service_name")
    return service is not None and source.text_of(service) in known.BOTO_SERVICES


def escaping_classes(source: Source, wrapped: Wrapped) -> Iterator[Found]:
    """Find client classes that are exported, or handed to what makes clients elsewhere."""
    del wrapped
    used: set[str] = set()
    for node in source.nodes:
        if not isinstance(node, ast.Name | ast.Attribute) or not isinstance(node.ctx, ast.Load):
            continue
        name = source.qualified(node)
        if name is None or name not in known.CLIENTS:
            continue
        used.add(name)
        if not _is_harmless(source, node):
            yield node, rules.ESCAPING, f"the class {name} is handed on"
    for node in source.nodes:
        if isinstance(node, ast.ImportFrom) and not node.level and node.module:
            for one in node.names:
                name = f"{node.module}.{one.name}"
                if name in known.CLIENTS and name not in used and not _is_typing(source, node):
                    yield one, rules.ESCAPING, f"the class {name} is imported only to be exported"


def _is_harmless(source: Source, node: ast.expr) -> bool:
    parent = source.parents[node]
    if isinstance(parent, ast.Call):
        if node is parent.func:
            return True
        name = (
            parent.func.attr
            if isinstance(parent.func, ast.Attribute)
            else getattr(parent.func, "id", "")
        )
        return name in _HARMLESS_CALLS
    if isinstance(parent, _HARMLESS):
        return True
    if isinstance(parent, ast.Assign | ast.AnnAssign | ast.arg):
        return True  # an alias, which is followed, or an annotation
    if isinstance(parent, ast.FunctionDef | ast.AsyncFunctionDef):
        return node is parent.returns
    return isinstance(parent, ast.Tuple) and _is_harmless(source, parent)


def _is_typing(source: Source, node: ast.AST) -> bool:
    return any(
        isinstance(one, ast.If) and "TYPE_CHECKING" in ast.unparse(one.test)
        for one in source.ancestors(node)
    )


def frameworks(source: Source, wrapped: Wrapped) -> Iterator[Found]:
    """Find models of frameworks that make a client of their own."""
    for call in source.calls:
        name = source.qualified(call.func)
        if name in known.FRAMEWORKS:
            if not (wrapped.goes_to_gateway(call) or _is_given_wrapped(wrapped, call)):
                yield call, rules.FRAMEWORK, f"{name}(...) makes a client of its own"
        elif name in known.NAMED_MODELS:
            model = call.args[0] if call.args else keyword(call, "model")
            text = source.text_of(model) if isinstance(model, ast.Constant) else None
            if (
                text is not None
                and known.MODEL_NAME.fullmatch(text)
                and not text.startswith("test")
            ):
                yield call, rules.FRAMEWORK, f'{name}("{text}") makes a client of its own'


def _is_given_wrapped(wrapped: Wrapped, call: ast.Call) -> bool:
    values = [*call.args, *[one.value for one in call.keywords]]
    return any(
        wrapped.holds_wrapped(one)
        or any(
            isinstance(part, ast.Call) and wrapped.goes_to_gateway(part) for part in ast.walk(one)
        )
        for one in values
    )


def base_urls(source: Source, wrapped: Wrapped) -> Iterator[Found]:
    """Find base addresses that lead to a provider past the gateway."""
    for call in source.calls:
        value = keyword(call, *known.URL_ARGUMENTS)
        host = _provider_at(source, value)
        if host is None or _is_http(source, call) or wrapped.is_wrapped(call):
            continue
        if not _is_given_wrapped(wrapped, call):
            yield call, rules.BASE_URL, f"the base address is {host}"
    for node in source.nodes:
        if isinstance(node, ast.Assign):
            for target in node.targets:
                name = _address_name(source, target)
                host = _provider_at(source, node.value) if name else None
                if host is not None:
                    yield node, rules.BASE_URL, f"{name} is set to {host}"
        elif isinstance(node, ast.Call) and len(node.args) == 2:  # noqa: PLR2004 -- name and value
            name = source.text_of(node.args[0]) or ""
            is_set = isinstance(node.func, ast.Attribute) and node.func.attr in {
                "setdefault",
                "setenv",
                "putenv",
            }
            host = _provider_at(source, node.args[1])
            if is_set and host is not None and known.URL_VARIABLES.fullmatch(name):
                yield node, rules.BASE_URL, f"{name} is set to {host}"


def _provider_at(source: Source, value: ast.expr | None) -> str | None:
    found = known.HOSTS.match(source.text_of(value) or "")
    return None if found is None else found[0]


def _is_http(source: Source, call: ast.Call) -> bool:
    return (source.qualified(call.func) or "").startswith(known.HTTP_PACKAGES)


def _address_name(source: Source, target: ast.expr) -> str | None:
    """Return the name of an address that clients read: of the environment or of a module."""
    if isinstance(target, ast.Subscript):
        name = source.text_of(target.slice)
        return name if name is not None and known.URL_VARIABLES.fullmatch(name) else None
    if isinstance(target, ast.Attribute) and target.attr in known.URL_ARGUMENTS:
        return source.qualified(target)
    return None
