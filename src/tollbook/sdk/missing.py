"""What is done about a call that nobody named a tenant for: raise, say, or only book it.

Whatever is done, the place in the application's code that made the call is booked with it, so
that it can be found and mended: ``tollbook report spend --by call_site --where tenant=unknown``.
"""

from __future__ import annotations

import logging
import os
import sys
import sysconfig
from typing import TYPE_CHECKING, Final

from tollbook.errors import TollbookError
from tollbook.sdk.runtime import runtime

if TYPE_CHECKING:
    from types import FrameType

    from tollbook.call import Identity

logger: Final = logging.getLogger("tollbook")

UNKNOWN: Final = "unknown"
_DEPTH_MAX: Final = 200
_SITES_MAX: Final = 4096
_CHARS_MAX: Final = 200

_OWN: Final = os.path.dirname(os.path.dirname(os.path.abspath(__file__))) + os.sep  # noqa: PTH100, PTH120 -- compared as text
_LIBRARIES: Final = tuple(
    path + os.sep
    for name in ("stdlib", "platstdlib")
    if (path := sysconfig.get_paths().get(name)) is not None
)
_INSTALLED: Final = (f"{os.sep}site-packages{os.sep}", f"{os.sep}dist-packages{os.sep}")

_is_foreign: dict[str, bool] = {}
_sites: dict[tuple[str, int, str], str] = {}
_said: set[str] = set()


class MissingTenantError(TollbookError):
    """A call to a model was about to leave and nobody had named a tenant for it."""

    def __init__(self, call_site: str) -> None:
        self.call_site = call_site
        super().__init__(_advice(call_site))


def _advice(call_site: str) -> str:
    return (
        f"{call_site}: a call to a model without a tenant; set it where the request is"
        " authenticated, or around the call: with tollbook.tenant(...)"
    )


def check(known: Identity) -> str | None:
    """Return None where the tenant of a call is known, else the place in the code that made it.

    A place is ``app/search.py:41 answer``: the innermost frame that belongs to the application
    and not to Tollbook, the standard library or an installed package.

    Raises:
        MissingTenantError: there is none and ``missing_tenant`` is ``raise``.
    """
    tenant_id = known.tenant_id
    if tenant_id is not None and tenant_id != UNKNOWN:
        return None
    site = call_site()
    policy = runtime().missing_tenant
    if policy == "raise":
        raise MissingTenantError(site)
    if policy == "log" and site not in _said:
        if len(_said) < _SITES_MAX:
            _said.add(site)
        logger.error("%s", _advice(site))
    return site


def call_site() -> str:
    """Return the place in the application's code that this is called from."""
    frame: FrameType | None = sys._getframe(1)  # noqa: SLF001 -- documented for such use
    innermost = frame
    for _ in range(_DEPTH_MAX):
        if frame is None:
            break
        path = frame.f_code.co_filename
        foreign = _is_foreign.get(path)
        if foreign is None:
            foreign = _note_foreign(path)
        if not foreign:
            return _site(frame)
        frame = frame.f_back
    # Called from nothing but libraries (a worker that runs a coroutine): the nearest of those.
    while innermost is not None and innermost.f_code.co_filename.startswith(_OWN):
        innermost = innermost.f_back
    return "unknown" if innermost is None else _site(innermost)


def _note_foreign(path: str) -> bool:
    foreign = path.startswith(("<frozen ", _OWN, *_LIBRARIES)) or any(
        part in path for part in _INSTALLED
    )
    if len(_is_foreign) < _SITES_MAX:
        _is_foreign[path] = foreign
    return foreign


def _site(frame: FrameType) -> str:
    # By file, line and name: code objects of two files may be equal, and their hash is slow.
    code = frame.f_code
    key = (code.co_filename, frame.f_lineno, code.co_qualname)
    known = _sites.get(key)
    if known is None:
        known = f"{_short(code.co_filename)}:{frame.f_lineno} {code.co_qualname}"[-_CHARS_MAX:]
        known = "".join(one if one.isprintable() else "?" for one in known)
        if len(_sites) < _SITES_MAX:
            _sites[key] = known
    return known


def _short(path: str) -> str:
    """Return a path as it is from the working directory, where it lies below that."""
    try:
        relative = os.path.relpath(path)
    except (OSError, ValueError):
        return path
    return path if relative.startswith(os.pardir) else relative
