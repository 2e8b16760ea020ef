"""``[tool.tollbook.lint]`` of the nearest ``pyproject.toml``."""

from __future__ import annotations

import fnmatch
import tomllib
from typing import TYPE_CHECKING, Final

import msgspec
from msgspec import Struct

from tollbook.errors import TollbookError
from tollbook.lint.rules import BY_ID

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

FILE: Final = "pyproject.toml"
SECTION: Final = "tool.tollbook.lint"
_MAX_BYTES: Final = 4 * 1024 * 1024


class LintSettings(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What is checked, and what is not."""

    allow: tuple[str, ...] = ()
    """Modules (``app.llm``) or paths (``app/llm/*.py``) that may make clients."""
    exclude: tuple[str, ...] = ()
    """Paths that are not read."""
    ignore: tuple[str, ...] = ()
    """Rules that are not used."""
    gateways: tuple[str, ...] = ()
    """Beginnings of the gateway's addresses; without any, addresses on this host are taken."""
    wrappers: tuple[str, ...] = ()
    """Own functions that return a wrapped client: ``app.llm.metered``."""


class LintSettingsError(TollbookError):
    """A setting that is none."""

    def __init__(self, path: Path | str, problem: str) -> None:
        super().__init__(f"{path}: [{SECTION}]: {problem}")


def read_settings(start: Path) -> tuple[LintSettings, Path]:
    """Return the settings that hold for a path, and the directory that they are relative to.

    Raises:
        LintSettingsError: the file cannot be read, or holds what is no setting.
    """
    here = start.resolve()
    here = here if here.is_dir() else here.parent
    for directory in (here, *here.parents):
        path = directory / FILE
        if path.is_file():
            return _parse(path), directory
    return LintSettings(), here


def _parse(path: Path) -> LintSettings:
    try:
        if path.stat().st_size > _MAX_BYTES:
            raise LintSettingsError(path, f"the file is larger than {_MAX_BYTES} bytes")
        document = tomllib.loads(path.read_text("utf-8"))
        section = document.get("tool", {}).get("tollbook", {}).get("lint", {})
        settings = msgspec.convert(section, LintSettings)
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError, msgspec.ValidationError) as error:
        raise LintSettingsError(path, str(error)) from error
    except AttributeError:
        raise LintSettingsError(path, "is no table") from None
    check_rules(settings.ignore, path)
    return settings


def check_rules(names: Iterable[str], where: Path | str) -> None:
    """Refuse rules that there are not.

    Raises:
        LintSettingsError: naming the rule.
    """
    for name in names:
        if name not in BY_ID:
            raise LintSettingsError(where, f"there is no rule {name!r}; see tollbook lint --rules")


def matches(patterns: Iterable[str], relative: str) -> bool:
    """Whether a path (with ``/``) is one of these: a path, a directory, a module or a pattern."""
    module = relative.removesuffix(".py").removesuffix("/__init__").replace("/", ".")
    for pattern in patterns:
        plain = pattern.rstrip("/")
        if (
            relative == plain
            or relative.startswith(plain + "/")
            or fnmatch.fnmatch(relative, plain)
        ):
            return True
        if module == plain or module.startswith(plain + ".") or module.endswith("." + plain):
            return True
    return False
