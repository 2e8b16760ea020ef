"""Files to findings: which are read, what lifts a finding, what could not be read."""

from __future__ import annotations

import ast
import os
import tokenize
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from tollbook.lint import clients, contexts, known, requests, rules
from tollbook.lint.comments import allowed_in
from tollbook.lint.rules import Finding
from tollbook.lint.settings import LintSettings, matches
from tollbook.lint.source import Source
from tollbook.lint.wrapped import Wrapped

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

FILE_MAX_BYTES: Final = 4 * 1024 * 1024
SKIPPED: Final = frozenset(
    [
        "__pycache__",
        "node_modules",
        "site-packages",
        "venv",
        "build",
        "dist",
        ".git",
        ".tox",
        ".nox",
    ]
)
_OF_MAKING: Final = (clients.clients, clients.escaping_classes, clients.frameworks,
                     clients.base_urls, requests.raw_requests)  # fmt: skip
"""What the modules named in ``allow`` may do."""
_OF_CONTEXT: Final = (contexts.generators, contexts.threads)


class Report(NamedTuple):
    """The outcome of a run."""

    findings: list[Finding]
    files: int
    unreadable: int
    allowed: int
    """Findings that a comment with a reason has lifted."""


class _File(NamedTuple):
    shown: str
    source: Source | None
    problem: Finding | None
    is_allowed: bool


def lint(paths: Iterable[Path], settings: LintSettings, root: Path) -> Report:
    """Check files and directories.

    Args:
        paths: each is read, directories with all Python files below them.
        settings: see :class:`LintSettings`.
        root: what paths in the settings are relative to.
    """
    files = [_read(path, settings, root) for path in sorted(set(_files(paths, settings, root)))]
    sources = [one.source for one in files if one.source is not None]
    # What one file does for the whole process holds for all files of the run.
    wraps_litellm = any(_wraps_litellm(one) for one in sources)
    carries = any(contexts.instruments_threads(one) for one in sources)
    findings: list[Finding] = []
    allowed = 0
    for one in files:
        if one.problem is not None or one.source is None:
            findings += [one.problem] if one.problem is not None else []
            continue
        found = _found(one, settings)
        if wraps_litellm:
            found = [each for each in found if not each.what.endswith("wrap_litellm()")]
        if carries:
            found = [each for each in found if each.rule is not rules.THREAD]
        kept = _without_allowed(found, one)
        allowed += len(found) - sum(each.rule is not rules.NO_REASON for each in kept)
        findings += kept
    findings = [one for one in findings if one.rule.id not in settings.ignore]
    findings.sort(key=lambda one: (one.path, one.line, one.column, one.rule.id))
    unreadable = sum(one.rule is rules.UNREADABLE for one in findings)
    return Report(findings, len(files), unreadable, allowed)


def lint_text(text: str, settings: LintSettings, shown: str = "example.py") -> list[Finding]:
    """Check one file's text.

    Raises:
        SyntaxError: it is no Python.
    """
    source = Source(shown, text, frozenset(settings.wrappers))
    one = _File(shown, source, None, matches(settings.allow, shown))
    found = _found(one, settings)
    if _wraps_litellm(source):
        found = [each for each in found if not each.what.endswith("wrap_litellm()")]
    if contexts.instruments_threads(source):
        found = [each for each in found if each.rule is not rules.THREAD]
    kept = [one for one in _without_allowed(found, one) if one.rule.id not in settings.ignore]
    return sorted(kept, key=lambda each: (each.line, each.column, each.rule.id))


def _wraps_litellm(source: Source) -> bool:
    return any(source.qualified(one.func) in known.WRAP_LITELLM for one in source.calls)


def _files(paths: Iterable[Path], settings: LintSettings, root: Path) -> Iterator[Path]:
    for path in paths:
        if not path.is_dir():
            yield path
            continue
        for directory, inner, names in os.walk(path):
            inner[:] = sorted(
                one for one in inner if one not in SKIPPED and not one.startswith(".")
            )
            for name in names:
                file = Path(directory, name)
                if name.endswith((".py", ".pyw")) and not matches(
                    settings.exclude, _relative(file, root)
                ):
                    yield file


def _relative(path: Path, root: Path) -> str:
    try:
        return path.resolve().relative_to(root).as_posix()
    except ValueError:
        return path.as_posix()


def _read(path: Path, settings: LintSettings, root: Path) -> _File:
    shown = path.as_posix()
    is_allowed = matches(settings.allow, _relative(path, root))
    try:
        raw = _bytes_of(path)
        encoding, _ = tokenize.detect_encoding(BytesIO(raw).readline)
        source = Source(shown, raw.decode(encoding), frozenset(settings.wrappers))
    except (OSError, SyntaxError, ValueError, LookupError, RecursionError, MemoryError) as error:
        line = error.lineno if isinstance(error, SyntaxError) and error.lineno else 1
        said = error.msg if isinstance(error, SyntaxError) else _said(error)
        problem = Finding(shown, line, 1, rules.UNREADABLE, f"not checked: {said}")
        return _File(shown, None, problem, is_allowed)
    return _File(shown, source, None, is_allowed)


def _bytes_of(path: Path) -> bytes:
    with path.open("rb") as file:
        raw = file.read(FILE_MAX_BYTES + 1)
    if len(raw) > FILE_MAX_BYTES:
        raise ValueError(f"larger than {FILE_MAX_BYTES} bytes")
    return raw


def _said(error: BaseException) -> str:
    text = (error.strerror if isinstance(error, OSError) else None) or str(error)
    return " ".join((text or type(error).__name__).split())[:200]


def _found(one: _File, settings: LintSettings) -> list[Finding]:
    source = one.source
    assert source is not None
    wrapped = Wrapped(source, settings.gateways)
    checks = _OF_CONTEXT if one.is_allowed else (*_OF_MAKING, *_OF_CONTEXT)
    found: dict[tuple[int, int, str], Finding] = {}
    for check in checks:
        for node, rule, what in check(source, wrapped):
            place: Any = node
            finding = Finding(one.shown, place.lineno, place.col_offset + 1, rule, what)
            found.setdefault((finding.line, finding.column, rule.id), finding)
    return list(found.values())


def _without_allowed(found: list[Finding], one: _File) -> list[Finding]:
    """Take away what comments lift; say of those without a reason that they need one."""
    assert one.source is not None
    comments = allowed_in(one.source.text)
    if not comments:
        return found
    ends = _last_lines(one.source.tree)
    kept = []
    for finding in found:
        lines = range(finding.line, ends.get((finding.line, finding.column), finding.line) + 1)
        if not any(
            each.has_reason and each.line in lines and finding.rule.id in each.rules
            for each in comments
        ):
            kept.append(finding)
    for each in comments:
        if not each.has_reason:
            what = f"{', '.join(sorted(each.rules))} is allowed without a reason"
            kept.append(Finding(one.shown, each.line, each.column, rules.NO_REASON, what))
    return kept


def _last_lines(tree: ast.Module) -> dict[tuple[int, int], int]:
    """Return where expressions end: a comment may stand at the end of a call of many lines."""
    ends: dict[tuple[int, int], int] = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.expr):
            place = (node.lineno, node.col_offset + 1)
            ends[place] = max(ends.get(place, 0), node.end_lineno or node.lineno)
    return ends
