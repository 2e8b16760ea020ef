"""TB006, TB007: identity that leaks out of generators, or is dropped by threads."""

from __future__ import annotations

import ast
from typing import TYPE_CHECKING

from tollbook.lint import known, rules
from tollbook.lint.source import Function, keyword, targets_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tollbook.lint.clients import Found
    from tollbook.lint.source import Source
    from tollbook.lint.wrapped import Wrapped


def generators(source: Source, wrapped: Wrapped) -> Iterator[Found]:
    """Find a scope that is held across a yield."""
    del wrapped
    for node in source.nodes:
        if not isinstance(node, ast.With | ast.AsyncWith):
            continue
        scope = next(
            filter(None, (_scope_in(source, one.context_expr) for one in node.items)), None
        )
        if scope is None or not any(_yields(one) for one in node.body):
            continue
        function = source.function_of(node)
        if isinstance(function, ast.FunctionDef | ast.AsyncFunctionDef) and any(
            _is_context_manager(source, one) for one in function.decorator_list
        ):
            continue
        yield node, rules.GENERATOR, f"{scope} is held across a yield"


def _scope_in(source: Source, expression: ast.expr) -> str | None:
    if isinstance(expression, ast.Call):
        name = source.qualified(expression.func)
        if name in known.SCOPES:
            return name
    if isinstance(expression, ast.Name):
        value = source.bound_to(expression)
        return _scope_in(source, value) if isinstance(value, ast.Call) else None
    return None


def _yields(node: ast.AST) -> bool:
    """Whether a statement yields in its own function, not in one that it defines."""
    waiting = [node]
    while waiting:
        one = waiting.pop()
        if isinstance(one, ast.Yield | ast.YieldFrom):
            return True
        if not isinstance(one, (*Function.__args__, ast.ClassDef)):
            waiting.extend(ast.iter_child_nodes(one))
    return False


def _is_context_manager(source: Source, decorator: ast.expr) -> bool:
    called = decorator.func if isinstance(decorator, ast.Call) else decorator
    return source.qualified(called) in known.CONTEXT_MANAGERS


def instruments_threads(source: Source) -> bool:
    """Whether a file makes all threads carry their context."""
    return any(source.qualified(one.func) in known.INSTRUMENTS_THREADS for one in source.calls)


def threads(source: Source, wrapped: Wrapped) -> Iterator[Found]:
    """Find work that is handed to a thread or pool without its context."""
    del wrapped
    pools = _pools(source)
    for call in source.calls:
        name = source.qualified(call.func)
        if name in known.THREADS:
            target = keyword(call, "target", "function") or (
                call.args[1] if len(call.args) > 1 else None
            )
            if target is not None and not _carries(source, target):
                yield call, rules.THREAD, f"{name}(...) starts with an empty context"
        elif isinstance(call.func, ast.Attribute) and call.args:
            method = call.func.attr
            if method == "run_in_executor" and len(call.args) > 1:
                if not (_carries(source, call.args[1]) or _is_propagating(source, call.args[0])):
                    yield call, rules.THREAD, "run_in_executor(...) drops the context"
            elif (
                method in known.HANDOVERS
                and _is_pool(source, call.func.value, pools)
                and not _carries(source, call.args[0])
            ):
                yield call, rules.THREAD, f".{method}(...) of a pool drops the context"


def _pools(source: Source) -> set[str]:
    """Return the texts of variables that hold a plain pool."""
    found: set[str] = set()
    targets: list[ast.expr | None]
    for node in source.nodes:
        if isinstance(node, ast.withitem):
            value, targets = node.context_expr, [node.optional_vars]
        elif isinstance(node, ast.Assign | ast.AnnAssign) and node.value is not None:
            value, targets = node.value, [*targets_of(node)]
        else:
            continue
        if _is_executor(source, value):
            found.update(ast.unparse(one) for one in targets if one is not None)
    return found


def _is_executor(source: Source, value: ast.expr) -> bool:
    return isinstance(value, ast.Call) and source.qualified(value.func) in known.EXECUTORS


def _is_pool(source: Source, value: ast.expr, pools: set[str]) -> bool:
    return _is_executor(source, value) or ast.unparse(value) in pools


def _is_propagating(source: Source, executor: ast.expr) -> bool:
    value = (
        source.bound_to(executor) if isinstance(executor, ast.Name | ast.Attribute) else executor
    )
    name = source.qualified(value.func) if isinstance(value, ast.Call) else None
    return name is not None and name.startswith("tollbook.")


def _carries(source: Source, work: ast.expr) -> bool:
    """Whether a callable takes a context along: run_in_context(f), copy_context().run."""
    if isinstance(work, ast.Call):
        return source.qualified(work.func) in known.CARRIERS or any(
            _carries(source, one) for one in work.args[:1]
        )
    if isinstance(work, ast.Attribute) and work.attr == "run":
        return "context" in ast.unparse(work.value).lower() or "ctx" in ast.unparse(work.value)
    if isinstance(work, ast.Name):
        value = source.bound_to(work)
        return isinstance(value, ast.Call) and _carries(source, value)
    return False
