"""One file's syntax tree, and what names in it mean: imports, aliases, constants, parents."""

from __future__ import annotations

import ast
import warnings
from functools import cached_property
from typing import TYPE_CHECKING, Final

from tollbook.lint import known

if TYPE_CHECKING:
    from collections.abc import Iterator

_PASSES: Final = 4
"""An alias of an alias of an alias is followed, and no further."""
_PARTIAL: Final = frozenset(["functools.partial", "partial"])
_IMPORTS: Final = frozenset(["importlib.import_module", "__import__"])
Function = ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda


class Source:
    """A parsed file.

    Args:
        path: as it is shown.
        text: its source.
        wrappers: qualified names of further functions that return a wrapped client.

    Raises:
        SyntaxError, ValueError, RecursionError, MemoryError: it cannot be parsed.
    """

    def __init__(self, path: str, text: str, wrappers: frozenset[str] = frozenset()) -> None:
        self.path, self.text = path, text
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of escapes in the checked code
            self.tree = ast.parse(text)
        self.nodes: list[ast.AST] = []
        self.parents: dict[ast.AST, ast.AST] = {}
        self._collect()
        self.names: dict[str, str] = {}
        self._attributes: dict[str, str] = {}
        self._constants: dict[tuple[ast.AST | None, str], ast.expr] = {}
        self.wrappers = known.WRAP | wrappers
        self._read_imports()
        for _ in range(_PASSES):
            before = len(self.names) + len(self._attributes)
            self._follow_aliases()
            if before == len(self.names) + len(self._attributes):
                break
        self._read_constants()

    def _collect(self) -> None:
        waiting: list[ast.AST] = [self.tree]
        while waiting:
            node = waiting.pop()
            self.nodes.append(node)
            for child in ast.iter_child_nodes(node):
                self.parents[child] = node
                waiting.append(child)

    @cached_property
    def calls(self) -> list[ast.Call]:
        """All calls, in the order of the text."""
        found = [node for node in self.nodes if isinstance(node, ast.Call)]
        return sorted(found, key=lambda one: (one.lineno, one.col_offset))

    def _read_imports(self) -> None:
        for node in self.nodes:
            if isinstance(node, ast.Import):
                for one in node.names:
                    if one.asname:
                        self.names[one.asname] = one.name
                    else:
                        root = one.name.partition(".")[0]
                        self.names[root] = root
            elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
                for one in node.names:
                    if one.name == "*":
                        self._read_star(node.module)
                    else:
                        self.names[one.asname or one.name] = f"{node.module}.{one.name}"

    def _read_star(self, module: str) -> None:
        for name in known.CLIENTS | known.FRAMEWORKS | known.LITELLM:
            package, _, last = name.rpartition(".")
            if package == module:
                self.names.setdefault(last, name)

    def _follow_aliases(self) -> None:
        for node in self.nodes:
            if isinstance(node, ast.Assign | ast.AnnAssign) and node.value is not None:
                meant = self._meant(node.value)
                for target in targets_of(node) if meant else ():
                    self._alias(target, meant or "", node)
            elif isinstance(node, ast.ClassDef):
                for base in node.bases:
                    meant = self.qualified(base)
                    if meant in known.CLIENTS | known.FRAMEWORKS:
                        self.names.setdefault(node.name, meant or "")
            elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.args.args:
                first = node.args.args[0].arg
                if any(self._returns_wrapped(one, first) for one in ast.walk(node)):
                    self.names.setdefault(node.name, "tollbook.sdk.wrap")

    def _alias(self, target: ast.expr, meant: str, node: ast.AST) -> None:
        if isinstance(target, ast.Name):
            if isinstance(self.parents.get(node), ast.ClassDef):
                self._attributes.setdefault(target.id, meant)
            else:
                self.names.setdefault(target.id, meant)
        elif isinstance(target, ast.Attribute) and isinstance(target.value, ast.Name):
            self._attributes.setdefault(target.attr, meant)

    def _meant(self, value: ast.expr) -> str | None:
        """Return what a name becomes that is bound to this: a class, a module, a partial."""
        if isinstance(value, ast.Call):
            name = self.qualified(value.func) or _plain(value.func)
            if name in _PARTIAL and value.args:
                return self.qualified(value.args[0])
            if name in _IMPORTS and value.args:
                return self.text_of(value.args[0])
            return None
        return self.qualified(value)

    def _returns_wrapped(self, node: ast.AST, parameter: str) -> bool:
        return (
            isinstance(node, ast.Return)
            and isinstance(node.value, ast.Call)
            and self.is_wrap(node.value)
            and any(isinstance(one, ast.Name) and one.id == parameter for one in node.value.args)
        )

    def _read_constants(self) -> None:
        for node in self.nodes:
            if isinstance(node, ast.Assign | ast.AnnAssign) and node.value is not None:
                for target in targets_of(node):
                    if isinstance(target, ast.Name):
                        scope = self.function_of(node)
                        self._constants.setdefault((scope, target.id), node.value)
                    elif isinstance(target, ast.Attribute):
                        self._constants.setdefault((None, target.attr), node.value)

    def bound_to(self, node: ast.Name | ast.Attribute) -> ast.expr | None:
        """Return what a name was bound to, in its own function or around it."""
        if isinstance(node, ast.Attribute):
            return self._constants.get((None, node.attr)) or self._constants.get(
                (self.tree, node.attr)
            )
        scope = self.function_of(node)
        while True:
            found = self._constants.get((scope, node.id))
            if found is not None or scope is self.tree:
                return found
            if isinstance(scope, Function) and node.id in parameters_of(scope):
                return None
            scope = self.function_of(scope)

    def qualified(self, node: ast.expr) -> str | None:
        """Return the full name of what a name or attribute stands for, as it was imported."""
        if isinstance(node, ast.Name):
            return self.names.get(node.id)
        if isinstance(node, ast.Attribute):
            if isinstance(node.value, ast.Name) and node.value.id not in self.names:
                return self._attributes.get(node.attr)
            base = self.qualified(node.value)
            return None if base is None else f"{base}.{node.attr}"
        return None

    def text_of(  # noqa: PLR0911 -- one for each kind of expression
        self, node: ast.expr | None, depth: int = 6
    ) -> str | None:
        """Return the beginning of a text as far as it is known: constants, f-strings, defaults."""
        if node is None or not depth:
            return None
        match node:
            case ast.Constant(value=str(text)):
                return text
            case ast.JoinedStr(values=parts):
                return self._joined(parts, depth)
            case ast.BinOp(left=left, op=ast.Add() | ast.Mod(), right=right):
                return self._joined([left, right], depth)
            case ast.FormattedValue(value=value):
                return self.text_of(value, depth - 1)
            case ast.Name() | ast.Attribute():
                return self.text_of(self.bound_to(node), depth - 1)
            case ast.BoolOp(values=options):
                return self._first(options, depth)
            case ast.IfExp(body=body, orelse=otherwise):
                return self._first([body, otherwise], depth)
            case ast.Call():
                return self._of_call(node, depth)
        return None

    def _first(self, options: list[ast.expr], depth: int) -> str | None:
        return next(filter(None, (self.text_of(one, depth - 1) for one in options)), None)

    def _joined(self, parts: list[ast.expr], depth: int) -> str | None:
        text = ""
        for part in parts:
            more = self.text_of(part, depth - 1)
            if more is None:
                break
            text += more
        return text or None

    def _of_call(self, node: ast.Call, depth: int) -> str | None:
        """Return the default of ``os.environ.get(NAME, default)``, or what a URL class is given."""
        name = _last(node.func)
        if name in {"get", "getenv"} and len(node.args) > 1:
            return self.text_of(node.args[1], depth - 1)
        if name in {"URL", "Request", "str", "urljoin"} and node.args:
            return self.text_of(node.args[0], depth - 1)
        if name in {"format", "rstrip", "strip"} and isinstance(node.func, ast.Attribute):
            return self.text_of(node.func.value, depth - 1)
        return None

    def is_wrap(self, call: ast.Call) -> bool:
        """Whether a call is one of the harness's ``wrap``."""
        return self.qualified(call.func) in self.wrappers

    def function_of(self, node: ast.AST) -> ast.AST:
        """Return the function that a node is in, else the module."""
        at = self.parents.get(node)
        while at is not None and not isinstance(at, Function):
            at = self.parents.get(at)
        return self.tree if at is None else at

    def ancestors(self, node: ast.AST) -> Iterator[ast.AST]:
        """Yield parents, the nearest first."""
        at = self.parents.get(node)
        while at is not None:
            yield at
            at = self.parents.get(at)


def _last(node: ast.expr) -> str:
    if isinstance(node, ast.Name):
        return node.id
    return node.attr if isinstance(node, ast.Attribute) else ""


def targets_of(node: ast.Assign | ast.AnnAssign) -> list[ast.expr]:
    """Return what an assignment binds."""
    return node.targets if isinstance(node, ast.Assign) else [node.target]


def parameters_of(function: Function) -> set[str]:
    """Return the names of a function's parameters."""
    given = function.args
    return {one.arg for one in (*given.posonlyargs, *given.args, *given.kwonlyargs)}


def _plain(node: ast.expr) -> str:
    return node.id if isinstance(node, ast.Name) else ""


def keyword(call: ast.Call, *names: str) -> ast.expr | None:
    """Return the value of the first of these keyword arguments that a call has."""
    for one in call.keywords:
        if one.arg in names:
            return one.value
    return None
