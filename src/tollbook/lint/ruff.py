"""A ruff configuration that bans what goes past the harness (TID251, ``banned-api``).

Ruff sees imports in editors at once, but neither wrapping nor addresses; the two go together.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from tollbook.lint import known

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tollbook.lint.settings import LintSettings

_MESSAGE: Final = "Make it in an allowed module, with tollbook.wrap; see tollbook lint (TB001)."
_FRAMEWORK: Final = "Give it a wrapped client, in an allowed module; see tollbook lint (TB005)."


def banned_api(settings: LintSettings) -> str:
    """Return TOML for ``pyproject.toml``; modules that may make clients are left out of the ban."""
    return "\n".join(_lines(settings)) + "\n"


def _lines(settings: LintSettings) -> Iterator[str]:
    yield "# Written by: tollbook lint --ruff"
    yield "[tool.ruff.lint]"
    yield 'extend-select = ["TID251"]'
    yield ""
    yield "[tool.ruff.lint.flake8-tidy-imports.banned-api]"
    for name in sorted(known.CLIENTS | known.LITELLM | known.LITELLM_CLIENTS):
        yield f'"{name}".msg = "{_MESSAGE}"'
    for name in sorted(known.FRAMEWORKS):
        yield f'"{name}".msg = "{_FRAMEWORK}"'
    if settings.allow:
        yield ""
        yield "[tool.ruff.lint.extend-per-file-ignores]"
        for pattern in settings.allow:
            for path in _paths_of(pattern):
                yield f'"{path}" = ["TID251"]'


def _paths_of(pattern: str) -> list[str]:
    """Return the paths that a module or path pattern means, as ruff matches them."""
    if "/" in pattern or pattern.endswith(".py") or "*" in pattern:
        return [pattern]
    path = pattern.replace(".", "/")
    return [f"**/{path}.py", f"**/{path}/**"]
