"""Packages that only some exports need, loaded when one is made."""

from __future__ import annotations

from importlib import import_module
from typing import Any

from tollbook.errors import TollbookError


class MissingPackageError(TollbookError):
    """A package that only some exports need is not installed."""

    def __init__(self, what: str, package: str) -> None:
        super().__init__(
            f"{what} needs the package {package}; install it with pip install 'tollbook[finance]'"
        )


def extra(module: str, what: str) -> Any:
    """Return a module of a package that is optional.

    Args:
        module: its full name.
        what: for people, what needs it.

    Raises:
        MissingPackageError: it is not installed.
    """
    try:
        return import_module(module)
    except ImportError as error:
        raise MissingPackageError(what, module.partition(".")[0]) from error
